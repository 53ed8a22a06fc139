"""Traps of DuckDB's postgres extension, and of PostgreSQL, that the shared store steps round.

What a red test means stands in test_traps.py.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from dlt.destinations.impl.duckdb.duck import DuckDbClient

from fakes.postgres import PASSWORD
from incidents_dagster.ingestion.warehouse.postgres import Server
from incidents_dagster_tests.shared.database import Database
from incidents_dagster_tests.upstream import error_of

OPEN_TRANSACTION = """
import sys
from incidents_dagster.ingestion.warehouse.postgres import Server
connection = Server(sys.argv[1], sys.argv[2]).connect()
connection.begin()
connection.execute("INSERT INTO public.t VALUES (1)")
print("open", flush=True)
sys.stdin.readline()
if sys.argv[3] == "rollback":
    try:
        connection.rollback()
    except Exception:
        pass
connection.close()
print("closed", flush=True)
"""


@pytest.fixture
def connection(shared: Database) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the test's database attached, where a table `t` is."""
    shared.ask("CREATE TABLE t (n BIGINT)")
    with Server(shared.url, PASSWORD).attached() as opened:
        opened.execute("USE store")
        yield opened


def _asked(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    return connection.execute("FROM postgres_query('store', $sql)", {"sql": sql}).fetchall()


def test_the_pool_drops_a_lock_that_a_session_has(connection: duckdb.DuckDBPyConnection) -> None:
    """`postgres_lock` holds it by a connection of psycopg2 because of this."""
    assert _asked(connection, "SELECT pg_try_advisory_lock(1)") == [(True,)]
    held = _asked(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    assert held == [(0,)], (
        "The pool keeps session locks now: the lock may be DuckDB's own, without psycopg2."
    )


@pytest.mark.parametrize(("then", "ends_well"), [("close", False), ("rollback", True)])
def test_closing_with_an_open_transaction_aborts_if_the_server_is_gone(
    shared: Database, then: str, ends_well: bool
) -> None:
    """`store.transaction` rolls back before anybody closes because of this."""
    shared.ask("CREATE TABLE t (n BIGINT)")
    with subprocess.Popen(
        [sys.executable, "-c", OPEN_TRANSACTION, shared.url, PASSWORD, then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        shared.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        said = process.communicate("go on\n", timeout=60)
    assert (process.returncode == 0) is ends_well, (
        f"Closing aborts no more: `store.transaction` need not roll back first. {said}"
    )


def test_what_postgres_execute_changes_is_not_seen_in_its_transaction(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """`postgres_views.publish` creates schemas and tables in DuckDB's SQL because of this."""
    mended = "It is seen at once: postgres_views may create with postgres_execute."
    connection.begin()
    connection.execute("FROM store.public.t")
    connection.execute(
        "CALL postgres_execute('store', 'DROP TABLE t; CREATE TABLE t (other BIGINT)')"
    )
    error = error_of(lambda: connection.execute("FROM store.public.t"), mended)
    assert 'column "n" does not exist' in str(error)
    connection.rollback()
    connection.begin()
    connection.execute(
        "CALL postgres_execute('store', 'CREATE SCHEMA s; CREATE TABLE s.u (n INT)')"
    )
    error = error_of(lambda: connection.execute("FROM store.s.u"), mended)
    assert 'schema "s" does not exist' in str(error)
    connection.rollback()


def test_alter_table_passes_duckdbs_names_of_types_on(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """`PostgresClient._get_table_update_sql` has PostgreSQL add columns because of this."""
    connection.execute("CREATE TABLE store.public.u (x DOUBLE)")
    error = error_of(
        lambda: connection.execute("ALTER TABLE store.public.t ADD COLUMN x DOUBLE"),
        "ALTER TABLE translates types: delete PostgresClient._get_table_update_sql.",
    )
    assert 'type "double" does not exist' in str(error)


def test_a_nul_cannot_be_written(connection: duckdb.DuckDBPyConnection) -> None:
    """`Server.attached` sets pg_null_byte_replacement because of this."""
    connection.execute("CREATE TABLE store.public.texts (x VARCHAR)")
    connection.execute("INSERT INTO store.public.texts VALUES ('a' || chr(0) || 'b')")
    assert connection.execute("FROM store.public.texts").fetchall() == [("ab",)]
    connection.execute("RESET GLOBAL pg_null_byte_replacement")
    error = error_of(
        lambda: connection.execute("INSERT INTO store.public.texts VALUES ('a' || chr(0))"),
        "A NUL can be written: pg_null_byte_replacement need not be set.",
    )
    assert "NULL-byte" in str(error) or "null byte" in str(error).lower()


def test_names_are_cut_after_63_bytes(connection: duckdb.DuckDBPyConnection) -> None:
    """`naming.MOST_BYTES` is because of this."""
    first, second = "l" * 63 + "a", "l" * 63 + "b"
    error = error_of(
        lambda: connection.execute(
            f"CREATE TABLE store.public.names ({first} BIGINT, {second} BIGINT)"
        ),
        "Longer names are told apart: naming.MOST_BYTES is needed no more.",
    )
    assert "specified more than once" in str(error)


@pytest.mark.parametrize("name", ["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"])
def test_a_column_cannot_have_the_name_of_a_system_column(shared: Database, name: str) -> None:
    """`fields.SYSTEM_COLUMNS` is because of this."""
    error = error_of(
        lambda: shared.ask(f"CREATE TABLE u ({name} BIGINT)"),
        f"A column may be called {name}: take it from fields.SYSTEM_COLUMNS.",
    )
    assert "conflicts with a system column name" in str(error)


def test_a_huge_integer_becomes_a_double(connection: duckdb.DuckDBPyConnection) -> None:
    """Sums, which are HUGEINT, are cast in `insight` because of this."""
    connection.execute("CREATE TABLE store.public.sums AS SELECT sum(n) AS n FROM range(3) r(n)")
    types = _asked(connection, "SELECT pg_typeof(n)::text FROM sums")
    assert types == [("double precision",)], "HUGEINT has a type there: sums need no cast."


def test_json_is_shown_as_a_text(shared: Database, connection: duckdb.DuckDBPyConnection) -> None:
    """`postgres.COLUMNS` asks PostgreSQL's own catalog because of this."""
    shared.ask("CREATE TABLE u (x JSON)")
    connection.execute("CALL pg_clear_cache()")
    shown = connection.execute(
        "SELECT data_type FROM duckdb_columns() WHERE database_name = 'store' AND table_name = 'u'"
    ).fetchall()
    assert shown == [("VARCHAR",)], (
        "duckdb_columns() tells JSON: `catalog` may ask it for all stores."
    )


def test_schemas_that_others_create_are_not_seen(
    shared: Database, connection: duckdb.DuckDBPyConnection
) -> None:
    """`Server.connect` clears the cache because of this."""
    connection.execute("FROM store.public.t")
    shared.ask("CREATE SCHEMA later")
    shared.ask("CREATE TABLE later.u (n BIGINT)")
    error_of(
        lambda: connection.execute("FROM store.later.u"),
        "New schemas are seen: Server.connect need not clear the cache.",
    )
    connection.execute("CALL pg_clear_cache()")
    assert connection.execute("FROM store.later.u").fetchall() == []


def test_a_comment_cannot_be_written_in_duckdbs_sql(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """`catalog.run` has PostgreSQL write comments and views because of this."""
    error_of(
        lambda: connection.execute("COMMENT ON TABLE store.public.t IS 'a comment'"),
        "COMMENT ON works on attached tables: catalog.run may run it for all stores.",
    )


def test_dlt_still_asks_for_columns_and_changes_tables_where_we_do_it_instead() -> None:
    """`PostgresClient` has its own of these two, which are private."""
    for name in ("_get_info_schema_columns_query", "_get_table_update_sql"):
        assert callable(getattr(DuckDbClient, name)), name


BIG = "CREATE TABLE big AS SELECT n, repeat('x', 200) AS t FROM generate_series(1, 50000) n"
BOTH = "SELECT (SELECT sum(n) FROM t), (SELECT sum(n) FROM big)"


@pytest.mark.parametrize("by_several_connections", [True, False])
def test_a_scan_by_several_connections_does_not_see_one_moment(
    shared: Database, connection: duckdb.DuckDBPyConnection, by_several_connections: bool
) -> None:
    """`Server.attached` has scans go by one connection because of this."""
    shared.ask(f"{BIG}; INSERT INTO t VALUES (1); ANALYZE big")
    connection.execute("SET GLOBAL pg_pages_per_task = 10")  # of 1,000, as if it were large
    if by_several_connections:
        connection.execute("SET GLOBAL pg_use_ctid_scan = true")
    connection.begin()
    before = connection.execute(BOTH).fetchall()
    shared.ask("UPDATE big SET n = n + 1; UPDATE t SET n = n + 1")
    after = connection.execute(BOTH).fetchall()
    connection.rollback()
    assert (after == before) is not by_several_connections, (
        "Scans by several connections see one moment now: pg_use_ctid_scan may stay as it is."
    )
