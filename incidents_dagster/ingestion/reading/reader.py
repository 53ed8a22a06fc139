"""All records of a resource as Arrow tables, and the proof that these are all.

Reads again where rows moved while pages were read, a bounded number of times. What the pages of one
reading show is gathered by `checked_paginator`; which rows are loaded is `landing`'s business.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pyarrow as pa
from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.errors import (
    IncompleteError,
    MovedError,
    causes,
)
from incidents_dagster.ingestion.reading.incremental import Moment, Start
from incidents_dagster.ingestion.reading.pages import Pages
from incidents_dagster.ingestion.reading.proof import Proof
from incidents_dagster.ingestion.reading.seen import Seen
from incidents_dagster.ingestion.reading.source import OpenApi
from incidents_dagster.ingestion.rows.batches import Batch, chunks, to_arrow
from incidents_dagster.ingestion.tables import Table

MOST_READINGS = 3  # from the beginning, for whatever reason
MOST_CATCHING_UP = 5  # readings of what changed meanwhile
UNITS = {"timestamp": 1, "date": 86_400}  # seconds in a cursor's lag of 1


@dataclass(frozen=True)
class Arrived:
    """Some records of a reading.

    Attributes:
        batch: The records as rows, and those that cannot be rows.
        began: The API's time when the reading began.
    """

    batch: Batch
    began: datetime | None


@dataclass(frozen=True)
class Reading:
    """What reading a resource has brought.

    Attributes:
        proof: Whether these are all records.
        keys: The different primary keys, those of bad records left out; no columns without a key.
        rows: All rows that arrived, those that came twice among them.
        has_newest: Whether the row that the reading started from was among them.
    """

    proof: Proof
    keys: pa.Table
    rows: int
    has_newest: bool


T = TypeVar("T")
# What takes what arrived, and gives what it makes of it; None: what follows takes the place of all
# that arrived before.
Land = Callable[[Arrived | None], Iterator[T]]


class Reader:
    """Reads a resource for one sync.

    Args:
        api: The open API.
        name: The resource.
        known: The table's columns with dlt's hints; grows by those of the records.
    """

    def __init__(self, api: OpenApi, name: str, known: TTableSchemaColumns) -> None:
        self._api, self._name, self._known = api, name, known
        self._table = Table.of(api.declared, name)
        self._incremental = api.incremental.get(name)
        self._one_moment = True

    def read(self, start: Start | None, land: Land[T]) -> Generator[T, None, Reading]:
        """Reads every record, some of them more than once, a newer version after an older one.

        Args:
            start: Asks for what changed from there on; None for everything.
            land: Takes the records as they arrive.

        Raises:
            Exception: A response is not what it has to be, or the records are too few or too many.
        """
        self._seen = Seen(self._table, start, self._incremental)
        readings, pages, doubts = yield from self._until_agreed(start, land)
        self._one_moment = pages.one_moment
        doubts += yield from self._catch_up(pages, land)
        keys = self._seen.keys()
        proof = Proof(
            since=self._incremental.since(start and start.value) if self._incremental else None,
            readings=readings,
            pages=self._seen.pages,
            rows=pages.rows,
            expected=pages.expected,
            how=", ".join(pages.hows) or ("no parent has any" if pages.childless else ""),
            doubts=tuple(dict.fromkeys(doubts)),
            began=self._seen.began,
            distinct=len(keys) if self._table.keyed else None,
            quarantined=len(self._seen.bad),
        )
        return Reading(proof, keys, self._seen.rows, self._seen.newest)

    def meanwhile(self, reading: Reading, land: Land[T]) -> Generator[T, None, Reading]:
        """Reads what changed while pages were read, where the API can be asked for that.

        Returns:
            `reading`, with what has come on top.
        """
        began = reading.proof.began
        if not self._unit or not began or self._one_moment:
            return reading
        for left in reversed(range(MOST_READINGS)):
            try:
                yield from self._since(began, Pages(), land)
                break
            except Exception as error:
                self._again(error, left)
        keys, seen = self._seen.keys(), self._seen
        proof = replace(
            reading.proof, pages=seen.pages, distinct=len(keys), quarantined=len(seen.bad)
        )
        return replace(reading, proof=proof, keys=keys, rows=seen.rows)

    def report(self, line: str) -> None:
        """Says what is going on with the resource."""
        self._api.report(f"{self._name}: {line}")

    @property
    def _unit(self) -> int:
        """Seconds in the cursor's unit; 0 where it is no time, or not known yet."""
        column = self._known.get(self._incremental.column, {}) if self._incremental else {}
        return UNITS.get(str(column.get("data_type")), 0)

    def _until_agreed(
        self, start: Start | None, land: Land[T]
    ) -> Generator[T, None, tuple[int, Pages, list[str]]]:
        """Reads from the beginning until nothing can have moved, or two readings agree.

        Returns:
            How often, the pages of the last reading, and why it may not be all.
        """
        earlier: Pages | None = None
        for left in reversed(range(MOST_READINGS)):
            pages = Pages()
            try:
                yield from self._pass(start.value if start else None, pages, land)
                self._seen.check_total(pages)
            except Exception as error:
                self._again(error, left)
            else:
                # Without a time there is no asking for what changed meanwhile.
                timeless = bool(self._incremental) and not self._unit and not pages.one_moment
                if not timeless and not pages.may_have_moved:
                    return MOST_READINGS - left, pages, pages.all_doubts
                if earlier and earlier.fingerprints == pages.fingerprints:
                    return MOST_READINGS - left, pages, pages.all_doubts
                if earlier and left:
                    self.report("records moved between pages; once more.")
                earlier = pages
            if left:
                self._seen.begin_again()
                yield from land(None)
        return MOST_READINGS, pages, [*pages.all_doubts, "records move between pages"]

    def _again(self, error: Exception, left: int, most: int = MOST_READINGS) -> None:
        """Lets another reading follow where that may help and some are left, else raises."""
        moved = next((cause for cause in causes(error) if isinstance(cause, MovedError)), None)
        if not moved:
            raise error
        if not left:
            raise IncompleteError(
                f"{self._name} could not be read completely: {moved}. Tried {most} times, "
                f"nothing was loaded. {moved.advice}"
            ) from None
        self.report(f"{moved}; reading from the beginning.")

    def _pass(self, since: Any, pages: Pages, land: Land[T]) -> Iterator[T]:
        """One reading of everything, or of what changed `since` a value of the cursor."""
        seen, naming = self._seen, self._api.declared.schema.naming
        try:
            for records in chunks(self._api.records(self._name, since, pages=pages)):
                batch = to_arrow(
                    records, self._known, naming, self._table.primary_key, self._table.typed
                )
                self._known.update(batch.new_columns)
                seen.add(batch, pages.began)
                yield from land(Arrived(batch, seen.began))
        finally:
            seen.pages += pages.count
        if not pages.complete:
            raise IncompleteError(
                f"{self._name}: the API's pages broke off before their end, nothing was loaded."
            )

    def _catch_up(self, pages: Pages, land: Land[T]) -> Generator[T, None, list[str]]:
        """Reads what changed meanwhile, where the next sync's lag does not reach so far.

        Returns:
            Why that may not be all.
        """
        if not self._incremental or not self._unit:
            return []
        left = MOST_CATCHING_UP
        # Half, for clocks that differ.
        while not pages.one_moment and pages.seconds > self._incremental.lag * self._unit / 2:
            if not left:
                return ["reading what changed meanwhile takes longer than the lag"]
            assert pages.began
            left, later = left - 1, Pages()
            try:
                yield from self._since(pages.began, later, land)
                pages = later
            except Exception as error:
                self._again(error, left, MOST_CATCHING_UP)
        return []

    def _since(self, began: datetime, pages: Pages, land: Land[T]) -> Iterator[T]:
        assert self._incremental
        since = Moment.of(began - timedelta(seconds=self._incremental.lag * self._unit))
        self.report(f"reading what changed since {since}, while pages were read.")
        yield from self._pass(since if self._unit == 1 else since.date(), pages, land)
