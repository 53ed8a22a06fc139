"""Records to rows: the same table as by dlt's plain path, and no value lost whatever its type.

Where the two paths are meant to differ, an example here says what becomes of the value.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pytest
from dlt.common.data_types import coerce_value, py_type_to_sc_type
from dlt.common.normalizers.naming.snake_case import NamingConvention as SnakeCase
from dlt.common.schema.detections import is_iso_timestamp
from dlt.common.time import ensure_datetime_in_tz
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fakes.messages import Reply
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.naming import column_name
from incidents_dagster.ingestion.rows import batches
from incidents_dagster.ingestion.rows.batches import chunks, to_arrow
from incidents_dagster_tests.examples import examples
from incidents_dagster_tests.ingestion.rows.loaded import Loaded, Records

UTC = timezone.utc
TEXT = {"data_type": "text"}
KNOWN_TEXT: Any = {"f": {"name": "f", **TEXT}}
ON_DISK = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink an example takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


# --- The same as by dlt's plain path -------------------------------------------------------------

MISSING = object()
INT64 = st.integers(-(2**63), 2**63 - 1)
# dlt writes its own marks into JSON as characters for private use (Co).
PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs", "Co"]), max_size=20)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.one_of(st.none(), st.booleans(), INT64, FLOATS, PLAIN_TEXT)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN_TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(PLAIN_TEXT, NESTED, max_size=3)
LISTS = st.lists(NESTED, max_size=3)
TIMES = st.builds(
    lambda at, kind, zone: at.isoformat(sep=kind) + zone,
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),
    st.sampled_from("T "),
    st.sampled_from(["Z", "", "+00:00", "+02:00", "-05:30", "+1400"]),
)
# kind → values that fit one column in both paths, whichever comes first
UNDECLARED = {
    "text": PLAIN_TEXT.filter(lambda text: not is_iso_timestamp(str, text)),
    "time": TIMES,
    "int": INT64,
    "float": FLOATS,
    "bool": st.booleans(),
    "object": OBJECTS,
    "list": LISTS,
    "object or list": OBJECTS | LISTS,
    "null": st.none(),
}
DECLARED = {
    "text": st.one_of(PLAIN_TEXT, INT64, FLOATS, st.booleans(), TIMES),
    "timestamp": TIMES | st.sampled_from(["2026-11-01", 1_700_000_000]),
    "double": FLOATS | st.integers(-(2**53), 2**53),
    "bigint": INT64 | st.sampled_from(["7", "-12"]),
    "bool": st.booleans(),
    "json": OBJECTS | LISTS,
    "date": st.dates().map(str),
}
NAMES = st.one_of(
    st.sampled_from(
        ["camelCase", "HTTPCode", "two words", "a-b", "a.b", "", " ", "1st", "Severity__c"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.text("aB_ü", min_size=60, max_size=80),
)


def _named(name: str) -> str:
    return SnakeCase().normalize_path(name) or "_empty"


@st.composite
def _tables(draw: st.DrawFn) -> tuple[dict[str, Any], Records]:
    """Declared columns, and the records to serve."""
    columns: dict[str, Any] = {}
    records: Records = [{"id": str(n)} for n in range(draw(st.integers(1, 5)))]
    names = draw(st.lists(NAMES, max_size=14, unique_by=_named))
    for number, name in enumerate(name for name in names if _named(name) != "id"):
        if _named(name).startswith("_dlt") or _named(name) != column_name(name):
            continue
        declared = draw(st.booleans())
        kind = draw(st.sampled_from(list(DECLARED if declared else UNDECLARED)))
        field = f"declared_{number}" if declared else name
        if declared:
            columns[field] = {"data_type": kind}
        values = (DECLARED if declared else UNDECLARED)[kind]
        for record in records:
            value = draw(st.one_of(values, values, st.just(MISSING), st.none()))
            if value is not MISSING:
                record[field] = value
    return columns, records


@settings(ON_DISK, max_examples=examples(2, 8))
@given(table=_tables())
def test_the_table_is_the_one_that_dlts_plain_path_makes(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, table: tuple[dict[str, Any], Records]
) -> None:
    columns, records = table
    loaded.fresh(monkeypatch, columns=columns)
    ours, our_types = loaded.sync(records), loaded.types()
    plain, plain_types = loaded.plainly(records), loaded.types()
    assert our_types == plain_types
    assert _in_one_order(ours, our_types) == _in_one_order(plain, plain_types)


def _in_one_order(rows: Records, types: dict[str, str]) -> Records:
    """Rows with the keys of their JSON values sorted, as ours are."""
    texts = [name for name, kind in types.items() if kind == "JSON"]
    return [
        {**row, **{name: row[name] and _sorted(json.loads(row[name])) for name in texts}}
        for row in rows
    ]


def _sorted(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


# --- No value is lost ----------------------------------------------------------------------------


def _clean(value: Any) -> Any:
    """`value` as UTF-8 can have it."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    if isinstance(value, dict):
        return {_clean(name): _clean(inner) for name, inner in value.items()}
    return value


