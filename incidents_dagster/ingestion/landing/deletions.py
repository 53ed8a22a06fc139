"""Deleted incidents: rows of the table that a full, proven read lacks get `deleted_at`.

Such a row is loaded again with the mark; a row that is back loses it, like any other change: see
`landing`. One read may lack rows that are there, because a permission was missing or an index was
rebuilt. So more than a few rows are only marked if a second read lacks them, too. The oldest rows
may be beyond a window, which moves on with time: see `window`.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

from incidents_dagster.ingestion.errors import IncompleteError
from incidents_dagster.ingestion.landing import window
from incidents_dagster.ingestion.landing.bad_records import BadRecords
from incidents_dagster.ingestion.landing.landing import Landing
from incidents_dagster.ingestion.landing.table_state import TableState
from incidents_dagster.ingestion.landing.window import OldEnd
from incidents_dagster.ingestion.reading.proof import Status
from incidents_dagster.ingestion.reading.reader import Reader, Reading
from incidents_dagster.ingestion.reading.window_reader import WindowReader
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.tables import FIRST, keys_as_text
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

ALWAYS_FEW = 3
HASH_BYTES = 8


@dataclass(frozen=True)
class Gone:
    """What a full read lacks of the table.

    Attributes:
        settled: Whether the table now shows what the API has, apart from rows that are or may be
            beyond a window. False after an incremental read, which cannot tell.
        beyond_window: Rows that are older than what the API shows.
        why: Why no row was marked, if the read cannot show which were deleted.
    """

    settled: bool = False
    beyond_window: int = 0
    why: str = ""


@dataclass(frozen=True)
class Deletions:
    """Looks for deleted rows after a full read.

    Attributes:
        stored: The table as it is before the sync.
        bad: The bad records of the read, which are not deleted.
        settings: How many rows may be gone.
        state: What earlier reads lacked; changed in place.
        other_source: Why the table may have rows of another source; empty if it has none.
        insist: Whether to fail if the read cannot show which rows were deleted.
        adopt: Whether to mark at once whatever is missing, however much.
    """

    stored: StoredTable
    bad: BadRecords
    settings: Settings
    state: TableState
    other_source: str
    insist: bool
    adopt: bool

    @property
    def _how_to_adopt(self) -> str:
        source = self.settings.source
        alone = source == FIRST and not self.settings.also
        options = "--adopt" if alone else f"'--adopt --source={source}'"
        return f"`make run ARGS={options}` once"

    def mark(
        self, reading: Reading, reader: Reader | WindowReader, landing: Landing
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
        end = self._old_end(missing, reading) if not why else OldEnd()
        left = self._left(missing, end, reading) if not why else missing.slice(0, 0)
        beyond, rest = (end if self.state.window else OldEnd()).split(missing)
        maybe = len(end.split(rest, ties=False)[0])
        many = self._refusal(rest, len(beyond), maybe, sure=not why)
        if why or many:
            reader.report(f"no row was marked as deleted: {why or many}.")
            if not why and maybe >= window.ROWS:
                self.state.look_again = not again
            elif self.insist:
                raise IncompleteError(
                    f"{self.bad.resource} cannot be reconciled, nothing was loaded: {why or many}."
                )
            return reading, Gone(why=why or many)
        gone = self._looked_at(rest, reading, again)
        if len(gone):
            yield from landing.mark(gone, datetime.now(timezone.utc))
            if not self.state.window:
                self.state.left |= {*self._hashes(end.split(gone)[0])}
        if len(left):
            yield from landing.unmark(left)
        yield from self._with_phase(reading, landing)
        if waiting := self.state.waiting:
            reader.report(
                f"{waiting:,} rows are missing from the API. They are marked as deleted if the "
                "next full read lacks them, too."
            )
        if outside := len(beyond) + len(left):
            reader.report(
                f"{outside:,} rows are older than all that the API shows, so they are not marked "
                "as deleted."
            )
        return reading, Gone(not waiting, outside)

    def _refusal(self, missing: pa.Table, beyond_window: int, maybe: int, sure: bool) -> str:
        """Why so many rows cannot have been deleted; empty if they can.

        Args:
            missing: The rows.
            beyond_window: How many others are beyond a window.
            maybe: How many of the rows may be.
            sure: Whether they are certainly missing.

        Raises:
            IncompleteError: They seem to be those of another source.
        """
        there = self.stored.count() - beyond_window
        if self.adopt or len(missing) <= self.settings.deleted_share * there:
            return ""
        other_source = self.other_source
        if self.settings.allow_empty and not other_source:
            return ""
        many = f"{len(missing):,} of the table's {there:,} rows are missing from the API"
        if sure and maybe < len(missing) == there >= window.ROWS:
            other_source = other_source or "this may be another source"
        if other_source:
            raise IncompleteError(
                f"{self.bad.resource}: {other_source}: {many}, so nothing was loaded. Move the "
                f"DuckDB file away to start over, or run {self._how_to_adopt} to keep it and mark "
                "them as deleted."
            )
        if sure:  # the next full read may show that they are beyond a window
            self.state.missing = {*self._hashes(missing)}
        return (
            f"{many}, more than deleted_share allows. If they are gone, run {self._how_to_adopt}, "
            "or raise deleted_share in .dlt/config.toml"
        )

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

    def _with_phase(self, reading: Reading, landing: Landing) -> Iterator[pa.Table]:
        """Rows that were marked before `absent` was set, which says what phase that means."""
        phase = self.stored.table.absent_phase
        if not phase or "phase" not in {column.name for column in self.stored.columns()}:
            return
        marked = self.stored.missing_from(reading.keys, marked=True)
        rows = marked.filter(pc.fill_null(pc.not_equal(marked["phase"], phase), True))
        if len(rows):
            yield from landing.marked(rows)

    def _old_end(self, missing: pa.Table, reading: Reading) -> OldEnd:
        """Where the rows end that the API shows, if they can show a window."""
        if self.adopt:
            self.state.window, self.state.left = "", set()
        if self.adopt or self.other_source or self.stored.table.absent_phase:
            return OldEnd()
        if known := self.state.window:
            return OldEnd.of(missing, [known], reading.times) if reading.rows else OldEnd(known)
        version, columns = self.stored.table.newest_first, self.stored.time_columns()
        others = [name for name in columns if name != version] or columns
        end = OldEnd.of(missing, others, reading.times)
        old, rest = end.split(missing)
        if len(old) and len(rest) <= max(self._few, window.OTHERS * len(old)):
            return end
        end = OldEnd.of(missing, columns, reading.times)
        exactly = len(missing) >= window.ROWS and not len(end.split(missing)[1])
        return end if exactly else OldEnd()

    def _left(self, missing: pa.Table, end: OldEnd, reading: Reading) -> pa.Table:
        """Rows marked as deleted that turn out to be beyond a window.

        Sets `state.window` to its column, or to nothing if the API shows none.
        """
        state, nothing = self.state, missing.slice(0, 0)
        if not end.column:
            state.window = "" if len(missing) else state.window
            return nothing
        if state.window:
            return nothing
        left = nothing
        if state.left:
            left, _ = end.split(self.stored.missing_from(reading.keys, marked=True), ties=False)
            left = left.filter(self._are_in(state.left, left))
        old, _ = end.split(missing, ties=False)
        if len(left) + len(old.filter(self._are_in(state.missing, old))) < window.ROWS:
            state.left = {*self._hashes(left)}
            return nothing
        state.window, state.left = end.column, set()
        return left

    def _looked_at(self, missing: pa.Table, reading: Reading, again: bool) -> pa.Table:
        """The `missing` rows to mark; the state keeps those that wait for a second look."""
        state, hashes = self.state, self._hashes(missing)
        unseen = [one not in state.missing for one in hashes]
        if self.adopt or sum(unseen) <= (0 if reading.unanswered else self._few):
            state.missing = set()
            return missing
        state.missing = {one for one, first in zip(hashes, unseen, strict=True) if first}
        state.waiting, state.look_again = len(state.missing), not again  # no chain of full reads
        return missing.filter(pc.invert(pa.array(unseen)))

    @property
    def _few(self) -> float:
        """How many rows may be marked at the first look."""
        share = self.settings.second_look_share * self.stored.count()
        return max(ALWAYS_FEW, min(self.settings.second_look_rows, share))

    def _are_in(self, hashes: set[str], rows: pa.Table) -> pa.Array:
        return pa.array([one in hashes for one in self._hashes(rows)], pa.bool_())

    def _hashes(self, rows: pa.Table) -> list[str]:
        return [
            blake2b(key.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).hexdigest()
            for key in keys_as_text(rows, self.stored.table.primary_key)
        ]
