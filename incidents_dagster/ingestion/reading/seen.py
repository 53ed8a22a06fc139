"""What has arrived of a resource so far: keys, bad records, and whether some arrived twice.

Covers all reads of a sync; `reader` decides how often to read.
"""

from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from incidents_dagster.ingestion.errors import RepeatedError
from incidents_dagster.ingestion.reading.incremental import Incremental
from incidents_dagster.ingestion.reading.pages import Pages
from incidents_dagster.ingestion.reading.start import Start
from incidents_dagster.ingestion.rows.batches import Batch, distinct
from incidents_dagster.ingestion.tables import Table


class Seen:
    """What has arrived so far, in all reads of a sync.

    Attributes:
        pages: How many pages.
        rows: How many rows.
        bad: The distinct bad records of the latest read.
        began: The API's time at its first response.
        ended: The API's time at its latest response.
        newest: Whether the row that the read starts from was among the rows.
        not_asked: How many rows changed before the moment that the API was asked for.
        times: Time column → its oldest and its newest value.
    """

    def __init__(self, table: Table, start: Start | None, incremental: Incremental | None) -> None:
        self.pages = self.rows = self.not_asked = 0
        self.bad: set[str] = set()
        self.began: datetime | None = None
        self.ended: datetime | None = None
        self.newest = False
        self.times: dict[str, tuple[Any, Any]] = {}
        self._table, self._start = table, start
        self._cursor = incremental.column if incremental else ""
        self._earlier: list[pa.Table] = []  # keys and times of change of earlier reads
        self._here: list[pa.Table] = []  # and of this one
        self._uncounted = 0  # records of this read that are in neither
        self._keys: pa.Table | None = None

    def begin_again(self) -> None:
        """Starts another read from the beginning."""
        self._earlier += self._here
        self.bad.clear()
        self._here, self._uncounted = [], 0

    def add(self, batch: Batch, began: datetime | None) -> None:
        """Adds a batch of records."""
        rows = batch.rows
        self.began = self.began or began
        self.rows += len(rows)
        self.bad.update(map(repr, batch.rejected))
        self.newest = self.newest or bool(self._start and self._start.seen_in(rows))
        for column in rows.schema:
            if pa.types.is_temporal(column.type):
                span = pc.min_max(rows[column.name]).as_py().values()
                known = [*self.times.get(column.name, ()), *(v for v in span if v is not None)]
                self.times |= {column.name: (min(known), max(known))} if known else {}
        asked = self._asked(rows)
        self.not_asked += len(rows) - len(asked)
        self._uncounted += len(batch.rejected) + len(rows) - len(asked)
        if self._table.keyed and len(asked):
            self._here.append(asked.select(self._table.version_of(asked)))
            self._keys = None

    def keys(self) -> pa.Table:
        """The distinct primary keys."""
        if self._keys is None:
            read, names = [*self._earlier, *self._here], self._table.primary_key
            self._keys = distinct([some.select(names) for some in read])
        return self._keys

    def versions(self) -> pa.Table:
        """The distinct primary keys and versions of the latest read."""
        return distinct(self._here)

    @property
    def keys_repeat(self) -> bool:
        """Whether a primary key may have arrived more than once."""
        return self._table.keyed and self.rows > len(self.keys())

    def check_total(self, pages: Pages) -> None:
        """Looks for a record that arrived twice, so that another one may be missing.

        Two versions of a record count as two. The lists of several parents may share records.

        Raises:
            RepeatedError: Fewer distinct records have arrived than the API reports.
        """
        if not self._table.keyed or pages.lists != 1:
            return
        uncounted = self._uncounted + len(pages.left_out)
        if not self._earlier and len(self.keys()) + uncounted >= pages.at_least:
            return
        once = len(distinct(self._here)) + uncounted
        if once < pages.at_least:
            raise RepeatedError(
                f"the API reports {pages.at_least:,} records, but only {once:,} distinct ones "
                "arrived"
            )

    def repeated(self, pages: Pages) -> int:
        """How many records arrived again in the same version, in a read of one list.

        A list without a unique order repeats one record for each that it skips. If the API reports
        a total, `check_total` tells whether any is missing.
        """
        if not self._table.keyed or pages.lists != 1 or pages.at_least:
            return 0
        twice = sum(map(len, self._here)) - len(distinct(self._here))
        return twice + pages.left_out_again

    def _asked(self, rows: pa.Table) -> pa.Table:
        """The `rows` that the API was asked for; some APIs return others, too."""
        if self._start is None or self._cursor not in rows.column_names:
            return rows
        since = pa.scalar(self._start.value, rows.schema.field(self._cursor).type)
        return rows.filter(pc.greater_equal(rows[self._cursor], since))
