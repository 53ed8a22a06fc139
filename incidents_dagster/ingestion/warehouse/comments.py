"""Comments of columns in DuckDB: the description, and in the last line the API's field.

They stay with the table, which so remembers the column of each field. `rows.fields` assigns
columns, `destination` writes the comments, `stored_table` reads them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

from incidents_dagster.ingestion.tables import FIELD, quoted
from incidents_dagster.ingestion.warehouse import catalog
from incidents_dagster.ingestion.warehouse.store import transaction

LAST_LINE = "Field: "


def split(comment: str) -> tuple[str | None, str | None]:
    """The description and the field in a comment."""
    lines = comment.split("\n")
    field = lines.pop().removeprefix(LAST_LINE) if lines[-1].startswith(LAST_LINE) else None
    return "\n".join(lines) or None, field


def joined(description: str | None, field: str | None) -> str:
    """The comment of a column."""
    return "\n".join(filter(None, [description, field and f"{LAST_LINE}{field}"]))


def write(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    tables: Iterable[tuple[str, Mapping[str, Any]]],
) -> None:
    """Writes the comments that are not there yet.

    Args:
        connection: Open for writing.
        schema: The schema in DuckDB.
        tables: Each table's name and its columns with dlt's hints.
    """
    found = catalog.columns(connection, schema)
    present = {(one.table, one.name): one.comment for one in found}
    statements = []
    for table, columns in tables:
        for name, hints in columns.items():
            if (there := present.get((table, name))) is None:
                continue
            description, field = split(there)  # a user's own comment stays
            wanted = joined(hints.get("description") or description, hints.get(FIELD) or field)
            if wanted != there:
                column = ".".join(map(quoted, (schema, table, name)))
                text = wanted.replace("'", "''")
                statements.append(f"COMMENT ON COLUMN {column} IS '{text}'")
    if statements:
        with transaction(connection):
            catalog.run(connection, statements)
