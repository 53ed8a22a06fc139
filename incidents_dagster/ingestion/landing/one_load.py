"""What one load of a resource works with, from the table as it is to what dlt has to load.

`changes` and `backfill` say what is read; here is what both do before and after that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.landing import quarantine
from incidents_dagster.ingestion.landing.bad_records import BadRecords
from incidents_dagster.ingestion.landing.landing import Landing
from incidents_dagster.ingestion.landing.table_state import TableState
from incidents_dagster.ingestion.reading.reader import Reader, Reading
from incidents_dagster.ingestion.reading.required_fields import RequiredFields
from incidents_dagster.ingestion.reading.source import OpenApi
from incidents_dagster.ingestion.reading.source_id import SourceId
from incidents_dagster.ingestion.reading.window_reader import WindowReader
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.ingestion.warehouse.store import StoreReader
from incidents_dagster.ingestion.warehouse.stored_key import check_key
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable


@dataclass(frozen=True)
class OneLoad:
    """A load of one resource.

    Attributes:
        api: The open API.
        name: The resource.
        source: What the records are read from.
        store: Where the table is; open while it is queried.
        stored: The table as it is before the load.
        known: The table's columns with dlt's hints; those of the records are added.
        state: What earlier syncs remember about the table; changed in place.
        fields: Looks for the configured fields in the records.
        bad: Receives the bad records.
        landing: Takes what arrives.
    """

    api: OpenApi
    name: str
    source: SourceId
    store: StoreReader
    stored: StoredTable
    known: TTableSchemaColumns
    state: TableState
    fields: RequiredFields
    bad: BadRecords
    landing: Landing
    _remembered: dict[str, Any]

    @classmethod
    @contextmanager
    def of(
        cls, api: OpenApi, name: str, store: StoreReader, source: SourceId
    ) -> Iterator["OneLoad"]:
        """Reads what is known about the table of resource `name`; releases the store in the end.

        Raises:
            SettingsError: The table has another primary key than the configured one.
        """
        with store:
            stored = StoredTable(Table.of(api.declared, name), store)
            check_key(stored, name, store.name)
            known = stored.types()
            if "_dlt_id" in known:  # created by plain dlt, which gives rows ids
                dlt.config["normalize.parquet_normalizer.add_dlt_id"] = True
            # Not in the resource's own state, which dlt resets whenever a table is replaced.
            remembered = dlt.current.source_state().setdefault("tables", {}).setdefault(name, {})
            state = TableState.read(remembered)
            state.turn_to(source)
            same_paths = not state.fills_otherwise(source)
            bad = BadRecords(name, api.settings.quarantine_share)
            yield cls(
                api,
                name,
                source,
                store,
                stored,
                known,
                state,
                RequiredFields.of(name, api.incremental.get(name), stored, same_paths),
                bad,
                Landing(stored, bad, quarantine.waiting(store, name, stored.table)),
                remembered,
            )

    def reader(self) -> Reader:
        """Reads the resource at once."""
        return Reader(self.api, self.name, self.known, self.fields, self.state.pages)

    def window_reader(self) -> WindowReader | None:
        """Reads it window by window; None if it has no windows."""
        if not (windows := self.api.own[self.name].windows):
            return None
        incremental = self.api.incremental[self.name]
        return WindowReader(self.reader(), windows, incremental, self.landing.keep)

    def rest(self) -> Iterator[pa.Table]:
        """Checks all that has arrived, and yields the rows that were held back.

        Raises:
            Exception: A configured field is nowhere, or there are too many bad records.
        """
        self.fields.check(self.known)
        self.bad.check()
        yield from self.landing.rest()

    def end(self, readings: list[Reading]) -> Iterator[Any]:
        """Saves the state, and yields what dlt needs besides the rows."""
        self.state.save(self._remembered)
        landing, table = self.landing, self.stored.table
        if landing.last is not None and table.takes_changes_alone:
            # If no row comes twice, dlt need not look for the newest, which takes a quarter of a
            # large load's memory. dlt ignores a False in its public hint, `deduplicated`.
            hint: dict[str, Any] = {"x-stage-data-deduplicated": landing.unique(*readings)}
            made = dlt.mark.make_hints(additional_table_hints=hint)
            yield dlt.mark.with_hints(landing.last, made)
        if landing.last is None and not self.stored.has_every_declared_column():
            # Without rows, dlt creates no table and no columns unless told to; its own marker
            # would also create an id column that may not be null.
            yield self.stored.no_rows()
        yield from quarantine.load(self.store, self.name, self.bad.records, table)
