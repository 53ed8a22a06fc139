"""Where an incremental sync starts: where the table ends, or when the last proven read began.

Whichever is older, minus the lag. The table itself holds its newest value, so after a killed sync,
or with an older backup, a sync starts where the rows end. One record ahead of its time would hide
what happens until then, so no sync starts later than the last proven read began.
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

UNITS = (1, 1_000, 1_000_000, 1_000_000_000)  # per second, of numbers that are times
# A number is a time if it is one between these shares of the present one: 1981 to 2082.
TIMES = (0.2, 2.0)


@dataclass(frozen=True)
class Start:
    """Where to start reading.

    Attributes:
        value: The cursor to send: the newest value in the table, or when the last proven read began
            if that is older, minus the lag.
        newest: The primary key of a row with the newest value. The response must contain it: an API
            that no longer has this row is not the one that the cursor came from.
        passed: What the cursor had passed when the last proven read began.
    """

    value: Any
    newest: dict[str, Any]
    passed: Any

    def seen_in(self, rows: pa.Table) -> bool:
        """Whether the `newest` row is among `rows`."""
        if not set(self.newest) <= set(rows.column_names):
            return False
        same = (pc.equal(rows[name], value) for name, value in self.newest.items())
        return bool(pc.any(reduce(pc.and_, same)).as_py())


def starting_at(
    incremental: Incremental, stored: StoredTable, began: datetime | None
) -> Start | None:
    """Where the next sync of a table starts; None if everything is to be read.

    Args:
        incremental: The endpoint's.
        stored: The table.
        began: When the last proven read began, by the API's clock; None for now.
    """
    column = incremental.column
    if column not in {one.name for one in stored.columns()}:
        return None  # no row has had a value; `configured_fields` tells a field that no record has
    until = _in_column(began or datetime.now(timezone.utc), stored, column)
    found = stored.newest_row(column, until) or stored.newest_row(column)
    if not found:
        return None
    try:
        value = _less_lag(incremental, found[0] if until is None else min(found[0], until))
    except OverflowError:  # the year 1
        return None
    return Start(value, found[1], value if until is None else _less_lag(incremental, until))


def _in_column(moment: datetime, stored: StoredTable, column: str) -> Any:
    """`moment` as a value of a column; None if the column holds something else than times."""
    kind = next(one.type for one in stored.columns() if one.name == column)
    if kind.startswith("TIMESTAMP"):
        return moment if kind.endswith("TIME ZONE") else moment.replace(tzinfo=None)
    if kind == "DATE":
        return moment.date()
    if kind in ("BIGINT", "DOUBLE"):
        seconds, typical = moment.timestamp(), stored.median(column)
        for unit in UNITS:
            if TIMES[0] < typical / (seconds * unit) < TIMES[1]:
                return int(seconds * unit) if kind == "BIGINT" else seconds * unit
    return None


def _less_lag(incremental: Incremental, value: Any) -> Any:
    lag = incremental.lag
    if isinstance(value, datetime):
        return Moment.of(value - timedelta(seconds=lag))
    if isinstance(value, date):
        return value - timedelta(days=lag)
    if isinstance(value, (int, float)):
        return value - type(value)(lag)
    if isinstance(value, Decimal):
        return value - Decimal(lag)
    return value  # a text, which has no lag: see `Incremental.check_lag`
