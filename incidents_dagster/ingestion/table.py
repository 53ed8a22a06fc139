"""What a resource's table in DuckDB holds: rows, columns, newest change, and what is news to it.

Reads only; its functions take an open connection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
from dlt.common.destination.capabilities import DataTypeMapper
from dlt.common.libs.pyarrow import columns_to_arrow
from dlt.common.schema.typing import TTableSchemaColumns
from dlt.destinations import duckdb as duckdb_destination
from dlt.extract import DltSource

from incidents_dagster.ingestion.settings import DATASET

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 8
PREVIEW_CHARACTERS = 60

# Set where a full read lacks the row, empty again where it is back.
DELETED_AT = "deleted_at"
DLT_COLUMNS = {
    "_dlt_load_id": "The dlt load that brought this version of the row; see _dlt_loads.",
    "_dlt_id": "dlt's own identifier of the row.",  # in tables that its plain path has made
}


@dataclass(frozen=True)
class Column:
    """A column of the table in DuckDB, with the description its configuration gives."""

    name: str
    type: str
    nullable: bool
    description: str | None


@dataclass(frozen=True)
class Table:
    """A resource's table: its name in DuckDB and what its configuration says of it.

    Attributes:
        name: Name in the schema `incidents`.
        primary_key: Its columns; empty where the resource has none.
        declared: Declared column → its dlt hints.
        write_disposition: How dlt loads it: `merge`, `replace` or `append`.
        merge_strategy: dlt's strategy of a merge, where the configuration names one.
    """

    name: str
    primary_key: list[str]
    declared: dict[str, Any]
    write_disposition: str = "merge"
    merge_strategy: str | None = None

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
            merge_strategy=hints.get("x-merge-strategy"),  # type: ignore[arg-type]
        )

    @property
    def qualified(self) -> str:
        """Schema and table, quoted for SQL."""
        return f'"{DATASET}"."{self.name}"'

    @property
    def typed(self) -> list[str]:
        """The columns whose data_type is declared."""
        return [name for name, column in self.declared.items() if "data_type" in column]

    @property
    def keyed(self) -> bool:
        """Whether a primary key tells rows apart: there is one, and rows are not appended."""
        return bool(self.primary_key) and self.write_disposition != "append"

    @property
    def takes_changes_alone(self) -> bool:
        """Whether loading nothing but new and changed rows comes to the same as loading all."""
        # "scd2" retires what is left out, and a merge_key deletes it.
        deletes_first = self.merge_strategy in (None, "delete-insert")
        by_key_alone = not any(column.get("merge_key") for column in self.declared.values())
        merged = self.keyed and self.write_disposition == "merge"
        return merged and deletes_first and by_key_alone

    @property
    def newest_first(self) -> str | None:
        """The column that tells which version is newer: the one the configuration sorts `desc`."""
        newest = [name for name, c in self.declared.items() if c.get("dedup_sort") == "desc"]
        return newest[0] if newest else None

    def version_of(self, rows: pa.Table) -> list[str]:
        """The columns of `rows` that tell one version of a row from another."""
        names = [*self.primary_key, self.newest_first]
        return [name for name in names if name in rows.column_names]  # type: ignore[misc]

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
            ).fetchall()
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

    def types(self, connection: duckdb.DuckDBPyConnection) -> TTableSchemaColumns:
        """dlt's hints for each column: as declared, in the type that the table has for it."""
        mapper = _type_mapper()
        hints = {name: {"name": name, **column} for name, column in self.declared.items()}
        for column in self.columns(connection):
            found = mapper.from_destination_type(column.type, None, None)
            hints.setdefault(column.name, {"name": column.name}).update(found)
        return hints  # type: ignore[return-value]

    def row_count(self, connection: duckdb.DuckDBPyConnection) -> int:
        """Rows in the table, those marked as deleted too; 0 where there is no table yet."""
        if not self.exists(connection):
            return 0
        return int(_value(connection, f"SELECT count(*) FROM {self.qualified}"))

    def deleted_count(self, connection: duckdb.DuckDBPyConnection) -> int:
        """Rows that are marked as deleted."""
        if not self.marks_deleted(connection):
            return 0
        sql = f"SELECT count({DELETED_AT}) FROM {self.qualified}"
        return int(_value(connection, sql))

    def marks_deleted(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether the table has the column for it, which those of earlier releases have not."""
        return self.takes_changes_alone and DELETED_AT in {c.name for c in self.columns(connection)}

    def present(self, connection: duckdb.DuckDBPyConnection) -> str:
        """SQL for the rows of the table that are not marked as deleted."""
        if not self.marks_deleted(connection):
            return self.qualified
        return f"(SELECT * FROM {self.qualified} WHERE {DELETED_AT} IS NULL)"

    def missing_from(
        self, connection: duckdb.DuckDBPyConnection, keys: pa.Table, within: str = "true"
    ) -> pa.Table:
        """The rows that are not marked as deleted and whose primary key is not among `keys`.

        Args:
            connection: Reads the table.
            keys: Primary keys.
            within: SQL condition that the rows have to meet.
        """
        connection.register("_keys", keys)
        same_key = " AND ".join(f"t.{k} = k.{k}" for k in map(quoted, self.primary_key))
        names = [c.name for c in self.columns(connection) if c.name not in DLT_COLUMNS]
        found = connection.sql(
            f"SELECT {', '.join(map(quoted, names))} FROM {self.present(connection)} t "
            f"ANTI JOIN _keys k ON {same_key} WHERE {within}"
        ).to_arrow_table()
        connection.unregister("_keys")
        return found

    def newest(self, connection: duckdb.DuckDBPyConnection) -> datetime | None:
        """The newest value of the `newest_first` column, in UTC; None where there is none."""
        if not self.newest_first:
            return None
        sql = f"SELECT max({quoted(self.newest_first)}) FROM {self.present(connection)}"
        value = _value(connection, sql)
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
            f"SELECT {shown} FROM {self.present(connection)} {order} LIMIT {PREVIEW_ROWS}"
        ).fetchall()
        return [dict(zip(names, (v or "" for v in row), strict=True)) for row in rows]

    def has_every_declared_column(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether the table is there with all columns that the configuration declares."""
        columns = {column.name for column in self.columns(connection)}
        return self.exists(connection) and {*self.typed} <= columns

    def no_rows(self) -> pa.Table:
        """No rows of the declared columns, to make the table of."""
        capabilities = duckdb_destination().capabilities()
        columns: Any = {name: {"name": name, **column} for name, column in self.declared.items()}
        return columns_to_arrow(columns, capabilities, "UTC").empty_table()

    def without_what_it_has(
        self, connection: duckdb.DuckDBPyConnection, rows: pa.Table, again: Sequence[str] = ()
    ) -> pa.Table:
        """The `rows` that would change the table: new keys, other values, no older versions.

        All of them where that is not enough, see `takes_changes_alone`.

        Args:
            connection: Reads the table.
            rows: As read from the API.
            again: Primary keys as text, of rows to load though the table has them.
        """
        existing = {c.name: c.type for c in self.columns(connection)}
        comparable = {*existing} & {*rows.column_names}
        if not self.takes_changes_alone or not {*self.primary_key} <= comparable:
            return rows
        # Comparing finds the positions alone, so that the rows' own types stay as they are.
        positions = pa.array(range(len(rows)), pa.int64())
        connection.register("_rows", rows.append_column("_position", positions))
        same_key = " AND ".join(f"t.{k} = r.{k}" for k in map(quoted, self.primary_key))
        differs = []
        for name in {*existing, *rows.column_names} - {*self.primary_key, *DLT_COLUMNS}:
            old = f"t.{quoted(name)}" if name in existing else "NULL"
            new = f"r.{quoted(name)}" if name in rows.column_names else "NULL"
            old = f"{old}::VARCHAR" if existing.get(name) == "JSON" else old
            differs.append(f"{old} IS DISTINCT FROM {new}")
        key = " || ', ' || ".join(f"CAST(r.{k} AS VARCHAR)" for k in map(quoted, self.primary_key))
        differs += [f"list_contains($again, {key})"] if again else []
        changed = " OR ".join(differs) or "false"
        if (newest := self.newest_first) in comparable and newest:
            older = f"coalesce(r.{quoted(newest)} < t.{quoted(newest)}, false)"
            if existing[newest].startswith("TIMESTAMP"):  # a time to come is a mistake to mend
                older += f" AND t.{quoted(newest)} <= now() + INTERVAL 1 DAY"
            changed = f"({changed}) AND NOT ({older})"
        if DELETED_AT in existing:  # back at the source, in whichever version
            changed = f"({changed}) OR t.{DELETED_AT} IS NOT NULL"
        found = connection.sql(
            f"SELECT r._position FROM _rows r LEFT JOIN {self.qualified} t ON {same_key} "
            f"WHERE t.{quoted(self.primary_key[0])} IS NULL OR ({changed}) ORDER BY ALL",
            params={"again": list(again)} if again else None,
        ).to_arrow_table()
        connection.unregister("_rows")
        return rows if len(found) == len(rows) else rows.take(found["_position"])

    def last_load(self, connection: duckdb.DuckDBPyConnection) -> str | None:
        """The newest dlt load that rows of the table are from."""
        if not self.exists(connection):
            return None
        return str(_value(connection, f"SELECT max(_dlt_load_id) FROM {self.qualified}"))

    def loaded_by(self, connection: duckdb.DuckDBPyConnection, load_id: str) -> tuple[int, int]:
        """Rows that a dlt load brought in their present version, and those marked as deleted."""
        marked = f"count({DELETED_AT})" if self.marks_deleted(connection) else "0"
        sql = f"SELECT count(*), {marked} FROM {self.qualified} WHERE _dlt_load_id = ?"
        ((loaded, deleted),) = connection.execute(sql, [load_id]).fetchall()
        return loaded, deleted


@cache
def _type_mapper() -> DataTypeMapper:
    return duckdb_destination().capabilities().get_type_mapper()


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _value(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: Any) -> Any:
    # All of them: DuckDB 2 takes a result that was not read to its end for unfinished.
    rows = connection.execute(sql, parameters).fetchall()
    return rows[0][0] if rows else None
