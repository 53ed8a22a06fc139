"""What paths find in a record: one value for a column, in the column's form."""

from typing import Any

import pytest

from incidents_dagster.ingestion.rows.batches import to_arrow
from incidents_dagster.ingestion.rows.filled import Filled
from incidents_dagster.ingestion.rows.paths import DropWhere
from incidents_dagster.ingestion.tables import FIELD, FILLED

UTC_NOON = "2026-07-01T12:00:00+00:00"


def text(*paths: str, **more: Any) -> Filled:
    return Filled([*paths], spelled=True, **more)


@pytest.mark.parametrize(
    ("filled", "record", "value"),
    [
        (text("a.b"), {"a": {"b": "x"}}, "x"),
        (text("a.b"), {"a": "x"}, None),
        (text("a.b"), {"a": None}, None),
        (text("a.b"), {}, None),
        (text("a"), {"a": ""}, None),
        (text("a"), {"a": 5}, "5"),
        (text("a"), {"a": False}, "false"),
        (text("a"), {"a": {"n": 1}}, '{"n": 1}'),
        (text("teams[*].name"), {"teams": [{"name": "A"}, {"name": "B"}]}, "A, B"),
        (text("teams[*].name"), {"teams": [{"name": "A"}, {"name": "A"}]}, "A"),
        (text("teams[*].name"), {"teams": []}, None),
        (text("own", "other"), {"other": "x"}, "x"),
        (text("own", "other"), {"own": "y", "other": "x"}, "y"),
        (text("own", "other"), {"own": None, "other": "x"}, "x"),
        (Filled(["a"]), {"a": {"n": 1}}, {"n": 1}),
        (text("log[?kind=='ack'].at"), {"log": [{"kind": "ack", "at": "t"}]}, "t"),
    ],
)
def test_a_text_is_what_the_first_path_with_a_value_finds(
    filled: Filled, record: dict[str, Any], value: Any
) -> None:
    assert filled(record) == value


@pytest.mark.parametrize(
    ("record", "value"),
    [
        ({"name": "a", "at": "t"}, "a, t"),
        ({"name": "a, b", "at": "t"}, "a\\, b, t"),
        ({"name": 7, "at": 8}, "7, 8"),
        ({"name": "a"}, None),
        ({"name": "a", "at": None}, None),
    ],
)
def test_an_id_of_several_paths_needs_them_all(record: dict[str, Any], value: Any) -> None:
    assert Filled(["name", "at"], together="required")(record) == value


@pytest.mark.parametrize(
    ("record", "phase"),
    [
        ({"status": "Resolved"}, "closed"),
        ({"status": "RESOLVED", "why": None}, "closed"),
        ({"status": "resolved", "why": "merged"}, "other"),
        ({"status": "snoozed"}, None),
        ({}, None),
    ],
)
def test_a_phase_is_looked_up_and_never_guessed(record: dict[str, Any], phase: Any) -> None:
    phases = {"resolved": "closed", "resolved, merged": "other"}
    assert Filled(["status", "why"], together="there", phases=phases)(record) == phase


def test_a_phase_may_come_from_what_is_no_text() -> None:
    by_flag = Filled(["closed"], phases={"true": "closed", "3": "other"})
    assert [by_flag({"closed": value}) for value in (True, False, 3)] == ["closed", None, "other"]


