"""`fields`, `times`, `phases` and `drop_where`: from the configuration into the table."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fakes.incidents import ALERT_FIELDS as FIELDS
from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster_tests.ingestion.one_resource import read, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]

PHASES = {"active": "open", "suppressed": "acknowledged"}


def alert(number: int, state: str = "active", **more: Any) -> dict[str, Any]:
    return {
        "fingerprint": f"f{number}",
        "id": number,
        "status": {"state": state},
        "startsAt": f"2026-11-01T00:00:{number:02}",
        "updatedAt": f"2026-11-02T00:00:{number:02}",
        "labels": {"severity": "critical"},
        **more,
    }


class Api:
    """Serves records in pages of two, by cursor, and those that changed since."""

    def __init__(self, listen: Listen, configure: Configure) -> None:
        self.records: list[Any] = []
        self.asked: list[dict[str, str]] = []
        self.total: int | None = None
        self._web, self._configure = listen(self._answer), configure

    def _answer(self, asked: Asked) -> Any:
        self.asked.append(dict(asked.query))
        since, at = asked.query.get("since", ""), int(asked.query.get("after", 0))
        found = [r for r in self.records if r.get("updatedAt", "") >= since[:19]]
        more = at + 2 < len(found)
        total = {} if self.total is None else {"total": self.total}
        return {"data": found[at : at + 2], "after": str(at + 2) if more else None, **total}

    def sync(self, incremental: Any = None, **own: Any) -> None:
        pages = {"type": "cursor", "cursor_path": "after", "cursor_param": "after"}
        section = resource(self._web.base_url, pages, incremental=incremental)
        section["resources"][0].update({"fields": FIELDS, "phases": PHASES, **own})
        self.asked.clear()
        run_sync(self._configure(**section))

    def refusal(self, **own: Any) -> str:
        with pytest.raises(Exception, match="x") as failed:
            self.sync(**own)
        return explain(failed.value)


@pytest.fixture
def api(listen: Listen, configure: Configure) -> Api:
    return Api(listen, configure)


def test_paths_fill_the_columns_beside_the_api_s_own_fields(api: Api, query: Query) -> None:
    api.records = [alert(1), alert(2, "suppressed"), alert(3, "unprocessed")]
    api.sync()
    assert query(
        "SELECT id, status, phase, severity, created_at::VARCHAR, source_id, fingerprint, "
        "source_status::VARCHAR FROM incidents.x ORDER BY id"
    ) == [
        *[
            (f"f{n}", state, phase, "critical", f"2026-11-01 00:00:0{n}+00", n, f"f{n}", own)
            for n, state, phase, own in [
                (1, "active", "open", '{"state":"active"}'),
                (2, "suppressed", "acknowledged", '{"state":"suppressed"}'),
                (3, "unprocessed", None, '{"state":"unprocessed"}'),
            ]
        ]
    ]
    comments = dict(
        query(
            "SELECT column_name, comment FROM duckdb_columns() "
            "WHERE schema_name = 'incidents' AND table_name = 'x'"
        )
    )
    assert "From labels.severity." in comments["severity"]
    assert comments["source_id"] == "Field: id"


def test_a_sync_starts_at_the_newest_filled_cursor(api: Api, query: Query) -> None:
    incremental = {"cursor_path": "updated_at", "start_param": "since", "lag": 0}
    api.records = [alert(n) for n in range(5)]
    api.sync(incremental)
    assert "since" not in api.asked[0]
    api.records[2] = alert(2, "suppressed", updatedAt="2026-11-03T00:00:00")
    api.sync(incremental)
    assert [asked.get("since") for asked in api.asked] == ["2026-11-02T00:00:04Z"]
    assert query("SELECT phase FROM incidents.x WHERE id = 'f2'") == [("acknowledged",)]


def test_times_without_a_zone_are_of_the_configured_one_and_so_is_the_start(
    api: Api, query: Query
) -> None:
    own = {"times": {"zone": "America/New_York"}}
    start = "{incremental.start_value:%Y-%m-%d %H:%M:%S}"
    incremental = {"cursor_path": "updated_at", "initial_value": "2020-01-01", "lag": 0}
    api.records = [alert(1)]

    def sync() -> str:
        pages = {"type": "cursor", "cursor_path": "after", "cursor_param": "after"}
        params = {"from": start}
        section = resource(api._web.base_url, pages, incremental=incremental, params=params)
        section["resources"][0].update({"fields": FIELDS, **own})
        api.asked.clear()
        run_sync(api._configure(**section))
        return api.asked[0]["from"]

    sync()
    assert query("SELECT updated_at::VARCHAR FROM incidents.x") == [("2026-11-02 05:00:01+00",)]
    assert sync() == "2026-11-02 00:00:01"


def test_declared_times_are_of_the_configured_zone_as_well(
    listen: Listen, configure: Configure, query: Query
) -> None:
    rows = [{"id": "a", "created_at": "2026-11-02T12:00:00"}]
    section = resource(listen(lambda _: {"data": rows}).base_url, "single_page")
    section["resources"][0] |= {
        "times": {"zone": "America/New_York"},
        "columns": {"created_at": {"data_type": "timestamp"}},
    }
    run_sync(configure(**section))
    assert query("SELECT created_at::VARCHAR FROM incidents.x") == [("2026-11-02 17:00:00+00",)]


def test_other_paths_are_read_into_all_rows(api: Api, query: Query) -> None:
    incremental = {"cursor_path": "updated_at", "start_param": "since", "lag": 0}
    api.records = [alert(n, name=f"n{n}") for n in range(3)]
    api.sync(incremental)
    api.sync(incremental)
    assert "since" in api.asked[0]
    api.sync(incremental, fields={**FIELDS, "title": "name"})
    assert "since" not in api.asked[0]
    assert query("SELECT title FROM incidents.x ORDER BY id") == [("n0",), ("n1",), ("n2",)]
    api.sync(incremental, fields={**FIELDS, "title": "name"}, phases={**PHASES, "active": "other"})
    assert query("SELECT DISTINCT phase FROM incidents.x") == [("other",)]
    api.sync(incremental, fields={**FIELDS, "title": "name"}, phases={**PHASES, "active": "other"})
    assert "since" in api.asked[0]


@pytest.mark.parametrize("column", ["created_at", "title"])
def test_a_field_has_its_column_again_once_no_path_fills_it(
    api: Api, query: Query, column: str
) -> None:
    api.records = [alert(n, created_at="2026-10-01T00:00:00Z", title=f"t{n}") for n in range(3)]
    own = {n: path for n, path in FIELDS.items() if n != column}
    api.sync(fields={**own, column: "startsAt"})
    for _ in range(2):
        api.sync(fields=own, columns={"created_at": {"data_type": "timestamp"}})
    (values,) = query(f"SELECT list({column}::VARCHAR ORDER BY id) FROM incidents.x")[0]
    assert values == (["t0", "t1", "t2"] if column == "title" else ["2026-10-01 00:00:00+00"] * 3)
    assert query(f"SELECT count(source_{column}) FROM incidents.x") == [(0,)]


@pytest.mark.parametrize("zones", [("America/Los_Angeles", "UTC"), ("UTC", "Asia/Tokyo")])
def test_another_zone_reaches_rows_that_have_just_changed(
    api: Api, query: Query, zones: tuple[str, str]
) -> None:
    incremental = {"cursor_path": "updated_at", "start_param": "since", "lag": 86_400}
    recent = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0) - timedelta(hours=10)
    api.records = [alert(n, updatedAt=recent.isoformat()) for n in range(3)]
    for zone in zones:
        api.sync(incremental, times={"zone": zone})
    expected = recent.replace(tzinfo=ZoneInfo(zones[1])).astimezone(timezone.utc)
    (found,) = query("SELECT DISTINCT updated_at FROM incidents.x")
    assert found[0] == expected


def test_a_key_of_several_paths(api: Api, query: Query) -> None:
    api.records = [alert(1), alert(1, startsAt="2026-11-05T00:00:00")]
    api.sync(fields={**FIELDS, "id": ["fingerprint", "startsAt"]})
    assert query("SELECT id FROM incidents.x ORDER BY id") == [
        ("f1, 2026-11-01T00:00:01",),
        ("f1, 2026-11-05T00:00:00",),
    ]


def test_records_that_are_no_incidents_are_left_out_and_counted(api: Api, query: Query) -> None:
    api.records = [alert(n, **({"pull_request": {}} if n % 2 else {})) for n in range(6)]
    api.total = 6  # the API counts them
    for _ in range(2):
        api.sync(drop_where={"pull_request": "*"})
    assert query("SELECT id FROM incidents.x ORDER BY id") == [("f0",), ("f2",), ("f4",)]


def test_an_incident_that_becomes_none_is_marked_by_an_incremental_sync(
    api: Api, query: Query
) -> None:
    incremental = {"cursor_path": "updated_at", "start_param": "since", "lag": 0}
    drop = {"drop_where": {"status.state": "merged"}}
    api.records = [alert(n) for n in range(4)]
    api.sync(incremental, **drop)
    api.records[1] = alert(1, "merged", updatedAt="2026-11-03T00:00:00")
    api.sync(incremental, **drop)
    gone = "SELECT id FROM incidents.x WHERE deleted_at IS NOT NULL"
    assert query(gone) == [("f1",)]
    api.records[1] = alert(1, updatedAt="2026-11-04T00:00:00")
    api.sync(incremental, **drop)
    assert query(gone) == []


def test_a_total_that_also_lacks_an_incident_is_still_told(api: Api) -> None:
    api.records = [alert(n, **({"pull_request": {}} if n % 2 else {})) for n in range(6)]
    api.total = 7
    message = api.refusal(drop_where={"pull_request": "*"})
    assert "6 records were read, but the API reports 7" in message


def test_one_that_is_left_out_twice_shows_that_another_is_missing(
    listen: Listen, configure: Configure
) -> None:
    """As with any other record that arrives again: a list without an order has skipped one."""
    first = [alert(n) for n in range(4)] + [alert(4, pull_request={})]
    second = [first[-1], alert(6)]  # 5 was skipped

    def answer(asked: Asked) -> Any:
        again = "after" in asked.query
        return {"data": second if again else first, "after": None if again else "b"}

    pages = {"type": "cursor", "cursor_path": "after", "cursor_param": "after"}
    section = resource(listen(answer).base_url, pages)
    section["resources"][0].update({"fields": FIELDS, "drop_where": {"pull_request": "*"}})
    doubts = read(configure(**section)).proof.doubts
    assert "1 records arrived twice in the same version" in doubts[0]


def test_what_the_list_no_longer_has_gets_the_phase_that_absence_means(
    api: Api, query: Query
) -> None:
    rows = "SELECT phase, count(*), count(deleted_at) FROM incidents.x GROUP BY ALL ORDER BY phase"
    api.records = [alert(n) for n in range(30)]
    for number in range(30, 54, 3):  # the oldest go, newer ones come: no window that moves on
        api.sync(absent="closed")
        api.records = [*api.records[3:], *(alert(number + n) for n in range(3))]
    api.sync(absent="closed")
    assert query(rows) == [("closed", 24, 24), ("open", 30, 0)]


def test_absence_gives_its_phase_to_rows_that_were_marked_before_it_was_configured(
    api: Api, query: Query
) -> None:
    api.records = [alert(n) for n in range(30)]
    api.sync()
    gone = [api.records.pop(0)["fingerprint"]]
    api.sync()
    since = query("SELECT deleted_at FROM incidents.x WHERE deleted_at IS NOT NULL")
    gone.append(api.records.pop(0)["fingerprint"])
    for _ in range(2):
        api.sync(absent="closed")
        closed = "SELECT id FROM incidents.x WHERE phase = 'closed' ORDER BY id"
        assert query(closed) == [(one,) for one in sorted(gone)]
    assert query(f"SELECT deleted_at FROM incidents.x WHERE id = '{gone[0]}'") == since


def test_absence_gives_a_phase_to_rows_from_before_there_were_any(api: Api, query: Query) -> None:
    api.records = [alert(n) for n in range(5)]
    api.sync(phases={})
    gone = api.records.pop(0)
    api.sync(absent="closed")
    assert query("SELECT id FROM incidents.x WHERE phase = 'closed'") == [(gone["fingerprint"],)]


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"fields": {**FIELDS, "id": "finger"}}, "x: fields.id is 'finger', and no record has"),
        ({"fields": {**FIELDS, "id": "finger"}}, "Fields that look like it: fingerprint."),
        ({"fields": {**FIELDS, "status": "status.name"}}, "fields.status is 'status.name', and no"),
        ({"fields": {**FIELDS, "status": "state"}}, "fields can name it: status.state."),
        ({"fields": {**FIELDS, "created_at": "startAt"}}, "look like it: startsAt"),
        (
            {"incremental": {"cursor_path": "updated_at"}, "fields": {**FIELDS, "updated_at": "u"}},
            "fields.updated_at is 'u', and no record has that field",
        ),
    ],
)
def test_a_path_that_no_record_has_is_told(api: Api, own: Any, told: str) -> None:
    api.records = [alert(n) for n in range(3)]
    assert told in api.refusal(**own)


def test_a_path_that_no_record_has_is_told_later_too(api: Api, query: Query) -> None:
    api.records = [alert(n) for n in range(3)]
    api.sync()
    assert "fields.status is 'stat.name'" in api.refusal(fields={**FIELDS, "status": "stat.name"})
    assert query("SELECT DISTINCT status FROM incidents.x") == [("active",)]


def test_a_status_that_later_records_lack_is_no_mistake(api: Api, query: Query) -> None:
    incremental = {"cursor_path": "updated_at", "start_param": "since", "lag": 0}
    api.records = [alert(1)]
    api.sync(incremental)
    api.records.append({"fingerprint": "f2", "updatedAt": "2026-11-03T00:00:00"})
    api.sync(incremental)
    assert query("SELECT id, status FROM incidents.x ORDER BY id") == [
        ("f1", "active"),
        ("f2", None),
    ]


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"fields": "id"}, "resources[0].fields in "),
        ({"fields": {"sevrity": "a"}}, "fields.sevrity in "),
        ({"fields": {"sevrity": "a"}}, "did you mean 'severity'?"),
        ({"fields": {"id": 7}}, "fields.id in "),
        ({"fields": {"id": []}}, "must be a JSONPath, or a list of them"),
        ({"fields": {"id": "a[["}}, "is not a JSONPath: not 'a[['."),
        ({"fields": {"phase": "state"}}, "needs resources[0].phases"),
        ({"phases": {"firing": "opened"}}, "phases.firing in "),
        ({"phases": {"firing": "opened"}}, "must be one of open, acknowledged, closed, other"),
        ({"phases": {"A": "open", "a": "closed"}}, "'a' twice, in another case of letters"),
        ({"fields": FIELDS, "times": {"zone": "Berlin"}}, "times.zone in "),
        ({"fields": FIELDS, "times": {"format": "iso"}}, "times.format in "),
        ({"fields": FIELDS, "times": {"format": "%Q"}}, "times.format in "),
        ({"fields": FIELDS, "times": {"zon": "UTC"}}, "did you mean 'zone'?"),
        ({"times": {"zone": "UTC"}}, "times in "),
        ({"fields": FIELDS, "columns": {"id": "text"}}, "columns.id is not a table"),
        ({"fields": FIELDS, "columns": [{"data_type": "text"}]}, "columns[0].name is not a hint"),
        ({"absent": "closed"}, "absent in "),
        ({"absent": "gone", "phases": PHASES}, "must be one of open, acknowledged"),
        ({"drop_where": {"a": {}}}, "drop_where.a in "),
        ({"drop_where": {"a[[": "x"}}, "is not a JSONPath"),
        ({"drop_where": ["a"]}, "resources[0].drop_where in "),
    ],
)
def test_a_mistake_names_the_setting(configure: Configure, own: Any, told: str) -> None:
    section = resource("http://127.0.0.1:9", "single_page")
    section["resources"][0].update(own)
    with pytest.raises(SettingsError) as refused:
        declared_source(configure(**section))
    assert told in str(refused.value)
    assert "config.toml" in str(refused.value)
