"""Rows that are gone from the API: when they are marked as deleted, and when never."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fakes.messages import Asked
from fakes.pages import OFFSET, Pages, row
from fakes.web import Web
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster_tests.ingestion.one_resource import INCREMENTAL, MARKED, TIME, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]


class Api:
    """An API of records with a cursor `at`, and syncs of it."""

    def __init__(self, configure: Configure, listen: Listen, query: Query) -> None:
        self._configure, self._query = configure, query
        self.pages = Pages([row(n) for n in range(9)])
        self.beside: dict[str, Any] = {}
        self.web = listen(self)
        self.said: list[str] = []
        self.since: list[str | None] = []
        self.reads()

    def __call__(self, asked: Asked) -> Any:
        every, since = self.pages.rows, asked.query.get("since")
        self.since.append(since)
        self.pages.rows = [row for row in every if since is None or row["at"] >= since]
        body = self.pages(asked)
        self.pages.rows = every
        return {**body, **self.beside}

    def reads(self, paginator: Any = OFFSET, **more: Any) -> None:
        given = more.pop("incremental", {})
        incremental = None if given is None else {**INCREMENTAL, **given}
        section = resource(self.web.base_url, paginator, incremental=incremental)
        section["resources"][0]["columns"] = {"at": TIME}
        self._configure(**section, **more)

    def sync(self, mode: Mode = Mode.INCREMENTAL) -> list[str]:
        """Syncs; returns the ids that are marked as deleted then."""
        self.said.clear()
        self.since.clear()
        run_sync(load_settings(), self.said.append, mode)
        return [key for (key,) in self._query(MARKED)]


@pytest.fixture
def it(configure: Configure, listen: Listen, query: Query) -> Api:
    return Api(configure, listen, query)


@pytest.mark.parametrize("mode", [Mode.FULL_REFRESH, Mode.RECONCILE])
@pytest.mark.sample(1)
def test_a_full_read_marks_what_is_gone_and_a_return_takes_the_mark_away(
    it: Api, query: Query, mode: Mode
) -> None:
    assert it.sync() == []
    gone = [it.pages.rows.pop(n) for n in (5, 2)]
    assert it.sync() == [], "an incremental sync cannot know"
    assert it.sync(mode) == ["2", "5"]
    assert query("SELECT id, v FROM incidents.x WHERE id = '2'") == [("2", "a")], "as it was"
    loads = query("SELECT count(*) FROM incidents._dlt_loads")
    marks = query("SELECT id, deleted_at FROM incidents.x ORDER BY id")
    assert it.sync(mode) == ["2", "5"]
    assert query("SELECT id, deleted_at FROM incidents.x ORDER BY id") == marks
    assert query("SELECT count(*) FROM incidents._dlt_loads") == loads, "nothing to write"
    # One comes back as it was, one in a version that is older than that in the table.
    it.pages.rows += [gone[0], {**gone[1], "at": "2026-10-01T00:00:00Z", "v": "older"}]
    assert it.sync(mode) == []
    assert query("SELECT v FROM incidents.x WHERE id IN ('2', '5') ORDER BY id") == [
        ("older",),
        ("a",),
    ]


@pytest.mark.thorough
def test_a_row_that_returns_changed_is_back_with_an_incremental_sync(it: Api) -> None:
    it.sync()
    it.pages.rows.pop(3)
    assert it.sync(Mode.RECONCILE) == ["3"]
    it.pages.rows.append(row(3, "b", minute=30))
    assert it.sync() == []
    assert None not in it.since


@pytest.mark.thorough
def test_the_newest_row_gone_is_marked_and_the_next_sync_is_incremental_again(it: Api) -> None:
    it.sync()
    it.pages.rows.pop()
    assert it.sync() == ["8"]
    assert "it was deleted there" in it.said[0].lower()
    assert it.sync() == ["8"]
    assert it.since == ["2026-11-01T00:06:00Z"] * 2
    assert it.said == []


def _clear(it: Api) -> None:
    it.pages.rows.clear()


def _lose(it: Api) -> None:
    del it.pages.rows[:5]  # of nine


def _unproven(it: Api) -> None:
    it.pages.rows.pop(0)
    it.reads({**OFFSET, "maximum_offset": 8})


# what the API does → why no row may be marked
BLOCKED: dict[str, tuple[Callable[[Api], None], str]] = {
    "nothing there": (_clear, "the API returned no records"),
    "too few": (_lose, "5 of the table's 9 rows are missing from the API, more than deleted_share"),
    "unproven": (_unproven, "unproven: the paginator is configured to stop at a maximum"),
}


@pytest.mark.parametrize("what", BLOCKED)
@pytest.mark.sample(1)
def test_no_row_is_marked_where_a_reading_is_no_ground_for_it(
    it: Api, query: Query, what: str
) -> None:
    change, why = BLOCKED[what]
    it.sync()
    change(it)
    before = query("FROM incidents.x ORDER BY id")
    with pytest.raises(Exception, match="Pipeline") as failed:
        it.sync(Mode.RECONCILE)
    told = explain(failed.value)
    assert told.startswith("x cannot be reconciled, nothing was loaded: ")
    assert why in told
    assert query("FROM incidents.x ORDER BY id") == before
    # A full refresh goes on, and says so.
    assert it.sync(Mode.FULL_REFRESH) == []
    assert [line for line in it.said if why in line and "no row was marked as deleted" in line]


@pytest.mark.thorough
def test_how_many_may_be_gone_is_a_setting_and_marked_rows_do_not_count(it: Api) -> None:
    it.sync()
    _lose(it)
    it.reads(deleted_share=0.6, second_look_rows=5, second_look_share=0.6)
    assert it.sync(Mode.RECONCILE) == ["0", "1", "2", "3", "4"]
    it.reads(deleted_share=0.4)
    it.pages.rows.pop()  # one of the four that are left
    assert it.sync(Mode.RECONCILE) == ["0", "1", "2", "3", "4", "8"]
    del it.pages.rows[:2]  # two of three
    with pytest.raises(Exception, match="2 of the table's 3 rows are missing from the API"):
        it.sync(Mode.RECONCILE)


def test_a_record_that_cannot_be_loaded_is_not_gone(it: Api, query: Query) -> None:
    it.sync()
    it.pages.rows[4] = {**it.pages.rows[4], "at": "soon"}
    it.pages.rows.pop(0)
    assert it.sync(Mode.RECONCILE) == ["0"]
    assert query("SELECT record_id FROM incidents.quarantine") == [("4",)]


def test_a_record_without_an_id_does_not_stop_the_others(it: Api, query: Query) -> None:
    it.sync()
    it.pages.rows.append({**row(20), "id": None})
    it.pages.rows.pop(0)
    assert it.sync(Mode.RECONCILE) == ["0"]
    assert query("SELECT reason FROM incidents.quarantine") == [("id is missing, null or empty.",)]


def _rows(it: Api, count: int) -> None:
    it.pages.rows = [row(n, minute=n // 2) for n in range(count)]


def test_many_rows_are_only_marked_after_a_second_look(it: Api) -> None:
    _rows(it, 60)
    it.sync()
    hidden = [it.pages.rows.pop(n) for n in range(40, 4, -3)]
    assert it.sync(Mode.RECONCILE) == []
    assert "12 rows are missing from the API. They are marked as deleted if the next" in it.said[-1]
    assert len(it.sync()) == 12, "the next sync reads everything"
    assert "12 rows were missing from the API: reading everything." in it.said[0]
    it.pages.rows += hidden
    assert it.sync(Mode.RECONCILE) == []


def test_what_comes_back_before_the_second_look_was_not_deleted(it: Api) -> None:
    _rows(it, 60)
    it.sync()
    every = [*it.pages.rows]
    del it.pages.rows[20:40]
    it.sync(Mode.RECONCILE)
    it.pages.rows = every
    assert it.sync() == []
    assert it.sync() == []
    assert it.said == []
    assert None not in it.since


def test_two_looks_that_differ_do_not_make_a_chain_of_full_reads(it: Api) -> None:
    _rows(it, 60)
    it.sync()
    every = [*it.pages.rows]
    del it.pages.rows[10:25]
    it.sync(Mode.RECONCILE)
    it.pages.rows = every[:30] + every[45:]
    assert it.sync() == [], "other rows than before"
    assert None in it.since
    assert it.sync() == []
    assert None not in it.since
    assert len(it.sync(Mode.RECONCILE)) == 15


def test_the_oldest_rows_are_beyond_a_window(it: Api, query: Query) -> None:
    _rows(it, 100)
    it.sync()
    del it.pages.rows[:30]
    for _ in range(2):
        it.sync(Mode.RECONCILE)
    assert "30 rows are older than all that the API shows" in it.said[-1]
    it.pages.rows.pop(20)
    del it.pages.rows[:4]
    assert it.sync(Mode.RECONCILE) == ["50"]
    assert "34 rows are older" in it.said[-1]
    assert query("SELECT count(*) FROM incidents.x") == [(100,)]


@pytest.mark.parametrize("step", [1, 5, 9, 15])
@pytest.mark.sample(1)
def test_a_window_that_slides_a_few_rows_at_a_time_shows_after_a_while(it: Api, step: int) -> None:
    _rows(it, 120)
    it.reads(incremental=None)  # every sync reads everything
    it.sync()
    for gone in range(step, 31 + 3 * step, step):
        del it.pages.rows[:step]
        marked = it.sync()
        assert len(marked) < 20 + step
        if gone >= 30 + step:
            assert marked == []
            assert f"{gone:,} rows are older than all that the API shows" in it.said[-1]
    it.pages.rows.insert(0, row(0))  # one that had been beyond the window
    assert it.sync() == []


def test_all_rows_may_have_left_a_window(it: Api) -> None:
    _rows(it, 100)
    it.sync()
    del it.pages.rows[:46]
    it.sync(Mode.RECONCILE)
    assert it.sync(Mode.RECONCILE) == []
    it.pages.rows = [row(200, minute=58)]  # after a long quiet time
    for _ in range(2):
        assert it.sync(Mode.RECONCILE) == []
    assert "100 rows are older than all that the API shows" in it.said[-1]


@pytest.mark.parametrize("allow_empty", [False, True])
def test_a_window_that_shows_other_rows_each_time_is_no_other_source(
    it: Api, allow_empty: bool
) -> None:
    it.reads(incremental=None, allow_empty=allow_empty)
    for first in range(0, 120, 30):
        it.pages.rows = [row(n, minute=n // 2) for n in range(first, first + 30)]
        assert it.sync() == []
    assert "90 rows are older than all that the API shows" in it.said[-1]


def test_a_reconcile_learns_a_window_beyond_deleted_share(it: Api) -> None:
    _rows(it, 100)
    it.sync()
    del it.pages.rows[:80]
    assert it.sync(Mode.RECONCILE) == []
    assert "80 of the table's 100 rows are missing from the API" in it.said[-1]
    assert it.sync() == [], "the next sync reads everything"
    assert "80 rows are older than all that the API shows" in it.said[-1]
    assert it.sync(Mode.RECONCILE) == []


def test_an_unproven_read_does_not_forget_a_window(it: Api) -> None:
    _rows(it, 100)
    it.sync()
    del it.pages.rows[:40]
    it.sync(Mode.RECONCILE)
    it.sync(Mode.RECONCILE)
    it.beside = {"timed_out": True}
    assert it.sync(Mode.FULL_REFRESH) == []
    it.beside = {}
    assert it.sync(Mode.RECONCILE) == []
    assert "40 rows are older than all that the API shows" in it.said[-1]


def test_rows_deleted_before_the_others_changed_are_beyond_no_window(it: Api) -> None:
    it.pages.rows = [{**row(n), "born": f"2026-01-01T{n % 24:02}:00:00Z"} for n in range(60)]
    it.pages.rows[1]["at"] = "2026-11-20T00:05:00Z"
    it.reads(deleted_share=0.9)
    it.sync()
    gone = it.pages.rows[1::2]
    it.pages.rows = [one for one in it.pages.rows if one not in gone]
    for n, one in enumerate(it.pages.rows):
        one["at"] = f"2026-11-20T00:{n:02}:00Z"
    it.sync(Mode.FULL_REFRESH)
    # All but a few of the missing rows are older by the time of change, and not by the other one.
    assert len(it.sync()) == len(gone)
    assert not any("older than all" in line for line in it.said)


def test_few_of_the_oldest_rows_are_deleted_ones(it: Api) -> None:
    _rows(it, 100)
    it.sync()
    for count in (3, 6, 10):  # 19 in all
        gone = it.sync(Mode.RECONCILE)
        del it.pages.rows[:count]
        assert len(it.sync(Mode.RECONCILE)) == len(gone) + count
    it.pages.rows = it.pages.rows[:40] + it.pages.rows[41:]
    assert len(it.sync(Mode.RECONCILE)) == 20
    it.pages.rows += [row(0), row(1)]  # back again, so they are not at the end that is missing
    del it.pages.rows[0]
    assert len(it.sync(Mode.RECONCILE)) == 19


def test_a_deletion_beside_rows_that_leave_a_window_stays_marked(it: Api) -> None:
    _rows(it, 100)
    it.sync()
    for gone in (40, 60, 70, 80, 90, 95):
        del it.pages.rows[:4]
        it.pages.rows = [row for row in it.pages.rows if row["id"] != f"{gone}"]
        marked = it.sync(Mode.RECONCILE)
    assert marked == ["40", "60", "70", "80", "90", "95"]


def test_another_account_of_the_same_api_is_another_source(it: Api, query: Query) -> None:
    _rows(it, 30)
    it.sync()
    it.pages.rows = [row(n, minute=n - 50) for n in range(50, 80)]
    for _ in range(2):
        with pytest.raises(Exception, match="this may be another source: 30 of the table's 30"):
            it.sync(Mode.FULL_REFRESH)
    assert query("SELECT count(*) FROM incidents.x") == [(30,)]
    assert len(it.sync(Mode.ADOPT)) == 30
    assert query("SELECT count(*) FROM incidents.x") == [(60,)]


def test_many_deletions_among_the_oldest_rows_of_one_time_are_no_window(it: Api) -> None:
    it.pages.rows = [row(n, minute=max(n, 60) - 60) for n in range(100)]  # 60 of one migration
    it.sync()
    del it.pages.rows[10:35]
    for _ in range(3):
        gone = it.sync(Mode.RECONCILE)
    assert len(gone) == 25


def test_an_empty_list_is_believed_if_it_may_be_empty(it: Api) -> None:
    it.sync()
    it.reads(allow_empty=True)
    _clear(it)
    assert it.sync(Mode.RECONCILE) == []
    assert len(it.sync()) == 9


def test_a_list_of_bad_records_alone_is_no_empty_one(it: Api, query: Query) -> None:
    it.sync()
    it.reads(allow_empty=True, quarantine_share=0.5)
    it.pages.rows = [{**row(n), "id": None} for n in range(4)]
    for mode in (Mode.FULL_REFRESH, Mode.FULL_REFRESH):
        assert it.sync(mode) == []
        assert "none of 4 records could be loaded: id is missing, null or empty (4)." in it.said[-1]
    assert query("SELECT count(*) FROM incidents.quarantine") == [(4,)]


def test_a_list_that_may_be_empty_may_also_shrink(it: Api) -> None:
    it.sync()
    it.reads(allow_empty=True)
    del it.pages.rows[:7]  # of nine
    assert it.sync(Mode.RECONCILE) == []
    assert len(it.sync()) == 7


def test_adopting_marks_at_once_whatever_is_missing(it: Api) -> None:
    it.sync()
    _lose(it)
    assert it.sync(Mode.ADOPT) == ["0", "1", "2", "3", "4"]


def test_a_composite_key_tells_rows_apart(it: Api, configure: Configure, query: Query) -> None:
    section = resource(it.web.base_url, OFFSET)
    section["resources"][0]["primary_key"] = ["id", "v"]
    configure(**section)
    it.pages.rows = [{**row(1, v), "x": {"a": [1]}} for v in "abc"]
    it.sync()
    it.pages.rows.pop(1)
    it.sync(Mode.RECONCILE)
    assert query("SELECT v, x->>'$.a[0]' FROM incidents.x WHERE deleted_at IS NOT NULL") == [
        ("b", "1")
    ]


def test_a_bad_record_does_not_stand_for_one_whose_joined_key_looks_the_same(
    it: Api, configure: Configure, query: Query
) -> None:
    section = resource(it.web.base_url, OFFSET)
    section["resources"][0]["primary_key"] = ["id", "v"]
    section["resources"][0]["columns"] = {"at": TIME}
    configure(**section)
    it.pages.rows = [{**row(1), "id": key, "v": v} for key, v in (("a", "b, c"), ("a", "b"))]
    it.sync()
    it.pages.rows[0] = {**row(1), "id": "a, b", "v": "c", "at": "soon"}
    it.sync(Mode.RECONCILE)
    assert query("SELECT id, v FROM incidents.x WHERE deleted_at IS NOT NULL") == [("a", "b, c")]


@pytest.mark.thorough
def test_rows_before_the_initial_value_were_not_asked_for(it: Api, query: Query) -> None:
    it.sync()
    it.pages.rows.pop(6)
    it.reads(incremental={"initial_value": "2026-11-01T00:03:00Z"})
    assert it.sync(Mode.RECONCILE) == ["6"]
    assert {*it.since[:2]} == {"2026-11-01T00:03:00Z"}
    assert query("SELECT count(*) FROM incidents.x") == [(9,)]


@pytest.mark.parametrize(
    "resource_settings",
    [
        {"write_disposition": "append"},
        {"write_disposition": "replace"},
    ],
    ids=str,
)
@pytest.mark.sample(1)
def test_only_a_merge_by_key_marks(
    it: Api, configure: Configure, query: Query, resource_settings: dict[str, Any]
) -> None:
    section = resource(it.web.base_url, OFFSET)
    section["resources"][0].update(resource_settings)
    configure(**section)
    run_sync(load_settings(), print)
    it.pages.rows.pop(0)
    run_sync(load_settings(), print, Mode.RECONCILE)
    columns = [name for name, *_ in query("DESCRIBE incidents.x")]
    assert "deleted_at" not in columns


def test_a_table_of_an_earlier_release_gets_the_column(
    it: Api, database: Path, query: Query
) -> None:
    it.sync()
    with duckdb.connect(str(database)) as connection:
        connection.execute("ALTER TABLE incidents.x DROP COLUMN deleted_at")
        connection.execute(
            "UPDATE incidents._dlt_version SET schema = replace(schema, 'deleted_at', 'other')"
        )
    it.pages.rows.pop(0)
    assert it.sync() == ["0"]
    assert query("SELECT count(*) FROM incidents.x") == [(9,)]


def test_the_apis_own_field_of_that_name_has_a_column_of_its_own(it: Api, query: Query) -> None:
    it.pages.rows[0] = {**it.pages.rows[0], "deleted_at": "2026-01-01T00:00:00Z"}
    it.pages.rows[1] = {**it.pages.rows[1], "deletedAt": "2026-01-02T00:00:00Z"}
    assert it.sync() == []
    assert query("SELECT strftime(source_deleted_at, '%d') FROM incidents.x ORDER BY id")[:3] == [
        ("01",),
        (None,),
        (None,),
    ]


@pytest.mark.parametrize("name", ["deleted_at", "deletedAt"])
def test_the_column_cannot_be_declared(it: Api, configure: Configure, name: str) -> None:
    section = resource(it.web.base_url, OFFSET)
    section["resources"][0]["columns"] = {name: {"data_type": "timestamp"}}
    settings = configure(**section)
    with pytest.raises(SettingsError, match=r"columns\.deleted_at of x is reserved.*source_delete"):
        declared_source(settings)


def test_a_column_of_dlts_own_cannot_be_the_key(it: Api, configure: Configure) -> None:
    section = resource(it.web.base_url, OFFSET)
    section["resources"][0]["primary_key"] = "_dlt_id"
    settings = configure(**section)
    with pytest.raises(SettingsError, match="x: _dlt_id cannot be the primary_key"):
        declared_source(settings)
