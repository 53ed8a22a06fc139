"""Traps between dlt and DuckDB: what becomes of records, and of a file that others open too.

What a red test means stands in test_traps.py.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dagster_duckdb import DuckDBResource
from dlt.extract import DltResource

from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.sync import build_pipeline
from incidents_dagster.ingestion.warehouse.configured_store import database_path
from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster.resources import READER_WAIT_SECONDS, IncidentsDuckDB
from incidents_dagster_tests.upstream import OFFSET, ask, error_of, pipeline_into, source_of

pytestmark = pytest.mark.thorough

MERGED: Any = {"table_name": "items", "primary_key": "id", "write_disposition": "merge"}
OPEN_AND_WAIT = """
import signal, sys, duckdb
signal.alarm(60)
connection = duckdb.connect(sys.argv[1], read_only=True)
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def reader_of(database: Path) -> Iterator[int]:
    """Another process that has `database` open read-only; gives its process id."""
    with subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_WAIT, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        yield process.pid  # leaving the block closes its input, which ends it


def tables_in(database: Path) -> list[Any]:
    return ask(
        database,
        "SELECT table_name FROM duckdb_tables() "
        "WHERE schema_name = 'traps' AND NOT starts_with(table_name, '_dlt') ORDER BY 1",
    )


def columns_in(database: Path) -> list[Any]:
    return ask(
        database,
        "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'traps' "
        "AND table_name = 'items' AND NOT starts_with(column_name, '_dlt') ORDER BY 1",
    )


# --- records


def test_rows_are_loaded_by_insert_statements_unless_told_otherwise(database: Path) -> None:
    """dlt writes rows as SQL text by default, which DuckDB has to parse.
    `sync.FILE_FORMAT` asks for parquet because of this."""
    loaded = pipeline_into(database).run([{"id": 1}], table_name="items").load_packages[0]
    formats = {job.job_file_info.file_format for job in loaded.jobs["completed_jobs"]}
    assert "insert_values" in formats, (
        "The default format is mended upstream: delete sync.FILE_FORMAT, if it is parquet."
    )


def test_a_first_sync_of_no_rows_makes_no_table(
    api: DemoServer, rows: list[dict[str, Any]], database: Path
) -> None:
    """Declared columns alone make no table; it takes a row.
    `changes.changed_rows` asks for the table because of this."""
    rows.clear()
    source = source_of(api, {"paginator": OFFSET}, columns={"id": {"data_type": "text"}})
    pipeline_into(database).run(source)
    assert tables_in(database) == [], (
        "The table that no rows do not make is mended upstream: delete the marker at the end of "
        "changes.changed_rows."
    )


def test_a_column_that_is_null_in_every_row_is_missing(database: Path) -> None:
    """Without a type dlt makes no column, and null has none.
    .dlt/config.toml declares the columns that the checks need because of this."""
    pipeline_into(database).run([{"id": 1, "status": None}], table_name="items")
    assert columns_in(database) == ["id"], (
        "The missing of null columns is mended upstream: status, created_at and updated_at need "
        "no data_type in .dlt/config.toml."
    )


def test_an_old_version_of_a_record_may_outlive_the_new_one(database: Path) -> None:
    """Of two records with one id in a sync, merge keeps whichever it meets.
    .dlt/config.toml sets `dedup_sort` on updated_at because of this."""

    def items(name: str, *versions: int, **hints: Any) -> DltResource:
        rows = [{"id": 1, "version": version} for version in versions]
        return dlt.resource(rows, name, primary_key="id", write_disposition="merge", **hints)

    hint = {"columns": {"version": {"dedup_sort": "desc"}}}
    pipeline_into(database).run(
        [
            items("shipped_1", 1, 2),
            items("shipped_2", 2, 1),
            items("ours_1", 1, 2, **hint),
            items("ours_2", 2, 1, **hint),
        ]
    )
    kept = {
        name: ask(database, f"SELECT version FROM traps.{name}") for name in tables_in(database)
    }
    assert [1] in (kept["shipped_1"], kept["shipped_2"]), (
        "The choice among versions is mended upstream: delete dedup_sort in .dlt/config.toml."
    )
    assert kept["ours_1"] == kept["ours_2"] == [2]


def test_nested_values_become_tables_and_columns_of_their_own(
    api: DemoServer, database: Path
) -> None:
    """A list in a record makes a child table, an object makes columns, at any depth.
    `rows.batches` spells them out as JSON, among other reasons, because of this."""
    pipeline_into(database).run(source_of(api, {"paginator": OFFSET}))
    assert tables_in(database) == ["items", "items__tags"], (
        "The child tables are mended upstream: one reason less for rows.batches."
    )
    assert "service__name" in columns_in(database)


def our_pipeline(database: Path) -> dlt.Pipeline:
    destination = FileStore(database).destination("incidents", 0)
    return build_pipeline("incidents", destination, database.parent / "ours")


