"""Rows that are older than all that the API shows: beyond a window, or deleted?

A window moves on: the API shows ever fewer of the oldest rows. So they wait until there are many of
them, or until a full read that somebody asked for finds no more than the one before.
"""

import pyarrow as pa
import pyarrow.compute as pc

from incidents_dagster.ingestion.landing.table_state import TableState
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

ROWS = 20  # that two reads lack; fewer may well have been deleted
BEYOND = "rows are older than all that the API shows, so they are not marked as deleted."
HELD = (
    "of the oldest rows are missing from the API, which may no longer show them. They are marked "
    "as deleted if the next reconcile finds that no more are."
)


def oldest(
    stored: StoredTable, state: TableState, missing: pa.Table, hashes: list[str]
) -> list[bool]:
    """Which of the rows that a read lacks are older, by a time column, than all that are there.

    Sets `state.window` to that column if they are beyond a window, and to none if there is none.

    Args:
        stored: The table.
        state: What earlier reads lacked.
        missing: The rows that this one lacks.
        hashes: Their hashes, as in `state.missing`.
    """
    column, older = "", [False] * len(missing)
    sure = older
    for name in [state.window] if state.window else stored.time_columns():
        first = stored.oldest_besides(missing, name)
        if first is None:
            continue
        # Of rows of one time, the API may show some: or others were deleted, of a migration's.
        found = pc.fill_null(pc.less_equal(missing[name], first), False).to_pylist()
        if sum(found) > sum(older):
            column, older = name, found
            sure = pc.fill_null(pc.less(missing[name], first), False).to_pylist()
    twice = sum(old and one in state.missing for old, one in zip(sure, hashes, strict=True))
    if len(missing) and not (state.window and column):
        state.window = column if twice >= ROWS else ""
    return older
