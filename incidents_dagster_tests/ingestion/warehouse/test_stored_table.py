"""What is read of a table: counts, columns, the newest change in UTC, a preview."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from fakes.incidents import incident
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.tables import Since, Table, quoted
from incidents_dagster.ingestion.warehouse.comparison import compare
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

Configure = Callable[..., Settings]
Connection = duckdb.DuckDBPyConnection

UPDATED = {"data_type": "timestamp", "dedup_sort": "desc"}


@pytest.fixture
def connection() -> Iterator[Connection]:
    with duckdb.connect() as memory:
        memory.execute("CREATE SCHEMA incidents")
        yield memory


@pytest.fixture
def synced(api: DemoServer, database: Path) -> Iterator[tuple[Table, Connection]]:
    """The shipped table after a sync of 250 incidents, opened read-only."""
    settings = load_settings()
    run_sync(settings, lambda _: None)
    with duckdb.connect(str(database), read_only=True) as opened:
        yield Table.of(declared_source(settings), "incident_data"), opened


def test_the_shipped_table_is_described_as_configured(synced: tuple[Table, Connection]) -> None:
    table, connection = synced
    assert table.qualified == '"incidents"."incident_data"'
    assert (table.primary_key, table.newest_first) == (["id"], "updated_at")
    own = ["id", "status", "created_at", "updated_at", "phase", "deleted_at"]
    assert list(table.declared) == own
    assert StoredTable(table, connection).exists()
    assert StoredTable(table, connection).row_count() == 250
    columns = {column.name: column for column in StoredTable(table, connection).columns()}
    assert [name for name in columns if name != "_dlt_id"] == [
        *("id", "status", "created_at", "updated_at", "phase", "title", "service", "tags"),
        *("deleted_at", "_dlt_load_id"),
    ]
    assert (columns["id"].type, columns["id"].nullable) == ("VARCHAR", False)
    assert columns["updated_at"].type == "TIMESTAMP WITH TIME ZONE"
    assert "primary key" in str(columns["id"].description)
    assert "dlt load" in str(columns["_dlt_load_id"].description)
    assert columns["title"].description is None
    assert [(c.name, c.type) for c in table.declared_columns] == [
        ("id", "text"),
        ("status", "text"),
        ("created_at", "timestamp"),
        ("updated_at", "timestamp"),
        ("phase", "text"),
        ("deleted_at", "timestamp"),
    ]


def test_names_are_those_that_dlt_gives(configure: Configure) -> None:
    settings = configure(
        client={"base_url": "http://127.0.0.1:9"},
        resource_defaults={"primary_key": ["tenantId", "Key"]},
        resources=[{"name": "IncidentData", "columns": {"updatedAt": UPDATED}}],
    )
    table = Table.of(declared_source(settings), "IncidentData")
    assert table.name == "incident_data"
    assert table.newest_first == "updated_at"
    assert table.primary_key == ["tenant_id", "key"]


def test_a_table_that_was_never_loaded_does_not_exist(connection: Connection) -> None:
    table = Table("x", ["id"], {})
    assert not StoredTable(table, connection).exists()
    assert StoredTable(table, connection).columns() == []
    assert StoredTable(table, connection).row_count() == 0


def test_a_table_of_another_schema_is_not_ours(connection: Connection) -> None:
    connection.execute("CREATE SCHEMA incidents_staging")
    connection.execute("CREATE TABLE incidents_staging.x (id VARCHAR)")
    assert not StoredTable(Table("x", ["id"], {}), connection).exists()


@pytest.mark.thorough
def test_times_are_utc_whatever_the_zone_of_the_machine(
    api: DemoServer, rows: list[dict[str, Any]], database: Path
) -> None:
    rows[:] = [incident(1, updated_at="2026-11-01T14:00:00+02:00")]
    program = (
        "import sys, duckdb\n"
        "from incidents_dagster.ingestion.sync import run_sync\n"
        "from incidents_dagster.ingestion.settings import load_settings\n"
        "from incidents_dagster.ingestion.reading.source import declared_source\n"
        "from incidents_dagster.ingestion.tables import Table\n"
        "from incidents_dagster.ingestion.warehouse.stored_table import StoredTable\n"
        "settings = load_settings()\n"
        "run_sync(settings, lambda _: None)\n"
        "table = Table.of(declared_source(settings), 'incident_data')\n"
        "with duckdb.connect(sys.argv[1], read_only=True) as connection:\n"
        "    print(StoredTable(table, connection).newest().isoformat())\n"
        "    print(StoredTable(table, connection).preview()[0]['updated_at'])\n"
    )
    environment = {**os.environ, "TZ": "Asia/Kathmandu", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(database)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["2026-11-01T12:00:00+00:00", "2026-11-01 12:00:00+00"], (
        done.stderr
    )


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
def test_a_timestamp_without_a_zone_counts_as_utc(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        connection.execute("CREATE TABLE incidents.x (moved TIMESTAMP)")
        connection.execute("INSERT INTO incidents.x VALUES ('2026-11-01 12:00:00')")
        newest = StoredTable(Table("x", [], {"moved": UPDATED}), connection).newest()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert newest == datetime(2026, 11, 1, 12, tzinfo=timezone.utc)


def test_the_newest_change_is_none_where_there_is_none(connection: Connection) -> None:
    connection.execute("CREATE TABLE incidents.x (id VARCHAR, moved TIMESTAMPTZ)")
    assert StoredTable(Table("x", ["id"], {"moved": UPDATED}), connection).newest() is None
    connection.execute("INSERT INTO incidents.x VALUES ('a', NULL)")
    assert StoredTable(Table("x", ["id"], {"moved": UPDATED}), connection).newest() is None
    assert (
        StoredTable(Table("x", ["id"], {"moved": {"data_type": "timestamp"}}), connection).newest()
        is None
    )


def test_the_preview_is_short_and_newest_first(synced: tuple[Table, Connection]) -> None:
    table, connection = synced
    preview = StoredTable(table, connection).preview()
    assert [row["id"] for row in preview] == [f"INC-{n:04}" for n in range(250, 245, -1)]
    assert list(preview[0]) == [
        *("id", "status", "created_at", "updated_at", "phase", "title", "service", "tags")
    ]
    assert preview[0]["updated_at"] == "2026-11-01 04:10:00+00"
    assert preview[0]["tags"] == '["a","b"]'


def test_the_preview_is_limited_in_columns_and_characters(connection: Connection) -> None:
    names = ", ".join(f"c{n} VARCHAR" for n in range(12))
    connection.execute(f"CREATE TABLE incidents.x ({names})")
    values = ", ".join(["repeat('ü', 500)", "NULL", *["''"] * 10])
    connection.execute(f"INSERT INTO incidents.x SELECT {values} FROM range(9)")
    preview = StoredTable(Table("x", [], {}), connection).preview()
    assert len(preview) == 5
    assert list(preview[0]) == [f"c{n}" for n in range(8)]
    assert (preview[0]["c0"], preview[0]["c1"]) == ("ü" * 60, "")


def test_the_preview_of_an_empty_table_is_empty(connection: Connection) -> None:
    connection.execute("CREATE TABLE incidents.x (id VARCHAR)")
    assert StoredTable(Table("x", ["id"], {}), connection).preview() == []


def test_rows_without_a_timestamp_come_last_in_the_preview(connection: Connection) -> None:
    connection.execute("CREATE TABLE incidents.x (id VARCHAR, moved TIMESTAMPTZ)")
    connection.execute("INSERT INTO incidents.x VALUES ('a', NULL), ('b', now())")
    preview = StoredTable(Table("x", ["id"], {"moved": UPDATED}), connection).preview()
    assert [row["id"] for row in preview] == ["b", "a"]


@pytest.mark.parametrize("name", ['a "quoted" one', "two words", "select", "ünïcode", "a'b", "%s"])
def test_odd_column_names_are_quoted(connection: Connection, name: str) -> None:
    at = f"{name} at"
    table = Table("x", [name], {name: {"data_type": "text"}, at: UPDATED})
    column, other = quoted(name), quoted(at)
    connection.execute(f"CREATE TABLE incidents.x ({column} VARCHAR, {other} TIMESTAMPTZ)")
    connection.execute("INSERT INTO incidents.x VALUES ('a', '2026-11-01 12:00:00+00')")
    later = datetime(2026, 11, 2, tzinfo=timezone.utc)
    rows = pa.table({name: ["a", "b"], at: [later, None]})
    assert len(compare(StoredTable(table, connection), rows).news) == 2
    assert len(compare(StoredTable(table, connection), rows.slice(1).select([name])).news) == 1
    assert len(compare(StoredTable(table, connection), rows.slice(0, 1).select([name])).news) == 1
    assert list(StoredTable(table, connection).preview()[0]) == [name, at]
    assert StoredTable(table, connection).newest()


def test_the_types_are_those_of_the_table_with_the_hints_of_the_configuration(
    connection: Connection,
) -> None:
    updated = {**UPDATED, "description": "When."}
    table = Table("x", ["id"], {"id": {"nullable": False}, "at": updated, "new": {"precision": 3}})
    assert StoredTable(table, connection).types() == {
        "id": {"name": "id", "nullable": False},
        "at": {"name": "at", **updated},
        "new": {"name": "new", "precision": 3},
    }
    connection.execute('CREATE TABLE incidents.x (id VARCHAR, "at" VARCHAR, j JSON, n BIGINT)')
    types = StoredTable(table, connection).types()
    assert {name: column.get("data_type") for name, column in types.items()} == {
        **{"id": "text", "at": "text", "new": None, "j": "json", "n": "bigint"}
    }
    assert types["at"]["description"] == "When."


def test_a_table_lacks_declared_columns_until_they_are_made(connection: Connection) -> None:
    text = {"data_type": "text"}
    table = Table("x", ["id"], {"id": text, "at": text, "without a type": {}})
    assert not StoredTable(table, connection).has_every_declared_column()
    connection.execute("CREATE TABLE incidents.x (id VARCHAR, more VARCHAR)")
    assert not StoredTable(table, connection).has_every_declared_column()
    connection.execute('ALTER TABLE incidents.x ADD COLUMN "at" VARCHAR')
    assert StoredTable(table, connection).has_every_declared_column()


def test_rows_are_counted_by_the_load_that_brought_them(connection: Connection) -> None:
    connection.execute("CREATE TABLE incidents.x AS SELECT 'a' AS _dlt_load_id FROM range(3)")
    table = Table("x", ["id"], {})
    assert [StoredTable(table, connection).loaded_by(load) for load in ("a", "b")] == [
        (3, 0),
        (0, 0),
    ]
    connection.execute("ALTER TABLE incidents.x ADD COLUMN deleted_at TIMESTAMPTZ")
    connection.execute("INSERT INTO incidents.x VALUES ('b', now()), ('b', NULL)")
    assert [StoredTable(table, connection).loaded_by(load) for load in ("a", "b")] == [
        (3, 0),
        (2, 1),
    ]


def test_rows_that_are_marked_as_deleted_count_apart(connection: Connection) -> None:
    table = Table("x", ["id", "n"], {"at": UPDATED})
    keys = pa.table({"id": ["a"], "n": [1]})
    assert StoredTable(table, connection).row_count() == 0
    # As earlier releases made it.
    connection.execute(
        "CREATE TABLE incidents.x AS SELECT 'a' AS id, n, TIMESTAMPTZ '2026-11-01 00:00:00+00' "
        "+ to_days(n::INT) AS \"at\", 'l' AS _dlt_load_id FROM range(1, 4) r(n)"
    )
    assert not StoredTable(table, connection).marks_deleted()
    assert StoredTable(table, connection).count() == 3
    assert StoredTable(table, connection).missing_from(keys)["n"].to_pylist() == [2, 3]
    connection.execute("ALTER TABLE incidents.x ADD COLUMN deleted_at TIMESTAMPTZ")
    connection.execute("UPDATE incidents.x SET deleted_at = now() WHERE n = 3")
    assert (
        StoredTable(table, connection).row_count(),
        StoredTable(table, connection).count(),
    ) == (3, 2)
    missing = StoredTable(table, connection).missing_from(keys)
    assert missing["n"].to_pylist() == [2]
    assert missing.column_names == ["id", "n", "at", "deleted_at"]
    assert len(StoredTable(table, connection).missing_from(keys, Since("at", "2026-11-05"))) == 0
    # The newest of those that are there.
    assert StoredTable(table, connection).newest() == datetime(2026, 11, 3, tzinfo=timezone.utc)
    assert [row["n"] for row in StoredTable(table, connection).preview()] == ["2", "1"]
    # Where nothing is ever marked, a column of that name is the user's.
    assert not StoredTable(Table("x", [], {}, "append"), connection).marks_deleted()