@pytest.mark.parametrize(
    ("pipeline_of", "column", "survivors"),
    [
        (pipeline_into, "opened", []),
        # dlt looks for a DDL word in the SQL, finds one in the name, and begins a transaction.
        (pipeline_into, "created_at", [1, 2]),
        (our_pipeline, "opened", [1, 2]),
    ],
)
def test_a_merge_that_fails_half_way_has_deleted_already(
    database: Path,
    pipeline_of: Callable[[Path], dlt.Pipeline],
    column: str,
    survivors: list[int],
) -> None:
    """The DELETE and the INSERT of a merge commit one by one, but for tables with a lucky column.
    `sync.build_pipeline` sets `supports_transactions` because of this."""

    def merge(**titles: str | None) -> None:
        rows = [
            {"id": number, "title": title, column: "2026-11-01T00:00:00Z"}
            for number, title in enumerate(titles.values(), start=1)
        ]
        pipeline_of(database).run(rows, **MERGED)

    merge(first="old", second="old")
    table = f"{pipeline_of(database).dataset_name}.items"
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"ALTER TABLE {table} ALTER title SET NOT NULL")
    error = error_of(
        lambda: merge(first="new", second="new", third=None), "DuckDB inserted the null."
    )
    assert "NOT NULL" in str(error)
    assert ask(database, f"SELECT id FROM {table} ORDER BY id") == survivors, (
        "The merge in several transactions is mended upstream: delete supports_transactions in "
        "sync.build_pipeline, if the rows are there whatever the column is called."
    )


# --- the file


def test_a_file_called_like_its_schema_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB calls a file's catalog by its stem, and takes `x.y` for catalog or schema alike.
    `configured_store.database_path` refuses such a name because of this."""
    error = error_of(
        lambda: pipeline_into(tmp_path / "traps.duckdb").run([{"id": 1}], table_name="items"),
        "The ambiguity of catalog and schema is mended upstream: delete the check of the stem in "
        "configured_store.database_path.",
    )
    assert "Ambiguous reference" in str(error)

    monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", str(tmp_path / "incidents.duckdb"))
    with pytest.raises(SettingsError):
        database_path()


def test_a_reader_in_another_process_fails_the_sync_and_dlt_blames_the_credentials(
    database: Path,
) -> None:
    """DuckDB lets nobody write while another process reads, and dlt advises to check the
    credentials. `duckdb_file._holder` names the process because of this."""
    mended = "is mended upstream: delete duckdb_file._holder."
    duckdb.connect(str(database)).close()
    with reader_of(database) as pid:
        error = error_of(
            lambda: pipeline_into(database).run([{"id": 1}], table_name="items"),
            f"The lock {mended}",
        )
    assert "credentials" in str(error), f"The advice {mended}"

    assert f"PID {pid}" in explain(error)


def test_dagsters_duckdb_opens_for_writing_and_waits_for_minutes(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDBResource has no read-only mode, so that two readers keep each other out, and it tries
    again for over a minute and a half. `IncidentsDuckDB` reads only because of this."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    mended = "is mended upstream: delete resources.IncidentsDuckDB and use DuckDBResource."
    duckdb.connect(str(database)).close()

    def count(resource: DuckDBResource) -> None:
        with resource.get_connection() as connection:
            connection.execute("SELECT 1")

    with reader_of(database):
        error = error_of(
            lambda: count(DuckDBResource(database=str(database))), f"The writing {mended}"
        )
        assert "Could not set lock" in str(error)
        assert sum(slept) > 3 * READER_WAIT_SECONDS, f"The waiting {mended}"

        count(IncidentsDuckDB(database=str(database)))


def test_dagsters_duckdb_stays_open_when_the_body_raises(database: Path) -> None:
    """DuckDBResource closes its connection only after a body that ends well, so that a failed
    check keeps the file locked. `IncidentsDuckDB` closes it in any case because of this."""
    duckdb.connect(str(database)).close()

    def left_open(resource: DuckDBResource) -> duckdb.DuckDBPyConnection:
        with suppress(LookupError), resource.get_connection() as connection:
            raise LookupError
        return connection

    def is_open(connection: duckdb.DuckDBPyConnection) -> bool:
        with suppress(duckdb.ConnectionException), connection:
            return bool(connection.execute("SELECT 1").fetchall())
        return False

    assert is_open(left_open(DuckDBResource(database=str(database)))), (
        "The leak is mended upstream: delete the finally clause of IncidentsDuckDB."
    )

    assert not is_open(left_open(IncidentsDuckDB(database=str(database))))


def test_timestamps_become_text_in_the_zone_of_the_machine() -> None:
    """DuckDB writes a timestamp in the zone of the machine that asks.
    `Table.preview` sets the zone to UTC because of this."""
    code = (
        "import duckdb; print(duckdb.execute(\"SELECT '2026-11-01T00:00:00Z'::timestamptz::text\")"
    )
    said = subprocess.run(
        [sys.executable, "-c", f"{code}.fetchall())"],
        env={**os.environ, "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert "09:00:00+09" in said, (
        "The zone of timestamps is mended upstream: delete SET TimeZone in table.Table.preview."
    )


@pytest.mark.skipif(int(duckdb.__version__.split(".")[0]) > 1, reason="DuckDB 2 loads it")
def test_a_delete_does_not_load_a_unique_index(database: Path) -> None:
    """So an INSERT of the same key in the same transaction violates it, in a file that was opened
    anew. `file_destination.FileClient` inserts no row before a merge because of this."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS id; CREATE UNIQUE INDEX own ON t (id)")

    def merge() -> None:
        with duckdb.connect(str(database)) as connection:
            connection.execute("BEGIN; DELETE FROM t; INSERT INTO t VALUES (1)")

    error = error_of(merge, "The index is loaded upstream: delete FileClient._load_indexes.")
    assert "Duplicate key" in str(error)
