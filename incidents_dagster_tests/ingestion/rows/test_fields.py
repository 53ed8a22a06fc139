"""Fields and their columns: each has its own, the same one in every sync, and no value is lost."""

# ruff: noqa: RUF001, these are letters of other scripts indeed

import random
from itertools import permutations
from typing import Any

import pytest
from dlt.common.normalizers.naming.snake_case import NamingConvention as SnakeCase
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents_dagster.ingestion.naming import NAMING, column_name, tagged
from incidents_dagster.ingestion.reading.source import DELETED_AT_COLUMN
from incidents_dagster.ingestion.rows import batches, fields
from incidents_dagster.ingestion.rows.batches import to_arrow
from incidents_dagster.ingestion.rows.fields import FURTHER_FIELDS, columns_of
from incidents_dagster.ingestion.tables import FIELD
from incidents_dagster.ingestion.warehouse import destination
from incidents_dagster.ingestion.warehouse.stored_table import DLT_COLUMNS
from incidents_dagster_tests.examples import examples
from incidents_dagster_tests.ingestion.rows.loaded import TEXT, Loaded, Records

CYRILLIC = ["Статус", "статус", "СТАТУС", "статус?"]
# Fields that meet: by dlt's snake_case, by DuckDB's blindness to case, or with columns of our own.
MEETING = [
    ["createdAt", "created_at", "CreatedAt", "created-at", "created at"],
    ["状态", "状 态", "优先级", "标题", "x"],
    ["_position", "_rows", "_keys", "position in rows", "t", "r", "k", "q", "rowid", "row"],
    ["Status", "status", "STATUS", "status_"],
    ["__name", "name", "_name", "name__"],
    ["", "__", "!!!", "???", " ", "x", "_empty", "\n", "🔥"],
    CYRILLIC,
    ["حالة", "स्थिति", "สถานะ", "κατάσταση", "סטטוס"],
    ["é", "e\u0301", "É", "è"],
    ["_dlt_id", "source_dlt_id", "_dlt_load_id", "_dltListIdx"],
    ["deleted_at", "deletedAt", "source_deleted_at"],
    ["code", "code__v_text", "code__v_bigint", "Code"],
    [FURTHER_FIELDS, "_FurtherFields"],
    ["a\0b", "a\ud800b", "a\udc00b", "'a\\x00b'", "a b", "a_b"],
    ["select", "order", "group", '"', "'", "a;b", "a--b"],
    ["x" * 300, "x" * 300 + "y", "数" * 300],
]
TOGETHER = 4  # of these in a table, as a sync costs more than their fields


def told(rows: list[dict[str, Any]], columns: dict[str, Any], record: dict[str, Any]) -> None:
    """The row of `record` has its values, each in the column of its field."""
    (row,) = (row for row in rows if row["id"] == record["id"])
    by_field = {field: row[name] for name, field in columns.items() if row[name] is not None}
    expected = {fields.remembered(f): v for f, v in record.items() if v is not None}
    assert by_field == expected


@pytest.mark.parametrize("first", range(0, len(MEETING), TOGETHER))
@pytest.mark.sample(1)
def test_fields_whose_names_meet_have_a_column_each_the_same_in_every_sync(
    loaded: Loaded, first: int
) -> None:
    rng = random.Random(0)
    several = MEETING[first : first + TOGETHER]
    records: Records = [{"id": "0", **{names[-1]: "first" for names in several}}]
    columns: dict[str, Any] = {}
    for number in range(1, 5):
        some = [
            name
            for names in several
            for name in (rng.sample(names, rng.randint(1, len(names))) if number < 4 else names)
        ]
        records.append({"id": str(number), **{name: f"{number} {name!a}" for name in some}})
        records[0] = dict(rng.sample([*records[0].items()], len(records[0])))
        rows = loaded.sync(records)
        earlier, columns = columns, loaded.fields()
        assert earlier.items() <= columns.items()
        for record in records:
            told(rows, columns, record)
    loads = loaded.loads()
    assert loaded.sync([dict(reversed(r.items())) for r in records]) == rows
    assert loaded.loads() == loads, "and the order of the fields changes nothing"


