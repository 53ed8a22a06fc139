"""Every field held against the table: what is lost is found, whichever names columns have."""

from datetime import datetime, timezone
from typing import Any

import pytest

from faults.judging.fields import lost_field, unequal

AT = "2024-03-01T00:00:00Z"
TIME = datetime(2024, 3, 1, tzinfo=timezone.utc)
ROW: dict[str, Any] = {"id": "1", "updated_at": TIME, "deleted_at": None, "_dlt_load_id": "7"}


def record(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "updated_at": AT, **fields}


@pytest.mark.parametrize(
    ("fields", "columns", "said"),
    [
        pytest.param({"title": "a"}, {"title": "a"}, "", id="equal"),
        pytest.param({"title": "a"}, {}, "title", id="no column"),
        pytest.param({"title": "a"}, {"title": "b"}, "title", id="another value"),
        pytest.param({"title": None}, {"title": "b"}, "title", id="null at the API"),
        pytest.param({"dueAt": "a", "due_at": "b"}, {"due_at": "b"}, "dueAt", id="met"),
        pytest.param({"dueAt": "a", "due_at": "a"}, {"due_at": "a"}, "own", id="met, and equal"),
        pytest.param({"dueAt": "a", "due_at": "b"}, {"due_at": "b", "d_2": "a"}, "", id="two"),
        pytest.param({"题": "a", "名": "b"}, {"x": "b", "y": "a"}, "", id="other names"),
        pytest.param({"n": "x"}, {"n": None, "n__v_text": "x"}, "", id="a variant"),
        pytest.param({"n": "7"}, {"n": None, "n__v_bigint": 8}, "'n'", id="another variant"),
        pytest.param({"a": {"b": 1}}, {"a": '{"b":1}'}, "", id="JSON"),
        pytest.param({"a": 1, "b": "x"}, {"rest": '{"a":1,"b":"x"}'}, "", id="in one column"),
        pytest.param({"a": True}, {"a": 1}, "'a'", id="a number is not true"),
        pytest.param({"a": 0.5}, {"a": "0.5"}, "", id="a number as text"),
    ],
)
def test_a_lost_field_is_found(fields: Any, columns: Any, said: str) -> None:
    found = unequal([record(**fields)], [{**ROW, **columns}])

    assert said in found
    assert bool(found) == bool(said)
    assert bool(lost_field(record(**fields), {**ROW, **columns})) == bool(said)


def test_the_newest_version_of_each_key_is_wanted() -> None:
    older = record(status="old", updated_at="2024-02-01T00:00:00Z")

    assert not unequal([record(status="new"), older], [{**ROW, "status": "new"}])
    assert "status" in unequal([record(status="new"), older], [{**ROW, "status": "old"}])


def test_a_key_is_found_by_its_values() -> None:
    rows = [{**ROW, "x": str(n), "id": None} for n in range(3)]
    records = [{"编号": n, "updated_at": AT} for n in range(3)]

    assert not unequal(records, rows, ("编号",))
    assert "1 rows lost" in unequal(records, rows[:2], ("编号",))
