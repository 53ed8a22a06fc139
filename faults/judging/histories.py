"""A table held against what a model has had and has served.

A table is id → (version, status, microseconds of updated_at), less what is marked as deleted.
"""

from typing import Any

from fakes.model import Model
from faults.judging.outcome import clear


def missing(model: Model, table: dict[str, Any]) -> list[str]:
    """Rows that were there unchanged during the whole sync and are not in the table so."""
    return [
        f"{row.id} was there unchanged and is lost ({_seen(table, row.id)})"
        for row in model.at_begin.values()
        if row.id not in model.touched and table.get(row.id) != _as_row(row)
    ]


def untrue(model: Model, before: dict[str, Any], table: dict[str, Any]) -> list[str]:
    """Rows in the table that the API has never served so, or that went back in time."""
    served = {model.versions[number] for number in model.served}
    known = {(row.id, _as_row(row)) for row in served}
    wrong = [f"{id}: {row} was never served" for id, row in table.items() if (id, row) not in known]
    newest = {id: row[2] for id, row in before.items()}
    for number in model.served_now:
        row = model.versions[number]
        # What was read of a row that went away may have been given up with the reading.
        if row.id not in model.absent:
            newest[row.id] = max(newest.get(row.id, 0), row.updated_at)
    older = sorted(id for id, row in table.items() if row[2] < newest.get(id, 0))
    wrong += [f"{id} is in an older version than was read" for id in older]
    taken = sorted(before.keys() - table.keys() - model.absent)
    return wrong + [f"{id} was at the source all the time and is taken away" for id in taken]


def late(model: Model, table: dict[str, Any]) -> list[str]:
    """Rows at the source that the table has not in their latest version."""
    return [
        f"{row.id} is not in its latest version ({_seen(table, row.id)})"
        for row in model.rows.values()
        if table.get(row.id) != _as_row(row)
    ]


def unequal(model: Model, table: dict[str, Any], left: int = 0) -> list[str]:
    """As `late`, and rows that are not at the source any more.

    These may be as many as the sync has said it left: those that wait for a second look, and those
    that are older than all that the source shows, as nobody can tell twenty deletions at the old
    end from a window.
    """
    extra = sorted(table.keys() - model.rows.keys())
    gone = [f"{id} is gone and not marked" for id in extra if len(extra) != left]
    return late(model, table) + gone


def red_faults(message: str, before: list[Any], after: list[Any]) -> list[str]:
    """What is wrong with a red sync, by its message and the rows of the table."""
    wrong = ["red, and the table changed"] if before != after else []
    if not clear(message):
        wrong.append(f"no clear message: {message[:200]!r}")
    return wrong


def _as_row(row: Any) -> tuple[Any, ...]:
    return row.version, row.status, row.updated_at


def _seen(table: dict[str, Any], id: str) -> str:
    return f"version {table[id][0]} is there" if id in table else "it is not there"
