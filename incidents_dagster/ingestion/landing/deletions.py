"""Deleted incidents: rows of the table that a full, proven read lacks get `deleted_at`.

Such a row is loaded again with the mark; a row that is back loses it, like any other change: see
`landing`. One read may lack rows that are there, because a permission was missing or an index was
rebuilt. So more than a few rows are only marked if a second read lacks them, too. The oldest rows
may be beyond a window, which moves on with time: see `window`.
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import blake2b
from operator import and_, or_

import pyarrow as pa
import pyarrow.compute as pc

from incidents_dagster.ingestion.errors import IncompleteError
from incidents_dagster.ingestion.landing import window
from incidents_dagster.ingestion.landing.bad_records import BadRecords
from incidents_dagster.ingestion.landing.landing import Landing
from incidents_dagster.ingestion.landing.table_state import TableState
from incidents_dagster.ingestion.reading.proof import Status
from incidents_dagster.ingestion.reading.reader import Reader, Reading
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.tables import keys_as_text
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

ALWAYS_FEW = 3
WAITING = (
    "rows are missing from the API. They are marked as deleted if the next full read lacks them, "
    "too."
)
HASH_BYTES = 8
ADOPT = "`make run ARGS=--adopt` once"


@dataclass(frozen=True)
class Gone:
    """What a full read lacks of the table.

    Attributes:
        settled: Whether the table now shows what the API has, apart from rows that are or may be
            beyond a window. False after an incremental read, which cannot tell.
        beyond_window: Rows that are older than what the API shows.
    """

    settled: bool = False
    beyond_window: int = 0


@dataclass(frozen=True)
class Deletions:
    """Looks for deleted rows after a full read.

    Attributes:
        stored: The table as it is before the sync.
        bad: The bad records of the read, which are not deleted.
        settings: How many rows may be gone.
        state: What earlier reads lacked; changed in place.
        other_source: Why the table may have rows of another source; empty if it has none.
        asked: Whether a full read was asked for, and is not just how this API is read.
        insist: Whether to fail if the read cannot show which rows were deleted.
        adopt: Whether to mark at once whatever is missing, however much.
    """

    stored: StoredTable
    bad: BadRecords
    settings: Settings
    state: TableState
    other_source: str
    asked: bool
    insist: bool
    adopt: bool

    def mark(
        self, reading: Reading, reader: Reader, landing: Landing
    ) -> Generator[pa.Table, None, tuple[Reading, Gone]]:
        """Yields the rows that are gone from the API, marked as deleted.

        Returns:
            `reading`, with what was read in addition, and what is gone.

        Raises:
            IncompleteError: The table has too many rows of another source; or the read cannot show
                which rows were deleted, and `insist` is set.
        """
        if not (self.stored.table.takes_changes_alone and self.stored.exists()):
            return reading, Gone(settled=reading.proof.proven)
        if self.adopt and reading.proof.status is Status.ACCEPTED:
            reader.report("the source is accepted; an unproven read marks no row as deleted.")
            return reading, Gone(settled=True)
        missing, why = self._missing(reading), self._no_ground(reading)
        if len(missing) and not why:
            # They may have changed while pages were read, and moved to a page already read.
            reading = yield from reader.meanwhile(reading, landing.take)
            yield from landing.rest()
            missing = self._missing(reading)
        again = self.state.look_again
        if not why:
            self.state.look_again, self.state.waiting = False, 0
        beyond, rest, oldest = self._by_age(missing)
        if (many := self._too_many(rest, len(beyond))) and not self.adopt:
            if self.other_source:
                raise IncompleteError(
                    f"{self.bad.resource}: {self.other_source}: {many}, so nothing was loaded. "
                    f"Move the DuckDB file away to start over, or run {ADOPT} to keep it and mark "
                    "them as deleted."
                )
            if not why:  # the next full read may show that they are beyond a window
                self.state.missing = {*self._hashes(rest)}
            why = why or (
                f"{many}, more than deleted_share allows. If they are gone, run {ADOPT}, or raise "
                "deleted_share in .dlt/config.toml"
            )
        if why:
            reader.report(f"no row was marked as deleted: {why}.")
            if self.insist:
                raise IncompleteError(
                    f"{self.bad.resource} cannot be reconciled, nothing was loaded: {why}."
                )
            return reading, Gone()
        gone, held = self._looked_at(rest, oldest, reading, again)
        if len(gone):
            yield from landing.mark(gone, datetime.now(timezone.utc))
        waiting = self.state.waiting - held
        for rows, what in ((waiting, WAITING), (held, window.HELD), (len(beyond), window.BEYOND)):
            if rows:
                reader.report(f"{rows:,} {what}")
        return reading, Gone(not waiting, len(beyond))

    def _no_ground(self, reading: Reading) -> str:
        """Why the read cannot show which rows were deleted; empty if it can."""
        if not reading.proof.proven:
            return str(reading.proof)
        if len(reading.keys):
            return ""
        if self.bad.records:
            return self.bad.why_none
        if not self.settings.allow_empty and not self.adopt:
            return (
                f"{self.bad.why_none}. If it may have none, set allow_empty = true in "
                ".dlt/config.toml"
            )
        return ""

    def _missing(self, reading: Reading) -> pa.Table:
        """The table's rows that were not read."""
        missing = self.stored.missing_from(reading.keys, reading.proof.since)
        bad = [bad.record_id for bad in self.bad.records if bad.record_id]
        if not bad or not len(missing):
            return missing
        keys = keys_as_text(missing, self.stored.table.primary_key)
        there = pc.is_in(pa.array(keys), pa.array(bad, pa.string()))
        return missing.filter(pc.invert(there))

    def _too_many(self, missing: pa.Table, beyond_window: int) -> str:
        """Why so many rows cannot have been deleted; empty if they can."""
        there = self.stored.count() - beyond_window
        if len(missing) <= self.settings.deleted_share * there:
            return ""
        if len(missing) == there and self.settings.allow_empty and not self.other_source:
            return ""
        return f"{len(missing):,} of the table's {there:,} rows are missing from the API"

    def _by_age(self, missing: pa.Table) -> tuple[pa.Table, pa.Table, list[bool]]:
        """The `missing` rows beyond a window, the others, and which of those are the oldest."""
        state, older = self.state, [False] * len(missing)
        if self.adopt:
            state.window = ""
        elif not self.other_source:
            older = window.oldest(self.stored, state, missing, self._hashes(missing))
        beyond = pa.array([bool(state.window) and old for old in older], pa.bool_())
        rest = missing.filter(pc.invert(beyond))
        return missing.filter(beyond), rest, [False] * len(rest) if state.window else older

    def _looked_at(
        self, missing: pa.Table, oldest: list[bool], reading: Reading, again: bool
    ) -> tuple[pa.Table, int]:
        """The `missing` rows to mark, and how many of the `oldest` wait.

        The state keeps those that wait.
        """
        state, hashes = self.state, self._hashes(missing)
        settings, there = self.settings, self.stored.count()
        few = max(ALWAYS_FEW, min(settings.second_look_rows, settings.second_look_share * there))
        unseen = [one not in state.missing for one in hashes]
        moving = state.moving or any(map(and_, unseen, oldest))
        state.moving = moving and not self.asked
        held = [old and (moving or not self.asked) for old in oldest]
        first = [new and not old for new, old in zip(unseen, held, strict=True)]
        if self.adopt or sum(first) <= (0 if reading.unanswered else few):
            first = [False] * len(first)
        waits = [*map(or_, first, held)]
        state.missing = {one for one, wait in zip(hashes, waits, strict=True) if wait}
        state.waiting = len(state.missing)
        enough = any(first) or sum(map(and_, unseen, held)) >= window.ROWS
        state.look_again = enough and not again  # no chain of full reads
        return missing.filter(pc.invert(pa.array(waits, pa.bool_()))), sum(held)

    def _hashes(self, rows: pa.Table) -> list[str]:
        return [
            blake2b(key.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).hexdigest()
            for key in keys_as_text(rows, self.stored.table.primary_key)
        ]
