"""Tables and views that DuckDB makes in memory, published in PostgreSQL, and read from there.

PostgreSQL keeps a view whose SQL is DuckDB's as a text, in the table `incidents._views`. Whoever
reads gets a catalog of views, by the names that all have in a file: of PostgreSQL's tables, and
those.
"""

import hashlib
import threading
from contextlib import suppress

import duckdb

from incidents_dagster.ingestion.tables import FIRST, quoted
from incidents_dagster.ingestion.warehouse import catalog, postgres
from incidents_dagster.ingestion.warehouse.postgres import STORE, text
from incidents_dagster.ingestion.warehouse.store import transaction

READ = "incidents_dagster"  # the catalog of views, in DuckDB
MADE_OF = "memory.main.views_made_of"  # a digest of the columns and views, beside them
VIEWS = f"{quoted(FIRST)}.{quoted('_views')}"

_guard = threading.Lock()


def use(connection: duckdb.DuckDBPyConnection) -> None:
    """Has a connection use the catalog of views, made anew if there are other tables or columns.

    In a transaction, those are the tables and columns that it sees.
    """
    columns = catalog.columns(connection)
    views = []
    if any(f"{quoted(one.schema)}.{quoted(one.table)}" == VIEWS for one in columns):
        sql = f"SELECT place, schema, name, query, comment FROM {VIEWS} ORDER BY place"
        views = connection.execute(f"FROM {postgres.asked(sql)}").fetchall()
    digest = hashlib.sha256(repr((columns, views)).encode()).hexdigest()
    # Views are made in a transaction of their own, before that of the connection looks at them.
    with _guard, connection.cursor() as maker:
        maker.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {READ}; USE {READ}")
        maker.execute(f"CREATE TABLE IF NOT EXISTS {MADE_OF} (digest VARCHAR)")
        if maker.execute(f"FROM {MADE_OF}").fetchall() != [(digest,)]:
            _make_views(maker, {(one.schema, one.table) for one in columns}, views)
            maker.execute(f"DELETE FROM {MADE_OF}; INSERT INTO {MADE_OF} VALUES ({text(digest)})")
        connection.execute(f"USE {READ}")


def _make_views(
    connection: duckdb.DuckDBPyConnection,
    tables: set[tuple[str, str]],
    views: list[tuple[int, str, str, str, str]],
) -> None:
    wanted = [
        (schema, name, f"FROM {STORE}.{quoted(schema)}.{quoted(name)}", "")
        for schema, name in sorted(tables)
    ]
    wanted += [
        (schema, name, sql, comment)
        for _, schema, name, sql, comment in views
        if (schema, name) not in tables
    ]
    before = connection.execute(
        "SELECT schema_name, view_name FROM duckdb_views() "
        "WHERE database_name = current_database() AND NOT internal"
    ).fetchall()
    for schema, name in {*before} - {(schema, name) for schema, name, *_ in wanted}:
        connection.execute(f"DROP VIEW IF EXISTS {quoted(schema)}.{quoted(name)}")
    for schema, name, sql, comment in wanted:
        of = f"{quoted(schema)}.{quoted(name)}"
        # Others share the database: what they drop meanwhile, or name in a way that DuckDB cannot
        # tell apart, stops no reader of all else.
        with suppress(duckdb.Error):
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
            connection.execute(f"CREATE OR REPLACE VIEW {of} AS {sql}")
            connection.execute(f"COMMENT ON VIEW {of} IS {text(comment)}")


def publish(connection: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Has PostgreSQL hold what a schema in memory has, all in one transaction.

    Rows are deleted and inserted, so that a reader sees the old ones or the new ones; a table is
    created anew only if its columns have changed.
    """
    before: dict[str, list[tuple[str, str]]] = {}
    for one in catalog.columns(connection, schema):
        before.setdefault(one.table, []).append((one.name, one.type))
    tables = connection.execute(
        "SELECT table_name, comment FROM duckdb_tables() "
        "WHERE database_name = 'memory' AND schema_name = $schema",
        {"schema": schema},
    ).fetchall()
    views = connection.execute(
        "SELECT view_name, sql, comment FROM duckdb_views() "
        "WHERE database_name = 'memory' AND schema_name = $schema ORDER BY view_oid",
        {"schema": schema},
    ).fetchall()
    with transaction(connection):
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {STORE}.{quoted(schema)}")
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {STORE}.{VIEWS} "
            "(place BIGINT, schema VARCHAR, name VARCHAR, query VARCHAR, comment VARCHAR)"
        )
        for name, comment in tables:
            _publish_table(connection, schema, name, comment, before.get(name))
        connection.execute(f"DELETE FROM {STORE}.{VIEWS} WHERE schema = {text(schema)}")
        for place, (name, sql, comment) in enumerate(views):
            query = sql.partition(" AS ")[2].rstrip("; \n")
            connection.execute(
                f"INSERT INTO {STORE}.{VIEWS} VALUES (?, ?, ?, ?, ?)",
                [place, schema, name, query, comment],
            )


def _publish_table(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    name: str,
    comment: str,
    before: list[tuple[str, str]] | None,
) -> None:
    of = f"{quoted(schema)}.{quoted(name)}"
    columns = connection.execute(
        "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE database_name = "
        "'memory' AND schema_name = $schema AND table_name = $name ORDER BY column_index",
        {"schema": schema, "name": name},
    ).fetchall()
    if before == [(column, kind) for column, kind, _ in columns]:
        postgres.tell(connection, f"DELETE FROM {of}")
    else:
        connection.execute(f"DROP TABLE IF EXISTS {STORE}.{of}")
        connection.execute(f"CREATE TABLE {STORE}.{of} AS FROM memory.{of} LIMIT 0")
        said = [f"COMMENT ON TABLE {of} IS {text(comment)}"]
        said += [
            f"COMMENT ON COLUMN {of}.{quoted(column)} IS {text(told or '')}"
            for column, _, told in columns
        ]
        postgres.tell(connection, "; ".join(said))
    connection.execute(f"INSERT INTO {STORE}.{of} FROM memory.{of}")
