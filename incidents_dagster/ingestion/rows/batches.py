"""Records of the API as Arrow tables, with the column types of dlt's schema.

Column by column: at once if every value is of the column's own type, else value by value with dlt's
coercion. A value that does not fit without loss goes to a variant column beside it, or its record
is rejected with the reason; `quarantine` keeps such records.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.data_types import TDataType
from dlt.common.schema import utils
from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.rows.column_types import array, shown, type_of
from incidents_dagster.ingestion.rows.fields import MOST_COLUMNS, columns_of
from incidents_dagster.ingestion.tables import FIELD, key_as_text

BATCH_ROWS = 5_000
# What dlt would turn into text, though nobody wants that: in a declared column, in an id.
NO_TEXT = (dict, list)
NO_ID = (dict, list, bool, float)
NO_TIME = (int, float)  # epoch seconds, but where times are declared


def chunks(
    records: Iterable[Any], before: Callable[[], None] = lambda: None
) -> Iterator[list[Any]]:
    """`records` in lists of at most `BATCH_ROWS`, in their order; calls `before` before each."""
    rest = iter(records)
    while True:
        before()
        if not (chunk := list(islice(rest, BATCH_ROWS))):
            return
        yield chunk


def distinct(tables: list[pa.Table]) -> pa.Table:
    """The distinct rows of `tables`, in any order. Columns that a table lacks are null.

    Tables without rows do not count, unless all are: then the first one, or no columns at all.
    """
    if not (filled := [table for table in tables if len(table)]):
        return tables[0] if tables else pa.table({})
    rows = pa.concat_tables(filled, promote_options="default")
    return rows.group_by(rows.column_names, use_threads=False).aggregate([])


@dataclass(frozen=True)
class Rejected:
    """A record that cannot be loaded.

    Attributes:
        record: As the API sent it.
        reason: One sentence: which field, and what is wrong with it. It may show a short value.
        record_id: Its primary key, by `tables.key_as_text`; None unless each of its columns is
            text, a whole number or a date.
    """

    record: Any
    reason: str
    record_id: str | None


@dataclass(frozen=True)
class Batch:
    """Records as rows, and those that cannot be rows.

    Attributes:
        rows: In the order of the records. A column without any value is left out; if there are no
            rows, every known column with a type is included.
        new_columns: dlt's hints for the columns that were not known, or whose field was not.
        rejected: In the order of the records.
    """

    rows: pa.Table
    new_columns: TTableSchemaColumns
    rejected: list[Rejected]


def to_arrow(
    records: list[Any],
    known: TTableSchemaColumns,
    primary_key: Sequence[str] = (),
    declared: Collection[str] = (),
    most_columns: int = MOST_COLUMNS,
) -> Batch:
    """Turns records into an Arrow table: columns by `fields`, types as by dlt.

    A record is rejected if it is not a JSON object, lacks a required value, or has a value that
    does not fit a strict column or is nested too deeply. Strict columns are the primary key, those
    declared with a type and those that may not be null. All others follow the API: a value that
    does not fit goes to a variant column beside them, as in dlt itself, and nothing is lost.

    An id is text, or a whole number, which becomes text; if the table or the configuration has
    another type for it, the id must fit that one. In a strict column that is neither text nor JSON,
    an empty string is null, as several APIs write null that way.

    Args:
        records: As the API sent them; fields may be missing or null.
        known: The table's columns so far, with dlt's hints.
        primary_key: Names of its columns.
        declared: Names of the columns that the configuration declares with a type.
        most_columns: If the table has as many columns, new fields share one.
    """
    bad = {
        n: Rejected(record, f"The record should be a JSON object, not {shown(record)}.", None)
        for n, record in enumerate(records if set(map(type, records)) - {dict} else ())
        if not isinstance(record, dict)
    }
    while True:
        # Without the bad ones, so that none of their values adds a column or decides its type.
        left = [n for n in range(len(records)) if n not in bad] if bad else range(len(records))
        good = [records[n] for n in left] if bad else records
        building = _Building(good, known, primary_key, declared, most_columns)
        if not building.reasons:
            return Batch(building.table(), building.new, [bad[n] for n in sorted(bad)])
        for n, reason in building.reasons.items():
            bad[left[n]] = Rejected(good[n], reason, building.record_id(n))


class _Building:
    """A table under construction.

    Attributes:
        arrays: Column name → its values.
        new: As `Batch.new_columns`.
        reasons: Position of a record → why it is rejected.
    """

    def __init__(
        self,
        records: list[dict[str, Any]],
        known: TTableSchemaColumns,
        primary_key: Sequence[str],
        declared: Collection[str],
        most_columns: int,
    ) -> None:
        self.arrays: dict[str, pa.Array] = {}
        self.new: TTableSchemaColumns = {}
        self.reasons: dict[int, str] = {}
        self._known, self._primary_key = known, primary_key
        ours = [name for name in known if not name.startswith("_dlt_")]
        needed = [name for name in ours if not utils.is_nullable_column(known[name])]
        needed = list(dict.fromkeys([*primary_key, *needed]))
        self._strict = {*needed, *declared}
        fields: dict[str, str] = {}
        if records:
            found = columns_of(records, known, most_columns)
            columns, fields = found.values, found.fields
        else:
            columns = {name: [] for name in dict.fromkeys([*ours, *primary_key])}
        for name in [name for name in columns if name in self._strict]:
            self._add(name, columns.pop(name))
        for name in needed:
            for n in self._missing(name, len(records)):
                self.reasons.setdefault(n, f"{name} is missing, null or empty.")
        if not self.reasons:  # the others' types depend on the records that are left
            for name, values in columns.items():
                self._add(name, values)
        for name, field in fields.items():
            if name in self.arrays:
                hints = self.new.get(name) or known[name]
                self.new[name] = {**hints, FIELD: field}  # type: ignore[misc]

    def table(self) -> pa.Table:
        # Declared columns first, as dlt creates its table from this one.
        names = [name for name in {**self._known, **self.arrays} if name in self.arrays]
        return pa.table({name: self.arrays[name] for name in names})

    def record_id(self, n: int) -> str | None:
        """The primary key of record `n` as text, None if it is not usable."""
        arrays = [self.arrays.get(name) for name in self._primary_key]
        values = [None if array is None else array[n].as_py() for array in arrays]
        usable = values and all(type(v) in (str, int, date) and v != "" for v in values)
        return key_as_text(values) if usable else None

    def _add(self, name: str, values: list[Any], variant_type: TDataType | None = None) -> None:
        column = self._known.get(name) or {"name": name}
        key, strict = name in self._primary_key, name in self._strict
        data_type = column.get("data_type") or variant_type
        data_type = data_type or ("text" if key else type_of(values))
        if data_type is None:
            return  # null in every record, so the type is unknown
        refused: tuple[type, ...] = ()
        if data_type == "text":
            refused = NO_ID if key else NO_TEXT if strict else ()
        elif data_type == "timestamp" and not strict:
            refused = NO_TIME
        self.arrays[name], misfits = array(values, data_type, column, strict, refused)
        if "data_type" not in column:
            self.new[name] = {"nullable": True, **column, "name": name, "data_type": data_type}
            if variant_type:
                self.new[name]["variant"] = True
        expected = "text or a whole number" if key and data_type == "text" else data_type
        for own_type, others in misfits.items():
            if own_type and not strict:
                self._add(f"{name}__v_{own_type}", others, own_type)
                continue
            for n, value in enumerate(others):
                if value is not None:
                    reason = f"should be {expected}, not {shown(value)}"
                    reason = reason if own_type else "is nested too deeply or has too long a number"
                    self.reasons.setdefault(n, f"{name} {reason}.")

    def _missing(self, name: str, count: int) -> list[int]:
        """Positions of the records without the required value."""
        values = self.arrays.get(name)
        if values is None:
            return list(range(count))
        missing = pc.is_null(values) if values.null_count else None
        if name in self._primary_key and pa.types.is_string(values.type):
            missing = pc.fill_null(pc.equal(values, ""), True)
        return [] if missing is None else pc.indices_nonzero(missing).to_pylist()
