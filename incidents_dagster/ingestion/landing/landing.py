"""Rows on their way to dlt: those that the table lacks, each in its last version.

Rows that may be read again are held back until `rest`. `reading` supplies the rows, `changes` has
the order of the steps.
"""

from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.landing.bad_records import BadRecords
from incidents_dagster.ingestion.reading.reader import Arrived, Reading
from incidents_dagster.ingestion.rows.batches import distinct
from incidents_dagster.ingestion.tables import DELETED_AT
from incidents_dagster.ingestion.warehouse.comparison import Full, Miss, compare
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

# Rows that changed this shortly before they were read may be read again in another version with
# the same time of change.
FRESH = timedelta(seconds=60)
PLACE = "place in rows"  # with a space, as in no column


class Landing:
    """The rows of one sync for one table. Its methods yield what dlt has to load.

    Args:
        stored: The table as it is before the sync.
        bad: Receives the bad records.
        waiting: Primary keys, as text, of rows to load even if the table has them.

    Attributes:
        full: What to look for if everything is read; None for an incremental read.
        missed: The rows that incremental syncs should have brought, by primary key.
        last: An empty table with the columns of the last rows yielded; None if there were none.
    """

    full: Full | None = None

    def __init__(self, stored: StoredTable, bad: BadRecords, waiting: list[str]) -> None:
        self._stored, self._table, self._bad, self._waiting = stored, stored.table, bad, waiting
        self._held: list[pa.Table] = []  # where the rows of two reads cannot be told apart
        self._fresh: list[pa.Table] = []
        self._loaded: list[pa.Table] = []  # keys
        self._new_columns: TTableSchemaColumns = {}
        self._older: list[pa.Table] = []  # than the table's versions
        self._kept = (0, 0)  # of those two
        self._again = False  # whether a read was given up, whose rows are among the loaded ones
        self._missed_before: dict[str, Miss] = {}
        self.missed: dict[str, Miss] = {}
        self.last: pa.Table | None = None

    def take(self, arrived: Arrived | None) -> Iterator[pa.Table]:
        """Takes a batch; None: what follows replaces all that was not kept."""
        if arrived is None:
            self._forget()
            return
        if self.full and not self.full.now:
            self.full = replace(self.full, now=arrived.began)
        self._bad.add(arrived.batch)
        self._new_columns.update(arrived.batch.new_columns)
        yield from self._load(self._without_fresh(arrived.batch.rows, arrived.began))

    def start_over(self) -> None:
        """Forgets all that has arrived: what follows replaces it."""
        self._kept, self._missed_before, self._bad.kept = (0, 0), {}, (0, 0)
        self._forget()

    def _forget(self) -> None:
        self._again, (held, older) = True, self._kept
        self._held, self._older = self._held[:held], self._older[:older]
        self.missed = {**self._missed_before}
        self._bad.forget()

    def keep(self) -> None:
        """Keeps what has arrived so far, whatever is read again later."""
        self._kept = len(self._held), len(self._older)
        self._missed_before = {**self.missed}
        self._bad.keep()

    def rest(self) -> Iterator[pa.Table]:
        """The rows that were held back.

        Of a row that may have been read in two versions of the same time, the last one. Where reads
        cannot be told apart, all rows of the last read.
        """
        for rows in self._held:
            yield from self._hinted(rows)
        if self._fresh:
            fresh = pa.concat_tables(self._fresh, promote_options="default")
            self._fresh = []
            yield from self._load(self._newest(fresh))

    def revert(self, versions: pa.Table) -> Generator[pa.Table, None, int]:
        """Yields the rows that the API has in an older version than the table, after a full read.

        Args:
            versions: Keys and versions of all rows that were read. A row that was read in a newer
                version, too, is not older.

        Returns:
            How many.
        """
        if not self._older:
            return 0
        rows = self._newest(pa.concat_tables(self._older, promote_options="default"))
        self._older, keys = [], self._table.primary_key
        version = str(self._table.newest_first)
        newest = versions.group_by(keys).aggregate([(version, "max")])
        places = rows.select([*keys, version]).append_column(PLACE, pa.array(range(len(rows))))
        joined = places.join(newest, keys, join_type="inner")
        old = joined.filter(pc.equal(joined[version], joined[f"{version}_max"]))[PLACE]
        rows = rows.take(old.sort())
        if len(rows):
            yield from self._unmarked(rows)
        return len(rows)

    def misses(self) -> dict[str, Any]:
        """The rows that incremental syncs should have brought, as `TableState.missed`."""
        if not self.missed:
            return {}
        kind = Counter(self.missed.values()).most_common(1)[0][0]
        example = next(key for key, of in self.missed.items() if of is kind)
        return {"rows": len(self.missed), "kind": kind.value, "example": example}

    def mark(self, gone: pa.Table, now: datetime) -> Iterator[pa.Table]:
        """Rows of the table, marked as deleted `now`, with the phase that this means, if any."""
        times = pa.repeat(pa.scalar(now, pa.timestamp("us", "UTC")), len(gone))
        yield from self.marked(_with_column(gone, DELETED_AT, times))

    def marked(self, gone: pa.Table) -> Iterator[pa.Table]:
        """Rows that are marked as deleted, with the phase that this means, if any."""
        if phase := self._table.absent_phase:
            gone = _with_column(gone, "phase", pa.array([phase] * len(gone), pa.string()))
        yield from self._keyed(gone)

    def unmark(self, rows: pa.Table) -> Iterator[pa.Table]:
        """Rows of the table, otherwise unchanged, that are not deleted after all."""
        yield from self._unmarked(rows.drop_columns([DELETED_AT]))

    def unique(self, *readings: Reading) -> bool:
        """Whether these reads loaded no row twice."""
        once = len(readings) == 1 and readings[0].rows == readings[0].proof.distinct
        if once and not self._again:
            return True  # nothing arrived twice
        return len(distinct(self._loaded)) == sum(map(len, self._loaded))

    def _load(self, rows: pa.Table) -> Iterator[pa.Table]:
        # A good version that the table has is loaded again, to be newer than the bad record.
        compared = compare(self._stored, rows, self._waiting, self.full)
        rows = compared.news
        self.missed |= {key: kind for kind, key in compared.missed}
        if self.full and compared.older is not None:
            self._older.append(compared.older)
        if not len(rows):
            return
        if not self._table.takes_changes_alone:
            self._held.append(rows)
            return
        yield from self._unmarked(rows)

    def _unmarked(self, rows: pa.Table) -> Iterator[pa.Table]:
        # dlt rewrites a file that lacks a column of the table.
        nothing = pa.nulls(len(rows), pa.timestamp("us", "UTC"))
        yield from self._keyed(rows.append_column(DELETED_AT, nothing))

    def _keyed(self, rows: pa.Table) -> Iterator[pa.Table]:
        self._loaded.append(rows.select(self._table.primary_key))
        yield from self._hinted(rows)

    def _hinted(self, rows: pa.Table) -> Iterator[pa.Table]:
        self.last = rows.slice(0, 0)
        if self._new_columns:
            hints = dlt.mark.make_hints(columns=self._new_columns)
            self._new_columns = {}
            yield dlt.mark.with_hints(rows, hints)
        else:  # empty hints would remove the existing ones
            yield rows

    def _without_fresh(self, rows: pa.Table, began: datetime | None) -> pa.Table:
        """`rows` without those that are held back for `rest`."""
        newest = self._table.newest_first
        if (
            not (self._table.takes_changes_alone and newest in rows.column_names and began)
            or not newest
            or not pa.types.is_timestamp(rows.schema.field(newest).type)
        ):
            return rows
        fresh = pc.fill_null(pc.greater_equal(rows[newest], began - FRESH), False)
        if not pc.any(fresh).as_py():
            return rows
        self._fresh.append(rows.filter(fresh))
        return rows.filter(pc.invert(fresh))

    def _newest(self, rows: pa.Table) -> pa.Table:
        keys = zip(*(rows[name].to_pylist() for name in self._table.primary_key), strict=True)
        times = rows[self._table.newest_first].to_pylist()
        last: dict[Any, int] = {}
        for place, key in enumerate(keys):
            if key not in last or times[place] >= times[last[key]]:
                last[key] = place
        return rows if len(last) == len(rows) else rows.take(sorted(last.values()))


def _with_column(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    others = [column for column in rows.column_names if column != name]
    return rows.select(others).append_column(name, values)