def _exactly(one: Any, other: Any) -> bool:
    # Tells 1 from 1.0 and from true; the order of keys says nothing.
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _stands_for(kind: str, cell: Any, value: Any) -> bool:
    """Whether `cell`, in a column of DuckDB type `kind`, tells that `value` was sent."""
    if kind == "JSON":
        return _exactly(json.loads(cell), _clean(value))
    if kind.startswith("TIMESTAMP"):
        own_type = py_type_to_sc_type(type(value))
        return bool(cell == ensure_datetime_in_tz(coerce_value("timestamp", own_type, value)))
    if kind == "VARCHAR":
        if isinstance(value, (dict, list)):
            return _exactly(json.loads(cell), _clean(value))
        return bool(cell == (_clean(value) if isinstance(value, str) else str(value)))
    if kind == "BOOLEAN":
        return cell is value
    return not isinstance(value, bool) and (cell == value or str(cell) == value)


def _told(row: dict[str, Any], types: dict[str, str], name: str, value: Any) -> str | None:
    """The one column that tells that field `name` had `value`; None where it was null."""
    family = [column for column in types if column == name or column.startswith(f"{name}__v_")]
    filled = [column for column in family if row[column] is not None]
    if value is None:
        assert filled == []
        return None
    assert len(filled) == 1, (value, {column: row[column] for column in family})
    assert _stands_for(types[filled[0]], row[filled[0]], value), (value, filled, row[filled[0]])
    return filled[0]


ANY_TEXT = st.one_of(
    st.text(st.characters(), max_size=12),
    st.sampled_from(
        ["", "007", "7", "1.50", "true", "null", "{}", "2026", "2026-11", "1e5", "nan"]
    ),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "2026-11-01", "20261101T120000Z", "12:00"]),
    TIMES,
)
ANY = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), FLOATS, ANY_TEXT),
        st.integers(-5, 5),
        st.sampled_from([2**53 + 1, -(2**63), 2**63 - 1, 2**63, 2**70, -(10**40), 10**400]),
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ANY_TEXT, inner, max_size=2),
    max_leaves=4,
)
ARROW_NAMES = {"string": "VARCHAR", "int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN"}


# Whole batches of one kind, so that a column gets the type of its first and meets another's.
BATCHES = st.one_of(
    *(
        st.lists(kind, min_size=1, max_size=4)
        for kind in (ANY, ANY_TEXT, TIMES, st.integers(-5, 5), FLOATS, st.booleans())
    )
)


