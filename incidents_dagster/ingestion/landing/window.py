"""Rows that are older than all that the API shows: beyond a window, or deleted?

Many of them are beyond a window, such as the last 30 days. A window may also move by a few rows at
a time: these are marked as deleted like any few, until there are many; then they lose the mark.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

ROWS = 20  # that two reads lack; fewer may well have been deleted


@dataclass(frozen=True)
class Oldest:
    """The end of the table that a read lacks.

    Attributes:
        column: A time column by which rows are missing from the table's old end; empty if none are.
        first: The oldest value in the rows that are there.
        among: Which of the missing rows these are. Of rows of one time, the API may show some.
    """

    column: str
    first: Any
    among: list[bool]

    @classmethod
    def of(cls, stored: StoredTable, missing: pa.Table, window: str) -> "Oldest":
        """By the column of a known `window`; else the one with most `missing` rows at its old end.

        If hardly any row is there, all may have left a window, but none shows that there is one.
        """
        found = cls("", None, [False] * len(missing))
        for name in [window] if window else stored.time_columns():
            first = stored.oldest_besides(missing, name)
            if first is None and window:
                found = cls(name, None, [True] * len(missing))
            elif first is not None:
                older = pc.fill_null(pc.less_equal(missing[name], first), False).to_pylist()
                found = max(found, cls(name, first, older), key=lambda one: sum(one.among))
        return found

    def before(self, rows: pa.Table, ties: bool = False) -> pa.Table:
        """Those of `rows` that are older than all that are there; with `ties`, or as old."""
        if not self.column:
            return rows.slice(0, 0)
        older = pc.less_equal if ties else pc.less
        return rows.filter(pc.fill_null(older(rows[self.column], self.first), False))
