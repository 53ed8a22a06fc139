"""Fields that some record must have: of the key, the cursor, the status and the creation.

If no record has one, the settings are wrong, and the sync says so before the load. That some
records lack one, or have null, is no such mistake: `rows.batches` and `incremental` handle those.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.incremental import Incremental
from incidents_dagster.ingestion.rows.batches import Batch
from incidents_dagster.ingestion.rows.filled import Filled, filled_columns
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings_files import SourceSection
from incidents_dagster.ingestion.tables import DECLARED_FIELD, Table
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

# So many records without a key are enough to stop a read before its end.
ENOUGH = 20_000
MOST_SHOWN = 8
MOST_CHARACTERS = 40
# What a time of change is often called, if no field looks like the one that is configured.
OF_CHANGE = re.compile(r"updat|modif|chang|last", re.IGNORECASE)
KEY, CURSOR = "primary_key", "incremental.cursor_path"
IN_EVERY_RECORD = ("status", "created_at")


@dataclass(frozen=True)
class Wanted:
    """A field that some record has to have.

    Attributes:
        setting: The setting that names it.
        field: As it is named there.
        filled: Where the values of its column are, if paths fill it.
        is_key: Whether it is of the primary key.
    """

    setting: str
    field: str
    filled: Filled | None = None
    is_key: bool = False


class RequiredFields:
    """The fields that some record has to have, as far as none has had them.

    Args:
        resource: Its name.
        unseen: Column → the field that it is to have.
        incremental: How the resource is read incrementally, if it is.
        table: Says which column a field has.
    """

    def __init__(
        self,
        resource: str,
        unseen: Mapping[str, Wanted],
        incremental: Incremental | None,
        table: Table,
    ) -> None:
        self._resource, self._unseen = resource, {**unseen}
        self._incremental, self._table = incremental, table
        self._records = 0
        self._there: dict[str, None] = {}  # names of fields
        self._below: dict[str, None] = {}  # and of those one level below, with a dot

    @classmethod
    def of(
        cls,
        name: str,
        incremental: Incremental | None,
        stored: StoredTable,
        same_paths: bool = True,
    ) -> "RequiredFields":
        """Those of resource `name`, but the key's alone where the table has values.

        Args:
            name: The resource.
            incremental: How it is read incrementally, if it is.
            stored: Its table.
            same_paths: Whether the table's values are from the paths that are configured now.
        """
        table = stored.table
        filled = filled_columns(table.declared)

        def wanted(column: str, setting: str, field: str) -> Wanted:
            paths, is_key = filled.get(column), column in table.primary_key
            if paths:
                return Wanted(f"fields.{column}", ", ".join(paths.paths), paths, is_key)
            return Wanted(setting, field, is_key=is_key)

        unseen = {
            column: wanted(column, KEY, table.declared[column].get(DECLARED_FIELD, column))
            for column in table.primary_key
        }
        others = {column: "" for column in IN_EVERY_RECORD if column in filled}
        if incremental:
            others[incremental.column] = incremental.field
        for column, field in others.items():
            if not stored.has_values(column) or (column in filled and not same_paths):
                unseen.setdefault(column, wanted(column, CURSOR, field))
        return cls(name, unseen, incremental, table)

    def add(self, records: list[Any], batch: Batch) -> None:
        """Looks for the fields in records that arrived, and their rows.

        Raises:
            SettingsError: Very many records have arrived, and none has the key.
        """
        if not self._unseen:
            return
        self._records += len(records)
        objects = [record for record in records if isinstance(record, dict)]
        self._forget(batch.rows.column_names if len(batch.rows) else ())
        for column, wanted in [*self._unseen.items()]:
            if wanted.filled and any(map(wanted.filled.is_in, objects)):
                del self._unseen[column]
        if not self._unseen:
            return
        for record in objects:  # a column without any value is in no row
            self._there.update(dict.fromkeys(record))
        inner = ((name, value) for name, value in (objects or [{}])[0].items())
        self._below.update(
            (f"{name}.{field}", None)
            for name, value in inner
            if isinstance(value, dict)
            for field in value
        )
        self._forget(self._table.column_of(field) for field in self._there)
        if self._records >= ENOUGH:
            self._check(wanted for wanted in self._unseen.values() if wanted.is_key)

    def check(self, known: TTableSchemaColumns) -> None:
        """Checks the settings against all records of a sync.

        Args:
            known: The table's columns, with those of the records.

        Raises:
            SettingsError: No record has one of the fields, or the cursor cannot have a lag.
        """
        self._check(self._unseen.values())
        if self._incremental:
            data_type = known.get(self._incremental.column, {}).get("data_type")
            self._incremental.check_lag(data_type, self._resource)

    def _forget(self, seen: Iterable[str]) -> None:
        for column in seen:
            if column in self._unseen and not self._unseen[column].filled:
                del self._unseen[column]

    def _check(self, unseen: Iterable[Wanted]) -> None:
        wanted = next(iter(unseen), None)
        if not wanted or not self._records:
            return
        raise SettingsError(
            f"{self._resource}: {wanted.setting} is {wanted.field!r}, and no record has that "
            f"field, so nothing was loaded. {self._advice(wanted.setting, wanted.field)}"
        )

    def _advice(self, setting: str, field: str) -> str:
        if not self._there:
            return "They are no objects with fields: check endpoint.data_selector."
        like = _like(field, self._there)
        if setting == CURSOR:
            like += [name for name in self._there if OF_CHANGE.search(name) and name not in like]
        fields = f"Fields that look like it: {_listed(like)}." if like else ""
        fields = fields or f"They have: {_listed(self._there)}."
        tails = {path.partition(".")[2]: path for path in self._below}
        name = field.rpartition(".")[2]
        if nested := [tails[tail] for tail in _like(name, tails)]:
            fields += f" Below the top level, where fields can name it: {_listed(nested)}."
        place = SourceSection(self._table.schema).where("resources")
        return f"{fields} Set {setting} in {place}, or check endpoint.data_selector."


def _like(wanted: str, names: Mapping[str, Any]) -> list[str]:
    by_lower = {name.lower(): name for name in names}
    return [by_lower[n] for n in get_close_matches(wanted.lower(), by_lower, n=3, cutoff=0.6)]


def _listed(names: Any) -> str:
    short = [redact(name) for name in names if name.isprintable() and len(name) <= MOST_CHARACTERS]
    return ", ".join(short[:MOST_SHOWN]) + (", …" if len(short) > MOST_SHOWN else "")