@pytest.mark.thorough
@settings(max_examples=300, deadline=None)
@given(runs=st.lists(BATCHES, min_size=1, max_size=4))
def test_no_batch_loses_a_value_whatever_the_batches_before_it_made_of_the_field(
    runs: list[list[Any]],
) -> None:
    known: Any = {}
    for values in runs:
        batch = to_arrow([{"f": value, "g": "other"} for value in values], known)
        table = batch.rows
        assert batch.rejected == []
        known.update(batch.new_columns)
        types = {
            column.name: "JSON"
            if known[column.name]["data_type"] == "json"
            else ARROW_NAMES.get(str(column.type), "TIMESTAMP")
            for column in table.schema
        }
        assert table["g"].to_pylist() == ["other"] * len(values)
        for row, value in zip(table.to_pylist(), values, strict=True):
            _told(row, types, "f", value)


@pytest.mark.thorough
@settings(ON_DISK, max_examples=examples(1, 3))
@given(
    first=st.lists(ANY, min_size=4, max_size=4),
    second=st.lists(ANY, min_size=4, max_size=4),
    rows_of_a_batch=st.integers(1, 3),
)
def test_no_sync_loses_a_value(
    loaded: Loaded,
    monkeypatch: pytest.MonkeyPatch,
    first: list[Any],
    second: list[Any],
    rows_of_a_batch: int,
) -> None:
    monkeypatch.setattr(batches, "BATCH_ROWS", rows_of_a_batch)
    loaded.fresh(monkeypatch)
    for number, values in enumerate((first, second)):
        rows = loaded.sync([{"id": f"{number}{n}", "f": value} for n, value in enumerate(values)])
    for row, value in zip(rows, first + second, strict=True):
        _told(row, loaded.types(), "f", value)


# --- A field whose type changes ------------------------------------------------------------------

KINDS: dict[str, Any] = {
    "bool": True,
    "int": 7,
    "bigint": 2**70 + 1,
    "float": 1.5,
    "text": "abc",
    "time": "2026-11-01T12:00:00Z",
    "object": {"a": [1, None]},
    "list": [1, "b"],
    "null": None,
}
PAIRS = {f"{one}_to_{other}": (one, other) for one in KINDS for other in KINDS}
BEFORE = {"id": "1", "other": "same", **{pair: KINDS[one] for pair, (one, _) in PAIRS.items()}}
AFTER = {"id": "2", "other": "same", **{pair: KINDS[other] for pair, (_, other) in PAIRS.items()}}
# (what a column is made for, what it takes too); all else goes to a variant beside it.
FITS = {
    # Integers beyond 64 bit are text; text takes anything as text, JSON anything as JSON.
    *((one, other) for one in ("bigint", "text", "object", "list") for other in KINDS),
    ("float", "int"),
}
VARIANTS = {
    **{"bool": "v_bool", "int": "v_bigint", "bigint": "v_text", "float": "v_double"},
    **{"text": "v_text", "time": "v_text", "object": "v_json", "list": "v_json"},
}


def _at(pair: str) -> str:
    """The column that the second value of a pair is expected in."""
    one, other = PAIRS[pair]
    stays = one in (other, "null") or (one, other) in FITS
    return pair if stays else f"{pair}__{VARIANTS[other]}"


