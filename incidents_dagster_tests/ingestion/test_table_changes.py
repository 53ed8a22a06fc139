"""How many rows a sync brought and changed, counted from a snapshot of the table before it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.pipeline import run_sync
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.source import declared_source
from incidents_dagster.ingestion.table import Table
from incidents_dagster_tests.samples import incident

Connection = duckdb.DuckDBPyConnection

LATER = "2026-11-02T00:00:00Z"
NEW = incident(999, severity="in a new column")


@pytest.fixture
def connection() -> Iterator[Connection]:
    with duckdb.connect() as memory:
        memory.execute("CREATE SCHEMA incidents")
        yield memory


VALUES = st.one_of(st.none(), st.integers(0, 2), st.just(-(2**40)))
CONTENTS = st.dictionaries(
    st.tuples(st.integers(0, 3), st.sampled_from(["", "a", "A", "ä"])),
    st.tuples(VALUES, st.sampled_from([None, "", "x", "X"])),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(before=CONTENTS, after=CONTENTS)
def test_changes_counts_exactly_what_is_new_and_what_differs(
    before: dict[Any, Any], after: dict[Any, Any]
) -> None:
    table = Table("x", ["tenant", "id"], {"n": {}, "s": {}})
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA incidents")
        connection.execute(
            "CREATE TABLE incidents.x (tenant INTEGER, id VARCHAR, n BIGINT, s VARCHAR, "
            "_dlt_load_id VARCHAR, _dlt_id VARCHAR)"
        )
        snapshots = []
        for load, contents in enumerate((before, after)):
            connection.execute("DELETE FROM incidents.x")
            # dlt's own columns differ with each load, which is no change.
            rows = [
                [*key, *values, str(load), f"{load}-{number}"]
                for number, (key, values) in enumerate(contents.items())
            ]
            if rows:
                connection.executemany("INSERT INTO incidents.x VALUES (?, ?, ?, ?, ?, ?)", rows)
            snapshots.append(table.snapshot(connection))
        found = table.changes(connection, snapshots[0])
    new = after.keys() - before.keys()
    changed = [key for key in after.keys() & before.keys() if after[key] != before[key]]
    assert found == (len(new), len(changed))


def test_syncs_are_counted(api: DemoServer, rows: list[dict[str, Any]], database: Path) -> None:
    configured = load_settings()
    table = Table.of(declared_source(configured), "incident_data")
    before, found = None, []
    edits: list[Callable[[], Any]] = [
        lambda: None,
        lambda: None,
        lambda: rows.extend([{**rows[0], "status": "resolved", "updated_at": LATER}, NEW]),
        lambda: rows.__setitem__(2, {**rows[2], "title": "in a column that is not declared"}),
    ]
    for edit in edits:
        edit()
        run_sync(configured, lambda _: None)
        with duckdb.connect(str(database), read_only=True) as connection:
            found.append(table.changes(connection, before))
            before = table.snapshot(connection)
    assert found == [(250, 0), (0, 0), (1, 1), (0, 1)]


def test_the_first_load_is_all_new(connection: Connection) -> None:
    table = Table("x", ["id"], {"id": {}})
    before = table.snapshot(connection)
    connection.execute("CREATE TABLE incidents.x AS SELECT i AS id FROM range(7) t(i)")
    assert table.changes(connection, before) == (7, 0)


@pytest.mark.parametrize("disposition", ["append", "replace", "merge"])
def test_rows_that_cannot_be_told_apart_are_not_counted(
    connection: Connection, disposition: str
) -> None:
    connection.execute("CREATE TABLE incidents.x AS SELECT 1 AS id")
    keyless = Table("x", [], {"id": {}}, disposition)
    assert keyless.snapshot(connection) is None
    assert keyless.changes(connection, None) is None
    keyed = Table("x", ["id"], {"id": {}}, disposition)
    expected = None if disposition == "append" else (0, 0)
    assert keyed.changes(connection, keyed.snapshot(connection)) == expected


def test_a_column_that_is_declared_but_not_there_yet_is_no_obstacle(
    connection: Connection,
) -> None:
    connection.execute("CREATE TABLE incidents.x AS SELECT 1 AS id, 'a' AS status")
    table = Table("x", ["id"], {"id": {}, "status": {}, "severity": {"description": "New."}})
    before = table.snapshot(connection)
    assert before is not None
    connection.execute("ALTER TABLE incidents.x ADD COLUMN severity VARCHAR")
    connection.execute("INSERT INTO incidents.x VALUES (2, 'b', 'sev1')")
    assert table.changes(connection, before) == (1, 0)
