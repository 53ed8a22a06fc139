"""Where an incremental sync starts: where the table ends, or when the last proven read began.

Whichever is older, minus the lag. The table itself holds its newest value, so after a killed sync,
or with an older backup, a sync starts where the rows end. One record ahead of its time would hide
what happens until then, so no sync starts later than the last proven read began. Only the API knows
how to spell a moment as text: with texts, a sync starts at the newest one in the table that is not
later.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from incidents_dagster.ingestion.reading.incremental import Incremental, Moment
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable


@dataclass(frozen=True)
class Start:
    """Where to start reading.

    Attributes:
        value: The cursor to send: the newest value in the table, or when the last proven read began
            if that is older, minus the lag.
        newest: The primary key of a row with the newest value. The response must contain it: an API
            that no longer has this row is not the one that the cursor came from.
        began: The cursor of the moment at which the last proven read began, minus the lag.
        timeless: Whether it is a text that is not a time, and may be ahead of what changes later.
    """

    value: Any
    newest: dict[str, Any]
    began: Any
    timeless: bool = False

    def seen_in(self, rows: pa.Table) -> bool:
        """Whether the `newest` row is among `rows`."""
        if not set(self.newest) <= set(rows.column_names):
            return False
        same = (pc.equal(rows[name], value) for name, value in self.newest.items())
        return bool(pc.any(reduce(pc.and_, same)).as_py())


def starting_at(
    incremental: Incremental | None, stored: StoredTable, began: datetime | None
) -> Start | None:
    """Where the next sync of a table starts; None if everything is to be read.

    Args:
        incremental: The endpoint's; None if it has none.
        stored: The table.
        began: When the last proven read began, by the API's clock; None for now.
    """
    # A declared column that the table lacks has to be filled in all rows.
    if not incremental or not stored.has_every_declared_column():
        return None
    column = incremental.column
    if column not in {one.name for one in stored.columns()}:
        return None  # no row has had a value; `required_fields` tells a field that no record has
    found, until = None, None
    if times := stored.times(column):
        until = times.at(began or datetime.now(timezone.utc))
        found = stored.newest_row(column, until)
        if times.are_texts:
            until = found and found[0]  # the latest moment whose spelling is known
            if not found:
                return None
    found = found or stored.newest_row(column)
    if not found:
        return None
    try:
        value = _less_lag(incremental, found[0] if until is None else min(found[0], until))
    except OverflowError:  # the year 1
        return None
    at_began = value if until is None else _less_lag(incremental, until)
    return Start(value, found[1], at_began, timeless=isinstance(value, str) and not times)


def _less_lag(incremental: Incremental, value: Any) -> Any:
    lag = incremental.lag
    if isinstance(value, datetime):
        return Moment.of(value - timedelta(seconds=lag))
    if isinstance(value, date):
        return value - timedelta(days=lag)
    if isinstance(value, (int, float)):
        return value - type(value)(lag)
    if isinstance(value, Decimal):
        return value - Decimal(str(lag))  # the binary 0.1 has more digits than the column
    return value  # a text, which has no lag: see `Incremental.check_lag`
