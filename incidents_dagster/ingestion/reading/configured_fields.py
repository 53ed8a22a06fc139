"""The fields that the key and the cursor name, and whether any record has had them.

That no record has one is a mistake in the settings, told before the load. A field that only some
records lack, or that is null, is none: `rows.batches` and `incremental` handle those.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.incremental import Incremental
from incidents_dagster.ingestion.rows.batches import Batch
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings_files import where
from incidents_dagster.ingestion.tables import DECLARED_FIELD, Table
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

# So many records without a key are enough to stop a read before its end.
ENOUGH = 20_000
MOST_SHOWN = 8
MOST_CHARACTERS = 40
# What a time of change is often called, if no field looks like the one that is configured.
OF_CHANGE = re.compile(r"updat|modif|chang|last", re.IGNORECASE)
KEY, CURSOR = "primary_key", "incremental.cursor_path"


class ConfiguredFields:
    """The configured fields of a resource, as far as no record has had them.

    Args:
        resource: Its name.
        unseen: Column → the setting that names it, and the field as it is named there.
        incremental: How the resource is read incrementally, if it is.
        table: Says which column a field has.
    """

    def __init__(
        self,
        resource: str,
        unseen: Mapping[str, tuple[str, str]],
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
        cls, name: str, incremental: Incremental | None, stored: StoredTable
    ) -> "ConfiguredFields":
        """Those of resource `name`; without a cursor that the table has values of."""
        table = stored.table
        unseen = {
            column: (KEY, table.declared[column][DECLARED_FIELD]) for column in table.primary_key
        }
        if incremental and not stored.has_values(incremental.column):
            unseen.setdefault(incremental.column, (CURSOR, incremental.field))
        return cls(name, unseen, incremental, table)

    def add(self, records: list[Any], batch: Batch) -> None:
        """Looks for the fields in records that arrived, and their rows.

        Raises:
            SettingsError: Very many records have arrived, and none has the key.
        """
        if not self._unseen:
            return
        self._records += len(records)
        self._forget(batch.rows.column_names if len(batch.rows) else [])
        if not self._unseen:
            return
        for record in records:  # a column without any value is in no row
            if isinstance(record, dict):
                self._there.update(dict.fromkeys(record))
        first: Any = next((record for record in records if isinstance(record, dict)), {})
        inner = ((name, value) for name, value in first.items() if isinstance(value, dict))
        self._below.update((f"{name}.{field}", None) for name, value in inner for field in value)
        self._forget(self._table.column_of(field) for field in self._there)
        if self._records >= ENOUGH:
            self._check(KEY)

    def check(self, known: TTableSchemaColumns) -> None:
        """Checks the settings against all records of a sync.

        Args:
            known: The table's columns, with those of the records.

        Raises:
            SettingsError: No record has the key or the cursor, or the cursor cannot have a lag.
        """
        self._check(KEY)
        self._check(CURSOR)
        if self._incremental:
            data_type = known.get(self._incremental.column, {}).get("data_type")
            self._incremental.check_lag(data_type, self._resource)

    def _forget(self, seen: Any) -> None:
        for column in seen:
            self._unseen.pop(column, None)

    def _check(self, setting: str) -> None:
        wanted = [field for one, field in self._unseen.values() if one == setting]
        if not wanted or not self._records:
            return
        raise SettingsError(
            f"{self._resource}: {setting} is {wanted[0]!r}, and no record has that field, so "
            f"nothing was loaded. {self._advice(setting, wanted[0])}"
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
        if nested := [tails[tail] for tail in _like(field.rpartition(".")[2], tails)]:
            fields += f" Below the top level, where it cannot be: {_listed(nested)}."
        return f"{fields} Set {setting} in {where('resources')}, or check endpoint.data_selector."


def _like(wanted: str, names: Mapping[str, Any]) -> list[str]:
    by_lower = {name.lower(): name for name in names}
    return [by_lower[n] for n in get_close_matches(wanted.lower(), by_lower, n=3, cutoff=0.6)]


def _listed(names: Any) -> str:
    short = [redact(name) for name in names if name.isprintable() and len(name) <= MOST_CHARACTERS]
    return ", ".join(short[:MOST_SHOWN]) + (", …" if len(short) > MOST_SHOWN else "")
