"""What the configuration says about a resource's table: its name, key and columns. Runs no SQL.

`warehouse.stored_table` reads what the table holds.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from dlt.extract import DltSource

from incidents_dagster.ingestion.naming import NAMING, column_name, columns_of

# The first source; a source's name is its schema in the DuckDB file, and its dlt dataset, pipeline
# and schema.
FIRST = "incidents"
# The view over all sources, in the schema of the first one; no resource may have its name.
INCIDENTS = "incidents"
# Tables of the project's own in that schema: the proven syncs, and what they saw change.
SYNCS, CHANGE_LOG = "syncs", "change_log"
# The table of records that cannot be loaded.
QUARANTINE = "quarantine"
# Set if a full read lacks the row, null again when it is back.
DELETED_AT = "deleted_at"
# Hints of a column: the field that it holds, and the one that the configuration names.
FIELD = "x-field"
DECLARED_FIELD = "x-declared-field"
# Or how it is filled from paths in the records: see `rows.filled`.
FILLED = "x-filled"
# Of the columns that `fields` names.
NAMED = "x-named"
# Of the column `phase`: the phase of rows that the API's list no longer has.
ABSENT = "x-absent"


@dataclass(frozen=True)
class Column:
    """A column of a table in DuckDB.

    Attributes:
        name: Its name.
        type: Its type in DuckDB; until the table exists, dlt's.
        nullable: Whether it may be null.
        comment: What the configuration says about it, else its comment in DuckDB.
        field: The API's field; None if it has none, or the table does not know it.
    """

    name: str
    type: str
    nullable: bool
    comment: str | None
    field: str | None = None

    @property
    def description(self) -> str | None:
        """The comment, and the field if that has another name."""
        field = f"Field: {self.field}" if self.field not in (None, self.name) else None
        return " ".join(filter(None, [self.comment, field])) or None


@dataclass(frozen=True)
class Since:
    """What an incremental sync asks for: the rows that changed at or after a moment.

    Attributes:
        column: The cursor column.
        value: Its lowest value, as text.
    """

    column: str
    value: str


@dataclass(frozen=True)
class Table:
    """A resource's table: its name in DuckDB and what its configuration says about it.

    Attributes:
        name: Its name in its schema.
        primary_key: Its columns; empty if the resource has none.
        declared: Declared column → its dlt hints.
        write_disposition: How dlt loads it: `merge`, `replace` or `append`.
        merge_strategy: dlt's merge strategy, if the configuration names one.
        schema: Its schema in the DuckDB file, which has the name of the source.
    """

    name: str
    primary_key: list[str]
    declared: dict[str, Any]
    write_disposition: str = "merge"
    merge_strategy: str | None = None
    schema: str = FIRST

    @classmethod
    def of(cls, source: DltSource, resource_name: str) -> "Table":
        """The table that a resource of `source` is loaded into, with the names in DuckDB."""
        hints = source.resources[resource_name].compute_table_schema()
        given: dict[str, Any] = hints["columns"]
        filled = {name for name, column in given.items() if FILLED in column}
        fields = columns_of(given.keys() - filled)
        columns: dict[str, dict[str, Any]] = {}
        for field, column in given.items():
            if field in filled:
                columns[field] = {**column, "name": field}
                continue
            name = fields[field]
            name = of_source(name) if name in filled else name
            columns[name] = {**column, "name": name, DECLARED_FIELD: field}
        return cls(
            name=NAMING.normalize_path(str(hints["name"])),
            primary_key=[name for name, column in columns.items() if column.get("primary_key")],
            declared=columns,
            write_disposition=str(hints.get("write_disposition") or "append"),
            merge_strategy=hints.get("x-merge-strategy"),  # type: ignore[arg-type]
            schema=source.name,
        )

    @classmethod
    def all_of(cls, source: DltSource) -> dict[str, "Table"]:
        """Resource name → its table, for all resources of `source`."""
        return {name: cls.of(source, name) for name in source.resources}

    def column_of(self, field: str) -> str:
        """The column of a field that the configuration names, declared or not."""
        declared = {hints.get(DECLARED_FIELD): name for name, hints in self.declared.items()}
        return declared.get(field) or column_name(field)

    def fields_of(self, columns: Iterable[str], record: Collection[str]) -> list[str]:
        """The fields of a record that these columns get, leaving out columns without one."""
        found = (self._field_of(column, record) for column in columns)
        return [field for field in found if field is not None]

    def _field_of(self, column: str, record: Collection[str]) -> str | None:
        declared = self.declared.get(column, {}).get(DECLARED_FIELD)
        for field in (declared, column):
            if field in record:
                return field
        return min((field for field in record if column_name(field) == column), default=None)

    @property
    def qualified(self) -> str:
        """Schema and table, quoted for SQL."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def typed(self) -> list[str]:
        """The columns whose data_type is declared."""
        return [name for name, column in self.declared.items() if "data_type" in column]

    @property
    def keyed(self) -> bool:
        """Whether a primary key identifies rows: there is one, and rows are not appended."""
        return bool(self.primary_key) and self.write_disposition != "append"

    @property
    def takes_changes_alone(self) -> bool:
        """Whether loading only new and changed rows has the same result as loading all."""
        # "scd2" retires what is left out, and a merge_key deletes it.
        deletes_first = self.merge_strategy in (None, "delete-insert")
        by_key_alone = not any(column.get("merge_key") for column in self.declared.values())
        merged = self.keyed and self.write_disposition == "merge"
        return merged and deletes_first and by_key_alone

    @property
    def names_fields(self) -> bool:
        """Whether `fields` says which of the API's fields are what."""
        return any(NAMED in column for column in self.declared.values())

    @property
    def absent_phase(self) -> str:
        """The phase of rows that the API's list no longer has; empty if they are just deleted."""
        return str(self.declared.get("phase", {}).get(ABSENT, ""))

    @property
    def newest_first(self) -> str | None:
        """The column that shows which version is newer: the one with `dedup_sort = "desc"`."""
        newest = [name for name, c in self.declared.items() if c.get("dedup_sort") == "desc"]
        return newest[0] if newest else None

    def version_of(self, rows: pa.Table) -> list[str]:
        """The columns of `rows` that identify one version of a row."""
        names = [*self.primary_key, self.newest_first]
        return [name for name in names if name in rows.column_names]  # type: ignore[misc]

    @property
    def declared_columns(self) -> list[Column]:
        """The columns as configured, with dlt's names for their types."""
        return [
            Column(
                n,
                c.get("data_type", "text"),
                c.get("nullable", True),
                c.get("description"),
                c.get(DECLARED_FIELD),
            )
            for n, c in self.declared.items()
        ]


