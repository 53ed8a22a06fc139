"""All records of a resource as Arrow tables, and the proof that none is missing.

Reads again if rows moved while pages were read, a bounded number of times. `checked_paginator`
gathers what the pages of one read show, `landing` decides which rows are loaded.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.errors import (
    IncompleteError,
    MovedError,
    cause_of,
)
from incidents_dagster.ingestion.reading.duplicates import Duplicates
from incidents_dagster.ingestion.reading.first_page import FirstPage
from incidents_dagster.ingestion.reading.incremental import Moment
from incidents_dagster.ingestion.reading.pages import Pages
from incidents_dagster.ingestion.reading.proof import Proof
from incidents_dagster.ingestion.reading.required_fields import RequiredFields
from incidents_dagster.ingestion.reading.seen import Seen
from incidents_dagster.ingestion.reading.source import OpenApi
from incidents_dagster.ingestion.reading.start import Start
from incidents_dagster.ingestion.rows.batches import Batch, to_arrow
from incidents_dagster.ingestion.tables import FIELD, FILLED, Table

MOST_READINGS = 3  # from the beginning, for whatever reason
MOST_CATCHING_UP = 5  # reads of what changed meanwhile
BY_PLACE = "pages are requested by their place in the list"
UNITS = {"timestamp": 1, "date": 86_400}  # seconds in a lag of 1


@dataclass(frozen=True)
class Arrived:
    """A batch of a read.

    Attributes:
        batch: The records as rows, and those that cannot be rows.
        began: The API's time when the read began.
    """

    batch: Batch
    began: datetime | None


@dataclass(frozen=True)
class Reading:
    """The result of reading a resource.

    Attributes:
        proof: Whether these are all records.
        keys: The distinct primary keys, except those of bad records; no columns without a key.
        rows: How many rows arrived, counting repeats.
        has_newest: Whether the row that the read started from was among them.
        unanswered: Whether a parent's request was ignored, as endpoint.response_actions allow.
        not_asked: Rows that changed before the moment that the API was asked for.
        times: Time column → its oldest and its newest value in what arrived.
        created_meanwhile: New rows that only the lists of what is open brought.
        unread: Open rows of the table that are still to be read one by one.
        left_out: The primary keys of the records that `drop_where` leaves out; no columns if none.
    """

    proof: Proof
    keys: pa.Table
    rows: int
    has_newest: bool
    unanswered: bool
    not_asked: int
    times: dict[str, tuple[Any, Any]]
    created_meanwhile: int = 0
    unread: int = 0
    left_out: pa.Table = field(default_factory=lambda: pa.table({}))

    def left_out_with(self, other: "Reading") -> pa.Table:
        """The keys that either has in `left_out`."""
        return pa.concat_tables([self.left_out, other.left_out], promote_options="default")


# Two values of the cursor; None for no bound.
Span = tuple[Any, Any]
# Takes what arrived, and yields rows; None: what follows replaces all that arrived before.
Land = Callable[[Arrived | None], Iterator[pa.Table]]


class Reader:
    """Reads a resource for one sync.

    Args:
        api: The open API.
        name: The resource.
        known: The table's columns with dlt's hints; those of the records are added.
        fields: Looks for the configured fields in the records.
        known_pages: What `Pages.known` was in earlier syncs; that of this one is added.
    """

    def __init__(
        self,
        api: OpenApi,
        name: str,
        known: TTableSchemaColumns,
        fields: RequiredFields | None = None,
        known_pages: dict[str, int] | None = None,
    ) -> None:
        self._api, self._name, self._known, self._fields = api, name, known, fields
        self._known_pages = {} if known_pages is None else known_pages
        self._table = Table.of(api.declared, name)
        self._incremental = api.incremental.get(name)
        self._one_moment = True
        self._span: Span = (None, None)
        self._most = 0
        self._why_again = ""

    def read(
        self, start: Start | None, land: Land, span: Span | None = None, most: int = 0
    ) -> Generator[pa.Table, None, Reading]:
        """Reads every record, some more than once; a newer version comes after an older one.

        Args:
            start: Asks for what changed from there on; None for everything.
            land: Takes the records as they arrive.
            span: Asks for what is between these two instead.
            most: How many records the API shows of a list; 0: all.

        Raises:
            Exception: A response is not valid, or there are too few or too many records.
        """
        self._span, self._most = span or (start.value if start else None, None), most
        self._seen = Seen(self._table, start, self._incremental)
        readings, pages, doubts = yield from self._until_agreed(start, land)
        self._one_moment = pages.one_moment
        if start is None:
            first = FirstPage(self._api, self._name, self._known, self._known_pages)
            first.check(self._seen.keys(), self._span)
        doubts += yield from self._catch_up(pages, land)
        keys = self._seen.keys()
        proof = Proof(
            since=self._incremental.since(start and start.value, self._type)
            if self._incremental
            else None,
            readings=readings,
            pages=self._seen.pages,
            rows=pages.rows,
            expected=pages.expected,
            how=", ".join(pages.hows) or ("no parent has any" if pages.childless else ""),
            doubts=tuple(dict.fromkeys(doubts)),
            began=self._seen.began,
            distinct=len(keys) if self._table.keyed else None,
            quarantined=len(self._seen.bad),
            accepted=self._api.settings.accept_unproven,
            why_again=self._why_again if readings > 1 else "",
            left_out=len(pages.left_out),
            ended=self._seen.ended,
        )
        seen = self._seen
        return Reading(
            proof,
            keys,
            seen.rows,
            seen.newest,
            pages.unanswered,
            seen.not_asked,
            seen.times,
            left_out=self._keys_of(pages.left_out_keys),
        )

    def _keys_of(self, keys: list[dict[str, Any]]) -> pa.Table:
        if not keys or not self._table.keyed:
            return pa.table({})
        # As they are, and not from the paths that fill these columns.
        columns: Any = {
            name: {n: v for n, v in self._known[name].items() if n not in (FILLED, FIELD)}
            for name in self._table.primary_key
        }
        return to_arrow(keys, columns, self._table.primary_key).rows.select(self._table.primary_key)

    def versions(self) -> pa.Table:
        """The distinct primary keys and versions of the latest read."""
        return self._seen.versions()

    def meanwhile(self, reading: Reading, land: Land) -> Generator[pa.Table, None, Reading]:
        """Reads what changed while pages were read, if the API can be asked for that.

        Returns:
            `reading`, with what arrived in addition.
        """
        began = reading.proof.began
        if not self._unit or not began or self._one_moment:
            return reading
        for left in reversed(range(MOST_READINGS)):
            try:
                yield from self._since(began, self._pages(full=False), land)
                break
            except Exception as error:
                self._again(error, left)
        keys, seen = self._seen.keys(), self._seen
        proof = replace(
            reading.proof,
            pages=seen.pages,
            distinct=len(keys),
            quarantined=len(seen.bad),
            ended=seen.ended,
        )
        return replace(reading, proof=proof, keys=keys, rows=seen.rows)

    def report(self, line: str) -> None:
        """Logs a line about the resource."""
        self._api.report(f"{self._name}: {line}")

    def _pages(self, full: bool) -> Pages:
        return Pages(self._name, self._known_pages, full)

    @property
    def _unit(self) -> int:
        """Seconds in the cursor's unit; 0 if it is not a time, or not known yet."""
        return UNITS.get(self._type, 0)

    @property
    def _type(self) -> str:
        """dlt's data_type of the cursor; empty if it is not known yet."""
        column = self._known.get(self._incremental.column, {}) if self._incremental else {}
        return str(column.get("data_type", ""))

    @property
    def _timeless(self) -> str:
        cursor = self._incremental.column if self._incremental else ""
        return f"the cursor {cursor!r} is not a time"

    def _until_agreed(
        self, start: Start | None, land: Land
    ) -> Generator[pa.Table, None, tuple[int, Pages, list[str]]]:
        """Reads from the beginning until nothing can have moved, or two reads agree.

        Returns:
            How often, the pages of the last read, and why records may be missing.
        """
        earlier: Pages | None = None
        repeated = 0
        for left in reversed(range(MOST_READINGS)):
            pages = self._pages(full=start is None)
            try:
                yield from self._pass(self._span, pages, land)
                self._seen.check_total(pages)
            except Exception as error:
                self._why_again = self._again(error, left)
            else:
                # Without a time, the API cannot be asked for what changed meanwhile.
                timeless = bool(self._incremental) and not self._unit and not pages.one_moment
                repeated = self._seen.repeated(pages)
                agreed = bool(earlier) and earlier.fingerprints == pages.fingerprints  # type: ignore[union-attr]
                if not repeated and (agreed or not (timeless or pages.may_have_moved)):
                    return MOST_READINGS - left, pages, pages.all_doubts
                if repeated and left:
                    self.report(f"{repeated:,} records arrived twice; reading again.")
                elif earlier and left:
                    self.report("records moved between pages; reading again.")
                earlier = pages
                self._why_again = self._timeless if timeless else BY_PLACE
            if left:
                self._seen.begin_again()
                yield from land(None)
        doubt = "records keep moving between pages"
        if repeated:
            doubt = (
                f"{repeated:,} records arrived twice in the same version, so as many others may be "
                "missing: check primary_key, and have the API sort by a unique field, in "
                "endpoint.params"
            )
        return MOST_READINGS, pages, [*pages.all_doubts, doubt]

    def _again(self, error: Exception, left: int, most: int = MOST_READINGS) -> str:
        """Raises, unless reading again may help and tries are left; returns why it may."""
        moved = cause_of(error, MovedError)
        if not moved:
            raise error
        if not left:
            raise IncompleteError(
                f"{self._name} could not be read completely: {moved}. Tried {most} times, "
                f"nothing was loaded. {moved.advice}"
            ) from None
        self.report(f"{moved}; reading from the beginning.")
        return str(moved)

    def _pass(self, span: Span, pages: Pages, land: Land) -> Iterator[pa.Table]:
        """Reads what is between two values of the cursor once; None for no such bound."""
        pages.most = self._most
        seen, most = self._seen, self._api.settings.max_columns
        duplicates = Duplicates(self._table)
        try:
            found = self._api.records(self._name, *span, pages=pages)
            for records in self._api.batches(found):
                batch = to_arrow(
                    records, self._known, self._table.primary_key, self._table.typed, most
                )
                self._known.update(batch.new_columns)
                if self._fields:
                    self._fields.add(records, batch)
                seen.add(batch, pages.began)
                duplicates.add(batch.rows)
                yield from land(Arrived(batch, seen.began))
        finally:
            seen.pages += pages.count
            seen.ended = pages.latest or seen.ended
        if not pages.complete:
            raise IncompleteError(
                f"{self._name}: the API's list broke off before its end, nothing was loaded."
            )
        if seen.keys_repeat:
            duplicates.check()

    def _catch_up(self, pages: Pages, land: Land) -> Generator[pa.Table, None, list[str]]:
        """Reads what changed meanwhile, if the next sync's lag does not reach back that far.

        Returns:
            Why records may be missing.
        """
        if not self._incremental or not self._unit or self._most or self._span[1]:
            return []  # of several windows, the later ones bring what changed
        left = MOST_CATCHING_UP
        # Half, as clocks may differ.
        while not pages.one_moment and pages.seconds > self._incremental.lag * self._unit / 2:
            if not left:
                return ["reading what changed meanwhile takes longer than the lag"]
            assert pages.began
            left, later = left - 1, self._pages(full=False)
            try:
                yield from self._since(pages.began, later, land)
                pages = later
            except Exception as error:
                self._again(error, left, MOST_CATCHING_UP)
        return []

    def _since(self, began: datetime, pages: Pages, land: Land) -> Iterator[pa.Table]:
        assert self._incremental
        since = Moment.of(began - timedelta(seconds=self._incremental.lag * self._unit))
        self.report(f"reading what changed since {since}, while pages were read.")
        yield from self._pass((since if self._unit == 1 else since.date(), None), pages, land)
