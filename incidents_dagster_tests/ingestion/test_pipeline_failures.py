"""A sync that fails: one message, and the table as it was before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from starlette.responses import Response

from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import explain
from incidents_dagster.ingestion.pipeline import run_sync
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster_tests.ingestion.web import Asked, Web
from incidents_dagster_tests.samples import incident

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]
Rows = list[dict[str, Any]]

# The rows that a load replaces are deleted first, then comes the insert, which fails.
LET_INSERTS_FAIL = """
CREATE TABLE incidents.checked (
    id VARCHAR, status VARCHAR CHECK (status = 'old'), _dlt_load_id VARCHAR);
INSERT INTO incidents.checked BY NAME FROM incidents.x;
DROP TABLE incidents.x;
ALTER TABLE incidents.checked RENAME TO x;
"""


def _sync() -> None:
    run_sync(load_settings(), lambda _: None)


def _sync_and_fail() -> str:
    with pytest.raises(PipelineStepFailed) as failed:
        _sync()
    return explain(failed.value)


def test_a_failure_in_the_middle_leaves_the_table_as_it_was(
    api: DemoServer, rows: Rows, query: Query, waits: list[float]
) -> None:
    _sync()
    before = query("FROM incidents.incident_data ORDER BY id")
    later = "2026-11-20T00:00:00Z"
    rows[:] = [{**row, "status": "resolved", "updated_at": later} for row in rows]

    def first_page_and_no_other(body: dict[str, Any]) -> dict[str, Any]:
        # Where pages are fetched ahead, the others share these.
        api.faults.answers.extend(Response(status_code=500) for _ in range(8))
        return body

    api.faults.reshape = first_page_and_no_other
    assert "answered 500" in _sync_and_fail()
    assert {2, 4, 8} == set(waits)
    assert query("FROM incidents.incident_data ORDER BY id") == before

    api.faults.reshape = None
    api.faults.answers.clear()
    _sync()
    assert query("SELECT DISTINCT status FROM incidents.incident_data") == [("resolved",)]


@pytest.mark.parametrize(
    "record",
    [
        {**incident(1), "id": None},
        {key: value for key, value in incident(1).items() if key != "id"},
    ],
    ids=["null", "missing"],
)
def test_a_record_without_an_id_fails_the_sync_and_leaves_the_table(
    api: DemoServer, rows: Rows, query: Query, record: dict[str, Any]
) -> None:
    _sync()
    before = query("FROM incidents.incident_data ORDER BY id")

    def with_the_record(body: dict[str, Any]) -> dict[str, Any]:
        page = [{**row, "status": "resolved"} for row in body["data"]]
        return {"data": [*page, record] if page else []}

    api.faults.reshape = with_the_record
    message = _sync_and_fail()
    assert query("FROM incidents.incident_data ORDER BY id") == before
    assert "records have no 'id'" in message
    assert "so nothing was loaded" in message
    assert "\n" not in message


def test_an_answer_that_is_not_json_leaves_the_table(api: DemoServer, query: Query) -> None:
    _sync()
    api.faults.raw_body = b"<html>Please log in</html>"
    message = _sync_and_fail()
    assert "not JSON" in message
    assert "Please" not in message
    assert query("SELECT count(*) FROM incidents.incident_data") == [(250,)]


def test_a_refused_key_makes_no_table(api: DemoServer, query: Query) -> None:
    api.faults.answers.append(Response(status_code=401))
    assert "check the secret" in _sync_and_fail()
    assert query("SELECT table_name FROM duckdb_tables()") == []


@pytest.mark.parametrize("disposition", ["merge", "replace"])
def test_a_load_that_breaks_off_leaves_the_table_as_it_was(
    listen: Listen, configure: Configure, database: Path, query: Query, disposition: str
) -> None:
    page = [{"id": n, "status": "old"} for n in range(3)]
    web = listen(lambda _: page)
    settings = configure(
        client={"base_url": web.base_url, "paginator": "single_page"},
        resources=[{"name": "x", "primary_key": "id", "write_disposition": disposition}],
    )
    run_sync(settings, print)
    with duckdb.connect(str(database)) as connection:
        connection.execute(LET_INSERTS_FAIL)
    page[:] = [{"id": n, "status": "new"} for n in range(1, 5)]
    with pytest.raises(PipelineStepFailed, match="CHECK constraint"):
        run_sync(settings, print)
    assert query("SELECT id, status FROM incidents.x ORDER BY id") == [
        (str(n), "old") for n in range(3)
    ]
