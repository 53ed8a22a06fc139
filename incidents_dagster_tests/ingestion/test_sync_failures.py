"""A sync that fails: one message, and the table as it was before."""

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from starlette.responses import Response

from fakes.incidents import incident
from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.warehouse.file_errors import DatabaseFileError

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]
Rows = list[dict[str, Any]]

# The rows that a load replaces are deleted first, then comes the insert, which fails.
LET_INSERTS_FAIL = """
CREATE TABLE incidents.checked (
    id VARCHAR, status VARCHAR CHECK (status = 'old'), _dlt_load_id VARCHAR);
INSERT INTO incidents.checked BY NAME SELECT id, status, _dlt_load_id FROM incidents.x;
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
    assert "returned 500" in _sync_and_fail()
    assert {2, 4, 8} == set(waits)
    assert query("FROM incidents.incident_data ORDER BY id") == before

    api.faults.reshape = None
    api.faults.answers.clear()
    _sync()
    assert query("SELECT DISTINCT status FROM incidents.incident_data") == [("resolved",)]


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
@pytest.mark.sample(1)
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


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE incidents.incident_data",
        "DROP SCHEMA incidents CASCADE",
        "DELETE FROM incidents._dlt_version",
        "DROP TABLE incidents._dlt_loads",
        "ALTER TABLE incidents._dlt_version DROP version_hash",
        "UPDATE incidents._dlt_version SET schema = 'no JSON'",
        "UPDATE incidents._dlt_pipeline_state SET state = 'no state'",
        "CREATE SCHEMA IF NOT EXISTS _dlt_incidents_staging; CREATE OR REPLACE TABLE "
        "_dlt_incidents_staging.incident_data (id INTEGER, status BIGINT)",
    ],
)
@pytest.mark.sample(1)
def test_damage_to_tables_is_healed_by_the_next_sync(
    api: DemoServer, rows: Rows, database: Path, query: Query, damage: str
) -> None:
    _sync()
    with duckdb.connect(str(database)) as connection:
        connection.execute(damage)
    rows.append(incident(251, updated_at="2026-11-20T00:00:00Z"))
    _sync()
    assert query("SELECT count(*), count(DISTINCT id) FROM incidents.incident_data") == [(251, 251)]


@pytest.mark.parametrize("left", [0, 8192], ids=["empty", "headers alone"])
@pytest.mark.sample(1)
def test_a_database_whose_making_was_interrupted_is_made_anew(
    api: DemoServer, database: Path, query: Query, left: int
) -> None:
    _sync()
    os.truncate(database, left)
    _sync()
    assert query("SELECT count(*) FROM incidents.incident_data") == [(250,)]


@pytest.mark.parametrize(
    ("name", "cure"),
    [("warehouse.duckdb", "move it away, and"), ("warehouse.duckdb.wal", "DuckDB's log")],
)
@pytest.mark.sample(1)
def test_a_damaged_database_gives_one_line_with_the_cure(
    api: DemoServer, database: Path, query: Query, name: str, cure: str
) -> None:
    _sync()
    damaged = database.with_name(name)
    if damaged == database:
        damaged.write_bytes(b"no database" * 5000)
    else:
        damaged.mkdir()
    with pytest.raises(Exception, match="sync again") as failed:
        _sync()
    message = explain(failed.value)
    assert cure in message
    assert str(damaged) in message
    assert "\n" not in message

    damaged.rename(damaged.with_name("away"))
    _sync()
    assert query("SELECT count(*) FROM incidents.incident_data") == [(250,)]


@pytest.mark.thorough
def test_a_full_disk_is_named_and_leaves_the_table(
    api: DemoServer, rows: Rows, database: Path, query: Query
) -> None:
    _sync()
    rows.append(incident(251, updated_at="2026-11-20T00:00:00Z"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(DatabaseFileError) as failed:
            _sync()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert explain(failed.value) == (
        f"The disk of {database.parent} is full: free some space, then sync again."
    )
    assert query("SELECT count(*) FROM incidents.incident_data") == [(250,)]
    _sync()
    assert query("SELECT count(*) FROM incidents.incident_data") == [(251,)]


@pytest.mark.parametrize("what", ["file", "link", "full folder"])
@pytest.mark.sample(1)
def test_whatever_is_in_place_of_the_working_folder_is_taken_away(
    api: DemoServer, database: Path, query: Query, what: str
) -> None:
    folder = database.with_name(f"{database.name}.dlt")
    if what == "file":
        folder.write_text("x")
    elif what == "link":
        folder.symlink_to("/nowhere")
    else:
        (folder / "incidents").mkdir(parents=True)
        (folder / "incidents" / "state.json").write_text("no JSON")
    _sync()
    assert query("SELECT count(*) FROM incidents.incident_data") == [(250,)]
    assert not folder.exists()
