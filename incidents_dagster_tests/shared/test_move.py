"""All that was synced moves from a file into PostgreSQL and back, whole or not at all."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner

from fakes.incidents import incident
from fakes.postgres import PASSWORD, USER
from incidents_dagster import move
from incidents_dagster.cli import main
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.tables import quoted
from incidents_dagster.ingestion.warehouse import postgres
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.ingestion.warehouse.datasets import Described
from incidents_dagster.ingestion.warehouse.table_copy import TableCopy
from incidents_dagster_tests.results import failure, shown
from incidents_dagster_tests.shared.database import Database

Rows = list[dict[str, Any]]
LATER, LATEST = "2026-11-20T00:00:00+00:00", "2026-11-21T00:00:00+00:00"


@dataclass
class Mover:
    """Runs `move`, and changes the settings that say where the rows are."""

    shared: Database
    file: Path
    monkeypatch: pytest.MonkeyPatch

    def use_file(self) -> None:
        self.monkeypatch.delenv("WAREHOUSE__URL", raising=False)

    def use_postgres(self) -> None:
        self.monkeypatch.setenv("WAREHOUSE__URL", self.shared.url)

    def run(self, to: str | Path) -> str:
        done = CliRunner().invoke(main, ["move", "--to", str(to)])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    def refused(self, to: str | Path) -> str:
        done = CliRunner().invoke(main, ["move", "--to", str(to)])
        assert done.exit_code == 1, done.output
        assert isinstance(done.exception, SystemExit), done.exception
        return done.output


@pytest.fixture
def mover(shared: Database, database: Path, monkeypatch: pytest.MonkeyPatch) -> Mover:
    """The settings name the file, which is not there yet."""
    made = Mover(shared, database, monkeypatch)
    made.use_file()
    return made


@pytest.fixture
def odd_file(mover: Mover, api: DemoServer) -> duckdb.DuckDBPyConnection:
    """A file whose tables a test makes itself; the connection that does."""
    connection = duckdb.connect(str(mover.file))
    connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA incidents")
    return connection


def _nothing_in(shared: Database) -> bool:
    return shared.ask("SELECT 1 FROM pg_namespace WHERE nspname = 'incidents'") == []


def _assert_equal(first: Path, second: Path) -> None:
    """Compares tables, columns, comments and rows of two files, past the product."""
    described = (
        "SELECT c.schema_name, c.table_name, column_name, data_type, is_nullable, c.comment, "
        "t.comment FROM duckdb_columns() c JOIN duckdb_tables() t "
        "USING (database_name, schema_name, table_name) WHERE database_name = $name "
        "AND NOT starts_with(schema_name, '_dlt_') "
        "ORDER BY schema_name, table_name, column_index"
    )
    with duckdb.connect() as connection:
        for name, file in {"one": first, "other": second}.items():
            connection.execute(f"ATTACH '{file}' AS {name} (READ_ONLY)")
        found = connection.execute(described, {"name": "one"}).fetchall()
        assert found == connection.execute(described, {"name": "other"}).fetchall()
        tables = {f"{quoted(row[0])}.{quoted(row[1])}" for row in found}
        assert tables
        for table in tables:
            for before, after in (("one", "other"), ("other", "one")):
                sql = f"FROM {before}.{table} EXCEPT ALL FROM {after}.{table}"
                assert connection.execute(sql).fetchall() == [], table


def test_there_and_back_gives_an_equal_file(
    mover: Mover,
    api: DemoServer,
    rows: Rows,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__ALSO", '["tickets"]')
    monkeypatch.setenv("SOURCES__TICKETS__PRESET", "default")
    monkeypatch.setenv("SOURCES__TICKETS__CLIENT__BASE_URL", api.base_url)
    monkeypatch.setenv("SOURCES__TICKETS__API_KEY", api.api_key)
    rows[0] = incident(1, Статус="x", nested={"a": [1, {"b": "c'"}]}, n=2**63 - 1, huge=2**70)
    rows[1]["id"] = None
    run_sync(load_settings())
    run_sync(load_settings("tickets"))
    rows[0] = incident(1, status="resolved", updated_at=LATER, Статус="y", n=0.5)
    del rows[5]
    run_sync(load_settings(), mode=Mode.RECONCILE)
    # One is known from the history alone, and one from the settings alone.
    monkeypatch.setenv("SOURCES__INCIDENTS__ALSO", '["pages"]')
    monkeypatch.setenv("SOURCES__PAGES__PRESET", "default")
    with duckdb.connect(str(mover.file)) as connection:
        connection.execute(
            "CREATE SCHEMA pages; CREATE TABLE pages.notes AS SELECT 1 AS n, '' AS _dlt_load_id; "
            "CREATE SCHEMA mine; CREATE VIEW mine.own AS SELECT 1 AS n"
        )
    before, back = mover.file.read_bytes(), tmp_path / "back.duckdb"
    said = mover.run(mover.shared.url)
    assert re.search("pages +notes +1\n *tickets .*\n.*\n.*\n *tickets +incident_data +249\n", said)
    assert "Not moved, as no sync has made it: mine." in said
    assert mover.file.read_bytes() == before
    assert mover.shared.count("deleted_at IS NOT NULL") == 1
    mover.use_postgres()
    assert re.search("incidents +change_log +500\n", mover.run(back))
    _assert_equal(mover.file, back)


def test_the_next_sync_reads_on_and_logs_nothing_new(
    mover: Mover,
    api: DemoServer,
    tmp_path: Path,
    sync: Callable[..., dg.ExecuteInProcessResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sync().success
    mover.run(mover.shared.url)

    def synced_again() -> None:
        asked = api.faults.request_count
        result = sync()
        assert result.success, failure(result)
        assert api.faults.request_count - asked == 1, "it has read everything"
        assert shown(result)["rows_loaded"] == 0
        checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
        assert [name for name, passed in checks.items() if not passed] == [
            "newest_change_is_recent"  # the incidents of the fake API are old
        ]

    mover.use_postgres()
    log = "SELECT entry, id, sync_begun, status FROM incidents.change_log ORDER BY entry"
    history = mover.shared.ask(log)
    synced_again()
    assert mover.shared.ask(log) == history
    assert len(history) == 250
    assert mover.shared.count(table="incidents.syncs") == 2
    mover.run(tmp_path / "back.duckdb")
    monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", str(tmp_path / "back.duckdb"))
    mover.use_file()
    synced_again()
    with configured_store().read(1) as connection:
        assert len(connection.execute(log).fetchall()) == 250


def test_a_table_is_what_a_sync_would_have_made_of_it(
    mover: Mover, api: DemoServer, rows: Rows
) -> None:
    rows[0]["id"] = None
    rows[1]["nul"] = "a\0b"

    def made() -> list[Any]:
        columns = mover.shared.ask(
            f"SELECT * FROM ({postgres.COLUMNS}) AS found WHERE schema_name = 'incidents' "
            "ORDER BY table_name, position"
        )
        indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'incidents' ORDER BY 1"
        return [columns, mover.shared.ask(indexes)]

    run_sync(load_settings())
    assert "incidents.incident_data had NUL characters in 1 rows" in mover.run(mover.shared.url)
    assert mover.shared.ask("SELECT nul FROM incidents.incident_data WHERE nul <> ''") == [("ab",)]
    moved = made()
    mover.shared.ask("DROP SCHEMA incidents CASCADE")
    mover.use_postgres()
    run_sync(load_settings())
    assert moved == made()


VALUES = (
    "INSERT INTO incidents.odd SELECT *, $json, repeat('x', 300000) FROM (VALUES "
    "('NaN'::DOUBLE, '-infinity'::TIMESTAMPTZ, 0.1::DECIMAL(38, 9), '\\x00\\xFF'::BLOB, "
    "'23:59:59.999999'::TIME, '0001-01-01'::DATE, true, -9223372036854775808, NULL), "
    "('-0.0', '9999-12-31 23:59:59.999999Z', NULL, '', NULL, NULL, NULL, 1, ''), "
    "(5e-324, '0001-01-01 00:00:00Z', -1, NULL, NULL, NULL, false, 1, '\U0001f692\\N\t\r\n')), "
    "range(2)"  # each row twice
)
KINDS = (
    "a DOUBLE, b TIMESTAMPTZ, c DECIMAL(38, 9), d BLOB, e TIME, f DATE, g BOOLEAN, h BIGINT, "
    "i VARCHAR, position BIGINT, j JSON, k VARCHAR NOT NULL"
)


def test_unusual_values_stay_as_they_are(
    mover: Mover, odd_file: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with odd_file as connection:
        connection.execute(f"CREATE TABLE incidents.odd ({KINDS})")
        connection.execute(VALUES, {"json": '{"a":  [1, null], "b": "\\u0000 %s"}'})
        many = ", ".join(f"{n} AS c{n}" for n in range(1000))
        connection.execute(f"CREATE TABLE incidents.wide AS SELECT {many}")
        connection.execute("CREATE TABLE incidents.empty (n BIGINT)")
        connection.execute("COMMENT ON TABLE incidents.empty IS 'It''s empty.'")
        connection.execute("CREATE TABLE incidents._dlt_loads (load_id VARCHAR, status BIGINT)")
    mover.run(mover.shared.url)
    mover.use_postgres()
    mover.run(tmp_path / "back.duckdb")
    _assert_equal(mover.file, tmp_path / "back.duckdb")


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("sums HUGEINT", "'sums' of incidents.odd, HUGEINT"),
        (f"{'l' * 64} BIGINT", f"'{'l' * 64}' of incidents.odd"),
        ("ctid BIGINT", 'incidents.odd cannot be moved to .*column name "ctid"'),
    ],
)
def test_what_cannot_be_there_is_refused_by_name(
    mover: Mover, odd_file: duckdb.DuckDBPyConnection, column: str, why: str
) -> None:
    with odd_file as connection:
        connection.execute(f"CREATE TABLE incidents.odd (n BIGINT, {column})")
    assert re.search(why, mover.refused(mover.shared.url))
    assert _nothing_in(mover.shared)


# Where it is killed: some rows are copied; all is done but for the last step; that is done, too.
KILLED = """
import os, signal, sys
from pathlib import Path
from incidents_dagster.cli import main
from incidents_dagster.ingestion.warehouse import move, postgres_lock
from incidents_dagster.ingestion.warehouse.table_copy import TableCopy

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def fill(self, tables, real=TableCopy.fill):
    real(self, tables[:-2])
    die()

