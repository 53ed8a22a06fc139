"""The first read of a resource that is read in windows: a load for every few of them.

A sync that is killed meanwhile goes on at the last window that was loaded. Once the last one is,
the table is whole if each was proven, and the sync goes on as any other.
"""

from collections.abc import Generator
from datetime import datetime
from typing import Any

from incidents_dagster.ingestion.landing.one_load import OneLoad
from incidents_dagster.ingestion.landing.table_state import TableState
from incidents_dagster.ingestion.reading.proof import Proof
from incidents_dagster.ingestion.reading.reader import Reading
from incidents_dagster.ingestion.reading.source import OpenApi
from incidents_dagster.ingestion.reading.source_id import SourceId
from incidents_dagster.ingestion.reading.window_reader import together
from incidents_dagster.ingestion.reading.windows import Window, begin_of
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.ingestion.warehouse.store import StoreReader
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

ENOUGH = 5_000  # records for a load of their own, which takes about a second


class Backfill:
    """Reads a resource's windows, a load at a time.

    Args:
        api: The open API.
        name: The resource.
        store: Where the table is.
        source: What the records are read from.

    Attributes:
        name: The resource.
        done: Whether nothing is left to read.
        read: How many records were read so far.
    """

    done = False
    read = 0

    def __init__(self, api: OpenApi, name: str, store: StoreReader, source: SourceId) -> None:
        self._api, self.name, self._store, self._source = api, name, store, source
        self._windows: list[Window] | None = None

    def is_needed(self, state: TableState) -> bool:
        """Whether the table was never read to its end, and has no rows of another source."""
        if state.backfill:
            return bool(state.backfill.get("source") == self._source.whole)
        if state.whole:
            return False
        table = Table.of(self._api.declared, self.name)
        with self._store:
            return not StoredTable(table, self._store).row_count()

    def rows(self) -> Generator[Any, None, Proof]:
        """What one load brings, for dlt to extract; returns the proof of that."""
        with OneLoad.of(self._api, self.name, self._store, self._source) as load:
            state, reader = load.state, load.window_reader()
            assert reader
            if self._windows is None:
                self._windows = self._plan(state.backfill.get("to"))
            reading: Reading | None = None
            while self._windows and (reading is None or reading.rows < ENOUGH):
                one = yield from reader.next(self._windows, None, load.landing.take)
                reading = one if reading is None else together(reading, one)
            assert reading
            self.read += reading.rows
            yield from load.rest()
            proven = reading.proof.proven and state.backfill.get("proven", True)
            began = state.backfill.get("began") or _text(reading.proof.began)
            self.done = not self._windows
            if self.done:
                state.backfill, state.whole, state.source = {}, proven, self._source
                state.began = datetime.fromisoformat(began) if began and proven else None
            else:
                to = self._windows[0].begin.isoformat()
                source = self._source.whole
                state.backfill = {"to": to, "began": began, "proven": proven, "source": source}
            yield from load.end([reading])
        return reading.proof

    def _plan(self, to: str | None) -> list[Window]:
        windows = self._api.own[self.name].windows
        assert windows
        if to is None:
            return windows.plan(begin_of(self._api.incremental[self.name]))
        self._api.report(f"{self.name}: going on at {to}, where an earlier sync has stopped.")
        return windows.plan(datetime.fromisoformat(to))


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""
