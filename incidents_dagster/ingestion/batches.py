"""Records of the API as Arrow tables, in the types that dlt's schema has for their columns.

Column by column: where every value is of the column's own type, in one go; where not, each value
by dlt's coercion, and what does not fit without loss goes to a variant column beside it.
"""

import json as exact_json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from dlt.common import json
from dlt.common.data_types import TDataType, coerce_value, py_type_to_sc_type
from dlt.common.libs.pyarrow import get_py_arrow_datatype
from dlt.common.normalizers.naming import NamingConvention
from dlt.common.schema import utils
from dlt.common.schema.detections import is_iso_timestamp
from dlt.common.schema.typing import TTableSchemaColumns
from dlt.common.time import ensure_datetime_in_tz
from dlt.destinations import duckdb

from incidents_dagster.ingestion.errors import RecordError

BATCH_ROWS = 5_000
INT64 = range(-(2**63), 2**63)
TIMESTAMP = pa.timestamp("us", "UTC")
# The Python type that JSON values of a data_type have.
OWN_TYPE: dict[TDataType, set[type]] = {
    "text": {str},
    "timestamp": {str},
    "bigint": {int},
    "double": {float},
    "bool": {bool},
}
ARROW = {
    "text": pa.string(),
    "json": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": TIMESTAMP,
}


def chunks(records: Iterable[Any]) -> Iterator[list[Any]]:
    """`records` in lists of at most `BATCH_ROWS`, in their order."""
    rest = iter(records)
    while chunk := list(islice(rest, BATCH_ROWS)):
        yield chunk


def to_arrow(
    records: list[dict[str, Any]],
    known: TTableSchemaColumns,
    naming: NamingConvention,
) -> tuple[pa.Table, TTableSchemaColumns]:
    """Turns records into an Arrow table with the names and types that dlt would give them.

    Args:
        records: As the API sent them; fields may be missing or null.
        known: The table's columns so far, with dlt's hints.
        naming: Makes column names of the fields'.

    Returns:
        The table, and dlt's hints for the columns that were not known. A column without any value
        is left out.

    Raises:
        RecordError: A record is no object, or lacks a value that may not be missing.
    """
    arrays: dict[str, pa.Array] = {}
    new: TTableSchemaColumns = {}

    def add(name: str, values: list[Any], variant_type: TDataType | None = None) -> None:
        column = known.get(name) or {"name": name}
        data_type = column.get("data_type") or variant_type or _type_of(values)
        if data_type is None:
            return  # null in every record: there is no telling which type
        arrays[name], misfits = _array(values, data_type, column)
        if "data_type" not in column:
            new[name] = {"nullable": True, **column, "name": name, "data_type": data_type}
            if variant_type:
                new[name]["variant"] = True
        for own_type, others in misfits.items():
            add(naming.shorten_fragments(name, f"v_{own_type}"), others, own_type)

    for name, values in _columns(records, naming).items():
        add(name, values)
    for name, column in known.items():
        if not utils.is_nullable_column(column) and not name.startswith("_dlt_"):
            missing = arrays[name].null_count if name in arrays else len(records)
            if missing:
                raise RecordError(
                    f"{missing:,} of {len(records):,} records have no {name!r}, which may not be "
                    "missing, so nothing was loaded: check data_selector and columns."
                )
    # A table that is made of it has the declared columns first.
    return pa.table({name: arrays[name] for name in {**known, **arrays} if name in arrays}), new


def _columns(records: list[Any], naming: NamingConvention) -> dict[str, list[Any]]:
    """Column name → its value in each record."""
    columns: dict[str, list[Any]] = {}
    try:
        for field in dict.fromkeys(chain.from_iterable(record.keys() for record in records)):
            name = naming.normalize_path(field) or "_empty"  # as dlt does
            if name.startswith("_dlt_"):
                name = "source" + name  # a field called like one of dlt's own columns
            values = [record.get(field) for record in records]
            if name in columns:  # two fields with one name, such as createdAt and created_at
                pairs = zip(columns[name], values, strict=True)
                values = [first if second is None else second for first, second in pairs]
            columns[name] = values
    except AttributeError:
        raise RecordError(
            "A record is not a JSON object, so nothing was loaded: check endpoint.data_selector."
        ) from None
    return columns