def staging_of(schema: str) -> str:
    """The schema of what dlt is about to merge into `schema`; each sync drops it.

    A schema with dlt's default name for it, such as `incidents_staging`, may be a user's.
    """
    return f"_dlt_{schema}_staging"


def of_source(column: str) -> str:
    """The column of a field of the API whose own column holds something else."""
    return f"source_{column}"


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def same_key(key: Iterable[str], one: str, other: str) -> str:
    """SQL: whether rows of two aliases have the same primary key."""
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in map(quoted, key))


def key_as_text(values: Iterable[Any]) -> str:
    """A primary key as one text that no other key has: `7`; `a, 7`; `a\\, b, 7`."""
    texts = [str(value) for value in values]
    if len(texts) == 1:
        return texts[0]
    return ", ".join(text.replace("\\", "\\\\").replace(",", "\\,") for text in texts)


def keys_as_text(rows: pa.Table, key: Iterable[str]) -> list[str]:
    """`key_as_text` of each row."""
    return [*map(key_as_text, zip(*(rows[name].to_pylist() for name in key), strict=True))]


def key_as_text_sql(key: Iterable[str], alias: str) -> str:
    """SQL for `key_as_text`."""
    texts = [f"CAST({alias}.{name} AS VARCHAR)" for name in map(quoted, key)]
    if len(texts) == 1:
        return texts[0]
    return " || ', ' || ".join(rf"replace(replace({text}, '\', '\\'), ',', '\,')" for text in texts)
