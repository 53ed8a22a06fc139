"""The copy of the DuckDB file for readers: what it has, who keeps it open, what a kill does."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock

from fakes.incidents import incident
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import DatabaseBusyError, IngestionError, SettingsError
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import Insight, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.ingestion.warehouse import all_incidents
from incidents_dagster.ingestion.warehouse.duckdb_file import read_copy_path
from incidents_dagster.ingestion.warehouse.file_copy import refreshed, removed
from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster.ingestion.warehouse.store import Copied
from incidents_dagster.insight.build import build
from incidents_dagster_tests.ingestion.other_process import OtherProcess

Rows = list[dict[str, Any]]
Sync = Callable[[], Copied]

COUNT = "SELECT count(*) FROM incidents.incident_data"
# All that is there, with its comments.
CATALOG = (
    "SELECT schema_name, table_name, sql, comment FROM duckdb_tables() UNION ALL "
    "SELECT schema_name, view_name, sql, comment FROM duckdb_views() WHERE NOT internal UNION ALL "
    "SELECT schema_name, index_name, sql, comment FROM duckdb_indexes() UNION ALL "
    "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
)

KILLED = """
import os, resource, signal, sys
from pathlib import Path
from incidents_dagster.ingestion.warehouse.file_copy import refreshed
database, moment = Path(sys.argv[1]), sys.argv[2]
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
if moment == "half":
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    half = database.stat().st_size // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (half, half))
else:
    sys.addaudithook(lambda event, _: os.kill(os.getpid(), 9) if event == moment else None)
refreshed(database, 60)
"""
IN_THE_LOG = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE mine.late AS SELECT 7 AS n")
os.kill(os.getpid(), 9)
"""


