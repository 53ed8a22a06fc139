"""Which column each field of the records has: one of its own, and the same one in every sync.

The table remembers it: the hint `FIELD` of a column comes from its comment in DuckDB. A new field
gets the column of its name, unless another field has that one. If the table has many columns,
further fields share one. Where paths fill a column, the field of its name goes beside it.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain
from typing import Any

from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.naming import column_name, short, tagged
from incidents_dagster.ingestion.rows.filled import filled_columns
from incidents_dagster.ingestion.tables import DECLARED_FIELD, DELETED_AT, FIELD, of_source

MOST_COLUMNS = 1_000
FURTHER_FIELDS = "_further_fields"
# PostgreSQL's own columns of each table, whose names no other may have.
SYSTEM_COLUMNS = ("cmax", "cmin", "ctid", "tableoid", "xmax", "xmin")
VARIANT = re.compile(r"__v_[a-z]+$")  # dlt's columns for values that do not fit


@dataclass(frozen=True)
class Columns:
    """The values of records by column.

    Attributes:
        values: Column → its value in each record.
        fields: Column → its field, for columns whose field the table does not know yet.
    """

    values: dict[str, list[Any]]
    fields: dict[str, str]


def columns_of(
    records: list[dict[str, Any]], known: TTableSchemaColumns, most: int = MOST_COLUMNS
) -> Columns:
    """The values of `records`, by column.

    Args:
        records: As the API sent them.
        known: The table's columns so far, with dlt's hints.
        most: If the table has as many columns, new fields share `FURTHER_FIELDS`.
    """
    hints: dict[str, Any] = {**known}
    filled = filled_columns(known)
    owners = {n: hint[FIELD] for n, hint in hints.items() if FIELD in hint and n not in filled}
    # Of two columns of a field, one was filled from paths for a while.
    in_order = sorted(owners, key=lambda name: name == _alone(owners[name], filled))
    columns = {owners[name]: name for name in in_order}
    declared = {hint.get(DECLARED_FIELD): n for n, hint in hints.items() if n != DELETED_AT}
    room = most - sum(not name.startswith("_dlt_") for name in known)
    names: dict[str, str] = {}  # field → column
    new: dict[str, str] = {}  # field → the column that it would have if it were alone
    empty: list[str] = []
    further: set[str] = set()
    for field in dict.fromkeys(chain.from_iterable(record.keys() for record in records)):
        name = columns.get(remembered(field))
        alone = declared.get(field) or _alone(field, filled)
        if name == of_source(alone) and alone not in owners:
            name = None  # paths had filled its column, and do no more
        needs_room = alone not in known or alone in owners
        if name:
            names[field] = name
        elif all(record.get(field) is None for record in records):
            empty.append(alone)
        elif needs_room and room <= 0:
            further.add(field)
        else:
            names[field] = ""  # its place among the columns
            new[field] = alone
            room -= needs_room
    taken = {*owners, *filled, FURTHER_FIELDS}
    # Declared fields first, then those whose name is the column's, whatever their order.
    for field in sorted(new, key=lambda f: (f not in declared, f != column_name(f), f)):
        name = new[field]
        while name in taken or VARIANT.search(name):
            name = tagged(name, field)
        taken.add(name)
        names[field] = name
    values = {name: [value_of(record) for record in records] for name, value_of in filled.items()}
    values |= {name: [record.get(field) for record in records] for field, name in names.items()}
    for name in empty:  # dlt rewrites a file that lacks a column of the table
        if name in known:
            values.setdefault(name, [None] * len(records))
    if further:
        values[FURTHER_FIELDS] = [_part(record, further) for record in records]
    return Columns(values, {names[field]: remembered(field) for field in new})


def remembered(field: str) -> str:
    """A field's name as one line that any text can have; different for different fields."""
    plain = field.isprintable() and field[:1] not in ("", "'", '"')
    return field if plain else ascii(field)


def _alone(field: str, filled: Collection[str]) -> str:
    """The column of a field if no other has it."""
    name = column_name(field)
    if name.startswith("_dlt_"):
        return short(f"source{name}", field)  # a field named like one of dlt's own columns
    ours = name == DELETED_AT or name in filled or name in SYSTEM_COLUMNS
    return short(of_source(name), field) if ours else name


def _part(record: dict[str, Any], fields: set[str]) -> dict[str, Any] | None:
    part = {f: value for f, value in record.items() if f in fields and value is not None}
    return part or None
