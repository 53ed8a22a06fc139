"""One column's values, in the column's type.

At once if every value is of that type, else value by value with dlt's coercion. What does not fit
without loss is returned separately; `batches` decides where it goes.
"""

import json as exact_json
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from dlt.common import json
from dlt.common.data_types import TDataType, coerce_value, py_type_to_sc_type
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.libs.pyarrow import get_py_arrow_datatype
from dlt.common.schema.detections import is_iso_timestamp
from dlt.common.time import ensure_datetime_in_tz
from dlt.destinations import duckdb

SHOWN_CHARACTERS = 40
PIECE = 50  # values converted one by one where not all are of the column's type
INT64 = range(-(2**63), 2**63)
TIMESTAMP = pa.timestamp("us", "UTC")
# The Python types of JSON values, by data_type.
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


@cache
def capabilities() -> DestinationCapabilitiesContext:
    """What dlt knows about DuckDB: its types, limits and names."""
    # Without a configuration, dlt looks for one and keeps its errors, and with them the frames of
    # all callers: 32 MB of keys and rows at 100,000 incidents, throughout the load.
    factory = duckdb()
    return factory.capabilities(factory.spec())


def type_of(values: list[Any]) -> TDataType | None:
    """The narrowest type that every value fits, None if all are null."""
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


def array(
    values: list[Any],
    data_type: TDataType,
    column: Any,
    empty_is_null: bool,
    refused: tuple[type, ...],
) -> tuple[pa.Array, dict[TDataType | None, list[Any]]]:
    """A column of `values`.

    Args:
        values: As the API sent them.
        data_type: dlt's type of the column.
        column: Its hints, for precision and scale.
        empty_is_null: Whether an empty string is null if the column has another type.
        refused: Types that dlt would turn into the column's type, and that do not belong there.

    Returns:
        The column, null where a value does not fit; and those values at their positions, by their
        own type, or under None if no column can hold them.
    """
    kind = ARROW.get(data_type)
    if kind is None or (column.get("precision") and data_type == "bigint"):
        kind = get_py_arrow_datatype(column, capabilities(), "UTC")
    made = _at_once(values, data_type, kind)
    if made is None and empty_is_null and data_type not in ("text", "json") and "" in values:
        values = [None if value == "" else value for value in values]
        made = _at_once(values, data_type, kind)
    if made is not None:
        return made, {}
    pieces: list[pa.Array] = []
    misfits: dict[TDataType | None, list[Any]] = {}
    for start in range(0, len(values), PIECE):
        piece = values[start : start + PIECE]
        made = _at_once(piece, data_type, kind)
        if made is not None:
            pieces.append(made)
            continue
        kept: list[Any] = []
        for n, value in enumerate(piece, start):
            odd = value is None or isinstance(value, refused)
            kept.append(None if odd else _fit(value, data_type, kind))
            if value is not None and kept[-1] is None:
                own_type = _own_type(value)
                fits_none = own_type == data_type and data_type in ("text", "json")
                others = misfits.setdefault(None if fits_none else own_type, [None] * len(values))
                others[n] = value
        pieces.append(pa.array(kept, kind))
    return pa.concat_arrays(pieces), misfits


def _at_once(values: list[Any], data_type: TDataType, kind: Any) -> pa.Array | None:
    """The column if every value is of its own type, else None."""
    types = set(map(type, values)) - {type(None)}
    try:
        if data_type == "json":
            return pa.array([None if v is None else _json_text(v) for v in values], kind)
        if data_type == "text" and int in types and types <= {str, int}:  # numbers as ids
            return pa.array([None if v is None else str(v) for v in values], kind)
        if types <= OWN_TYPE.get(data_type, set()):
            if data_type != "timestamp":
                return pa.array(values, kind)
            times = pa.array(values, pa.string()).cast(TIMESTAMP)
            pc.min_max(times).as_py()  # fails outside the years 1 to 9999, which few readers know
            return times
    except (ValueError, OverflowError, RecursionError):
        pass  # an odd spelling, a number beyond 64 bits, half a surrogate pair, deep nesting
    return None


def _own_type(value: Any) -> TDataType:
    own_type = py_type_to_sc_type(type(value))
    return "text" if own_type == "bigint" and value not in INT64 else own_type


def _fit(value: Any, data_type: TDataType, kind: Any) -> Any:
    """`value` as `data_type`, by dlt's coercion; None if that fails or loses something."""
    own_type = py_type_to_sc_type(type(value))
    try:
        if data_type == "json":
            return _json_text(value)
        spelled_out = data_type == "text" and own_type == "json"
        fitting: Any = (
            _json_text(value) if spelled_out else coerce_value(data_type, own_type, value)
        )
        if data_type == "text":
            # UTF-8 cannot hold half a surrogate pair.
            return fitting.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if data_type == "timestamp":
            fitting = ensure_datetime_in_tz(fitting)
        pa.scalar(fitting, kind)  # fails beyond 64 bits or a decimal's digits
    except (ValueError, TypeError, SyntaxError, ArithmeticError, OSError, RecursionError):
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


def shown(value: Any) -> str:
    """A value for a message, whole or not at all: part of a secret would not be recognized."""
    if isinstance(value, str):
        short = len(value) <= SHOWN_CHARACTERS and value.isprintable()
        return f"'{value}'" if short else f"text of {len(value):,} characters"
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and value not in INT64:
        return "a number beyond 64 bits"
    return exact_json.dumps(value)


def _is_double(value: float) -> bool:
    try:
        return isinstance(value, float) or int(float(value)) == value
    except OverflowError:
        return False


def _same_number(fitting: float, value: Any) -> bool:
    return bool((str(fitting) if isinstance(value, str) else fitting) == value)


def _json_text(value: Any) -> str:
    # Sorted, as the order of an object's keys says nothing and may change with each response.
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        # Integers beyond 64 bits, half a surrogate pair.
        text = exact_json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
