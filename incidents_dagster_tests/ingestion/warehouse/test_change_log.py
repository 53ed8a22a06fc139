"""What syncs saw change: `incidents.change_log`, with `incidents.syncs` for when they read."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.warehouse import change_log, sync_log
from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster_tests.ingestion.changing_api import iso
from incidents_dagster_tests.ingestion.clocked_api import FIELDS, PHASES, START, ClockedApi
from incidents_dagster_tests.ingestion.other_process import OtherProcess

Query = Callable[[str], list[Any]]


@pytest.fixture
def clocked(
    configure: Callable[..., Settings], listen: Callable[[Callable[[Asked], Any]], Web]
) -> ClockedApi:
    """An API, which the settings name."""
    return ClockedApi(configure, listen)


def at(minutes: float) -> datetime:
    """So many minutes after the beginning."""
    return START + timedelta(minutes=minutes)


def entries(query: Query, columns: str = "id, status, phase, seen_before, sync_ended") -> list[Any]:
    """The log, oldest entry first."""
    return query(f"SELECT {columns} FROM incidents.change_log ORDER BY entry")


def test_an_entry_has_the_syncs_before_and_after_the_change(
    clocked: ClockedApi, query: Query
) -> None:
    clocked.put("A", "new")
    clocked.after(10).sync()
    clocked.after(20).put("A", "working")
    clocked.put("B", "new")
    clocked.after(5).sync()
    assert entries(query) == [
        ("A", "new", "open", None, at(10)),
        ("A", "working", "acknowledged", at(10), at(35)),
        ("B", "new", "open", at(10), at(35)),
    ]
    assert query("FROM incidents.syncs ORDER BY begun") == [
        ("incidents", at(10), at(10), "proven"),
        ("incidents", at(35), at(35), "proven"),
    ]


def test_nothing_is_written_twice(clocked: ClockedApi, query: Query) -> None:
    clocked.put("A", "new")
    clocked.sync()
    clocked.after(60).sync()
    clocked.after(60).sync(Mode.FULL_REFRESH)
    clocked.put("A", "new", comments=7)  # not tracked
    clocked.after(60).sync()
    assert len(entries(query)) == 1
    assert query("SELECT count(*) FROM incidents.syncs") == [(4,)]


def test_what_is_tracked_is_a_setting(clocked: ClockedApi, query: Query) -> None:
    clocked.reads(tracked=["severity", "owner"])
    clocked.put("A", "new", severity="low", owner="ann")
    clocked.sync()
    clocked.after(60).put("A", "working")
    clocked.sync()
    clocked.after(60).put("A", "working", severity="high")
    clocked.sync()
    clocked.after(60).put("A", "working", owner="ben")
    clocked.sync()
    assert entries(query, "status, severity, also") == [
        ("new", "low", '{"owner":"ann"}'),
        ("working", "high", '{"owner":"ann"}'),
        ("working", "high", '{"owner":"ben"}'),
    ]


def test_a_deletion_and_a_return_are_entries(clocked: ClockedApi, query: Query) -> None:
    clocked.put("A", "new")
    clocked.put("B", "new")
    clocked.sync()
    gone = clocked.rows.pop("A")
    clocked.after(60).sync(Mode.RECONCILE)
    clocked.rows["A"] = gone
    clocked.after(60).sync(Mode.RECONCILE)
    assert entries(query, "id, status, deleted, seen_before, sync_ended") == [
        ("A", "new", False, None, at(0)),
        ("B", "new", False, None, at(0)),
        ("A", "new", True, at(0), at(60)),
        ("A", "new", False, at(60), at(120)),
    ]


def test_a_reversion_is_an_entry_and_an_older_version_that_comes_late_is_not(
    clocked: ClockedApi, query: Query
) -> None:
    clocked.put("A", "new")
    before = dict(clocked.rows["A"])
    clocked.after(600).put("A", "done")
    clocked.after(1).sync()
    newest = dict(clocked.rows["A"])
    clocked.rows["A"] = {**before, "updated_at": iso(at(599))}
    clocked.after(1).sync()  # asks for what changed since 600, and gets nothing
    clocked.rows["A"] = newest
    clocked.after(1).sync()
    assert entries(query, "status") == [("done",)]
    clocked.rows["A"] = before  # as after a restored backup
    clocked.after(600).sync(Mode.FULL_REFRESH)
    assert entries(query, "status, seen_before, sync_ended") == [
        ("done", None, at(601)),
        ("new", at(603), at(1203)),
    ]


def test_an_unproven_sync_leaves_no_row_but_its_entries_count(
    clocked: ClockedApi, query: Query
) -> None:
    clocked.put("A", "new")
    clocked.put("B", "new")
    clocked.sync()
    clocked.after(60).put("A", "working")
    clocked.proves = False
    clocked.sync()
    clocked.proves = True
    clocked.after(60).put("A", "done")
    clocked.put("B", "done")
    clocked.sync()
    assert query("SELECT begun FROM incidents.syncs ORDER BY ALL") == [(at(0),), (at(120),)]


def test_other_settings_are_not_a_change_of_the_incidents(
    clocked: ClockedApi, query: Query
) -> None:
    clocked.put("A", "new")
    clocked.put("B", "new")
    clocked.sync()
    clocked.after(60).put("B", "new", comments=1)
    clocked.sync()
    clocked.after(60).put("B", "working")
    clocked.reads(phases={**PHASES, "new": "acknowledged"})
    clocked.after(60).sync()
    assert entries(query, "id, status, phase, refilled, seen_before") == [
        ("A", "new", "open", False, None),
        ("B", "new", "open", False, None),
        ("A", "new", "acknowledged", True, at(60)),
        ("B", "working", "acknowledged", False, at(60)),
    ]


def test_the_rows_of_another_api_are_not_known_to_be_new(
    clocked: ClockedApi,
    query: Query,
    configure: Callable[..., Settings],
    listen: Callable[[Callable[[Asked], Any]], Web],
) -> None:
    clocked.put("A", "new")
    clocked.sync()
    other = ClockedApi(configure, listen)
    other.now = at(60)
    other.put("A", "new")
    other.put("Z", "done")
    other.sync(Mode.ADOPT)
    assert entries(query, "id, seen_before") == [("A", None), ("Z", None)]


def test_a_table_from_before_the_log_begins_it_as_it_is(
    clocked: ClockedApi, query: Query, database: Path
) -> None:
    clocked.put("A", "new")
    clocked.put("B", "new")
    clocked.sync()
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"DROP TABLE {change_log.TABLE}; DROP TABLE incidents.syncs")
    clocked.after(60).sync()
    assert entries(query, "id, seen_before, sync_ended") == [
        ("A", None, at(60)),
        ("B", None, at(60)),
    ]
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"DROP TABLE {change_log.TABLE}")
    clocked.after(60).put("B", "done")
    clocked.sync()
    assert entries(query, "id, status, seen_before, sync_ended") == [
        ("A", "new", None, at(120)),
        ("B", "done", None, at(120)),
    ]


def test_a_failed_entry_takes_the_merge_back(
    clocked: ClockedApi, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocked.put("A", "new")
    clocked.sync()
    clocked.after(60).put("A", "done")
    with monkeypatch.context() as broken:
        broken.setitem(change_log.COLUMNS, "missing", ("VARCHAR", "A column that is not there."))
        with pytest.raises(Exception, match="missing"):
            clocked.sync()
    assert query("SELECT status FROM incidents.incident_data") == [("new",)]
    clocked.sync()
    assert query("SELECT status FROM incidents.incident_data") == [("done",)]
    assert entries(query, "status, seen_before") == [("new", None), ("done", at(0))]


def test_a_sync_whose_row_finds_the_file_open_elsewhere_leaves_it_to_the_next(
    clocked: ClockedApi, query: Query, other: OtherProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocked.put("A", "new")
    clocked.sync()
    clocked.after(60)
    monkeypatch.setattr(sync_log, "WAIT_SECONDS", 0.1)
    opened = FileStore.connect

    def held(*given: Any, **options: Any) -> Any:
        other.take()
        return opened(*given, **options)

    monkeypatch.setattr(FileStore, "connect", held)
    clocked.sync()
    other.give_back()
    monkeypatch.setattr(FileStore, "connect", opened)
    assert query("SELECT begun FROM incidents.syncs") == [(at(0),)]
    assert "The next sync writes this one into incidents.syncs" in clocked.said[-1]
    clocked.after(60).put("A", "done")
    clocked.sync()
    assert query("SELECT begun FROM incidents.syncs ORDER BY ALL") == [
        (at(0),),
        (at(60),),
        (at(120),),
    ]
    assert entries(query, "status, seen_before") == [("new", None), ("done", at(60))]


def test_times_count_only_if_the_settings_name_them(clocked: ClockedApi, query: Query) -> None:
    clocked.put("A", "done", resolved_at=iso(at(0)), acknowledged_at=iso(at(0)))
    clocked.reads(fields=[*FIELDS, "resolved_at"])
    clocked.sync()
    assert entries(query, "acknowledged_at, resolved_at") == [(None, at(0))]
