"""What there is in a store: schemas, tables and views, columns, and what their comments say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from incidents_dagster.ingestion.warehouse import postgres
from incidents_dagster.ingestion.warehouse.store import Connection

Kind = Literal["table", "view"]


@dataclass(frozen=True)
class Relation:
    """A table or a view.

    Attributes:
        name: Its name.
        kind: Which of the two.
        comment: Its comment; empty if it has none.
    """

    name: str
    kind: Kind
    comment: str


@dataclass(frozen=True)
class StoredColumn:
    """A column of a table or view.

    Attributes:
        schema: The schema.
        table: The table.
        name: Its name.
        type: Its type, as DuckDB names it.
        nullable: Whether it may be null.
        comment: Its comment; empty if it has none.
    """

    schema: str
    table: str
    name: str
    type: str
    nullable: bool
    comment: str


def relations(connection: Connection, schema: str) -> list[Relation]:
    """The tables and views of a schema, by name."""
    if postgres.is_attached(connection):
        sql = f"{postgres.RELATIONS} AND n.nspname = {postgres.text(schema)}"
        told = postgres.asked(sql)
        found = connection.execute(
            f"WITH there AS (SELECT name, kind, comment FROM {told}) FROM there UNION ALL "
            "SELECT view_name, 'view', coalesce(comment, '') FROM duckdb_views() "
            "WHERE database_name = current_database() AND schema_name = $schema "
            "AND view_name NOT IN (SELECT name FROM there) ORDER BY ALL",
            {"schema": schema},
        ).fetchall()
        return [Relation(*row) for row in found]
    found = connection.execute(
        "SELECT table_name, 'table', coalesce(comment, '') FROM duckdb_tables() "
        "WHERE database_name = current_database() AND schema_name = $schema "
        "UNION ALL SELECT view_name, 'view', coalesce(comment, '') FROM duckdb_views() "
        "WHERE database_name = current_database() AND schema_name = $schema ORDER BY ALL",
        {"schema": schema},
    ).fetchall()
    return [Relation(*row) for row in found]


def columns(
    connection: Connection, schema: str | None = None, table: str | None = None
) -> list[StoredColumn]:
    """The columns of a table, of all in a schema, or of all schemas, in their order."""
    if postgres.is_attached(connection):
        sql = postgres.COLUMNS
        sql += f" AND n.nspname = {postgres.text(schema)}" if schema else ""
        sql += f" AND c.relname = {postgres.text(table)}" if table else ""
        found = connection.execute(
            "SELECT * EXCLUDE (position) "
            f"FROM {postgres.asked(sql)} ORDER BY schema_name, table_name, position"
        ).fetchall()
        return [StoredColumn(*row) for row in found]
    found = connection.execute(
        "SELECT schema_name, table_name, column_name, data_type, is_nullable, "
        "coalesce(comment, '') FROM duckdb_columns() WHERE database_name = current_database() "
        "AND schema_name = coalesce($schema, schema_name) "
        "AND table_name = coalesce($table, table_name) "
        "ORDER BY schema_name, table_name, column_index",
        {"schema": schema, "table": table},
    ).fetchall()
    return [StoredColumn(*row) for row in found]


def run(connection: duckdb.DuckDBPyConnection, statements: Sequence[str]) -> None:
    """Runs COMMENT ON and CREATE VIEW statements, whose SQL DuckDB and PostgreSQL share.

    DuckDB has none of them for a database that is attached.
    """
    if not statements:
        return
    if postgres.is_attached(connection):
        postgres.tell(connection, "; ".join(statements))
    else:
        connection.execute("; ".join(statements))


def near(connection: Connection, table: str, keys: pa.Table | str, types: Mapping[str, str]) -> str:
    """SQL for at least those rows of a table that have one of these keys.

    Of a file, all rows; PostgreSQL finds them itself, and sends no others.

    Args:
        connection: Reads the store.
        table: The table, in SQL.
        keys: Values of some of its columns, or the SQL that finds them.
        types: Its columns, with their types in DuckDB.
    """
    if not postgres.is_attached(connection):
        return table
    if isinstance(keys, str):
        keys = connection.execute(keys).to_arrow_table()
    return postgres.having(table, keys, types)


def answer(connection: Connection, sql: str) -> Any:
    """The one value that a query finds; of SQL that DuckDB and PostgreSQL share."""
    asked = postgres.asked(sql) if postgres.is_attached(connection) else f"({sql})"
    rows = connection.execute(f"SELECT * FROM {asked}").fetchall()
    return rows[0][0] if rows else None


def storable(connection: Connection, rows: pa.Table) -> pa.Table:
    """The rows as the store will have them: PostgreSQL's texts have no NUL characters."""
    if not postgres.is_attached(connection):
        return rows
    for place, field in enumerate(rows.schema):
        if pa.types.is_string(field.type) and pc.any(pc.match_substring(rows[place], "\0")).as_py():
            rows = rows.set_column(place, field, pc.replace_substring(rows[place], "\0", ""))
    return rows