@pytest.mark.parametrize("between", ["syncs", "batches"])
@pytest.mark.sample(1)
def test_a_field_may_change_its_type_from_any_to_any(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    if between == "syncs":
        first = loaded.sync([BEFORE])[0]
        rows = loaded.sync([BEFORE, AFTER])
        assert {name: rows[0][name] for name in first} == first
    else:
        monkeypatch.setattr(batches, "BATCH_ROWS", 1)
        rows = loaded.sync([BEFORE, AFTER])
    types = loaded.types()
    assert [row["other"] for row in rows] == ["same", "same"]
    for pair, (one, other) in PAIRS.items():
        assert _told(rows[0], types, pair, KINDS[one]) == (None if one == "null" else pair)
        assert _told(rows[1], types, pair, KINDS[other]) == (
            None if other == "null" else _at(pair)
        ), pair
    assert loaded.sync([BEFORE, AFTER]) == rows
    loads = loaded.select("SELECT count(*) FROM incidents._dlt_loads")
    assert loads == [(2 if between == "syncs" else 1,)]


def test_within_a_batch_a_field_gets_the_narrowest_type_that_all_its_values_fit(
    loaded: Loaded,
) -> None:
    rows = loaded.sync([BEFORE, AFTER])
    types = loaded.types()
    numbers = {"int", "float"}
    for pair, kinds in PAIRS.items():
        expected = "VARCHAR"
        present = set(kinds) - {"null"}
        if present & {"object", "list"}:
            expected = "JSON"
        elif len(present) == 1:
            (kind,) = present
            expected = {
                **{"bool": "BOOLEAN", "int": "BIGINT", "float": "DOUBLE"},
                "time": "TIMESTAMP WITH TIME ZONE",
            }.get(kind, "VARCHAR")
        elif present == numbers:
            expected = "DOUBLE"
        assert types.get(pair) == (expected if present else None), pair
        for row, kind in zip(rows, kinds, strict=True):
            if present:
                _told(row, types, pair, KINDS[kind])
    assert not [name for name in types if "__v_" in name]


# type → (value, what the column has for it), and the values that do not fit it.
# dlt's plain path makes 7 of "007" and true of 2, and stumbles over 2**70 and many decimal digits.
TAKES: dict[str, tuple[list[tuple[Any, Any]], list[Any]]] = {
    "bigint": ([(7, 7), ("7", 7), (2.0, 2)], ["007", " 7", "1_000", 2.5, True, 2**70]),
    "double": ([(5, 5.0), ("1.5", 1.5)], [2**53 + 1, "1.50", True, "x"]),
    "bool": ([(True, True)], [2, "yes", 0, 1.5]),
    "decimal": ([("12.5", 12.5), (0.25, 0.25)], [0.1 + 0.2, 10**40, "x"]),
    "date": ([("2026-11-01", datetime(2026, 11, 1).date())], ["soon", True]),
    "timestamp": (
        [
            ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
            ("1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ],
        ["soon", 1_700_000_000_000, "007", "2026", True, "0001-01-01T00:00:00+14:00"],
    ),
    "text": ([(1, "1"), (1.5, "1.5"), (True, "True"), (2**70, str(2**70))], []),
    "json": ([("a", '"a"'), ("5", '"5"'), (5, "5"), (True, "true"), ({}, "{}"), ("", '""')], []),
}


@pytest.mark.parametrize("kind", TAKES)
def test_what_does_not_fit_takes_its_record_out_of_a_declared_column_and_stands_beside_another(
    kind: str,
) -> None:
    takes, misfits = TAKES[kind]
    records = [{"id": str(n), "f": v} for n, v in enumerate([*(v for v, _ in takes), *misfits])]
    known: Any = {"f": {"name": "f", "data_type": kind}}
    strict = to_arrow(records, known, ["id"], ["f"])
    assert strict.rows["f"].to_pylist() == [cell for _, cell in takes]
    assert [bad.record for bad in strict.rejected] == records[len(takes) :]
    assert [bad.record_id for bad in strict.rejected] == [r["id"] for r in records[len(takes) :]]
    assert {bad.reason.partition(", not ")[0] for bad in strict.rejected} <= {f"f should be {kind}"}
    assert set(strict.new_columns) == {"id", "f"}, "what is rejected makes no column"
    loose = to_arrow(records, known, ["id"])
    assert loose.rejected == []
    assert loose.rows["f"].to_pylist() == [*(cell for _, cell in takes), *[None] * len(misfits)]
    for row, value in zip(loose.rows.to_pylist()[len(takes) :], misfits, strict=True):
        beside = {name: cell for name, cell in row.items() if name.startswith("f__v_")}
        found = [cell for cell in beside.values() if cell is not None]
        assert found == [str(value) if value in (2**70, 10**40) else value]


def test_a_declared_text_takes_no_object_or_list_and_another_spells_it_out() -> None:
    records: Records = [{"f": "a"}, {"f": [1]}, {"f": {"a": 1}}]
    strict = to_arrow(records, KNOWN_TEXT, (), ["f"])
    assert strict.rows["f"].to_pylist() == ["a"]
    assert [bad.reason for bad in strict.rejected] == [
        "f should be text, not a list.",
        "f should be text, not an object.",
    ]
    assert to_arrow(records, KNOWN_TEXT).rows["f"].to_pylist() == ["a", "[1]", '{"a":1}']


def test_epoch_seconds_are_times_in_a_column_that_is_declared_so_and_numbers_elsewhere() -> None:
    records: Records = [{"f": "2026-11-01"}, {"f": 1_700_000_000}, {"f": 0.5}]
    known: Any = {"f": {"name": "f", "data_type": "timestamp"}}
    strict = to_arrow(records, known, (), ["f"])
    assert [at.timestamp() for at in strict.rows["f"].to_pylist()[1:]] == [1_700_000_000, 0.5]
    loose = to_arrow(records, known)
    assert loose.rows["f"].to_pylist()[1:] == [None, None]
    assert loose.rows["f__v_bigint"].to_pylist() == [None, 1_700_000_000, None]
    assert loose.rows["f__v_double"].to_pylist() == [None, None, 0.5]


def test_an_empty_text_is_null_in_a_declared_column_that_is_no_text() -> None:
    for kind in TAKES:
        known: Any = {"f": {"name": "f", "data_type": kind}}
        batch = to_arrow([{"f": ""}, {"f": TAKES[kind][0][0][0]}], known, (), ["f"])
        assert batch.rejected == []
        expected = {"text": "", "json": '""'}.get(kind)
        assert batch.rows["f"].to_pylist()[0] == expected, kind


def test_misfits_anywhere_in_a_long_batch_are_found_at_their_places() -> None:
    places = (0, 49, 50, 51, 99, 100, 119)
    records: Records = [{"f": "soon" if n in places else _iso(n)} for n in range(120)]
    known: Any = {"f": {"name": "f", "data_type": "timestamp"}}
    times = [None if n in places else datetime.fromisoformat(_iso(n)) for n in range(120)]
    loose = to_arrow(records, known).rows.to_pylist()
    assert [row["f"] for row in loose] == times
    assert [n for n, row in enumerate(loose) if row["f__v_text"] == "soon"] == list(places)
    strict = to_arrow(records, known, (), ["f"])
    assert [row["f"] for row in strict.rows.to_pylist()] == [t for t in times if t]
    assert len(strict.rejected) == len(places)


def _iso(n: int) -> str:
    return datetime.fromtimestamp(1_700_000_000 + n, UTC).isoformat()


def test_a_smaller_integer_column_takes_what_fits_and_no_more() -> None:
    known: Any = {"n": {"name": "n", "data_type": "bigint", "precision": 32}}
    records: Records = [{"n": 5}, {"n": 2**40}]
    assert to_arrow(records, known).rows.to_pylist() == [
        {"n": 5, "n__v_bigint": None},
        {"n": None, "n__v_bigint": 2**40},
    ]
    strict = to_arrow(records, known, (), ["n"])
    assert (strict.rows.to_pylist(), len(strict.rejected)) == ([{"n": 5}], 1)


def test_what_utf8_cannot_have_becomes_a_replacement_character(loaded: Loaded) -> None:
    body = b'[{"id": "1", "t": "a\\ud800b", "j": {"\\udc00": "\\ud83d\\ude00"}, "b": [%d]}]' % 2**70
    assert loaded.sync(Reply(body)) == [
        {"id": "1", "t": "a\ufffdb", "j": '{"\ufffd":"😀"}', "b": f"[{2**70}]"}
    ]


def test_only_digits_beyond_a_double_and_beyond_microseconds_are_lost(loaded: Loaded) -> None:
    digits = b'"n": 0.12345678901234567890, "j": [1234567890.12345678901234567890]'
    time = b'"t": "2026-11-01T00:00:00.123456999Z"'  # cut, not rounded: never later than it was
    (row,) = loaded.sync(Reply(b'[{"id": "1", %s, %s}]' % (digits, time)))
    assert row == {
        "id": "1",
        "n": 0.12345678901234568,
        "j": "[1234567890.1234567]",
        "t": datetime(2026, 11, 1, 0, 0, 0, 123456, UTC),
    }


def test_nul_characters_stay(loaded: Loaded) -> None:
    assert loaded.sync([{"id": "1", "t": "a\0b"}]) == [{"id": "1", "t": "a\0b"}]


def test_deep_nesting_arrives(loaded: Loaded) -> None:
    deep = "[" * 500 + "]" * 500
    body = f'[{{"id": "1", "v": {deep}}}, {{"id": "2", "v": {{"a": {deep}}}}}]'.encode()
    assert [row["v"] for row in loaded.sync(Reply(body))] == [deep, f'{{"a":{deep}}}']


def test_nan_is_no_json(loaded: Loaded) -> None:
    with pytest.raises(Exception, match="Pipeline") as failed:
        loaded.sync(Reply(b'[{"id": "1", "v": NaN}]'))
    assert "is not JSON" in explain(failed.value)


# --- Odd records ---------------------------------------------------------------------------------


def _deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


MISSING_ID = "id is missing, null or empty."
NO_OBJECT = "The record should be a JSON object, not "
# A record that is bad, why, and its id where it has one. `at` is a declared timestamp, `must` a
# text that may not be null.
BAD: list[tuple[Any, str, str | None]] = [
    ("text", NO_OBJECT + "'text'.", None),
    (7, NO_OBJECT + "7.", None),
    (None, NO_OBJECT + "null.", None),
    (True, NO_OBJECT + "true.", None),
    ([{"id": "1"}], NO_OBJECT + "a list.", None),
    ({"must": "m"}, MISSING_ID, None),
    ({"id": None, "must": "m"}, MISSING_ID, None),
    ({"id": "", "must": "m"}, MISSING_ID, None),
    ({"id": True, "must": "m"}, "id should be text or a whole number, not true.", None),
    ({"id": 1.5, "must": "m"}, "id should be text or a whole number, not 1.5.", None),
    ({"id": {"a": 1}, "must": "m"}, "id should be text or a whole number, not an object.", None),
    ({"id": ["1"], "must": "m"}, "id should be text or a whole number, not a list.", None),
    ({"id": "1"}, "must is missing, null or empty.", "1"),
    ({"id": 1, "must": None}, "must is missing, null or empty.", "1"),
    ({"id": "007", "must": "m", "at": "soon"}, "at should be timestamp, not 'soon'.", "007"),
    ({"id": 7, "must": "m", "at": 10**12}, "at should be timestamp, not 1000000000000.", "7"),
    (
        {"id": "1", "must": "m", "at": "x" * 41},
        "at should be timestamp, not text of 41 characters.",
        "1",
    ),
    (
        {"id": "1", "must": "m", "at": "\ud800\0"},
        "at should be timestamp, not text of 2 characters.",
        "1",
    ),
    (
        {"id": "1", "must": "m", "at": 2**70},
        "at should be timestamp, not a number beyond 64 bits.",
        "1",
    ),
    (
        {"id": "1", "must": "m", "deep": _deep(200_000)},
        "deep is nested too deeply or has too long a number.",
        "1",
    ),
    (
        {"id": "1", "must": "m", "known": {"a": _deep(200_000)}},
        "known__v_json is nested too deeply or has too long a number.",
        "1",
    ),
]
KNOWN: Any = {
    "id": {"name": "id", **TEXT, "nullable": False},
    "must": {"name": "must", **TEXT, "nullable": False},
    "at": {"name": "at", "data_type": "timestamp"},
    "known": {"name": "known", "data_type": "bigint"},
    "_dlt_load_id": {"name": "_dlt_load_id", **TEXT, "nullable": False},
}


@pytest.mark.parametrize(("record", "reason", "record_id"), BAD)
def test_a_bad_record_is_put_aside_and_the_others_are_not_touched(
    record: Any, reason: str, record_id: str | None
) -> None:
    good: Records = [{"id": n, "must": "m", "at": "", "n": n} for n in range(3)]
    expected = to_arrow(good, KNOWN, ["id"], ["at"])
    batch = to_arrow([good[0], record, *good[1:], record], KNOWN, ["id"], ["at"])
    assert batch.rows.equals(expected.rows)
    assert (batch.new_columns, expected.rejected) == (expected.new_columns, [])
    found = [(bad.record is record, bad.reason, bad.record_id) for bad in batch.rejected]
    assert found == [(True, reason, record_id)] * 2


def test_of_a_batch_of_bad_records_alone_the_known_columns_stay_in_their_types() -> None:
    batch = to_arrow([record for record, _, _ in BAD], KNOWN, ["id"], ["at"])
    assert len(batch.rejected) == len(BAD)
    assert batch.rows.equals(
        pa.table(
            {
                **{"id": pa.array([], pa.string()), "must": pa.array([], pa.string())},
                "at": pa.array([], pa.timestamp("us", "UTC")),
                "known": pa.array([], pa.int64()),
            }
        )
    )


def test_a_whole_number_and_its_text_are_the_same_id_and_leading_zeros_are_not() -> None:
    records: Records = [{"id": value} for value in (1, "1", "007", 7, 2**70, "a")]
    for known in ({}, KNOWN):
        batch = to_arrow([{**r, "must": "m"} for r in records], known, ["id"])
        assert batch.rows["id"].to_pylist() == ["1", "1", "007", "7", str(2**70), "a"]
    numbers = to_arrow([{"id": 1}, {"id": 2}], {}, ["id"])
    assert numbers.rows["id"].to_pylist() == ["1", "2"]
    assert numbers.new_columns["id"]["data_type"] == "text"


def test_an_id_of_another_type_takes_what_fits_that_type() -> None:
    known: Any = {"id": {"name": "id", "data_type": "bigint", "nullable": False}}
    batch = to_arrow([{"id": v} for v in (1, "2", "007", "", "x", 2**70)], known, ["id"])
    assert batch.rows["id"].to_pylist() == [1, 2]
    assert [bad.reason for bad in batch.rejected] == [
        "id should be bigint, not '007'.",
        MISSING_ID,
        "id should be bigint, not 'x'.",
        "id should be bigint, not a number beyond 64 bits.",
    ]


def test_the_id_of_a_key_of_several_columns_is_joined_in_the_keys_order() -> None:
    known: Any = {"day": {"name": "day", "data_type": "date"}}
    records: Records = [
        {"day": "2026-11-01", "n": 7, "Tenant": "a", "must": None},
        {"day": "2026-11-01", "n": None, "Tenant": "a", "must": "m"},
    ]
    known["must"] = KNOWN["must"]
    batch = to_arrow(records, known, ["tenant", "n", "day"])
    assert [bad.record_id for bad in batch.rejected] == ["a, 7, 2026-11-01", None]


FIELDS = st.sampled_from(["id", "at", "must", "known", "other", "Deleted At"])
ODD_RECORDS = st.one_of(
    st.dictionaries(FIELDS, ANY, max_size=6),
    st.builds(
        lambda n, more: {**more, "id": n, "must": "m"},
        st.integers() | st.text(max_size=3),
        st.dictionaries(FIELDS, ANY, max_size=4),
    ),
    ANY,
)


@settings(max_examples=examples(30, 100), deadline=None)
@given(runs=st.lists(st.lists(ODD_RECORDS, max_size=6), min_size=1, max_size=3))
def test_every_record_is_a_row_or_rejected_once_and_in_order(runs: list[list[Any]]) -> None:
    known: Any = dict(KNOWN)
    for records in runs:
        numbered = [
            {**record, "number": n} if isinstance(record, dict) else record
            for n, record in enumerate(records)
        ]
        batch = to_arrow(numbered, known, ["id"], ["at"])
        known.update(batch.new_columns)
        rejected = iter(batch.rejected)
        rows = iter(batch.rows.to_pylist())
        due = next(rejected, None)
        for n, record in enumerate(numbered):
            if due is not None and due.record is record:
                assert due.reason.endswith(".")
                due = next(rejected, None)
            else:
                row = next(rows)
                assert row["number"] == n
                assert row["must"] is not None
                assert row["id"] == str(_clean(record["id"])) != ""
        assert (due, next(rows, None)) == (None, None)


def test_a_key_may_have_several_columns(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded.fresh(monkeypatch, primary_key=["tenantId", "id"], columns={"tenantId": TEXT})
    records = [{"tenantId": t, "id": n, "v": f"{t}{n}"} for t in ("a", "b") for n in (1, 2)]
    loaded.sync(records)
    records[3]["v"] = "changed"
    loaded.sync(records)
    key = "tenant_id, id"
    assert loaded.select(f"SELECT {key}, v FROM incidents.x ORDER BY {key}") == [
        *(("a", "1", "a1"), ("a", "2", "a2"), ("b", "1", "b1"), ("b", "2", "changed"))
    ]
    loads = "SELECT count(*) FROM incidents.x GROUP BY _dlt_load_id ORDER BY 1"
    assert loaded.select(loads) == [(1,), (3,)]


def test_fields_called_like_columns_of_our_own_or_dlts_are_kept_beside_them(loaded: Loaded) -> None:
    fields = {"_dlt_id": "mine", "_dlt_load_id": 7, "_DltListIdx": 1, "": "e", "DeletedAt": "no"}
    assert loaded.sync([{"id": "1", **fields}]) == [
        {
            "id": "1",
            "source_dlt_id": "mine",
            "source_dlt_load_id": 7,
            "source_dlt_list_idx": 1,
            "_empty": "e",
            "source_deleted_at": "no",
        }
    ]
    (load,) = loaded.select("SELECT load_id FROM incidents._dlt_loads")
    assert loaded.select("SELECT _dlt_load_id FROM incidents.x") == [load]


def test_columns_of_later_batches_join_the_table_in_their_types(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_ROWS", 1)
    records = [{"id": "1", "a": {"n": 1}}, {"id": "2", "b": [2]}, {"id": "3", "a": {}, "c": 3}]
    assert loaded.sync(records) == [
        {"id": "1", "a": '{"n":1}', "b": None, "c": None},
        {"id": "2", "a": None, "b": "[2]", "c": None},
        {"id": "3", "a": "{}", "b": None, "c": 3},
    ]
    assert loaded.types() == {"id": "VARCHAR", "a": "JSON", "b": "JSON", "c": "BIGINT"}


def test_a_column_that_a_left_out_row_had_first_gets_its_type_all_the_same(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = {"data_type": "timestamp", "dedup_sort": "desc"}
    loaded.fresh(monkeypatch, columns={"at": at})
    loaded.sync([{"id": "1", "at": "2026-01-02T00:00:00Z"}])
    monkeypatch.setattr(batches, "BATCH_ROWS", 1)
    older, newer = "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"
    loaded.sync([{"id": "1", "at": older, "j": {}}, {"id": "2", "at": newer, "j": {}}])
    assert loaded.types()["j"] == "JSON"


# --- Memory --------------------------------------------------------------------------------------


def test_chunks_are_bounded_and_read_no_further_than_they_must(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "BATCH_ROWS", 3)
    taken: list[int] = []

    def records() -> Iterator[int]:
        for n in range(8):
            taken.append(n)
            yield n

    reading = chunks(records())
    assert taken == []
    assert next(reading) == [0, 1, 2]
    assert taken == [0, 1, 2]
    assert list(reading) == [[3, 4, 5], [6, 7]]
    assert list(chunks([])) == []


def test_a_new_table_has_the_declared_columns_first(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.fresh(monkeypatch, columns={"at": {"data_type": "timestamp"}})
    loaded.sync([{"n": 1, "at": "2026-01-02T00:00:00Z", "id": "1"}])
    assert list(loaded.types()) == ["id", "at", "n"]