def test_the_columns_do_not_depend_on_the_order_of_the_fields() -> None:
    for order in permutations(MEETING[0][:4]):
        found = columns_of([{name: name for name in order}], {})
        assert {name: values[0] for name, values in found.values.items()} == {
            "created_at": "created_at",
            "created_at__f_70c2c561": "createdAt",
            "created_at__f_f8d53ef5": "CreatedAt",
            "created_at__f_937548f7": "created-at",
        }


def test_a_field_alone_has_the_column_that_dlt_gives_it_and_keeps_it(loaded: Loaded) -> None:
    assert loaded.sync([{"id": "1", "createdAt": "a"}]) == [{"id": "1", "created_at": "a"}]
    loaded.sync([{"id": "1", "created_at": "b"}, {"id": "2", "createdAt": "c"}])
    (other,) = {*loaded.types()} - {"id", "created_at"}
    assert loaded.fields() == {"id": "id", "created_at": "createdAt", other: "created_at"}
    assert {column.name: column.description for column in loaded.columns()} == {
        **{"id": None, "created_at": "Field: createdAt", other: "Field: created_at"},
        "deleted_at": DELETED_AT_COLUMN["description"],
        "_dlt_load_id": DLT_COLUMNS["_dlt_load_id"],
    }
    assert loaded.rows() == [
        {"id": "1", "created_at": None, other: "b"},
        {"id": "2", "created_at": "c", other: None},
    ]


KEYS: list[tuple[Any, list[str]]] = [
    ("编号", ["编号"]),
    ("Номер", ["номер"]),
    ("رقم", ["رقم"]),
    ("क्रमांक", ["क्रमांक"]),
    (["租户", "编号"], ["租户", "编号"]),
    (["Мандант", "id"], ["мандант", "id"]),
    ("Größe", ["gr_e"]),
    ("!!!", ["x"]),
]


@pytest.mark.parametrize(("key", "columns"), KEYS, ids=[ascii(key)[:12] for key, _ in KEYS])
@pytest.mark.sample(2)
def test_a_key_may_have_a_name_in_any_script(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, key: Any, columns: list[str]
) -> None:
    names = [key] if isinstance(key, str) else key
    loaded.fresh(monkeypatch, primary_key=key)
    records = [
        {**{name: f"{n % 3 if m else n}" for m, name in enumerate(names)}, "状态": "新", "标题": n}
        for n in range(60)
    ]
    assert len(loaded.sync(records)) == 60
    records[7]["状态"] = "旧"
    assert len(loaded.sync(records)) == 60
    shown = ", ".join(f'"{name}"' for name in columns)
    old = loaded.select(f"SELECT {shown} FROM incidents.x WHERE 状态 = '旧'")
    assert old == [tuple(records[7][name] for name in names)]
    loads = loaded.loads()
    loaded.sync(records)
    assert loaded.loads() == loads
    loaded.sync(records[:-1])
    gone = loaded.select(f"SELECT {shown} FROM incidents.x WHERE deleted_at IS NOT NULL")
    assert gone == [tuple(records[-1][name] for name in names)]


