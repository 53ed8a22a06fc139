"""Rows that are open in the table, and that an incremental sync by creation does not bring.

The API's list of what is open brings most of them. Those that it lacks have been closed or deleted:
they are read one by one, the longest unread first, as many as a sync may request.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa

from incidents_dagster.ingestion.errors import CeilingError, cause_of, causes
from incidents_dagster.ingestion.landing.one_load import OneLoad
from incidents_dagster.ingestion.reading.reader import Reader, Reading
from incidents_dagster.ingestion.reading.still_open import Endpoint, StillOpen
from incidents_dagster.ingestion.rows.batches import distinct
from incidents_dagster.ingestion.tables import key_as_text

GONE = (403, 404, 410)  # or not to be seen by this key


@dataclass(frozen=True)
class OpenRows:
    """Reads them again.

    Attributes:
        load: What the load works with.
        asks: How to ask for them.
    """

    load: OneLoad
    asks: StillOpen

    def read(self, reading: Reading) -> Generator[pa.Table, None, Reading]:
        """Yields their changes.

        Args:
            reading: What the sync has read so far.

        Returns:
            `reading`, unproven if the list of what is open is.
        """
        reading, read = yield from self._listed(reading)
        rows = self._longest_unread_first(read)
        asked = rows[: self.asks.most_requests] if self.asks.path else []
        reading, gone = yield from self._singly(asked, reading)
        waiting = [key_as_text(row.values()) for row in rows[len(asked) :]]
        state, now = self.load.state, datetime.now(timezone.utc).isoformat()
        earlier = {key: at for key, at in state.asked_singly.items() if key in waiting}
        state.asked_singly = earlier | {key_as_text(row.values()): now for row in asked}
        if rows:
            self.load.api.report(self._told(len(asked), gone, len(waiting)))
        return replace(reading, unread=len(waiting))

    def _listed(self, reading: Reading) -> Generator[pa.Table, None, tuple[Reading, pa.Table]]:
        """Reads the lists of what is open; `reading` with them, and the keys of both."""
        load, keys = self.load, [reading.keys]
        windows = load.api.own[load.name].windows
        most = windows.most if windows else 0
        for listed in self.asks.listed():
            try:
                one = yield from self._reader(listed).read(None, load.landing.take, most=most)
            except Exception as error:
                if not cause_of(error, CeilingError):
                    raise
                more = f"more is open than the API lists, {most:,} records"
                load.api.report(f"{load.name}: {more}.")
                continue
            keys.append(one.keys)
            doubts = tuple(f"what is open: {doubt}" for doubt in one.proof.doubts)
            proof = replace(reading.proof, doubts=(*reading.proof.doubts, *doubts))
            # Rows of both have arrived twice.
            reading = _with(replace(reading, proof=proof), one)
        read = distinct(keys)
        new = load.stored.lacks(read) - load.stored.lacks(reading.keys)
        return replace(reading, created_meanwhile=new), read

    def _singly(
        self, rows: list[dict[str, Any]], reading: Reading
    ) -> Generator[pa.Table, None, tuple[Reading, int]]:
        """Reads rows one by one; `reading` with them, and how many the API no longer has."""
        gone = 0
        for row in rows:
            try:
                one = yield from self._reader(self.asks.single(row)).read(
                    None, self.load.landing.take
                )
                reading = _with(reading, one)
            except Exception as error:
                if not _is_gone(error):
                    raise
                gone += 1
        return reading, gone

    def _reader(self, variant: Callable[[Endpoint], Endpoint]) -> Reader:
        load = self.load
        load.landing.keep()  # this read does not replace what others brought
        api = load.api.with_endpoint(load.name, variant)
        return Reader(api, load.name, load.known, known_pages=load.state.pages)

    def _longest_unread_first(self, keys: pa.Table) -> list[dict[str, Any]]:
        """The primary keys of the rows that are open in the table and not among `keys`."""
        rows = self.load.stored.still_open(keys).to_pylist()
        asked = self.load.state.asked_singly
        # Those that were never asked for come first, the oldest of them at the beginning.
        return sorted(rows, key=lambda row: asked.get(key_as_text(row.values()), ""))

    def _told(self, asked: int, gone: int, left: int) -> str:
        name = self.load.name
        if not self.asks.path:
            return (
                f"{name}: {left:,} rows are open in the table, and the API does not list them as "
                "open: set still_open.path to read them, or wait for the next full read."
            )
        parts = [f"{asked:,} open rows were read one by one"]
        parts += [f"{gone:,} of them are gone, or hidden"] if gone else []
        parts += [f"{left:,} more wait for the next syncs"] if left else []
        return f"{name}: {', '.join(parts)}."


def _with(reading: Reading, one: Reading) -> Reading:
    """`reading` with the rows, and with what is left out, of another read."""
    proof = replace(reading.proof, ended=one.proof.ended or reading.proof.ended)
    left_out = reading.left_out_with(one)
    return replace(reading, proof=proof, rows=reading.rows + one.rows, left_out=left_out)


def _is_gone(error: BaseException) -> bool:
    statuses = (getattr(getattr(c, "response", None), "status_code", None) for c in causes(error))
    return any(status in GONE for status in statuses)
