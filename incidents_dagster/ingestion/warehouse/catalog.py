"""What there is in a store: schemas, tables and views, columns, and what their comments say."""

from dataclasses import dataclass
from typing import Literal

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
    found = connection.execute(
        "SELECT schema_name, table_name, column_name, data_type, is_nullable, "
        "coalesce(comment, '') FROM duckdb_columns() WHERE database_name = current_database() "
        "AND schema_name = coalesce($schema, schema_name) "
        "AND table_name = coalesce($table, table_name) "
        "ORDER BY schema_name, table_name, column_index",
        {"schema": schema, "table": table},
    ).fetchall()
    return [StoredColumn(*row) for row in found]