def test_declared_columns_keep_their_fields_whatever_their_names(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = {"data_type": "timestamp"}
    declared = {"创建": time, "更新": time, "Status": TEXT, "status": {"data_type": "bigint"}}
    loaded.fresh(monkeypatch, columns=declared)
    at = "2026-11-01T00:00:00Z"
    loaded.sync([{"id": "1", "status": 7, "Status": "a", "创建": at}])
    types = loaded.types()
    assert types["创建"] == types["更新"] == "TIMESTAMP WITH TIME ZONE"
    assert (types["status"], loaded.fields()["status"]) == ("BIGINT", "status")
    (other,) = (name for name in types if name.startswith("status__f_"))
    assert loaded.select(f"SELECT status, {other}, 创建::VARCHAR FROM incidents.x") == [
        (7, "a", "2026-11-01 00:00:00+00")
    ]


def test_a_declared_column_takes_a_field_that_is_spelled_otherwise(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.fresh(monkeypatch, columns={"created_at": {"data_type": "timestamp"}})
    loaded.sync([{"id": "1", "createdAt": "2026-11-01T00:00:00Z"}])
    assert loaded.types()["created_at"] == "TIMESTAMP WITH TIME ZONE"
    assert loaded.fields() == {"id": "id", "created_at": "createdAt"}


def test_a_field_that_was_always_null_gets_its_column_with_its_first_value(loaded: Loaded) -> None:
    loaded.sync([{"id": "1", "created_at": None, "createdAt": "a"}])
    assert loaded.fields() == {"id": "id", "created_at": "createdAt"}
    loaded.sync([{"id": "1", "created_at": "b", "createdAt": None}])
    assert sorted(v for v in loaded.rows()[0].values() if v) == ["1", "b"]


def test_a_table_of_an_earlier_release_keeps_its_columns(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: Records = [{"id": "1", "createdAt": "a", "Größe": 1}]
    with monkeypatch.context() as earlier:
        earlier.setattr(destination, "NamingConvention", SnakeCase)
        loaded.sync(records)
    names = loaded.types()
    with loaded.writing() as connection:
        for name in names:
            connection.execute(f"COMMENT ON COLUMN incidents.x.{name} IS NULL")
    loaded.sync(records)
    assert (loaded.loads(), {*loaded.fields().values()}) == (1, {None})
    records.append({"id": "2", "createdAt": "b", "created_at": None, "Größe": 2, "状态": 3})
    loaded.sync(records)
    columns = {"id": "id", "created_at": "createdAt", "gr_e": "Größe", "状态": "状态"}
    assert loaded.fields() == columns
    loaded.sync([*records, {"id": "3", "createdAt": "c", "created_at": "d"}])
    assert [row["created_at"] for row in loaded.rows()] == ["a", "b", "c"]


def test_a_field_has_its_column_in_every_batch(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_ROWS", 2)
    rng = random.Random(1)
    names = MEETING[0] + CYRILLIC
    records = [
        {"id": str(n), **{name: f"{n} {name}" for name in rng.sample(names, rng.randint(0, 4))}}
        for n in range(20)
    ]
    rows, columns = loaded.sync(records), loaded.fields()
    for record in records:
        told(rows, columns, record)


def test_a_comment_of_the_users_own_stays(loaded: Loaded) -> None:
    loaded.sync([{"id": "1", "状态": "a"}])
    with loaded.writing() as connection:
        connection.execute("COMMENT ON COLUMN incidents.x.状态 IS 'Mine.\nField: 状态'")
    loaded.sync([{"id": "1", "状态": "b", "new": 1}])
    comment = "SELECT comment FROM duckdb_columns() WHERE column_name = '状态' AND comment != ''"
    assert loaded.select(comment) == [("Mine.\nField: 状态",)]


def test_another_order_of_the_keys_in_a_json_value_is_no_change(loaded: Loaded) -> None:
    loaded.sync([{"id": "1", "j": {"b": [{"d": 1, "c": 2}], "a": 1}, "t": "x"}])
    loaded.sync([{"id": "1", "j": {"a": 1, "b": [{"c": 2, "d": 1}]}, "t": "x"}])
    assert loaded.loads() == 1
    loaded.sync([{"id": "1", "j": {"a": 1, "b": [{"c": 2, "d": 3}]}, "t": "x"}])
    assert loaded.loads() == 2
    loaded.sync([{"id": "1", "j": {}, "t": {"b": 1, "a": 2}}])
    loaded.sync([{"id": "1", "j": {}, "t": {"a": 2, "b": 1}}])
    assert loaded.loads() == 3


def test_from_max_columns_on_new_fields_share_a_column(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.fresh(monkeypatch, section={"max_columns": 10})
    wide = {f"field_{n}": n for n in range(50)}
    loaded.sync([{"id": "1", **wide, "null": None}])
    columns = {*loaded.types()}
    assert FURTHER_FIELDS in columns
    assert len(columns) <= 11
    rest = "SELECT json_keys(_further_fields), _further_fields ->> '$.field_49' FROM incidents.x"
    ((names, last),) = loaded.select(rest)
    assert {*names} | columns == {FURTHER_FIELDS, "id", *wide}
    assert last == "49"
    loaded.sync([{"id": "1", **dict(reversed(wide.items()))}])
    assert loaded.loads() == 1
    loaded.sync([{**wide, "id": "1", "field_49": 50, "another": {"a": 1}}, {"id": "2"}])
    assert {*loaded.types()} == columns
    assert loaded.select("SELECT _further_fields ->> '$.another' FROM incidents.x") == [
        ('{"a":1}',),
        (None,),
    ]


def test_declared_fields_and_keys_have_columns_whatever_the_bound() -> None:
    known: Any = {name: {"name": name, **TEXT} for name in ("id", "b")}
    batch = to_arrow([{"x": 1, "b": "b", "id": "1"}], known, ["id"], ["b"], most_columns=1)
    assert {*batch.rows.column_names} == {"id", "b", FURTHER_FIELDS}
    assert FIELD not in batch.new_columns[FURTHER_FIELDS]


def test_a_cursor_may_have_a_name_in_any_script(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    incremental = {"cursor_path": "更新时间", "start_param": "since"}
    endpoint = {"path": "/x", "data_selector": "数据", "incremental": incremental}
    columns = {"更新时间": {"data_type": "timestamp"}}
    loaded.fresh(monkeypatch, endpoint=endpoint, columns=columns)
    records = [{"id": str(n), "更新时间": f"2026-11-01T00:00:0{n}Z"} for n in range(5)]
    loaded.sync({"数据": records})
    loaded.web.asked.clear()
    older = {"id": "4", "更新时间": "2026-10-01T00:00:00Z"}
    rows = loaded.sync({"数据": [older, records[4], {**records[4], "id": "5"}]})
    assert [asked.query for asked in loaded.web.asked] == [{"since": "2026-11-01T00:00:04Z"}]
    assert [row["id"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert rows[4]["更新时间"].month == 11, "of two versions, the newer one"


ANY_NAME = st.sampled_from([name for names in MEETING for name in names]) | st.text(max_size=8)


@settings(max_examples=examples(100, 1_000), deadline=None)
@given(ANY_NAME)
def test_the_name_of_a_column_is_its_own_name(field: str) -> None:
    # dlt names the columns once more, and DuckDB takes letters of either case for the same.
    for name in (column_name(field), tagged(column_name(field), field)):
        assert NAMING.normalize_path(name) == name == name.lower()
        assert " " not in name


@settings(max_examples=examples(50, 500), deadline=None)
@given(st.lists(st.lists(st.sets(ANY_NAME, max_size=8), max_size=3), max_size=4))
def test_no_batch_loses_a_field_whatever_the_batches_before_it_had(
    batches_of_names: list[list[set[str]]],
) -> None:
    known: Any = {}
    for names_of_records in batches_of_names:
        records = [
            {name: f"value of {name!a}" for name in {"id", *names}} for names in names_of_records
        ]
        batch = to_arrow([dict(record) for record in records], known)
        known |= batch.new_columns
        for record, row in zip(records, batch.rows.to_pylist(), strict=True):
            assert {known[name][FIELD]: value for name, value in row.items() if value} == {
                fields.remembered(field): value for field, value in record.items()
            }
