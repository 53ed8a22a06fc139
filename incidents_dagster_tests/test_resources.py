"""The DuckDB resource: the pipeline's file, read-only, closed whatever happens."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from incidents_dagster import resources
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import DatabaseBusyError, NoDatabaseError
from incidents_dagster.ingestion.warehouse import duckdb_file as database_file
from incidents_dagster.resources import IncidentsDuckDB

HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def made(database: Path) -> Path:
    """A database with a table of one row."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS one")
    return database


@pytest.fixture
def held(made: Path) -> Iterator[subprocess.Popen[str]]:
    """The database while another process has it open to write."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(made)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.communicate()


def test_it_reads_what_a_sync_wrote(
    api: DemoServer, sync: Callable[[], dg.ExecuteInProcessResult], database: Path
) -> None:
    sync()
    with IncidentsDuckDB(database=str(database)).get_connection() as connection:
        found = connection.execute("SELECT count(*) FROM incidents.incident_data").fetchone()
    assert found == (250,)


def test_a_reader_cannot_write(made: Path) -> None:
    with (
        IncidentsDuckDB(database=str(made)).get_connection() as connection,
        pytest.raises(duckdb.InvalidInputException),
    ):
        connection.execute("DELETE FROM t")


def test_a_writer_can(made: Path) -> None:
    with IncidentsDuckDB(database=str(made), read_only=False).get_connection() as connection:
        connection.execute("INSERT INTO t VALUES (2)")
    with IncidentsDuckDB(database=str(made)).get_connection() as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_it_is_closed_when_the_body_raises(made: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="body"),
        IncidentsDuckDB(database=str(made)).get_connection() as connection,
    ):
        raise RuntimeError("body")
    with pytest.raises(duckdb.ConnectionException):
        connection.execute("SELECT 1")
    # A connection that was still open would keep this one, of another kind, out.
    duckdb.connect(str(made), read_only=False).close()


def test_two_readers_go_together(made: Path) -> None:
    resource = IncidentsDuckDB(database=str(made))
    with resource.get_connection() as one, resource.get_connection() as other:
        assert one.execute("FROM t").fetchall() == other.execute("FROM t").fetchall()


def test_without_a_file_there_is_a_clear_error(database: Path) -> None:
    with (
        pytest.raises(NoDatabaseError, match=str(database)),
        IncidentsDuckDB(database=str(database)).get_connection(),
    ):
        pass
    assert not database.exists()


def test_a_reader_waits_for_the_writer_and_then_names_it(
    held: subprocess.Popen[str], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "READER_WAIT_SECONDS", 0.5)
    resource = IncidentsDuckDB(database=str(made))
    with pytest.raises(DatabaseBusyError, match=f"PID {held.pid}"), resource.get_connection():
        pass


def test_a_reader_gets_in_when_the_writer_leaves(
    held: subprocess.Popen[str], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def writer_leaves(seconds: float) -> None:
        waited.append(seconds)
        held.communicate()

    monkeypatch.setattr(database_file.time, "sleep", writer_leaves)
    with IncidentsDuckDB(database=str(made)).get_connection() as connection:
        assert connection.execute("FROM t").fetchall() == [(1,)]
    assert len(waited) == 1
