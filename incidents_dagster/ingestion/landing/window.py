"""Rows that are older than all that the API shows: beyond a window, or deleted?

Many of them are beyond a window, such as the last 30 days. A window may also move by a few rows at
a time: these are marked as deleted like any few, until there are many; then they lose the mark.

What is deleted changes no more, so that it may be older by its time of change than all that is
left. By that time, unless there is no other, only a read that lacks nothing but the oldest rows
shows a window.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

ROWS = 20  # that two reads lack; fewer may well have been deleted
OTHERS = 0.1  # such a share may be missing beside the old ones; more, and these are old by chance


@dataclass(frozen=True)
class OldEnd:
    """Where the rows end that the API shows.

    Attributes:
        column: A time column; empty if no row is older by any.
        first: The oldest time that the API shows; None if it shows no record.
        ties: Whether it may show only some of the records of that time.
    """

    column: str = ""
    first: Any = None
    ties: bool = False

    @classmethod
    def of(
        cls, missing: pa.Table, columns: Iterable[str], times: Mapping[str, tuple[Any, Any]]
    ) -> "OldEnd":
        """By the one of `columns` in which most of the `missing` rows are older.

        Args:
            missing: Rows of the table that the API does not show.
            columns: Time columns.
            times: Column → the oldest and the newest time of what the API shows.
        """
        ends = [cls(n, times[n][0], times[n][0] < times[n][1]) for n in columns if n in times]
        found = max(ends, key=lambda end: len(end.split(missing)[0]), default=cls())
        return found if len(found.split(missing)[0]) else cls()

    def split(self, rows: pa.Table, ties: bool = True) -> tuple[pa.Table, pa.Table]:
        """The `rows` that are older, and the others.

        Args:
            rows: Rows of the table.
            ties: Whether rows of the very same time count as older, if they may be.
        """
        if not self.column or self.first is None:
            older = pa.array([bool(self.column)] * len(rows), pa.bool_())
        else:
            is_older = pc.less_equal if ties and self.ties else pc.less
            older = pc.fill_null(is_older(rows[self.column], self.first), False)
        return rows.filter(older), rows.filter(pc.invert(older))