for moment in sys.stdin:
    if not (child := os.fork()):
        if moment == "rows\\n":
            TableCopy.fill = fill
        elif moment == "last step\\n":
            postgres_lock.check = Path.replace = die
        else:
            move.Moved = die
        main(["move", "--to", sys.argv[1]])
    print(os.waitpid(child, 0)[1], flush=True)
"""


@contextmanager
def _killer(to: str | Path) -> Iterator[Callable[[str], None]]:
    """Starts a move, as often as it is called, and kills it at a moment."""
    program = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(to)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert program.stdin
    assert program.stdout

    def kill(moment: str) -> None:
        print(moment, file=program.stdin, flush=True)
        said = [program.stdout.readline()]
        while said[-1] and not said[-1].strip().isdigit():
            said.append(program.stdout.readline())
        assert said[-1].strip() == str(int(signal.SIGKILL)), said

    with program:
        yield kill
        program.stdin.close()


def test_of_a_killed_move_the_database_has_nothing_or_all(mover: Mover, api: DemoServer) -> None:
    run_sync(load_settings())
    with _killer(mover.shared.url) as kill:
        for moment in ("rows", "last step"):
            kill(moment)
            assert _nothing_in(mover.shared), moment
        kill("end")
    assert mover.shared.count() == mover.shared.count(table="incidents.change_log") == 250
    assert "already" in mover.refused(mover.shared.url)


def test_of_a_killed_move_the_file_has_nothing_or_all(
    mover: Mover, api: DemoServer, tmp_path: Path
) -> None:
    mover.use_postgres()
    run_sync(load_settings())
    back, left = tmp_path / "back.duckdb", tmp_path / "back.duckdb.moving"
    with _killer(back) as kill:
        for moment in ("rows", "last step"):
            kill(moment)
            assert left.exists(), moment
            assert not back.exists(), moment
        kill("end")
    assert not [one.name for one in tmp_path.iterdir() if "moving" in one.name]
    with duckdb.connect(str(back), read_only=True) as connection:
        counts = "SELECT (SELECT count(*) FROM incidents.incident_data), count(*) "
        found = connection.execute(f"{counts} FROM incidents.change_log").fetchall()
    assert found == [(250, 250)]
    assert "already" in mover.refused(back)


CHANGES = {
    "a row less": "DELETE FROM {} WHERE id = 'INC-0007'",
    "a row twice": "INSERT INTO {0} FROM {0} WHERE id = 'INC-0007'",
    "another value": "UPDATE {} SET title = title || ' ' WHERE id = 'INC-0007'",
    "a value less": "UPDATE {} SET title = NULL WHERE id = 'INC-0007'",
    "two that are the same": "UPDATE {} SET title = 'It smokes.' WHERE id = 'INC-0249'",
}


def test_a_difference_is_found_and_nothing_is_moved(
    mover: Mover,
    odd_file: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with odd_file as connection:
        connection.execute(
            "CREATE TABLE incidents._dlt_loads AS SELECT 'x' AS load_id; "
            "CREATE TABLE incidents.incident_data AS "
            "SELECT format('INC-{:04}', n) AS id, 'It burns.' AS title FROM range(1, 250) r(n); "
            "INSERT INTO incidents.incident_data VALUES ('INC-0249', 'It burns.')"
        )
    fill = TableCopy.fill

    def said_if(change: str, to: str | Path) -> str:
        def changed(self: TableCopy, tables: list[Described]) -> None:
            fill(self, tables)
            self.connection.execute(change.format(f"{self.into}.incidents.incident_data"))

        with monkeypatch.context() as broken:
            broken.setattr(TableCopy, "fill", changed)
            return mover.refused(to)

    found = r"incidents\.incident_data has not arrived .* 250 rows before, (249|250|251) after"
    for name, change in CHANGES.items():
        assert re.search(found, said_if(change, mover.shared.url)), name
        assert _nothing_in(mover.shared), name
    mover.run(mover.shared.url)
    mover.use_postgres()
    back = tmp_path / "back.duckdb"
    for name, change in CHANGES.items():
        assert re.search(found, said_if(change, back)), name
        assert not [one.name for one in tmp_path.glob("back*") if one.suffix != ".lock"], name


def test_what_is_there_already_stays(
    mover: Mover, odd_file: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with odd_file as connection:
        connection.execute("CREATE TABLE incidents._dlt_loads AS SELECT 'x' AS load_id")
    mover.shared.ask("CREATE SCHEMA incidents; CREATE TABLE incidents.theirs AS SELECT 7 AS n")
    assert "has incidents.theirs already" in mover.refused(mover.shared.url)
    there = "SELECT relname FROM pg_class WHERE relnamespace = 'incidents'::regnamespace"
    assert mover.shared.ask(there) == [("theirs",)]
    # What a sync that failed has left is nothing.
    mover.shared.ask("DROP TABLE incidents.theirs")
    mover.use_postgres()
    configured_store().destination("incidents", 1).close()
    assert mover.shared.count(table="incidents.change_log") == 0
    mover.use_file()
    mover.run(mover.shared.url)
    mover.use_postgres()
    (tmp_path / "mine.duckdb").write_text("mine")
    assert "mine.duckdb is there already" in mover.refused(tmp_path / "mine.duckdb")
    assert (tmp_path / "mine.duckdb").read_text() == "mine"


def test_a_sync_that_runs_is_named(
    mover: Mover, odd_file: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with odd_file as connection:
        connection.execute("CREATE TABLE incidents._dlt_loads AS SELECT 'x' AS load_id")
    monkeypatch.setattr(move, "WAIT_SECONDS", 0.05)
    with configured_store().alone_on("incidents", 1):
        said = mover.refused(mover.shared.url)
    assert f"Another sync of incidents into {mover.file} has been running" in said
    mover.use_postgres()
    there = configured_store()
    with there.alone_on("incidents", 1):
        mover.use_file()
        said = mover.refused(mover.shared.url)
    assert f"Another sync of incidents into {there.name} has been running" in said
    mover.run(mover.shared.url)


def test_a_sync_whose_row_waits_is_moved_too(
    mover: Mover, odd_file: duckdb.DuckDBPyConnection
) -> None:
    with odd_file as connection:
        connection.execute("CREATE TABLE incidents._dlt_loads AS SELECT 'x' AS load_id")
    row = {"source": "incidents", "begun": LATER, "ended": LATEST, "proof": "proven"}
    file = configured_store().waiting_file("incidents")
    file.write_text(json.dumps(row) + "\n")
    mover.run(mover.shared.url)
    assert mover.shared.ask("SELECT source, proof FROM incidents.syncs") == [
        ("incidents", "proven")
    ]
    assert file.exists()


def test_no_password_is_shown(
    mover: Mover, odd_file: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with odd_file as connection:
        connection.execute("CREATE TABLE incidents._dlt_loads AS SELECT 'x' AS load_id")
    monkeypatch.delenv("WAREHOUSE__PASSWORD")
    coded = quote(PASSWORD, safe="")
    said = mover.refused(mover.shared.url.replace("@", f":{coded}x@"))
    assert "refuses the user or the password" in said
    said += mover.run(mover.shared.url.replace("@", f":{coded}@") + "?sslmode=disable")
    assert f"WAREHOUSE__URL={mover.shared.url}?sslmode=disable\n" in said
    assert PASSWORD not in said
    assert coded not in said


def test_what_cannot_be_moved_says_why(mover: Mover, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No API is configured" in mover.refused(mover.shared.url)
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", "http://127.0.0.1:9")
    assert "sync first" in mover.refused(mover.shared.url)
    assert "--to is empty" in mover.refused("")
    assert "in a file already" in mover.refused("data/other.duckdb")
    assert "--to must begin with postgresql://" in mover.refused("mysql://user@host/incidents")
    nowhere = f"postgresql://{USER}@127.0.0.1:{mover.shared.cluster.port}"
    assert "--to names no database" in mover.refused(nowhere)
    with duckdb.connect(str(mover.file)) as connection:
        connection.execute("CREATE TABLE mine (n BIGINT)")
    assert "has no table of a sync" in mover.refused(mover.shared.url)
    mover.use_postgres()
    assert "in a PostgreSQL database already" in mover.refused(mover.shared.url)
    assert "must differ from" in mover.refused("data/incidents.duckdb")
    assert "sync first" in mover.refused("data/other.duckdb")


def test_connections_that_end_meanwhile_are_one_message(
    mover: Mover,
    odd_file: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with odd_file as connection:
        connection.execute("CREATE TABLE incidents._dlt_loads AS SELECT 'x' AS load_id")
    fill = TableCopy.fill

    def said_if(ended: str, to: str | Path) -> str:
        def cut_off(self: TableCopy, tables: list[Described]) -> None:
            fill(self, tables)
            assert mover.shared.ask(f"SELECT pg_terminate_backend(pid) FROM {ended}")

        with monkeypatch.context() as broken:
            broken.setattr(TableCopy, "fill", cut_off)
            return mover.refused(to)

    all_of_them = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert "ended the connection" in said_if(all_of_them, mover.shared.url)
    holder = "pg_locks WHERE locktype = 'advisory' AND granted"
    assert "so nothing was loaded: move again" in said_if(holder, mover.shared.url)
    assert _nothing_in(mover.shared)
    mover.run(mover.shared.url)
    mover.use_postgres()
    assert "ended the connection" in said_if(all_of_them, tmp_path / "back.duckdb")
    mover.run(tmp_path / "back.duckdb")
