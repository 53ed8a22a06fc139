"""An API that filters by creation alone: late changes of what is open arrive nevertheless."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.sync import open_sync, run_sync
from incidents_dagster_tests.ingestion.one_resource import resource
from incidents_dagster_tests.ingestion.other_process import NOTES, OtherProcess

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]

BY_STATUS = {"params": {"status": "open"}}
SINGLY = {"path": "/x/{id}", "data_selector": "incident", "most_requests": 2}
DAY = 86_400


def incident(number: int, status: str = "open") -> dict[str, Any]:
    """They are a day apart."""
    return {"id": f"i/{number}", "status": status, "created_at": f"2026-10-{number:02}T00:00:00Z"}


class Api:
    """Filters by creation, and by status if it is asked to."""

    def __init__(self, listen: Listen, configure: Configure) -> None:
        self.rows = [incident(n) for n in range(1, 21)]
        self.web, self._configure = listen(self._answer), configure
        self.said: list[str] = []
        self.forbidden: set[str] = set()
        self.endpoint: dict[str, Any] = {}
        self.own: dict[str, Any] = {}  # of the resource

    def _answer(self, asked: Asked) -> Any:
        if asked.path != "/x":
            key = asked.path.removeprefix("/x/").replace("%2F", "/")
            if key in self.forbidden:
                return Reply({}, 403)
            found = [row for row in self.rows if row["id"] == key]
            return {"incident": found[0]} if found else Reply({}, 404)
        since, status = asked.query.get("since", ""), asked.query.get("status")
        rows = [r for r in self.rows if r["created_at"] >= since]
        return {"data": [r for r in rows if status in (None, r["status"])]}

    def sync(self, mode: Mode = Mode.INCREMENTAL, **still_open: Any) -> None:
        settings = self.configure(**still_open)
        self.web.asked.clear()
        self.said.clear()
        run_sync(settings, self.said.append, mode)

    def configure(self, **still_open: Any) -> Settings:
        window = {"cursor_path": "created_at", "start_param": "since", "lag": 3 * DAY}
        section = resource(self.web.base_url, "single_page", incremental=window, **self.endpoint)
        section["resources"][0] |= {
            "fields": {"status": "status", "created_at": "created_at"},
            "phases": {"open": "open", "closed": "closed", "taken": "acknowledged"},
            "still_open": still_open,
            **self.own,
        }
        return self._configure(**section)

    @property
    def asked(self) -> list[str]:
        return [asked.target.removeprefix("/x").replace("%2F", "/") for asked in self.web.asked]


@pytest.fixture
def api(listen: Listen, configure: Configure) -> Api:
    return Api(listen, configure)


STATUSES = "SELECT id, status FROM incidents.x WHERE status <> 'open' ORDER BY created_at"


def test_what_is_open_is_asked_for_by_its_status(api: Api, query: Query) -> None:
    api.sync(**BY_STATUS)
    assert api.asked == [""]  # a full read needs no more
    api.rows[0]["status"] = "taken"
    api.rows[-1]["status"] = "closed"
    api.rows[4]["title"] = "new"
    api.rows.append(incident(21))  # in both lists
    api.sync(**BY_STATUS)
    assert api.asked == ["?since=2026-10-17T00%3A00%3A00Z", "?status=open"]
    assert query(STATUSES) == [("i/20", "closed")]
    assert any("1 rows are open in the table" in line for line in api.said)
    assert query("SELECT count(*), count(DISTINCT id) FROM incidents.x") == [(21, 21)]
    assert query("SELECT title FROM incidents.x WHERE id = 'i/5'") == [("new",)]


def test_while_the_api_holds_open_rows_back_another_process_writes(
    api: Api, query: Query, other: OtherProcess
) -> None:
    api.sync(**BY_STATUS, **SINGLY)
    for number in (0, 1):
        api.rows[number] = incident(number + 1, "closed")
    whole = api.web.answer

    def answer(asked: Asked) -> Any:
        other.write()
        return whole(asked)

    api.web.answer = answer
    api.sync(**BY_STATUS, **SINGLY)
    assert api.asked[2:] == ["/i/1", "/i/2"]
    assert other.written == ["done"] * 4
    assert query(STATUSES) == [("i/1", "closed"), ("i/2", "closed")]
    assert query(NOTES) == [(4,)]


def test_what_neither_list_brings_is_read_one_by_one(api: Api, query: Query) -> None:
    api.sync(**BY_STATUS, **SINGLY)
    for number in (0, 1, 2, 9):
        api.rows[number] = incident(number + 1, "closed")
    api.sync(**BY_STATUS, **SINGLY)
    assert api.asked[2:] == ["/i/1", "/i/2"]
    assert query(STATUSES) == [("i/1", "closed"), ("i/2", "closed")]
    assert "x: 2 open rows were read one by one, 2 more wait for the next syncs." in api.said
    api.sync(**BY_STATUS, **SINGLY)
    assert api.asked[2:] == ["/i/3", "/i/10"]
    assert len(query(STATUSES)) == 4
    api.sync(**BY_STATUS, **SINGLY)
    assert len(api.asked) == 2


def test_the_longest_unread_come_first(api: Api) -> None:
    """Without a filter by status, what stays open is read in turns."""
    api.rows = [incident(n) for n in range(1, 9)]
    api.sync(**SINGLY)
    turns = []
    for _ in range(4):
        api.sync(**SINGLY)
        turns.append(api.asked[1:])
    # 5 to 8 are in the window.
    assert turns == [["/i/1", "/i/2"], ["/i/3", "/i/4"]] * 2


def test_one_that_is_gone_does_not_stop_the_others(api: Api, query: Query) -> None:
    api.sync(**SINGLY)
    del api.rows[0]
    api.rows[0]["status"] = "closed"
    api.sync(**SINGLY)
    assert query(STATUSES) == [("i/2", "closed")]
    assert any("1 of them are gone, or hidden" in line for line in api.said)
    api.sync(Mode.RECONCILE, **SINGLY)
    assert query("SELECT id FROM incidents.x WHERE deleted_at IS NOT NULL") == [("i/1",)]


def test_one_that_may_not_be_read_is_told_and_stops_no_other(api: Api, query: Query) -> None:
    api.sync(**SINGLY)
    api.forbidden.add("i/1")
    api.rows[1]["status"] = "closed"
    api.sync(**SINGLY)
    assert any("1 of them are gone, or hidden" in line for line in api.said)
    assert query(STATUSES) == [("i/2", "closed")]


@pytest.mark.parametrize("still_open", [SINGLY, BY_STATUS])
def test_one_that_has_become_no_incident_is_marked(
    api: Api, query: Query, still_open: dict[str, Any]
) -> None:
    api.own = {"drop_where": {"merged": True}}
    api.sync(**still_open)
    api.rows[0]["merged"] = True
    for _ in range(2):
        api.sync(**still_open)
    assert query("SELECT id FROM incidents.x WHERE deleted_at IS NOT NULL") == [("i/1",)]
    assert "/i/1" not in api.asked


def test_one_of_a_list_that_takes_a_body_is_read_without(api: Api, query: Query) -> None:
    api.endpoint = {"method": "POST", "json": {"sort": "created_at"}}
    whole = api.web.answer

    def answer(asked: Asked) -> Any:
        right = ("GET", "") if asked.path != "/x" else ("POST", '{"sort": "created_at"}')
        return whole(asked) if (asked.method, asked.body) == right else Reply({}, 405)

    api.web.answer = answer
    api.sync(**SINGLY)
    api.rows[0]["status"] = "closed"
    api.sync(**SINGLY)
    assert query(STATUSES) == [("i/1", "closed")]


def test_bad_records_of_the_list_reach_quarantine_beside_those_of_what_is_open(
    api: Api, query: Query
) -> None:
    api.sync(**BY_STATUS)
    api.rows.append({"status": "open", "created_at": "2026-10-25T00:00:00Z"})
    api.sync(**BY_STATUS)
    assert query("SELECT count(*) FROM incidents.quarantine") == [(1,)]


def test_one_answer_for_several_is_one_row(api: Api, query: Query) -> None:
    api.sync(**SINGLY)
    whole, merged = api.web.answer, incident(9, "closed")

    def answer(asked: Asked) -> Any:
        return {"incident": merged} if asked.path.startswith("/x/") else whole(asked)

    api.web.answer = answer
    for _ in range(2):
        api.sync(**SINGLY)
    assert query("SELECT count(*), count(DISTINCT id) FROM incidents.x") == [(20, 20)]


def test_a_row_that_only_the_list_of_what_is_open_has_is_no_surplus(api: Api) -> None:
    """It was created between the two requests; the next sync brings it anyway."""
    api.sync(**BY_STATUS)
    whole = api.web.answer

    def answer(asked: Asked) -> Any:
        body = whole(asked)
        if "status" in asked.query:
            body["data"].append(incident(25))
        return body

    api.web.answer = answer
    settings = api.configure(**BY_STATUS)
    with open_sync(settings, lambda _: None) as sync:
        sync.pipeline.run(sync.source, loader_file_format="parquet")
        assert sync.changes["x"].created_meanwhile == 1


def test_a_row_without_a_phase_counts_as_open(api: Api, query: Query) -> None:
    api.rows[0]["status"] = "snoozed"
    api.sync(**BY_STATUS, **SINGLY)
    api.rows[0]["status"] = "closed"
    api.sync(**BY_STATUS, **SINGLY)
    assert query(STATUSES) == [("i/1", "closed")]


def test_a_sync_that_finds_nothing_new_writes_nothing(api: Api, query: Query) -> None:
    loads = "SELECT count(*) FROM incidents._dlt_loads"
    for _ in range(3):
        api.sync(**BY_STATUS, **SINGLY)
    assert query(loads) == [(1,)]


@pytest.mark.parametrize(
    ("still_open", "told"),
    [
        ({}, "needs params, to list what is open, or path"),
        ({"pth": "/x"}, "did you mean 'path'?"),
        ({"path": 5}, "still_open.path in "),
        ({"params": {"api_key": "s3cr3t-1234567"}}, "has api_key, which looks like a secret"),
        ({"path": "/x"}, "needs {id}, or another column"),
        ({"path": "/x/{id}", "most_requests": -1}, "still_open.most_requests in "),
        ({"params": "status=open"}, "still_open.params in "),
        ("x", "resources[0].still_open in "),
    ],
)
def test_a_mistake_names_the_setting(configure: Configure, still_open: Any, told: str) -> None:
    section = resource("http://127.0.0.1:9", "single_page")
    section["resources"][0]["still_open"] = still_open
    with pytest.raises(SettingsError) as refused:
        declared_source(configure(**section))
    assert told in str(refused.value)


@pytest.mark.parametrize("lacking", ["incremental", "phases"])
def test_it_needs_a_window_and_phases(configure: Configure, lacking: str) -> None:
    window = {"cursor_path": "created_at", "start_param": "since"}
    section = resource("http://127.0.0.1:9", "single_page", incremental=window)
    one = section["resources"][0]
    one |= {"fields": {"created_at": "at"}, "phases": {"a": "open"}, "still_open": SINGLY}
    (one if lacking == "phases" else one["endpoint"]).pop(lacking)
    with pytest.raises(SettingsError, match=r"needs endpoint\.incremental, and phases"):
        declared_source(configure(**section))
