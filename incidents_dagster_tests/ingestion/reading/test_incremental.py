"""Incremental syncs: what is asked for, and that no change is lost, whatever the API does."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster_tests.examples import examples

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]
Rows = list[dict[str, Any]]

TIME = {"data_type": "timestamp", "dedup_sort": "desc"}
LOADS = "SELECT count(*) FROM incidents._dlt_loads"
TABLE = "SELECT id, v FROM incidents.x ORDER BY id"
MERGE = {"primary_key": "id", "write_disposition": "merge"}


def _at(minute: int) -> str:
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=minute)
    return moment.isoformat().replace("+00:00", "Z")


@dataclass
class Api:
    """An API of records with a cursor `at`, and the settings that read it incrementally."""

    configure: Configure
    database: Path
    web: Web = field(init=False)
    records: Rows = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    exclusive: bool = False
    endpoint: dict[str, Any] = field(default_factory=dict)

    def answer(self, request: Asked) -> Rows:
        since = request.query.get("since")
        self.asked.append(since)
        if since is None:
            return self.records
        # Compared as text, which is right for times of one spelling.
        after = (lambda at: at > since) if self.exclusive else (lambda at: at >= since)
        return [row for row in self.records if row["at"] is None or after(str(row["at"]))]

    def reads(self, column: dict[str, Any] | None = None, **incremental: Any) -> Settings:
        endpoint = {
            "path": "/x",
            "incremental": {"cursor_path": "at", "start_param": "since", **incremental},
        }
        columns = {"at": TIME if column is None else column}
        return self.reads_endpoint(endpoint, {name: hint for name, hint in columns.items() if hint})

    def reads_endpoint(
        self, endpoint: dict[str, Any], columns: dict[str, Any] | None = None, **more: Any
    ) -> Settings:
        columns = {"at": TIME} if columns is None else columns
        return self.configure(
            client={"base_url": self.web.base_url, "paginator": "single_page"},
            resources=[{"name": "x", **MERGE, "columns": columns, "endpoint": endpoint, **more}],
        )

    def sync(self, mode: Mode = Mode.INCREMENTAL) -> list[Any]:
        """Syncs as a process of its own would; returns what was asked."""
        self.asked.clear()
        self.said.clear()
        run_sync(load_settings(), self.said.append, mode)
        return list(self.asked)


@pytest.fixture
def it(listen: Listen, configure: Configure, database: Path) -> Api:
    api = Api(configure, database)
    api.web = listen(api.answer)
    return api


def _row(number: int, minute: int, v: Any = "a") -> dict[str, Any]:
    return {"id": str(number), "at": _at(minute), "v": v}


# --- The shipped configuration -------------------------------------------------------------------


def test_the_next_sync_asks_for_what_changed_since_the_newest_row_less_a_minute(
    api: DemoServer, rows: Rows, query: Query
) -> None:
    run_sync(load_settings(), lambda _: None)
    assert all("updated_since" not in asked.query for asked in api.requests)
    del api.requests[:]
    rows[0] = {**rows[0], "status": "resolved", "updated_at": "2026-11-02T00:00:00Z"}
    for _ in range(2):
        run_sync(load_settings(), lambda _: None)
    since = [asked.query["updated_since"] for asked in api.requests]
    assert since == ["2026-11-01T03:55:00Z", "2026-11-01T23:45:00Z"]
    assert query("SELECT count(*), count_if(status = 'resolved') FROM incidents.incident_data") == [
        (250, 1)
    ]


def test_without_a_change_no_row_is_written(api: DemoServer, query: Query) -> None:
    run_sync(load_settings(), lambda _: None)
    before = query("FROM incidents.incident_data ORDER BY id")
    del api.requests[:]
    load = run_sync(load_settings(), lambda _: None)
    assert len(api.requests) == 1
    assert load.loads_ids == []
    assert query(LOADS) == [(1,)]
    assert query("FROM incidents.incident_data ORDER BY id") == before
    assert query("SELECT count(*) FROM incidents.change_log") == [(len(before),)]


@pytest.mark.thorough
def test_of_a_hundred_changes_only_those_rows_are_written(
    api: DemoServer, rows: Rows, query: Query
) -> None:
    run_sync(load_settings(), lambda _: None)
    for n in range(100):
        rows[n] = {**rows[n], "status": "resolved", "updated_at": f"2026-11-02T00:00:{n % 60:02}Z"}
    run_sync(load_settings(), lambda _: None)
    written = "SELECT count(*), any_value(status) FROM incidents.incident_data GROUP BY "
    assert sorted(query(written + "_dlt_load_id")) == [(100, "resolved"), (150, "triggered")]
    assert query("SELECT count(*) FROM incidents._dlt_loads") == [(2,)]


@pytest.mark.thorough
def test_a_full_refresh_asks_for_everything_and_merges(
    api: DemoServer, rows: Rows, query: Query
) -> None:
    run_sync(load_settings(), lambda _: None)
    gone = rows.pop(0)
    rows[0] = {**rows[0], "title": "changed without its time"}
    run_sync(load_settings(), lambda _: None)
    titles = "SELECT count(*), count_if(title LIKE 'changed%') FROM incidents.incident_data"
    assert query(titles) == [(250, 0)]
    del api.requests[:]
    run_sync(load_settings(), lambda _: None, Mode.FULL_REFRESH)
    # Before a row is marked as deleted, what changed meanwhile is asked for.
    asked = ["updated_since" in asked.query for asked in api.requests]
    assert asked == [False] * 3 + [True]
    assert query(titles) == [(250, 1)]
    assert query(f"SELECT count(*) FROM incidents.incident_data WHERE id = '{gone['id']}'") == [
        (1,)
    ]


# --- No change is lost ---------------------------------------------------------------------------


@pytest.mark.parametrize(("exclusive", "lag"), [(False, 0), (True, 60), (True, 0)])
@pytest.mark.sample(1)
def test_two_updates_within_a_minute_both_arrive(
    it: Api, query: Query, exclusive: bool, lag: int
) -> None:
    it.exclusive = exclusive
    it.reads(lag=lag)
    it.records = [_row(1, 0), _row(2, 5)]
    it.sync()
    for version in ("b", "c"):
        it.records[1] = _row(2, 5, version)
        it.records[0] = _row(1, 5, version)
        it.sync()
        assert query(TABLE) == [("1", version), ("2", version)]
    # An API that leaves out the row at the cursor, with no lag: everything is read, none lost.
    assert bool(it.said) == (exclusive and not lag)


HISTORIES = examples(8, 12)
ROUNDS = 4


@dataclass
class History:
    """A random life of an API whose times are whole minutes."""

    number: int
    chance: random.Random
    minute: int = 0
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def exclusive(self) -> bool:
        return self.number % 4 == 3

    @property
    def lag(self) -> int:
        return 60 if self.exclusive or self.number % 2 else 0

    def live(self) -> None:
        for _ in range(self.chance.randrange(6)):
            self.minute += self.chance.choice([0, 0, 0, 1, 90])
            key = str(self.chance.randrange(8))
            v = self.chance.randrange(1000)
            self.records[key] = {"id": key, "at": _at(self.minute), "v": v}
        if self.chance.random() < 0.1 and self.records:
            del self.records[self.chance.choice(list(self.records))]

    def answer(self, since: str | None) -> Rows:
        found = [
            row
            for row in self.records.values()
            if since is None or (row["at"] > since if self.exclusive else row["at"] >= since)
        ]
        self.chance.shuffle(found)
        return found


def test_no_update_is_lost_in_many_random_histories(
    listen: Listen, configure: Configure, query: Query
) -> None:
    histories = [History(n, random.Random(n)) for n in range(HISTORIES)]
    web = listen(
        lambda asked: histories[int(asked.path[2:])].answer(asked.query.get("updated_since"))
    )
    configure(
        client={"base_url": web.base_url, "paginator": "single_page"},
        resource_defaults={**MERGE, "columns": {"at": TIME, "v": {"data_type": "bigint"}}},
        resources=[
            {
                "name": f"r{history.number}",
                "endpoint": {
                    "path": f"/r{history.number}",
                    "incremental": {
                        "cursor_path": "at",
                        "start_param": "updated_since",
                        "lag": history.lag,
                    },
                },
            }
            for history in histories
        ],
    )
    expected: list[dict[str, tuple[str, int]]] = [{} for _ in histories]
    for _ in range(ROUNDS):
        for history, seen in zip(histories, expected, strict=True):
            history.live()
            # What is deleted at the API stays in the table as it was at the last sync.
            seen.update({key: (row["at"], row["v"]) for key, row in history.records.items()})
        run_sync(load_settings(), lambda _: None)
        tables = " UNION ALL ".join(
            f"SELECT {n}, id, strftime(\"at\", '%Y-%m-%dT%H:%M:%SZ'), v FROM incidents.r{n}"
            for n in range(HISTORIES)
        )
        found: list[dict[str, tuple[str, int]]] = [{} for _ in histories]
        for n, key, at, v in query(tables):
            found[n][key] = (at, v)
        assert found == expected
    assert sum(map(len, expected)) > 4 * HISTORIES


# --- Where the table and the API do not go together ----------------------------------------------


def test_a_deleted_file_is_filled_anew(it: Api, query: Query) -> None:
    it.reads()
    it.records = [_row(1, 0), _row(2, 5)]
    it.sync()
    it.database.unlink()
    assert it.sync() == [None]
    assert query(TABLE) == [("1", "a"), ("2", "a")]


@pytest.mark.thorough
def test_another_api_on_the_same_file_is_read_whole(it: Api, query: Query) -> None:
    it.reads()
    it.records = [_row(1, 100), _row(2, 500)]
    it.sync()
    it.records = [_row(7, 0, "other"), _row(8, 1, "other"), _row(9, 900, "other")]
    assert it.sync() == [_at(500), None]
    assert [word in it.said[0] for word in ("did not return 2", "reading everything")] == [
        True,
        True,
    ]
    assert query(TABLE) == [("1", "a"), ("2", "a"), *((n, "other") for n in "789")]
    assert it.sync() == [_at(900)]


@pytest.mark.thorough
def test_an_api_gone_back_in_time_is_read_whole_and_believed(it: Api, query: Query) -> None:
    it.reads()
    it.records = [_row(1, 0), _row(2, 50, "newer")]
    it.sync()
    it.records = [_row(1, 0), _row(2, 10, "restored"), _row(3, 20, "after the backup")]
    assert it.sync() == [_at(50), None]
    assert query(TABLE) == [("1", "a"), ("2", "restored"), ("3", "after the backup")]
    it.records[1] = _row(2, 60, "newest")
    assert it.sync() == [_at(20)]
    assert query(TABLE)[1] == ("2", "newest")


@pytest.mark.thorough
def test_a_newest_row_that_is_deleted_at_the_api_costs_a_full_read_and_no_row(
    it: Api, query: Query
) -> None:
    it.reads()
    it.records = [_row(1, 0), _row(2, 5)]
    it.sync()
    it.records = [_row(1, 0), _row(3, 4)]
    assert it.sync() == [_at(5), None]
    assert query(TABLE) == [("1", "a"), ("2", "a"), ("3", "a")]
    loads = query(LOADS)
    it.sync()
    assert query(LOADS) == loads
    it.records.append(_row(4, 6))
    it.sync()
    assert it.sync() == [_at(6)]


@pytest.mark.thorough
def test_a_record_from_the_future_hides_nothing(it: Api, query: Query) -> None:
    it.reads()
    it.records = [_row(1, 0), {"id": "2", "at": "2999-01-01T00:00:00Z", "v": "a"}]
    assert it.sync() == [None]
    it.records.append(_row(3, 5))
    assert it.sync() == [_at(0)]
    assert it.sync() == [_at(5)]
    assert query(TABLE) == [("1", "a"), ("2", "a"), ("3", "a")]


@pytest.mark.thorough
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.sample(1)
def test_a_first_sync_of_no_rows_is_a_start_like_any_other(
    it: Api, query: Query, declared: bool
) -> None:
    it.reads(None if declared else {})
    assert it.sync() == [None]
    assert it.sync() == [None]
    it.records = [_row(1, 0)]
    assert it.sync() == [None]
    assert it.sync() == [_at(0)]
    assert query(TABLE) == [("1", "a")]


@pytest.mark.thorough
def test_rows_without_a_cursor_are_loaded_and_are_no_start(it: Api, query: Query) -> None:
    it.reads()
    it.records = [{"id": "1", "at": None, "v": "a"}]
    assert it.sync() == [None]
    it.records.append({"id": "2", "at": None, "v": "a"})
    assert it.sync() == [None]
    it.records.append(_row(3, 5))
    it.sync()
    it.records[0]["v"] = "b"
    assert it.sync() == [_at(5)]
    assert query(TABLE) == [("1", "b"), ("2", "a"), ("3", "a")]


def test_a_failed_sync_leaves_the_start_where_it_was(it: Api, query: Query) -> None:
    it.reads()
    it.records = [_row(1, 0)]
    it.sync()
    it.records += [_row(2, 5), *({"id": None, "at": _at(9), "v": n} for n in range(11))]
    with pytest.raises(Exception, match="Pipeline"):
        it.sync()
    del it.records[2:]
    assert it.sync() == [_at(0)]
    assert query(TABLE) == [("1", "a"), ("2", "a")]


# --- How the API is asked ------------------------------------------------------------------------


# kind → column, three cursors, `incremental`, what the second and the third sync ask for
CURSORS: dict[str, tuple[dict[str, Any], list[Any], dict[str, Any], list[str]]] = {
    "number": ({}, [10, 20, 30], {}, ["20", "30"]),
    "number_with_lag": ({}, [10, 20, 30], {"lag": 5}, ["15", "25"]),
    "number_from": ({}, [10, 20, 30], {"initial_value": 3}, ["20", "30"]),
    "fraction": ({}, [1.5, 2.5, 3.5], {"lag": 0.25}, ["2.25", "3.25"]),
    "text": ({}, ["r10", "r20", "r30"], {}, ["r20", "r30"]),
    "date": (
        {"data_type": "date"},
        ["2026-01-01", "2026-01-02", "2026-01-03"],
        {"lag": 1},
        ["2026-01-01", "2026-01-02"],
    ),
    "time": (
        {},
        ["2026-01-01T10:00:00+02:00", "2026-01-01T09:00:00.25Z", "2026-01-01T10:30:00+01:00"],
        {"lag": 1},
        ["2026-01-01T08:59:59.250000Z", "2026-01-01T09:29:59Z"],
    ),
    "time_without_zone": (
        {"data_type": "timestamp", "timezone": False},
        ["2026-01-01T10:00:00", "2026-01-01T11:00:00", "2026-01-01T12:00:00"],
        {"lag": 3600},
        ["2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"],
    ),
}


@pytest.mark.thorough
def test_a_cursor_may_be_a_number_a_text_a_date_or_a_time(it: Api, query: Query) -> None:
    asked: dict[str, list[Any]] = {name: [] for name in CURSORS}
    rows = [2, 3, 3]  # of each sync

    def answer(request: Asked) -> Rows:
        name = request.path[1:]
        asked[name].append(request.query.get("since"))
        cursors = CURSORS[name][1][: rows[0]]
        return [{"id": str(n), "at": cursor} for n, cursor in enumerate(cursors)]

    it.web.answer = answer
    resources = []
    for name, (column, _, settings, _) in CURSORS.items():
        incremental = {"cursor_path": "at", "start_param": "since", **settings}
        endpoint = {"path": f"/{name}", "incremental": incremental}
        columns = {"at": column} if column else {}
        resources.append({"name": name, **MERGE, "columns": columns, "endpoint": endpoint})
    client = {"base_url": it.web.base_url, "paginator": "single_page"}
    it.configure(client=client, resources=resources)
    while rows:
        it.sync()
        rows.pop(0)
    assert {name: found[1:] for name, found in asked.items()} == {
        name: expected for name, (*_, expected) in CURSORS.items()
    }
    firsts = {name: found[0] for name, found in asked.items() if found[0] is not None}
    assert firsts == {"number_from": "3"}
    for name in CURSORS:
        assert query(f"SELECT count(*) FROM incidents.{name}") == [(3,)]
    assert query(LOADS) == [(2,)]


GOOD = {"cursor_path": "at", "start_param": "since"}
CURSOR = {"cursor_path": "at", "initial_value": "2026-01-01T00:00:00Z"}
FIRST = "2026-01-01"


STARTS = ("2026-01-01T00:00:00Z", "2026-01-01T12:30:00Z")
# spelling → endpoint, the part of the request that tells the start, the two starts in it
SPELLINGS: dict[str, tuple[dict[str, Any], str, list[Any]]] = {
    "start_param": (
        {"incremental": {**CURSOR, "start_param": "since"}},
        "query",
        [{"since": start} for start in STARTS],
    ),
    "json_path": (
        {"incremental": {**CURSOR, "cursor_path": "$.at", "start_param": "since"}},
        "query",
        [{"since": start} for start in STARTS],
    ),
    "param": (
        {"params": {"since": {"type": "incremental", **CURSOR}, "x": 1}},
        "query",
        [{"since": start, "x": "1"} for start in STARTS],
    ),
    "placeholder": (
        {"incremental": CURSOR, "params": {"q": "at>{incremental.start_value}"}},
        "query",
        [{"q": f"at>{start}"} for start in STARTS],
    ),
    "day": (
        {"incremental": CURSOR, "params": {"q": "{incremental.start_value:%d.%m.%Y}"}},
        "query",
        [{"q": "01.01.2026"}] * 2,
    ),
    "seconds": (
        {"incremental": CURSOR, "params": {"q": "{incremental.last_value:X}"}},
        "query",
        [{"q": "1767225600"}, {"q": "1767270600"}],
    ),
    "path": (
        {"incremental": CURSOR, "path": "/path/{incremental.start_value:HH:mm}/x"},
        "path",
        ["/path/00:00/x", "/path/12:30/x"],
    ),
    "body": (
        {
            "incremental": CURSOR,
            "method": "POST",
            "json": {"filter": [{"at": "{incremental.start_value}"}]},
        },
        "body",
        [f'{{"filter": [{{"at": "{start}"}}]}}' for start in STARTS],
    ),
    "number_in_a_body": (
        {
            "incremental": {"cursor_path": "rev", "initial_value": 0},
            "method": "POST",
            "json": {"rev": "{incremental.start_value}"},
        },
        "body",
        ['{"rev": 0}', '{"rev": 7}'],
    ),
}


@pytest.mark.thorough
def test_every_spelling_of_rest_api_asks_as_it_says(it: Api) -> None:
    it.web.answer = lambda _: [{"id": 1, "at": STARTS[1], "rev": 7}]
    it.configure(
        client={"base_url": it.web.base_url, "paginator": "single_page"},
        resources=[
            {"name": name, **MERGE, "columns": {"at": TIME}, "endpoint": {"path": name, **endpoint}}
            for name, (endpoint, _, _) in SPELLINGS.items()
        ],
    )
    it.sync()
    it.sync()
    for name, (_, where, expected) in SPELLINGS.items():
        asked = [request for request in it.web.asked if request.path.split("/")[1] == name]
        assert [getattr(request, where) for request in asked] == expected, name


@pytest.mark.thorough
def test_what_is_incremental_by_default_is_so_in_every_resource(it: Api) -> None:
    endpoint, _, expected = SPELLINGS["param"]
    it.web.answer = lambda _: [{"id": 1, "at": STARTS[1]}]
    it.configure(
        client={"base_url": it.web.base_url, "paginator": "single_page"},
        resource_defaults={**MERGE, "columns": {"at": TIME}, "endpoint": endpoint},
        resources=["x", {"name": "y", "endpoint": {"params": {"z": "1"}}}],
    )
    it.sync()
    it.sync()
    asked = {path: [a.query for a in it.web.asked if a.path == path] for path in ("/x", "/y")}
    assert asked == {"/x": expected, "/y": [{**query, "z": "1"} for query in expected]}


INITIAL: dict[str, tuple[Any, str]] = {
    "text": ("2026-01-01", "2026-01-01"),
    "day": (date(2026, 1, 1), "2026-01-01"),
    "time": (datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))), "2026-01-01T10:00:00Z"),
}


@pytest.mark.thorough
def test_an_initial_value_is_asked_with_until_there_are_rows_and_in_a_full_refresh(
    it: Api,
) -> None:
    it.web.answer = lambda _: it.records
    it.configure(
        client={"base_url": it.web.base_url, "paginator": "single_page"},
        resource_defaults={**MERGE, "columns": {"at": TIME}},
        resources=[
            {
                "name": name,
                "endpoint": {"path": name, "incremental": {**GOOD, "initial_value": initial}},
            }
            for name, (initial, _) in INITIAL.items()
        ],
    )
    it.sync()
    it.records = [_row(1, 900)]
    it.sync()
    it.sync()
    it.sync(Mode.FULL_REFRESH)
    for name, (_, first) in INITIAL.items():
        asked = [a.query["since"] for a in it.web.asked if a.path == f"/{name}"]
        assert asked == [first, first, _at(900), first]


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ({"incremental": {**GOOD, "end_value": "2026-01-01"}}, "incremental.end_value"),
        ({"incremental": {**GOOD, "row_order": "asc"}}, "incremental.row_order"),
        (
            {"incremental": {**GOOD, "on_cursor_value_missing": "include"}},
            "on_cursor_value_missing",
        ),
        ({"incremental": {**GOOD, "nonsense": 1}}, "nonsense"),
        ({"incremental": {"start_param": "since"}}, "cursor_path"),
        ({"incremental": {**GOOD, "cursor_path": "meta.at"}}, "incremental.cursor_path"),
        ({"incremental": {**GOOD, "cursor_path": "$..at"}}, "incremental.cursor_path"),
        ({"incremental": {**GOOD, "lag": -1}}, "incremental.lag"),
        ({"incremental": {**GOOD, "lag": "an hour"}}, "lag"),
        (
            {"incremental": {**GOOD, "lag": float("nan")}},
            "lag must be a number, 0 or more, not n",
        ),
        (
            {"incremental": CURSOR, "params": {"since": "{incremental.startvalue}"}},
            "params has {incremental.startvalue, which is not known",
        ),
        (
            {"incremental": {**GOOD, "initial_value": "2130-01-01"}},
            "initial_value is still to come (2130-01-01)",
        ),
        ({"incremental": {**GOOD, "initial_value": date(2130, 1, 1)}}, "is still to come"),
        ({"incremental": {**GOOD, "lag": True}}, "lag must be a number, 0 or more, not True"),
        ({"params": {"since": {"type": "incremental", "cursor_path": "at", "lag": "1h"}}}, "'1h'"),
        (
            {"incremental": {"cursor_path": "at"}, "path": "/{incremental.start_value}"},
            "incremental.initial_value",
        ),
        ({"params": {"since": "{incremental.start_value}"}}, "incremental"),
        ({"params": {"since": {"type": "incremental", "nonsense": 1}}}, "nonsense"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_asked(
    it: Api, endpoint: dict[str, Any], told: str
) -> None:
    settings = it.reads_endpoint({"path": "/x", **endpoint})
    with pytest.raises(SettingsError) as refused:
        declared_source(settings)
    assert told in str(refused.value)
    with pytest.raises(SettingsError):
        it.sync()
    assert it.web.asked == []


@pytest.mark.parametrize(
    "more",
    [
        {"write_disposition": "append"},
        {"write_disposition": "replace"},
        {"write_disposition": {"disposition": "merge", "strategy": "scd2"}},
        {"primary_key": []},
    ],
)
def test_incremental_needs_a_merge_by_key(it: Api, more: dict[str, Any]) -> None:
    settings = it.reads_endpoint({"path": "/x", "incremental": GOOD}, **more)
    with pytest.raises(SettingsError, match="x has incremental, which needs a primary_key"):
        declared_source(settings)


@pytest.mark.parametrize(
    ("column", "first", "lag", "told"),
    [
        (
            {"data_type": "text"},
            "a",
            60,
            "lag = 60 needs a cursor of times or numbers, but the col",
        ),
        ({}, "r10", 60, "lag = 60 needs a cursor of times or numbers, but the column 'at' is text"),
        ({}, 10, 0.5, "lag = 0.5 must be a whole number: it is in the cursor's unit, as the"),
        ({"data_type": "date"}, "2026-01-01", 1.5, "lag = 1.5 must be a whole number: it is in d"),
    ],
)
def test_a_lag_that_the_cursor_cannot_have_is_refused_by_the_first_sync(
    it: Api, column: dict[str, Any], first: Any, lag: float, told: str
) -> None:
    it.records = [{"id": "1", "at": first}]
    it.reads(column, lag=lag)
    with pytest.raises(Exception, match="lag") as failed:
        it.sync()
    assert explain(failed.value).startswith(f"x: incremental.{told}")
    assert len(it.asked) == (not column), "refused at once if the type is declared"


def test_a_lag_on_an_id_is_refused_before_anything_is_asked(it: Api) -> None:
    it.records = [{"id": 1, "at": 1}]
    it.reads({}, cursor_path="id", lag=60)
    with pytest.raises(SettingsError, match=r"'id' is text.*a primary key is text by default"):
        it.sync()
    assert it.web.asked == []


def test_a_cursor_that_is_null_everywhere_has_everything_read(it: Api, query: Query) -> None:
    it.reads({}, lag=60)
    it.records = [{"id": "1", "at": None, "v": "a"}]
    assert it.sync() == [None]
    it.records = [{"id": "1", "at": None, "v": "b"}]
    assert it.sync() == [None]
    assert query(TABLE) == [("1", "b")]


def test_a_format_that_does_not_fit_the_cursor_is_told(it: Api) -> None:
    endpoint = {"path": "/x", "params": {"q": "{incremental.start_value:%Y}"}}
    it.reads_endpoint({**endpoint, "incremental": {"cursor_path": "at", "initial_value": 1}}, {})
    with pytest.raises(Exception, match="Pipeline") as failed:
        it.sync()
    assert explain(failed.value) == "{incremental.start_value:%Y}: the format does not fit 1."
