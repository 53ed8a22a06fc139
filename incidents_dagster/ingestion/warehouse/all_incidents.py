"""The view `incidents.incidents`: the incidents of all sources, with the same columns.

It copies nothing, so it is never behind the tables that it is made of. Its comment has the sources
in it and a hash of its SQL, so that it is only written when it changes.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.tables import (
    DELETED_AT,
    FIRST,
    INCIDENTS,
    Table,
    key_as_text_sql,
    quoted,
)
from incidents_dagster.ingestion.warehouse.duckdb_file import (
    holds_nothing,
    open_file,
    read_only_connection,
)
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

VIEW = f"{quoted(FIRST)}.{quoted(INCIDENTS)}"
TEXT, TIME = "VARCHAR", "TIMESTAMP WITH TIME ZONE"
# Column → its type, and its description. All but the first and the last are the tables' own.
COLUMNS: dict[str, tuple[str, str]] = {
    "source": (TEXT, "The source, which is also its schema."),
    "id": (TEXT, "The incident's primary key in its table, as text."),
    "title": (TEXT, "What it is about, in a line."),
    "status": (TEXT, "The status, as the API names it."),
    "phase": (TEXT, "open, acknowledged, closed or other."),
    "severity": (TEXT, "How bad it is, as the API names it."),
    "service": (TEXT, "The service that it is about."),
    "team": (TEXT, "The team that is responsible for it."),
    "url": (TEXT, "Its page, for people."),
    "created_at": (TIME, "When it was opened, UTC."),
    "acknowledged_at": (TIME, "When somebody took it on, UTC."),
    "resolved_at": (TIME, "When it was resolved, UTC."),
    "updated_at": (TIME, "When it last changed, UTC."),
    DELETED_AT: (TIME, "When a full read no longer found it; null while the API has it."),
    "source_table": (TEXT, "The table that has all that the API says about it."),
}
COMMENT = re.compile(r"Incidents of (?P<sources>[\w, ]+)\. Made by incidents_dagster, [0-9a-f]+\.")


@dataclass(frozen=True)
class Refreshed:
    """What the view has now.

    Attributes:
        rows: Source → its rows that are not deleted at the API.
        without_table: Sources that have no table yet.
        dropped: Source that is not configured any more → the rows that the view had of it.
    """

    rows: dict[str, int]
    without_table: list[str]
    dropped: dict[str, int] = field(default_factory=dict)


def refresh(
    database: Path,
    tables: Sequence[Table],
    wrong: Collection[str],
    seconds: float,
    report: Callable[[str], None] | None = None,
) -> Refreshed:
    """Makes the view anew if sources or columns have changed.

    Args:
        database: The DuckDB file.
        tables: The incidents of each source.
        wrong: Sources whose settings are wrong; a view with rows of one is left as it is.
        seconds: How long to wait for other processes that have the file open.
        report: Receives a line if there is a wait.

    Raises:
        DatabaseBusyError: Another process has held the file for longer.
        SettingsError: Something else has the view's name.
    """
    with read_only_connection(database, seconds, report) as connection:
        there = [table for table in tables if StoredTable(table, connection).exists()]
        missing = [table.schema for table in tables if table not in there]
        sql = _sql([StoredTable(table, connection) for table in there])
        digest = hashlib.sha256(sql.encode()).hexdigest()[:16]
        sources = ", ".join(table.schema for table in there)
        comment = f"Incidents of {sources}. Made by incidents_dagster, {digest}."
        before = _comment(connection)
        known = COMMENT.fullmatch(before or "")
        gone = [*(known["sources"].split(", ") if known else ())]
        dropped = {
            source: _rows(connection, source)
            for source in gone
            if source not in {table.schema for table in tables}
        }
        if before == comment or not there or {*gone} & {*wrong}:
            return Refreshed(_counted(connection, there), missing)
        _refuse_others(connection)
    if holds_nothing(database):
        return Refreshed({}, missing)
    with open_file(database, seconds, report) as connection:
        connection.begin()
        connection.execute(f"CREATE OR REPLACE VIEW {VIEW} AS {sql}")
        connection.execute(f"COMMENT ON VIEW {VIEW} IS '{comment}'")
        for name, (_, description) in COLUMNS.items():
            text = description.replace("'", "''")
            connection.execute(f"COMMENT ON COLUMN {VIEW}.{quoted(name)} IS '{text}'")
        connection.commit()
        return Refreshed(_counted(connection, there), missing, dropped)


def amiss(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[Table], wrong: Collection[str]
) -> tuple[int, str, str]:
    """Which rows, not deleted at the API, are not in the view once; see `refresh`.

    Returns:
        How many, some of them as text, and the SQL that finds them.
    """
    stored = [StoredTable(table, connection) for table in tables]
    rows = " UNION ALL ".join(
        f"SELECT '{one.table.schema}' AS source, {_id(one)} AS id FROM {one.present()} t"
        for one in stored
        if one.exists()
    )
    if not rows:
        return 0, "", ""
    names = ", ".join(f"'{name}'" for name in ["", *wrong])
    sql = (
        f"SELECT source, id, times FROM (SELECT source, id, count(*) AS there FROM ({rows}) "
        f"GROUP BY ALL) FULL JOIN (SELECT source, id, count(*) AS times FROM {VIEW} "
        f"WHERE {DELETED_AT} IS NULL AND source NOT IN ({names}) GROUP BY ALL) USING (source, id) "
        "WHERE there IS DISTINCT FROM 1 OR times IS DISTINCT FROM 1"
    )
    found = connection.execute(f"SELECT count(*) OVER (), * FROM ({sql}) ORDER BY ALL LIMIT 5")
    sample = found.fetchall()
    told = "; ".join(f"{source} {key}: {times or 0} times" for _, source, key, times in sample)
    return (sample[0][0] if sample else 0), told, sql


def _sql(tables: Sequence[StoredTable]) -> str:
    return " UNION ALL ".join(
        f"SELECT {', '.join(_columns(stored))} FROM {stored.table.qualified} t" for stored in tables
    )


def _columns(stored: StoredTable) -> list[str]:
    types = {column.name: column.type for column in stored.columns()}
    table = stored.table
    own = {
        "source": f"'{table.schema}'",
        "id": _id(stored),
        "source_table": f"'{table.schema}.{table.name}'",
    }
    return [
        f"{own.get(name) or _own(name, kind, types.get(name, ''))} AS {quoted(name)}"
        for name, (kind, _) in COLUMNS.items()
    ]


def _id(stored: StoredTable) -> str:
    """SQL for the key as text, or for the column `id` where there is no key."""
    if stored.table.keyed:
        return key_as_text_sql(stored.table.primary_key, "t")
    return _own("id", TEXT, next((c.type for c in stored.columns() if c.name == "id"), ""))


def _own(name: str, kind: str, found: str) -> str:
    """SQL for a column of the table; null where there is none, or no times where they should be."""
    column = f"t.{quoted(name)}"
    if found and kind == TEXT:
        return f"CAST({column} AS VARCHAR)"
    if found == TIME:
        return column
    if found.startswith(("TIMESTAMP", "DATE")):
        return f"timezone('UTC', CAST({column} AS TIMESTAMP))"
    return f"CAST(NULL AS {kind})"


def _comment(connection: duckdb.DuckDBPyConnection) -> str | None:
    found = connection.execute(
        "SELECT comment FROM duckdb_views() WHERE database_name = current_database() "
        "AND schema_name = ? AND view_name = ?",
        [FIRST, INCIDENTS],
    ).fetchall()
    return found[0][0] if found else None


def _refuse_others(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name = ? AND table_name = ?",
        [FIRST, INCIDENTS],
    ).fetchall()
    if found:
        raise SettingsError(
            f"{FIRST}.{INCIDENTS} is a table, and the view over all sources has that name: rename "
            f"the table, such as with ALTER TABLE {FIRST}.{INCIDENTS} RENAME TO incident_data."
        )


def _counted(connection: duckdb.DuckDBPyConnection, tables: Sequence[Table]) -> dict[str, int]:
    return {table.schema: StoredTable(table, connection).count() for table in tables}


def _rows(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    try:
        found = connection.execute(f"SELECT count(*) FROM {VIEW} WHERE source = ?", [source])
        return int(found.fetchall()[0][0])
    except duckdb.Error:  # its table is gone
        return 0
