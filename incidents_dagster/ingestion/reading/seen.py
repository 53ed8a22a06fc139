"""What has arrived of a resource so far: keys, bad records, and whether some came twice.

Over all readings of a sync; how often to read is `reader`'s business.
"""

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from incidents_dagster.ingestion.errors import RepeatedError
from incidents_dagster.ingestion.reading.incremental import Incremental, Start
from incidents_dagster.ingestion.reading.pages import Pages
from incidents_dagster.ingestion.rows.batches import Batch, distinct
from incidents_dagster.ingestion.tables import Table


class Seen:
    """What has arrived so far, in all readings of a sync.

    Attributes:
        pages: Pages.
        rows: Rows.
        bad: Bad records, each different one once.
        began: The API's time at its first response.
        newest: Whether the row that the reading starts from was among the rows.
    """

    def __init__(self, table: Table, start: Start | None, incremental: Incremental | None) -> None:
        self.pages = self.rows = 0
        self.bad: set[str] = set()
        self.began: datetime | None = None
        self.newest = False
        self._table, self._start = table, start
        self._cursor = incremental.column if incremental else ""
        self._earlier: list[pa.Table] = []  # keys and times of change of earlier readings
        self._here: list[pa.Table] = []  # and of this one
        self._uncounted = 0  # records of this reading that are in neither
        self._keys: pa.Table | None = None

    def begin_again(self) -> None:
        """Another reading from the beginning."""
        self._earlier += self._here
        self._here, self._uncounted = [], 0

    def add(self, batch: Batch, began: datetime | None) -> None:
        """Some records more."""
        rows = batch.rows
        self.began = self.began or began
        self.rows += len(rows)
        self.bad.update(map(repr, batch.rejected))
        self.newest = self.newest or bool(self._start and self._start.seen_in(rows))
        asked = self._asked(rows)
        self._uncounted += len(batch.rejected) + len(rows) - len(asked)
        if self._table.keyed and len(asked):
            self._here.append(asked.select(self._table.version_of(asked)))
            self._keys = None

    def keys(self) -> pa.Table:
        """The different primary keys."""
        if self._keys is None:
            read, names = [*self._earlier, *self._here], self._table.primary_key
            self._keys = distinct([some.select(names) for some in read]) if read else pa.table({})
        return self._keys

    def check_total(self, pages: Pages) -> None:
        """Looks for a record that came twice, so that another one may be missing.

        Two versions of a record are two. Several lists, as parents have, may share records.

        Raises:
            RepeatedError: Fewer different records have arrived than the API says there are.
        """
        if not self._table.keyed or pages.lists != 1:
            return
        if not self._earlier and len(self.keys()) + self._uncounted >= pages.at_least:
            return
        once = (len(distinct(self._here)) if self._here else 0) + self._uncounted
        if once < pages.at_least:
            raise RepeatedError(
                f"the API reports {pages.at_least:,} records, but only {once:,} distinct ones "
                "arrived"
            )

    def _asked(self, rows: pa.Table) -> pa.Table:
        """Those of `rows` that the API was asked for; some bring others, too."""
        if self._start is None or self._cursor not in rows.column_names:
            return rows
        since = pa.scalar(self._start.value, rows.schema.field(self._cursor).type)
        return rows.filter(pc.greater_equal(rows[self._cursor], since))
