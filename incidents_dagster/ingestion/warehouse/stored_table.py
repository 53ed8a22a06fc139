"""A resource's table in the DuckDB file: its rows and columns, and which rows are new to it.

Only reads. `tables` has what the configuration says about the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import duckdb
import pyarrow as pa
from dlt.common.libs.pyarrow import columns_to_arrow
from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.rows.column_types import capabilities
from incidents_dagster.ingestion.tables import DATASET, DELETED_AT, Column, Since, Table, quoted

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 8
PREVIEW_CHARACTERS = 60

DLT_COLUMNS = {
    "_dlt_load_id": "The dlt load that wrote this version of the row; see _dlt_loads.",
    "_dlt_id": "dlt's own identifier of the row.",  # in tables that plain dlt has created
}


@dataclass(frozen=True)
class StoredTable:
    """A table in the file.

    Attributes:
        table: What the configuration says about it.
        connection: An open connection to the file.
    """

    table: Table
    connection: duckdb.DuckDBPyConnection

    def exists(self) -> bool:
        """Whether a sync has created the table yet."""
        return bool(self.columns())

    def columns(self) -> list[Column]:
        """The table's columns in their order."""
        found = self.connection.execute(
            "SELECT column_name, data_type, is_nullable FROM duckdb_columns() "
            "WHERE schema_name = ? AND table_name = ? ORDER BY column_index",
            [DATASET, self.table.name],
        ).fetchall()
        descriptions = {
            n: c.get("description") for n, c in self.table.declared.items()
        } | DLT_COLUMNS
        return [Column(n, kind, nullable, descriptions.get(n)) for n, kind, nullable in found]

    def types(self) -> TTableSchemaColumns:
        """dlt's hints for each column: as declared, but with the type that it has in the table."""
        mapper = capabilities().get_type_mapper()
        hints = {name: {"name": name, **column} for name, column in self.table.declared.items()}
        for column in self.columns():
            found = mapper.from_destination_type(column.type, None, None)
            hints.setdefault(column.name, {"name": column.name}).update(found)
        return hints  # type: ignore[return-value]

    def row_count(self) -> int:
        """Rows in the table, including those marked as deleted; 0 if there is no table yet."""
        if not self.exists():
            return 0
        return int(self._value(f"SELECT count(*) FROM {self.table.qualified}"))

    def marks_deleted(self) -> bool:
        """Whether the table has the column for it, which tables of earlier releases lack."""
        return self.table.takes_changes_alone and DELETED_AT in {c.name for c in self.columns()}

    def present(self) -> str:
        """SQL for the rows of the table that are not marked as deleted."""
        if not self.marks_deleted():
            return self.table.qualified
        return f"(SELECT * FROM {self.table.qualified} WHERE {DELETED_AT} IS NULL)"

    def missing_from(self, keys: pa.Table, since: Since | None = None) -> pa.Table:
        """The rows that are not marked as deleted and whose primary key is not among `keys`.

        Args:
            keys: Primary keys.
            since: Leaves out rows that did not change since then.
        """
        self.connection.register("_keys", keys)
        same_key = " AND ".join(f"t.{k} = k.{k}" for k in map(quoted, self.table.primary_key))
        names = [c.name for c in self.columns() if c.name not in DLT_COLUMNS]
        found = self.connection.sql(
            f"SELECT {', '.join(map(quoted, names))} FROM {self.present()} t "
            f"ANTI JOIN _keys k ON {same_key} WHERE {_changed(since)}"
        ).to_arrow_table()
        self.connection.unregister("_keys")
        return found

    def count(self, since: Since | None = None) -> int:
        """Rows that are not marked as deleted, all or those that changed since then."""
        return int(self._value(self.counting(since)))

    def counting(self, since: Since | None = None) -> str:
        """The SQL of `count`."""
        return f"SELECT count(*) FROM {self.present()} WHERE {_changed(since)}"

    def newest_row(self, column: str) -> tuple[Any, dict[str, Any]] | None:
        """The newest value of `column` that is not in the future, and the primary key of its row.

        None if the table has no such value.
        """
        cursor, keys = quoted(column), self.table.primary_key
        timed = {c.name: c.type for c in self.columns()}[column].startswith(("TIMESTAMP", "DATE"))
        # A time in the future would otherwise hide all changes until then.
        usable = f"{cursor} <= now()" if timed else f"{cursor} IS NOT NULL"
        rows = self.connection.execute(
            f"SELECT {', '.join([cursor, *map(quoted, keys)])} FROM {self.present()} "
            f"WHERE {usable} ORDER BY {cursor} DESC LIMIT 1"
        ).fetchall()
        return (rows[0][0], dict(zip(keys, rows[0][1:], strict=True))) if rows else None

    def has_values(self, column: str) -> bool:
        """Whether any row has a value in `column`."""
        if column not in {c.name for c in self.columns()}:
            return False
        sql = f"SELECT 1 FROM {self.table.qualified} WHERE {quoted(column)} IS NOT NULL LIMIT 1"
        return bool(self._value(sql))

    def newest(self) -> datetime | None:
        """The newest value of the `newest_first` column, in UTC; None if there is none."""
        if not self.table.newest_first:
            return None
        sql = f"SELECT max({quoted(self.table.newest_first)}) FROM {self.present()}"
        value = self._value(sql)
        if not isinstance(value, datetime):
            return None
        in_utc = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return in_utc.astimezone(timezone.utc)

    def preview(self) -> list[dict[str, str]]:
        """The newest rows, declared columns first, each value as short text."""
        order = (
            f"ORDER BY {quoted(self.table.newest_first)} DESC NULLS LAST"
            if self.table.newest_first
            else ""
        )
        names = [c.name for c in self.columns() if c.name not in DLT_COLUMNS]
        names = names[:PREVIEW_COLUMNS]
        shown = ", ".join(
            f"left(CAST({quoted(name)} AS VARCHAR), {PREVIEW_CHARACTERS})" for name in names
        )
        self.connection.execute("SET TimeZone = 'UTC'")
        rows = self.connection.execute(
            f"SELECT {shown} FROM {self.present()} {order} LIMIT {PREVIEW_ROWS}"
        ).fetchall()
        return [dict(zip(names, (v or "" for v in row), strict=True)) for row in rows]

    def has_every_declared_column(self) -> bool:
        """Whether the table exists with all columns that the configuration declares."""
        columns = {column.name for column in self.columns()}
        return self.exists() and {*self.table.typed} <= columns

    def no_rows(self) -> pa.Table:
        """An empty table with the declared columns, for dlt to create the table from."""
        columns: Any = {
            name: {"name": name, **column} for name, column in self.table.declared.items()
        }
        return columns_to_arrow(columns, capabilities(), "UTC").empty_table()

    def without_what_it_has(self, rows: pa.Table, again: Sequence[str] = ()) -> pa.Table:
        """The `rows` that would change the table: new keys, other values, no older versions.

        All of them if that is not enough: see `takes_changes_alone`.

        Args:
            rows: As read from the API.
            again: Primary keys, as text, of rows to load even if the table has them.
        """
        existing = {c.name: c.type for c in self.columns()}
        comparable = {*existing} & {*rows.column_names}
        if not self.table.takes_changes_alone or not {*self.table.primary_key} <= comparable:
            return rows
        # The query only returns positions, so that the rows keep their types.
        positions = pa.array(range(len(rows)), pa.int64())
        self.connection.register("_rows", rows.append_column("_position", positions))
        same_key = " AND ".join(f"t.{k} = r.{k}" for k in map(quoted, self.table.primary_key))
        differs = []
        for name in {*existing, *rows.column_names} - {*self.table.primary_key, *DLT_COLUMNS}:
            old = f"t.{quoted(name)}" if name in existing else "NULL"
            new = f"r.{quoted(name)}" if name in rows.column_names else "NULL"
            old = f"{old}::VARCHAR" if existing.get(name) == "JSON" else old
            differs.append(f"{old} IS DISTINCT FROM {new}")
        key = " || ', ' || ".join(
            f"CAST(r.{k} AS VARCHAR)" for k in map(quoted, self.table.primary_key)
        )
        differs += [f"list_contains($again, {key})"] if again else []
        changed = " OR ".join(differs) or "false"
        if (newest := self.table.newest_first) in comparable and newest:
            older = f"coalesce(r.{quoted(newest)} < t.{quoted(newest)}, false)"
            if existing[newest].startswith("TIMESTAMP"):  # a time in the future is a mistake
                older += f" AND t.{quoted(newest)} <= now() + INTERVAL 1 DAY"
            changed = f"({changed}) AND NOT ({older})"
        if DELETED_AT in existing:  # back at the API, in whichever version
            changed = f"({changed}) OR t.{DELETED_AT} IS NOT NULL"
        found = self.connection.sql(
            f"SELECT r._position FROM _rows r LEFT JOIN {self.table.qualified} t ON {same_key} "
            f"WHERE t.{quoted(self.table.primary_key[0])} IS NULL OR ({changed}) ORDER BY ALL",
            params={"again": list(again)} if again else None,
        ).to_arrow_table()
        self.connection.unregister("_rows")
        return rows if len(found) == len(rows) else rows.take(found["_position"])

    def last_load(self) -> str | None:
        """The newest dlt load in the table."""
        if not self.exists():
            return None
        return str(self._value(f"SELECT max(_dlt_load_id) FROM {self.table.qualified}"))

    def loaded_by(self, load_id: str) -> tuple[int, int]:
        """Rows whose present version is from a dlt load, and those of them marked as deleted."""
        marked = f"count({DELETED_AT})" if self.marks_deleted() else "0"
        sql = f"SELECT count(*), {marked} FROM {self.table.qualified} WHERE _dlt_load_id = ?"
        ((loaded, deleted),) = self.connection.execute(sql, [load_id]).fetchall()
        return loaded, deleted

    def _value(self, sql: str, *parameters: Any) -> Any:
        # All rows: DuckDB 2 treats a result that was not read to its end as unfinished.
        rows = self.connection.execute(sql, parameters).fetchall()
        return rows[0][0] if rows else None


def _changed(since: Since | None) -> str:
    """SQL: whether a row changed since then."""
    if since is None:
        return "true"
    value = since.value.replace("'", "''")
    return f"{quoted(since.column)} >= '{value}'"
