"""`python -m bench.read_copy`: what the copy for readers costs, beside other ways to make one.

Syncs so many incidents from an API on loopback, has each way make the same copy, in turns, and
prints the medians: CPU, how long the file is open for it, and what it takes on the disk.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from bench.measure import Server
from fakes.incidents import KEY
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.warehouse.duckdb_file import read_copy_path
from incidents_dagster.ingestion.warehouse.file_copy import refreshed

TOTALS, TURNS = (1_000, 100_000, 1_000_000), 3
OWN_TABLES = (
    "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'file' "
    "AND NOT starts_with(schema_name, '_dlt_') AND NOT starts_with(table_name, '_dlt_')"
)


def the_files_bytes(database: Path, _: Path) -> None:
    """As the project does it."""
    read_copy_path(database).unlink(missing_ok=True)
    refreshed(database, 60)


def nothing_new(database: Path, _: Path) -> None:
    """The same after a sync that changed nothing."""
    refreshed(database, 60)


def from_database(database: Path, folder: Path) -> None:
    """DuckDB's statement for it."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{database}' AS file (READ_ONLY)")
        connection.execute(f"ATTACH '{folder}/copy.duckdb' AS copy")
        connection.execute("COPY FROM DATABASE file TO copy")


def table_by_table(database: Path, folder: Path) -> None:
    """Each table by a SELECT."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{database}' AS file (READ_ONLY)")
        connection.execute(f"ATTACH '{folder}/copy.duckdb' AS copy")
        for schema, name in connection.execute(OWN_TABLES).fetchall():
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS copy.{schema}")
            connection.execute(f"CREATE TABLE copy.{schema}.{name} AS FROM file.{schema}.{name}")


def parquet(database: Path, folder: Path) -> None:
    """A file for each table, which no rename replaces at once."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{database}' AS file (READ_ONLY)")
        for schema, name in connection.execute(OWN_TABLES).fetchall():
            target = f"{folder}/{schema}.{name}.parquet"
            connection.execute(f"COPY file.{schema}.{name} TO '{target}'")


WAYS: list[Callable[[Path, Path], None]] = [
    the_files_bytes,
    nothing_new,
    from_database,
    table_by_table,
    parquet,
]


def measured(way: Callable[[Path, Path], None], database: Path) -> tuple[float, float, float]:
    """CPU seconds, wall seconds, and megabytes of what was made."""
    with TemporaryDirectory() as made:
        wall, cpu = time.perf_counter(), time.process_time()
        way(database, Path(made))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        files = [*Path(made).iterdir()] or [read_copy_path(database)]
        return cpu, wall, sum(file.stat().st_size for file in files) / 1e6


def main() -> None:
    """Prints a line for each way and number of incidents."""
    for total in TOTALS:
        with TemporaryDirectory() as folder, Server() as server:
            database = Path(folder) / "warehouse.duckdb"
            os.environ |= {
                "API_KEY": KEY,
                "INCIDENTS_DUCKDB_PATH": str(database),
                "SOURCES__INCIDENTS__CLIENT__BASE_URL": server.base_url,
            }
            server.ask(f"/control?total={total}")
            run_sync(load_settings(), lambda _: None)
            print(f"{total:,} incidents, {database.stat().st_size / 1e6:.1f} MB")
            for way in WAYS:
                turns = [measured(way, database) for _ in range(TURNS)]
                cpu, wall, size = map(statistics.median, zip(*turns, strict=True))
                name = way.__name__.replace("_", " ")
                print(f"  {name:<16}{cpu:6.2f} s of CPU, {wall:5.2f} s, {size:6.1f} MB")
            held = [_held(database) for _ in range(TURNS)]
            print(f"  the file is open for the first for {statistics.median(held):.3f} s")


def _held(database: Path) -> float:
    read_copy_path(database).unlink()
    return refreshed(database, 60).held_seconds


if __name__ == "__main__":
    main()
