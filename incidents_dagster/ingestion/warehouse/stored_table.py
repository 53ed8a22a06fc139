"""A resource's table in the store: its rows and columns.

Only reads. `tables` has what the configuration says about the table, `comparison` says how rows
that were read differ from it.
"""

from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

import pyarrow as pa
from dlt.common.libs.pyarrow import columns_to_arrow
from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.rows.column_types import capabilities
from incidents_dagster.ingestion.tables import (
    DELETED_AT,
    FIELD,
    Column,
    Since,
    Table,
    quoted,
    same_key,
)
from incidents_dagster.ingestion.warehouse import catalog, comments
from incidents_dagster.ingestion.warehouse.store import Connection
from incidents_dagster.ingestion.warehouse.times import Times

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 8
PREVIEW_CHARACTERS = 60

DLT_COLUMNS = {
    "_dlt_load_id": "The dlt load that wrote this version of the row; see _dlt_loads.",
    "_dlt_id": "dlt's own identifier of the row.",  # in tables that plain dlt has created
}


@dataclass(frozen=True)
class StoredTable:
    """A table in the store.

    Attributes:
        table: What the configuration says about it.
        connection: Reads the store.
    """

    table: Table
    connection: Connection

    def exists(self) -> bool:
        """Whether a sync has created the table yet."""
        return bool(self.columns())

    def columns(self) -> list[Column]:
        """The table's columns in their order."""
        descriptions = {
            n: c.get("description") for n, c in self.table.declared.items()
        } | DLT_COLUMNS
        found = []
        for one in catalog.columns(self.connection, self.table.schema, self.table.name):
            described, field = comments.split(one.comment)
            described = descriptions.get(one.name) or described
            found.append(Column(one.name, one.type, one.nullable, described, field))
        return found

    def types(self) -> TTableSchemaColumns:
        """dlt's hints for each column: as declared, but with the type that it has in the table."""
        mapper = capabilities().get_type_mapper()
        hints: dict[str, Any] = {n: {"name": n, **c} for n, c in self.table.declared.items()}
        for column in self.columns():
            found = mapper.from_destination_type(column.type, None, None)
            hint = hints.setdefault(column.name, {"name": column.name})
            hint.update(found)
            if column.field:
                hint[FIELD] = column.field
        return hints

    def row_count(self) -> int:
        """Rows in the table, including those marked as deleted; 0 if there is no table yet."""
        if not self.exists():
            return 0
        return int(self._value(f"SELECT count(*) FROM {self.table.qualified}"))

    def marks_deleted(self) -> bool:
        """Whether the table has the column for it, which tables of earlier releases lack."""
        return self.table.takes_changes_alone and DELETED_AT in {c.name for c in self.columns()}

    def present(self, marked: bool = False) -> str:
        """SQL for the rows of the table that are not marked as deleted, or those that are."""
        if not self.marks_deleted():
            return self.table.qualified
        which = "IS NOT NULL" if marked else "IS NULL"
        return f"(SELECT * FROM {self.table.qualified} WHERE {DELETED_AT} {which})"

    def missing_from(
        self, keys: pa.Table, since: Since | None = None, marked: bool = False
    ) -> pa.Table:
        """The rows that are not marked as deleted and whose primary key is not among `keys`.

        Args:
            keys: Primary keys; no columns if there are none.
            since: Leaves out rows that did not change since then.
            marked: Returns those that are marked instead.
        """
        names = [c.name for c in self.columns() if c.name not in DLT_COLUMNS]
        rows = f"SELECT {', '.join(map(quoted, names))} FROM {self.present(marked)} t "
        if not len(keys):
            return self.connection.sql(f"{rows} WHERE {_changed(since)}").to_arrow_table()
        self.connection.register("_keys", keys)
        same = same_key(self.table.primary_key, "t", "k")
        found = self.connection.sql(
            f"{rows} ANTI JOIN _keys k ON {same} WHERE {_changed(since)}"
        ).to_arrow_table()
        self.connection.unregister("_keys")
        return found

    def still_open(self, keys: pa.Table) -> pa.Table:
        """The primary keys of rows that are not closed, and not among `keys`; the oldest first.

        A row without a phase counts as open, as nobody knows. Needs the columns of `phases`.
        """
        names = ", ".join(f"t.{quoted(name)}" for name in self.table.primary_key)
        missing = ""
        if len(keys):
            self.connection.register("_keys", keys)
            missing = f"ANTI JOIN _keys k ON {same_key(self.table.primary_key, 't', 'k')}"
        oldest = "t.created_at, " if "created_at" in {c.name for c in self.columns()} else ""
        found = self.connection.sql(
            f"SELECT {names} FROM {self.present()} t {missing} "
            f"WHERE coalesce(t.phase, 'open') IN ('open', 'acknowledged') ORDER BY {oldest}{names}"
        ).to_arrow_table()
        if missing:
            self.connection.unregister("_keys")
        return found

    def among(self, keys: pa.Table) -> pa.Table:
        """The rows, not marked as deleted, whose primary key is among `keys`."""
        if not len(keys) or not self.marks_deleted():
            return pa.table({})
        names = [c.name for c in self.columns() if c.name not in DLT_COLUMNS]
        self.connection.register("_keys", keys)
        same = same_key(self.table.primary_key, "t", "k")
        rows = f"SELECT {', '.join(map(quoted, names))} FROM {self.present()} t"
        found = self.connection.sql(f"{rows} SEMI JOIN _keys k ON {same}").to_arrow_table()
        self.connection.unregister("_keys")
        return found

    def lacks(self, keys: pa.Table) -> int:
        """How many of these primary keys the table does not have."""
        if not len(keys) or not self.exists():
            return len(keys)
        self.connection.register("_keys", keys)
        same = same_key(self.table.primary_key, "t", "k")
        sql = f"SELECT count(*) FROM _keys k ANTI JOIN {self.table.qualified} t ON {same}"
        found = int(self._value(sql))
        self.connection.unregister("_keys")
        return found

    def time_columns(self) -> list[str]:
        """The columns of times, declared ones first."""
        times = [c.name for c in self.columns() if c.type.startswith(("TIMESTAMP", "DATE"))]
        ours = [name for name in times if name not in (DELETED_AT, *DLT_COLUMNS)]
        return sorted(ours, key=lambda name: name not in self.table.declared)

    def count(self, since: Since | None = None) -> int:
        """Rows that are not marked as deleted, all or those that changed since then."""
        return int(self._value(self.counting(since)))

    def counting(self, since: Since | None = None) -> str:
        """The SQL of `count`."""
        return f"SELECT count(*) FROM {self.present()} WHERE {_changed(since)}"

    def newest_row(self, column: str, until: Any = None) -> tuple[Any, dict[str, Any]] | None:
        """The newest value of `column`, and the primary key of its row, or None.

        Args:
            column: The column.
            until: The last value to look at, of its `times`; None for all values.
        """
        times, keys = None if until is None else self.times(column), self.table.primary_key
        order = times.sql() if times else quoted(column)
        rows = self.connection.execute(
            f"SELECT {', '.join(map(quoted, [column, *keys]))} FROM {self.present()} "
            f"WHERE {order} {'<= $until' if times else 'IS NOT NULL'} "
            f"ORDER BY {order} DESC LIMIT 1",
            {"until": until} if times else None,
        ).fetchall()
        return (rows[0][0], dict(zip(keys, rows[0][1:], strict=True))) if rows else None

    def times(self, column: str) -> Times | None:
        """How a column holds times; None if it does not."""
        if column not in self._times:
            kind = {c.name: c.type for c in self.columns()}.get(column, "")
            self._times[column] = Times.of(column, kind, self._median)
        return self._times[column]

    @cached_property
    def _times(self) -> dict[str, Times | None]:
        return {}  # numbers and texts need a look at all rows

    def _median(self, sql: str) -> float:
        return float(self._value(f"SELECT median({sql}) FROM {self.present()}") or 0)

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
