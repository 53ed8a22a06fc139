"""Every field of every record held against the table, whichever names its columns have.

A field's column is found by its values: fields with odd names may have columns with other names,
but each has one of its own, and the same one in all rows. A value that did not fit its column may
be in a variant of it, and a field may be an entry of a JSON column if there are too many fields.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from itertools import permutations
from typing import Any

from fakes.incidents import moment

Row = dict[str, Any]
# Of the table, not of a record.
OURS = ("_dlt_load_id", "_dlt_id", "deleted_at")


def by_key(records: list[Row], key: tuple[str, ...], newest: str = "updated_at") -> dict[str, Row]:
    """Key, as text → the newest version of each record; of two of the same time, the last one."""
    found: dict[str, Row] = {}
    for record in records:
        name = ", ".join(str(record[part]) for part in key)
        old = found.get(name)
        if old is None or _time(record.get(newest)) >= _time(old.get(newest)):
            found[name] = record
    return found


def unequal(records: list[Row], table: list[Row], key: tuple[str, ...] = ("id",)) -> str:
    """What in `table` is not as in `records`; nothing if it is equal, field by field.

    Args:
        records: As the API has them.
        table: Rows that are not marked as deleted: column → value, times in UTC.
        key: The fields of the primary key.
    """
    told = by_key(records, key)
    keyed = _keyed(table, told, key)
    if keyed is None:
        return f"{len(table)} rows for {len(told)} records, and no column has their key"
    lost, extra = told.keys() - keyed.keys(), keyed.keys() - told.keys()
    if lost or extra:
        some = sorted([*lost, *extra])[:3]
        return f"{len(lost)} rows lost, {len(extra)} too many, such as {json.dumps(some)}"
    pairs = [(record, keyed[name]) for name, record in told.items()]
    fields = sorted({field for record, _ in pairs for field in record})
    columns = _columns(table)
    candidates = {field: [*_candidates(field, pairs, columns)] for field in fields}
    if nowhere := [field for field in fields if not candidates[field]]:
        where = sum(not _fits(nowhere[0], record, row, nowhere[0]) for record, row in pairs)
        return f"{len(nowhere)} fields lost or other, such as {nowhere[0]!r} in {where} rows"
    if shared := _sharing(candidates):
        return f"{shared!r} has no column of its own"
    return ""


def lost_field(record: Row, row: Row) -> str:
    """A field of `record` that its row has not, in a column of its own; nothing if it has all."""
    columns = _columns([row])
    candidates = {field: [*_candidates(field, [(record, row)], columns)] for field in record}
    nowhere = next((field for field in record if not candidates[field]), None)
    return nowhere if nowhere is not None else _sharing(candidates) or ""


def _keyed(table: list[Row], told: dict[str, Row], key: tuple[str, ...]) -> dict[str, Row] | None:
    """The rows by their key, as text; None if no column can be it."""
    names = list(table[0]) if table else []
    if set(key) <= set(names):
        found = {", ".join(str(row[part]) for part in key): row for row in table}
        return found if len(found) == len(table) else None
    for some in permutations(names, len(key)):
        found = {", ".join(str(row[name]) for name in some): row for row in table}
        if len(found) == len(table) and found.keys() & told.keys():
            return found
    return {} if not table else None


def _columns(table: list[Row]) -> list[str]:
    """Columns without the variants of others, and entries of JSON columns as `column:entry`."""
    names = [name for name in (table[0] if table else {}) if name not in OURS]
    entries: dict[str, None] = {}
    for row in table:
        for name in names:
            for entry in _parsed_object(row[name]):
                entries[f"{name}:{entry}"] = None
    return [name for name in names if "__v_" not in name] + list(entries)


def _candidates(
    field: str, pairs: list[tuple[Row, Row]], columns: list[str]
) -> Iterator[str | None]:
    """The columns that have the field's value in every row, its namesake alone if that has."""
    if all(record.get(field) is None for record, _ in pairs):
        # Needs no column, but what was there before must not be left in its own.
        if field not in columns or all(_fits(field, record, row, field) for record, row in pairs):
            yield None
        return
    named = [c for c in columns if c == field or c.endswith(f":{field}") or c == f"source_{field}"]
    others = (c for c in columns if c not in named)
    for some in (named, others):
        fitting = [c for c in some if all(_fits(field, record, row, c) for record, row in pairs)]
        yield from fitting
        if fitting:
            return


def _fits(field: str, record: Row, row: Row, column: str) -> bool:
    value = record.get(field)
    name, _, entry = column.partition(":")
    if entry and name in row:
        return bool(_same(value, _parsed_object(row[name]).get(entry)))
    cells = [row.get(column)] + [row[c] for c in row if c.startswith(f"{column}__v_")]
    filled = [cell for cell in cells if cell is not None]
    if value is None:
        return not filled
    return len(filled) == 1 and _same(value, filled[0])


def _same(value: Any, cell: Any) -> bool:
    """Whether a column holds the value of a record, in whichever type."""
    if value is None or cell is None:
        return value is cell
    if isinstance(cell, datetime):
        return _time(value) == _time(cell)
    if isinstance(value, (dict, list)):
        parsed = None
        with suppress(ValueError, TypeError):
            parsed = json.loads(cell)
        return value in (parsed, cell)
    if isinstance(value, bool) or isinstance(cell, bool) or str(value) == "nan":
        return value is cell or str(cell).lower() == str(value).lower()
    if isinstance(value, str):  # what no text column can hold
        value = value.encode("utf-8", "replace").decode()
    # A text in a JSON column has quotes.
    spelled = {str(value), json.dumps(value), json.dumps(value, ensure_ascii=False)}
    return cell == value or (isinstance(cell, str) and cell in spelled)


def _parsed_object(cell: Any) -> dict[str, Any]:
    if isinstance(cell, str) and cell.startswith("{"):
        with suppress(ValueError):
            found = json.loads(cell)
            return found if isinstance(found, dict) else {}
    return {}


def _time(value: Any) -> datetime:
    """A time in UTC, from text or seconds or milliseconds; the year 1 if it is none."""
    with suppress(ValueError, AttributeError, OverflowError, TypeError):
        if isinstance(value, datetime):
            known = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
            return known.astimezone(timezone.utc)
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value if value < 1e11 else value / 1000, timezone.utc)
        return moment(value)
    return datetime.min.replace(tzinfo=timezone.utc)


def _sharing(candidates: dict[str, list[str | None]]) -> str | None:
    """A field that gets no column of its own, however columns are given to fields."""
    taken: dict[str, str] = {}

    def give(field: str, tried: set[str]) -> bool:
        for column in candidates[field]:
            if column is None:
                return True
            if column in tried:
                continue
            tried.add(column)
            if column not in taken or give(taken[column], tried):
                taken[column] = field
                return True
        return False

    return next((field for field in candidates if not give(field, set())), None)
