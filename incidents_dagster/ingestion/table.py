"""What a resource's table in DuckDB holds: rows, columns, newest change, a preview, what changed.

Reads only; its functions take an open connection.
"""

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import duckdb
import pyarrow as pa
from dlt.extract import DltSource

from incidents_dagster.ingestion.settings import DATASET

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 8
PREVIEW_CHARACTERS = 60

DLT_COLUMNS = {
    "_dlt_load_id": "The dlt load that brought this version of the row; see _dlt_loads.",
    "_dlt_id": "dlt's own identifier of the row.",
}


@dataclass(frozen=True)
class Column:
    """A column of the table in DuckDB, with the description its configuration gives."""

    name: str
    type: str
    nullable: bool
    description: str | None


@dataclass(frozen=True)
class Snapshot:
    """A table at one moment: the columns it had, and a hash of them for each primary key."""

    columns: list[str]
    rows: pa.Table


@dataclass(frozen=True)
class Table:
    """A resource's table: its name in DuckDB and what its configuration says of it.

    Attributes:
        name: Name in the schema `incidents`.
        primary_key: Its columns; empty where the resource has none.
        declared: Declared column → its dlt hints.
        write_disposition: How dlt loads it: `merge`, `replace` or `append`.
    """

    name: str
    primary_key: list[str]
    declared: dict[str, Any]
    write_disposition: str = "merge"

    @classmethod
    def of(cls, source: DltSource, resource_name: str) -> "Table":
        """The table that a resource of `source` lands in, with names as dlt normalizes them."""
        normalize = source.schema.naming.normalize_path
        hints = source.resources[resource_name].compute_table_schema()
        columns = {normalize(name): dict(column) for name, column in hints["columns"].items()}
        return cls(
            name=normalize(str(hints["name"])),
            primary_key=[name for name, column in columns.items() if column.get("primary_key")],
            declared=columns,
            write_disposition=str(hints.get("write_disposition") or "append"),
        )

    @property
    def qualified(self) -> str:
        """Schema and table, quoted for SQL."""
        return f'"{DATASET}"."{self.name}"'

    @property
    def keyed(self) -> bool:
        """Whether a primary key tells rows apart: there is one, and rows are not appended."""
        return bool(self.primary_key) and self.write_disposition != "append"

    @property
    def newest_first(self) -> str | None:
        """The column that tells which version is newer: the one the configuration sorts `desc`."""
        newest = [name for name, c in self.declared.items() if c.get("dedup_sort") == "desc"]
        return newest[0] if newest else None

    @property
    def declared_columns(self) -> list[Column]:
        """The columns as the configuration has them, with dlt's names for their types."""
        return [
            Column(n, c.get("data_type", "text"), c.get("nullable", True), c.get("description"))
            for n, c in self.declared.items()
        ]

    def exists(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether a sync has made the table yet."""
        return bool(
            connection.execute(
                "SELECT 1 FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?",
                [DATASET, self.name],
            ).fetchone()
        )

    def columns(self, connection: duckdb.DuckDBPyConnection) -> list[Column]:
        """The table's columns in their order."""
        found = connection.execute(
            "SELECT column_name, data_type, is_nullable FROM duckdb_columns() "
            "WHERE schema_name = ? AND table_name = ? ORDER BY column_index",
            [DATASET, self.name],
        ).fetchall()
        descriptions = {n: c.get("description") for n, c in self.declared.items()} | DLT_COLUMNS
        return [Column(n, kind, nullable, descriptions.get(n)) for n, kind, nullable in found]

    def row_count(self, connection: duckdb.DuckDBPyConnection) -> int:
        """Rows in the table."""
        return int(_value(connection, f"SELECT count(*) FROM {self.qualified}"))

    def newest(self, connection: duckdb.DuckDBPyConnection) -> datetime | None:
        """The newest value of the `newest_first` column, in UTC; None where there is none."""
        if not self.newest_first:
            return None
        value = _value(connection, f"SELECT max({quoted(self.newest_first)}) FROM {self.qualified}")
        if not isinstance(value, datetime):
            return None
        in_utc = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return in_utc.astimezone(timezone.utc)

    def preview(self, connection: duckdb.DuckDBPyConnection) -> list[dict[str, str]]:
        """The newest rows, declared columns first, each value as short text."""
        order = f"ORDER BY {quoted(self.newest_first)} DESC NULLS LAST" if self.newest_first else ""
        names = [c.name for c in self.columns(connection) if c.name not in DLT_COLUMNS]
        names = names[:PREVIEW_COLUMNS]
        shown = ", ".join(
            f"left(CAST({quoted(name)} AS VARCHAR), {PREVIEW_CHARACTERS})" for name in names
        )
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.execute(
            f"SELECT {shown} FROM {self.qualified} {order} LIMIT {PREVIEW_ROWS}"
        ).fetchall()
        return [dict(zip(names, (v or "" for v in row), strict=True)) for row in rows]

    def snapshot(self, connection: duckdb.DuckDBPyConnection) -> Snapshot | None:
        """Each row's primary key and a hash of all its values; None without a table or key.

        Taken before a sync, it lets `changes` count afterwards what the sync did.
        """
        if not self.keyed:
            return None
        names = [c.name for c in self.columns(connection) if c.name not in DLT_COLUMNS]
        if not set(self.primary_key) <= set(names):
            return None
        return Snapshot(names, connection.sql(self._versions(names)).to_arrow_table())

    def changes(
        self, connection: duckdb.DuckDBPyConnection, before: Snapshot | None
    ) -> tuple[int, int] | None:
        """How many rows are new since `before`, and how many have another value in its columns.

        None where rows cannot be told from one another, see `keyed`.
        """
        if not self.keyed:
            return None
        if before is None:
            return self.row_count(connection), 0
        connection.register("_before", before.rows)
        key = ", ".join(map(quoted, self.primary_key))
        new, changed = connection.execute(
            "SELECT count(*) FILTER (b._version IS NULL), "
            "count(*) FILTER (b._version <> n._version) "
            f"FROM ({self._versions(before.columns)}) n LEFT JOIN _before b USING ({key})"
        ).fetchall()[0]
        return new, changed

    def _versions(self, columns: list[str]) -> str:
        key = ", ".join(map(quoted, self.primary_key))
        values = ", ".join(map(quoted, columns))
        return f"SELECT {key}, hash({values}) AS _version FROM {self.qualified}"


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _value(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    return row[0] if row else None
