"""A key or a cursor that no record has is told before the load, and only that."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.reading import required_fields as fields
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster_tests.ingestion.one_resource import resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]

TIME = "2026-11-01T00:00:00Z"
FULL = {"id": "1", "createdAt": TIME, "updatedAt": TIME, "state": "open"}
PAGES = {"type": "offset", "limit": 2, "total_path": ""}


class Sync:
    """Syncs what an API has, with a key and a cursor."""

    def __init__(self, listen: Listen, configure: Configure) -> None:
        self.records: list[Any] = []
        self._web = listen(self._answer)
        self._configure = configure

    def _answer(self, asked: Asked) -> Any:
        if asked.path == "/first":
            return {"data": [{"id": "f"}]}
        at = int(asked.query.get("offset", 0))
        return {"data": self.records[at : at + 2], "total": len(self.records)}

    def __call__(self, key: Any = "id", cursor: str | None = None, lag: int = 0) -> None:
        incremental = {"cursor_path": cursor, "start_param": "since", "lag": lag}
        section = resource(self._web.base_url, PAGES, incremental=incremental if cursor else None)
        section["resources"][0]["primary_key"] = key
        other = {**section["resources"][0], "name": "first", "primary_key": "id"}
        other["endpoint"] = {"path": "/first", "data_selector": "data"}
        run_sync(self._configure(**{**section, "resources": [other, *section["resources"]]}))

    def refusal(self, key: Any = "id", cursor: str | None = None) -> str:
        with pytest.raises(Exception, match="x") as failed:
            self(key, cursor)
        return explain(failed.value)


@pytest.fixture
def sync(listen: Listen, configure: Configure) -> Sync:
    return Sync(listen, configure)


@pytest.mark.parametrize(
    ("cursor", "like"),
    [
        ("update_at", "Fields that look like it: updatedAt."),
        ("updated", "Fields that look like it: updatedAt."),
        ("UPDATEDAT", "Fields that look like it: updatedAt, createdAt."),
        ("lastModified", "Fields that look like it: updatedAt."),
        ("zzz", "Fields that look like it: updatedAt."),
    ],
)
@pytest.mark.sample(3)
def test_a_cursor_that_no_record_has_is_refused_with_those_that_look_like_it(
    sync: Sync, database: Path, query: Query, cursor: str, like: str
) -> None:
    sync.records = [{**FULL, "id": str(n)} for n in range(5)]
    message = sync.refusal(cursor=cursor)
    told = f"x: incremental.cursor_path is {cursor!r}, and no record has that field"
    assert message.startswith(f"{told}, so nothing was loaded. {like}")
    assert "config.toml" in message
    assert query("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'x'") == [(0,)]


@pytest.mark.parametrize(
    ("key", "records", "told"),
    [
        (
            "idd",
            [FULL],
            "primary_key is 'idd', and no record has that field, so nothing was loaded. Fields",
        ),
        ("uuid", [FULL] * 3, "Fields that look like it: id."),
        ("number", [FULL] * 3, "They have: id, createdAt, updatedAt, state."),
        ("incidentKey", [{"incident_id": 1}], "Fields that look like it: incident_id."),
        (["id", "team"], [FULL] * 3, "primary_key is 'team', and no record has that field"),
        ("id", [{"incident": {"id": 1}, "n": 1}], "where fields can name it: incident.id."),
        ("id", ["a", "b"], "They are no objects with fields: check endpoint.data_selector."),
        ("id", [{}], "They are no objects"),
    ],
)
@pytest.mark.sample(6)
def test_a_key_that_no_record_has_is_refused_by_its_setting(
    sync: Sync, key: Any, records: list[Any], told: str
) -> None:
    sync(key)  # without any record, nothing is known
    sync.records = records
    message = sync.refusal(key)
    assert "primary_key is " in message
    assert told in message


def test_a_nested_cursor_is_told_where_it_is(sync: Sync) -> None:
    sync.records = [{"id": 1, "attributes": {"updated_at": TIME}}]
    assert "where fields can name it: attributes.updated_at." in sync.refusal(cursor="updated_at")


@pytest.mark.parametrize("cursor", ["updatedAt", "updated_at", "$.updatedAt"])
def test_a_field_that_only_some_records_have_is_taken(
    sync: Sync, query: Query, cursor: str
) -> None:
    bare = {"id": "0"}
    sync.records = [bare, {**bare, "id": "1"}, {**FULL, "id": "2"}, {"state": "no id"}]
    for _ in range(2):
        sync(cursor=cursor, lag=60)
    assert query("SELECT count(*), count(updated_at) FROM incidents.x") == [(3, 1)]


def test_a_field_that_is_null_everywhere_is_there(sync: Sync, query: Query) -> None:
    sync.records = [{"id": 1, "updatedAt": None}]
    sync(cursor="updatedAt")
    assert query("SELECT id FROM incidents.x") == [("1",)]


def test_without_any_record_nothing_is_known(sync: Sync, query: Query) -> None:
    sync(key="zzz", cursor="zzzz")
    assert query("SELECT count(*) FROM incidents.x") == [(0,)]


def test_a_cursor_that_the_table_has_values_of_may_be_left_out(sync: Sync, query: Query) -> None:
    sync.records = [{**FULL, "id": "1"}]
    sync(cursor="updatedAt")
    sync.records = [{"id": "2"}]
    sync(cursor="updatedAt")
    assert query("SELECT id FROM incidents.x WHERE deleted_at IS NULL ORDER BY id")[-1] == ("2",)


def test_very_many_records_without_a_key_end_the_read(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields, "ENOUGH", 4)
    monkeypatch.setattr("incidents_dagster.ingestion.rows.batches.BATCH_ROWS", 2)
    sync.records = [{"number": n} for n in range(8)] + [{"uid": 1}]
    assert sync.refusal("uid").startswith("x: primary_key is 'uid', and no record has that field")
    sync.records = [{"uid": 0}, *sync.records]  # the first batch has one
    sync("uid")