def run(program: str, *arguments: str) -> int:
    """Runs a program to its end; its status."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, timeout=120, check=False).returncode


def answer(file: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def beside(file: Path) -> set[str]:
    """What is there besides the file, the copy and their locks."""
    copy = read_copy_path(file)
    known = {file.name, copy.name, f"{file.name}.lock", f"{copy.name}.lock", ".dlt"}
    return {path.name for path in file.parent.iterdir()} - known


@pytest.fixture
def copy(database: Path) -> Path:
    return read_copy_path(database)


@pytest.fixture
def sync(api: DemoServer, database: Path) -> Sync:
    """A sync, with what a run makes of its tables afterwards."""

    def once() -> Copied:
        settings = load_settings()
        run_sync(settings, lambda _: None)
        table = Table.of(declared_source(settings), "incident_data")
        all_incidents.refreshed(FileStore(database), [table], [], 60)
        return refreshed(database, 60)

    return once


def test_the_copy_has_all_that_the_file_has_but_what_is_dlts(
    rows: Rows, sync: Sync, database: Path, copy: Path
) -> None:
    rows.append(incident(777, status=["to the quarantine"]))
    sync()
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA mine; CREATE TABLE mine.t (n INT PRIMARY KEY, t TEXT)")
        connection.execute("INSERT INTO mine.t VALUES (1, 'a'); CREATE INDEX own ON mine.t (t)")
    build(FileStore(database), [], Insight(), 60)
    assert refreshed(database, 60).made

    def catalog(file: Path) -> list[Any]:
        found = answer(file, f"FROM ({CATALOG}) ORDER BY ALL")
        return [row for row in found if not row[0].startswith("_dlt") and row[1][:5] != "_dlt_"]

    there = [row for row in catalog(copy) if row[1] != "_read_copy"]
    assert there == catalog(database)
    tables = {(schema, name) for schema, name, sql, _ in there if sql and sql.startswith("CREATE")}
    ours = ("incidents", "quarantine", "syncs", "change_log")
    assert {("incidents", name) for name in ours} | {("insight", "noise"), ("mine", "t")} < tables
    everything = {row[0] for row in answer(copy, "SELECT schema_name FROM duckdb_schemas()")}
    assert not [schema for schema in everything if schema.startswith("_dlt")]
    assert not answer(copy, "FROM duckdb_tables() WHERE starts_with(table_name, '_dlt')")
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute(f"ATTACH '{copy}' AS copied (READ_ONLY)")
        for schema, name in tables - {("mine", "own")}:
            one, other = (f"FROM {of}.{schema}.{name}" for of in ("warehouse", "copied"))
            for more, less in ((one, other), (other, one)):
                assert not connection.execute(f"{more} EXCEPT ALL {less}").fetchall(), name


def test_who_has_the_copy_open_keeps_it_and_the_next_one_has_the_newest(
    rows: Rows, sync: Sync, database: Path, copy: Path
) -> None:
    sync()
    with OtherProcess(copy) as reader:
        reader.take()
        for number in (900, 901):
            rows.append(incident(number, updated_at="2026-11-20T00:00:00Z"))
            assert sync().made
            assert answer(copy, COUNT) == [(len(rows),)]
            assert reader.ask(COUNT) == "250"
        # As the page says: the same process gets it again, until it has closed it.
        reader.take()
        assert reader.ask(COUNT) == "250"
        reader.give_back()
        reader.take()
        assert reader.ask(COUNT) == "252"


def test_who_opens_it_to_write_spoils_no_later_copy(
    rows: Rows, sync: Sync, database: Path, copy: Path
) -> None:
    sync()
    assert copy.stat().st_mode & 0o777 == 0o400
    with OtherProcess(copy) as reader:
        if not reader.take_to_write():
            pytest.skip("only root may")
        reader.ask("CREATE TABLE mine_alone AS SELECT 1 AS n")
        assert copy.with_name(f"{copy.name}.wal").exists()
        rows.append(incident(900, updated_at="2026-11-20T00:00:00Z"))
        assert sync().made
        assert answer(copy, COUNT) == [(251,)]
        alone = "FROM duckdb_tables() WHERE table_name = 'mine_alone'"
        assert not answer(copy, alone)
        reader.give_back()
        reader.take_to_write()
        with duckdb.connect(str(database)) as connection:
            connection.execute("CREATE TABLE mine AS SELECT 1 AS n")
        assert refreshed(database, 60).made
        reader.ask("CREATE TABLE mine_alone AS SELECT 1 AS n")
        # DuckDB 1 takes the log of the copy before for this one's, DuckDB 2 does not open it.
        assert copy.with_name(f"{copy.name}.wal").exists()
        assert refreshed(database, 60).made
        assert not answer(copy, alone)
        assert not refreshed(database, 60).made


def test_a_copy_is_made_only_if_there_is_something_new(
    rows: Rows, sync: Sync, database: Path, copy: Path
) -> None:
    assert not refreshed(database, 60).size
    assert sync().made
    first = copy.stat().st_ino
    assert not sync().made
    assert copy.stat().st_ino == first
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "INSERT INTO incidents.syncs SELECT * REPLACE (ended + INTERVAL 1 HOUR AS ended) "
            "FROM incidents.syncs"
        )
    assert not refreshed(database, 60).made
    rows[0]["title"] = "another"  # which is not tracked
    rows[0]["updated_at"] = "2026-11-20T00:00:00Z"
    assert sync().made
    copy.unlink()
    assert sync().made


def test_what_changes_in_tables_of_ones_own_is_seen(sync: Sync, database: Path, copy: Path) -> None:
    sync()
    # With columns that `hash(t)`, and dlt, would mean; and one that is too large to be read whole.
    large = "CREATE OR REPLACE TABLE large AS SELECT range AS n, {} AS made FROM range(20000)"
    for sql in (
        "CREATE TABLE mine AS SELECT 1 AS n, 'a' AS t, 'b' AS _dlt_load_id",
        "UPDATE mine SET n = 2",
        large.format(1),
        large.format(2),
    ):
        with duckdb.connect(str(database)) as connection:
            connection.execute(sql)
        assert refreshed(database, 60).made, sql
        assert not refreshed(database, 60).made, sql
    assert answer(copy, "SELECT n FROM mine") == [(2,)]
    assert answer(copy, "SELECT DISTINCT made FROM large") == [(2,)]


@pytest.mark.parametrize("moment", ["half", "os.rename", "shutil.copyfile"])
@pytest.mark.sample(2)
def test_a_killed_copy_leaves_the_one_before_and_the_next_one_clears_up(
    rows: Rows, sync: Sync, database: Path, copy: Path, moment: str
) -> None:
    sync()
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE mine AS SELECT uuid() FROM range(99999)")
    ended = run(KILLED, str(database), moment)
    assert ended == -(signal.SIGXFSZ if moment == "half" else signal.SIGKILL)
    assert bool(beside(database)) == (moment != "shutil.copyfile")
    assert answer(copy, COUNT) == [(250,)]
    assert not answer(copy, "FROM duckdb_tables() WHERE table_name = 'mine'")
    with duckdb.connect(str(database)) as connection:
        connection.execute("DROP TABLE mine")
    assert not refreshed(database, 60).made  # there is nothing new any more
    assert not beside(database)


def test_a_file_behind_a_symbolic_link_has_its_copy_beside_it(
    sync: Sync, database: Path, copy: Path
) -> None:
    sync()
    link = database.with_name("link")
    link.symlink_to(database)
    assert read_copy_path(link) == copy
    assert not refreshed(link, 60).made


def test_two_processes_do_not_make_it_at_once(sync: Sync, database: Path, copy: Path) -> None:
    sync()
    with (
        FileLock(f"{copy}.lock"),
        pytest.raises(DatabaseBusyError, match=f"Another process has been making {copy} for over"),
    ):
        refreshed(database, 0.01)
    assert not refreshed(database, 0).made


def test_what_is_only_in_the_log_of_a_killed_writer_is_copied_too(
    sync: Sync, database: Path, copy: Path
) -> None:
    sync()
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA mine")
    assert run(IN_THE_LOG, str(database)) == -signal.SIGKILL
    assert beside(database) == {f"{database.name}.wal"}
    assert refreshed(database, 60).made
    assert answer(copy, "FROM mine.late") == [(7,)]
    assert beside(database) == {f"{database.name}.wal"}


def test_a_full_disk_is_named_and_leaves_the_copy_before(
    rows: Rows, sync: Sync, database: Path, copy: Path
) -> None:
    sync()
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE mine (n INT)")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (database.stat().st_size // 2, limits[1]))
    try:
        with pytest.raises(IngestionError, match=r"The disk of .* is full: free some space"):
            refreshed(database, 60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert answer(copy, COUNT) == [(250,)]
    assert not beside(database)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_somebody_else_is_neither_replaced_nor_removed(
    sync: Sync, database: Path, copy: Path, mode: int
) -> None:
    with duckdb.connect(str(copy)) as connection:
        connection.execute("CREATE TABLE dear AS SELECT 1 AS n")
    copy.chmod(mode)
    with pytest.raises(SettingsError, match=f"{copy} is no copy that this project has made"):
        sync()
    assert not removed(database, 60)
    assert answer(copy, "FROM dear") == [(1,)]


def test_a_copy_that_is_switched_off_is_removed(sync: Sync, database: Path, copy: Path) -> None:
    sync()
    copy.chmod(0o600)  # as on a file system without permissions
    assert removed(database, 60)
    assert not copy.exists()
    assert not removed(database, 60)