@pytest.mark.parametrize(
    ("options", "given", "value"),
    [
        ({}, "2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z"),
        ({}, "2026-07-01T12:00:00", "2026-07-01T12:00:00"),
        ({"zone": "Europe/Berlin"}, "2026-07-01T14:00:00", UTC_NOON),
        ({"zone": "Europe/Berlin"}, "2026-07-01 14:00", UTC_NOON),
        ({"zone": "Europe/Berlin"}, "2026-01-01 13:00:00", "2026-01-01T12:00:00+00:00"),
        ({"zone": "Europe/Berlin"}, "2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z"),
        ({"zone": "Asia/Tokyo"}, "2026-07-01", "2026-06-30T15:00:00+00:00"),
        ({"zone": "UTC"}, "2026-07-01T12:00:00.5", "2026-07-01T12:00:00.500000+00:00"),
        ({"time_format": "%Y-%m-%d.%H:%M:%S"}, "2026-07-01.12:00:00", UTC_NOON),
        (
            {"time_format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"},
            "01.07.2026 14:00",
            UTC_NOON,
        ),
        ({"time_format": "%d/%m/%Y %H:%M %z"}, "01/07/2026 14:00 +0200", UTC_NOON),
        ({"time_format": "%d.%m.%Y"}, "2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z"),
        ({"time_format": "%d.%m.%Y"}, "soon", "soon"),
        ({}, 1782907200, UTC_NOON),
        ({}, 1782907200000, UTC_NOON),
        ({}, 1e30, 1e30),
        ({}, True, True),
        ({}, float("inf"), float("inf")),
        ({"zone": "UTC"}, "2026-99-99", "2026-99-99"),
    ],
)
def test_a_time_is_read_as_configured(options: Any, given: Any, value: Any) -> None:
    assert Filled(["at"], kind="timestamp", **options)({"at": given}) == value


def test_of_several_times_the_first_counts() -> None:
    at = Filled(["log[*].at"], kind="timestamp")
    assert at({"log": [{"at": ""}, {"at": "2026-07-01"}, {"at": "2026-07-02"}]}) == "2026-07-01"


def columns(**filled: str) -> Any:
    made = {n: {"name": n, FILLED: Filled([path]).hint()} for n, path in filled.items()}
    return {name: {**hints, "data_type": "text"} for name, hints in made.items()}


def test_the_api_s_own_field_of_a_filled_column_goes_beside_it() -> None:
    records = [{"id": 7, "key": "a", "createdAt": "x", "source_id": "s"}]
    batch = to_arrow(records, columns(id="key", created_at="createdAt"), ["id"], ["id"])
    row = batch.rows.to_pylist()[0]
    assert row["id"] == "a"
    assert row["created_at"] == row["source_created_at"] == "x"
    # The API may have a field of that name, too: each keeps a column of its own.
    own = {hints.get(FIELD): name for name, hints in batch.new_columns.items()}
    assert row[own["id"]] == 7
    assert row[own["source_id"]] == "s"


def test_a_column_has_its_own_field_again_once_no_path_fills_it() -> None:
    known = {
        "id": {"name": "id", "data_type": "text", FIELD: "id"},
        "source_id": {"name": "source_id", "data_type": "text", FIELD: "id"},
    }
    row = to_arrow([{"id": "7"}], known, ["id"], ["id"]).rows.to_pylist()[0]  # type: ignore[arg-type]
    assert row["id"] == "7"


def test_a_record_that_lacks_the_path_of_its_key_is_rejected() -> None:
    batch = to_arrow([{"id": "1"}, {"key": "a"}], columns(id="key"), ["id"], ["id"])
    assert batch.rows["id"].to_pylist() == ["a"]
    assert [one.reason for one in batch.rejected] == ["id is missing, null or empty."]


@pytest.mark.parametrize(
    ("values", "record", "dropped"),
    [
        ({"pull_request": ["*"]}, {"pull_request": {"url": "x"}}, True),
        ({"pull_request": ["*"]}, {"pull_request": None}, False),
        ({"pull_request": ["*"]}, {}, False),
        ({"kind.name": ["a", "b"]}, {"kind": {"name": "b"}}, True),
        ({"kind.name": ["a", "b"]}, {"kind": {"name": "c"}}, False),
        ({"test": ["true"]}, {"test": True}, True),
        ({"a": ["1"], "b": ["2"]}, {"a": 0, "b": 2}, True),
        ({"a": ["*"]}, "no object", False),
    ],
)
def test_records_are_left_out_by_a_value(values: Any, record: Any, dropped: bool) -> None:
    assert DropWhere(values)(record) is dropped