def _type_of(values: list[Any]) -> TDataType | None:
    """The narrowest type that every value fits, None where all are null."""
    types = set(map(type, values)) - {type(None)}
    present = (value for value in values if value is not None)
    narrowest: TDataType | None = "text" if types else None
    if types & {dict, list}:
        narrowest = "json"
    elif types == {bool}:
        narrowest = "bool"
    elif types == {int} and all(value in INT64 for value in present):
        narrowest = "bigint"
    elif types in ({float}, {int, float}) and all(_is_double(value) for value in present):
        narrowest = "double"
    elif types == {str} and all(is_iso_timestamp(str, value) for value in present):
        narrowest = "timestamp"
    return narrowest


def _array(
    values: list[Any], data_type: TDataType, column: Any
) -> tuple[pa.Array, dict[TDataType, list[Any]]]:
    """The column, and by their own type the values that it cannot hold."""
    types = set(map(type, values)) - {type(None)}
    if data_type == "json":
        return pa.array([None if v is None else _json_text(v) for v in values], pa.string()), {}
    kind = ARROW.get(data_type)
    if kind is None or (column.get("precision") and data_type == "bigint"):
        kind = get_py_arrow_datatype(column, duckdb().capabilities(), "UTC")
    if types <= OWN_TYPE.get(data_type, set()):
        try:
            if data_type != "timestamp":
                return pa.array(values, kind), {}
            times = pa.array(values, pa.string()).cast(TIMESTAMP)
            pc.min_max(times).as_py()  # fails outside the years 1 to 9999, which few readers know
            return times, {}
        except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):
            pass  # an odd spelling, a number beyond 64 bit, half a surrogate pair
    kept: list[Any] = []
    misfits: dict[TDataType, list[Any]] = {}
    for n, value in enumerate(values):
        fitting = None if value is None else _fit(value, data_type, kind)
        kept.append(fitting)
        if value is not None and fitting is None:
            misfits.setdefault(_own_type(value), [None] * len(values))[n] = value
    return pa.array(kept, kind), misfits


def _own_type(value: Any) -> TDataType:
    own_type = py_type_to_sc_type(type(value))
    return "text" if own_type == "bigint" and value not in INT64 else own_type


def _fit(value: Any, data_type: TDataType, kind: Any) -> Any:
    """`value` as `data_type`, by dlt's coercion; None where that fails or loses something."""
    own_type = py_type_to_sc_type(type(value))
    try:
        fitting = coerce_value(data_type, own_type, value)
        if data_type == "text":
            # Half a surrogate pair has no place in UTF-8.
            return fitting.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if data_type == "timestamp":
            fitting = ensure_datetime_in_tz(fitting)
        pa.scalar(fitting, kind)  # fails beyond 64 bit or the digits of a decimal
    except (ValueError, TypeError, SyntaxError, ArithmeticError, OSError):
        return None
    if data_type == "bool":
        lossless = own_type == "bool"  # dlt takes 2 and "yes" for true
    elif data_type == "timestamp" and own_type == "text":  # dlt takes "2026" and "007" too
        whole = bool(is_iso_timestamp(str, value)) or value.count("-") > 1
        lossless = whole or str(int(fitting.timestamp())) == value
    else:
        number = fitting.timestamp() if data_type == "timestamp" else fitting
        lossless = data_type not in OWN_TYPE or _same_number(number, value)
    return fitting if lossless else None


def _is_double(value: float) -> bool:
    try:
        return isinstance(value, float) or int(float(value)) == value
    except OverflowError:
        return False


def _same_number(fitting: float, value: Any) -> bool:
    return bool((str(fitting) if isinstance(value, str) else fitting) == value)


def _json_text(value: Any) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        # Integers beyond 64 bit, half a surrogate pair.
        text = exact_json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
