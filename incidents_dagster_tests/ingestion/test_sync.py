"""What a sync leaves in DuckDB: rows, columns and types, the same whatever came before."""

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from dlt.sources.rest_api import rest_api_source

from fakes.incidents import incident
from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.demo import AUTH
from incidents_dagster.ingestion.rows import batches
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import build_pipeline, open_sync, run_sync
from incidents_dagster.ingestion.tables import FIRST
from incidents_dagster.ingestion.warehouse.file_store import FileStore

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Rows = list[dict[str, Any]]

TIMESTAMP = "TIMESTAMP WITH TIME ZONE"


def _sync() -> None:
    run_sync(load_settings(), lambda _: None)


Query = Callable[[str], list[Any]]


def test_two_syncs_leave_each_incident_once(api: DemoServer, rows: Rows, query: Query) -> None:
    _sync()
    first = query("FROM incidents.incident_data ORDER BY id")
    _sync()
    second = query("FROM incidents.incident_data ORDER BY id")
    assert len(first) == len(second) == len(rows)
    assert first == second


def test_new_and_changed_incidents_are_merged_and_absent_ones_stay(
    api: DemoServer, rows: Rows, query: Query
) -> None:
    rows[3:] = []
    _sync()
    gone = rows.pop(0)
    rows[0] = {**rows[0], "status": "resolved", "updated_at": "2026-11-02T00:00:00Z"}
    rows.append(incident(4, status="new"))
    _sync()
    assert query("SELECT id, status FROM incidents.incident_data ORDER BY id") == [
        (gone["id"], "triggered"),
        ("INC-0002", "resolved"),
        ("INC-0003", "triggered"),
        ("INC-0004", "new"),
    ]
    rows.clear()
    _sync()
    assert query("SELECT count(*) FROM incidents.incident_data") == [(4,)]


def test_of_several_versions_in_one_sync_the_newest_stays(
    api: DemoServer, rows: Rows, query: Query
) -> None:
    hours = list(range(5))
    orders = {"INC-a": hours, "INC-b": hours[::-1], "INC-c": [2, 4, 0, 3, 1]}
    rows[:] = [
        incident(1, id=key, status=f"v{hour}", updated_at=f"2026-11-02T{hour:02}:00:00Z")
        for key, order in orders.items()
        for hour in order
    ]
    api.faults.reshape = lambda body: {**body, "data": rows}  # not sorted
    _sync()
    assert query("SELECT id, status FROM incidents.incident_data ORDER BY id") == [
        (key, "v4") for key in orders
    ]


@pytest.mark.thorough
def test_the_empty_table_has_the_declared_columns_with_their_types(
    api: DemoServer, rows: Rows, query: Query
) -> None:
    rows.clear()
    _sync()
    assert query("SELECT * FROM incidents.incident_data") == []
    described = query("DESCRIBE incidents.incident_data")
    assert [row for row in described if row[0] != "_dlt_id"] == [
        ("id", "VARCHAR", "NO", None, None, None),
        ("status", "VARCHAR", "YES", None, None, None),
        ("created_at", TIMESTAMP, "YES", None, None, None),
        ("updated_at", TIMESTAMP, "YES", None, None, None),
        ("phase", "VARCHAR", "YES", None, None, None),
        ("deleted_at", TIMESTAMP, "YES", None, None, None),
        ("_dlt_load_id", "VARCHAR", "NO", None, None, None),
    ]
    _sync()
    assert query("SELECT count(*) FROM incidents._dlt_loads") == [(1,)]
    rows.append(incident(1))
    _sync()
    assert query("SELECT count(*) FROM incidents.incident_data") == [(1,)]


def test_the_usual_words_have_a_phase_and_others_have_none(
    api: DemoServer, rows: Rows, query: Query
) -> None:
    phases = {
        **{"triggered": "open", "New": "open", "FIRING": "open", "active": "open"},
        **{"acknowledged": "acknowledged", "In_Progress": "acknowledged"},
        **{"resolved": "closed", "Closed": "closed", "in orbit": None},
    }
    rows[:] = [incident(n, status=status) for n, status in enumerate(phases)]
    _sync()
    assert dict(query("SELECT status, phase FROM incidents.incident_data")) == phases


@pytest.mark.thorough
def test_a_table_of_an_earlier_version_is_gone_on_with(
    api: DemoServer, rows: Rows, database: Path, query: Query
) -> None:
    # That version loaded JSON by dlt's plain path, which numbers each row in a NOT NULL _dlt_id.
    rows[2:] = []
    source = rest_api_source(
        {
            "client": {
                "base_url": api.base_url,
                "auth": {**AUTH, "api_key": api.api_key},
                "paginator": "single_page",
            },
            "resources": [
                {
                    "name": "incident_data",
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "columns": {"id": {"data_type": "text", "nullable": False}},
                    "endpoint": {"path": "/v1/incidents", "data_selector": "data"},
                }
            ],
        },  # type: ignore[arg-type]
        name=FIRST,
        section=FIRST,
    )
    source.max_table_nesting = 0
    earlier = build_pipeline(
        FIRST, FileStore(database).destination(FIRST, 0), database.with_name("earlier")
    )
    earlier.run(source, loader_file_format="parquet")
    present = "SELECT * EXCLUDE (_dlt_id, _dlt_load_id) FROM incidents.incident_data ORDER BY id"
    before = query(present)
    for _ in range(2):
        _sync()
        # The first adds the column deleted_at, and fills phase in the rows that there are.
        assert query("SELECT count(*), count(deleted_at) FROM incidents.incident_data") == [(2, 0)]
        assert query("SELECT count(*) FROM incidents._dlt_loads") == [(2,)]
    rows[0] = {**rows[0], "status": "resolved", "updated_at": "2026-11-02T00:00:00Z"}
    rows.append(incident(3))
    _sync()
    after = query(present)
    assert [row[0] for row in after] == ["INC-0001", "INC-0002", "INC-0003"]
    assert after[0] != before[0]
    assert after[1][: len(before[1])] == before[1]


def test_the_filled_table_has_exactly_these_types(api: DemoServer, query: Query) -> None:
    _sync()
    described = query("DESCRIBE incidents.incident_data")
    assert [row[:2] for row in described if row[0] != "_dlt_id"] == [
        ("id", "VARCHAR"),
        ("status", "VARCHAR"),
        ("created_at", TIMESTAMP),
        ("updated_at", TIMESTAMP),
        ("phase", "VARCHAR"),
        ("title", "VARCHAR"),
        ("service", "JSON"),
        ("tags", "JSON"),
        ("deleted_at", TIMESTAMP),
        ("_dlt_load_id", "VARCHAR"),
    ]


def test_nested_values_are_json_columns_and_there_are_no_child_tables(
    api: DemoServer, rows: Rows, query: Query
) -> None:
    rows[:] = [incident(1, service={"id": 1, "team": {"name": "A"}}, tags=[{"a": [1, 2]}, {}])]
    _sync()
    assert query("SELECT service->>'$.team.name', tags->'$[0].a' FROM incidents.incident_data") == [
        ("A", "[1,2]")
    ]
    names = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'incidents' ORDER BY 1"
    assert query(names) == [
        ("_dlt_loads",),
        ("_dlt_pipeline_state",),
        ("_dlt_version",),
        ("change_log",),
        ("incident_data",),
        ("syncs",),
    ]


def test_each_row_tells_the_load_that_brought_it(api: DemoServer, rows: Rows, query: Query) -> None:
    rows[2:] = []
    _sync()
    rows[0] = {**rows[0], "status": "resolved"}
    _sync()
    first, second = query("SELECT load_id FROM incidents._dlt_loads ORDER BY inserted_at")
    loads = query("SELECT _dlt_load_id FROM incidents.incident_data ORDER BY id")
    assert loads == [second, first]


def test_a_column_that_appears_later_is_added(api: DemoServer, rows: Rows, query: Query) -> None:
    rows[2:] = []
    _sync()
    rows[1] = {**rows[1], "severity": "sev1", "notes_count": 3}
    _sync()
    assert query("SELECT severity, notes_count FROM incidents.incident_data ORDER BY id") == [
        (None, None),
        ("sev1", 3),
    ]


def test_missing_and_null_values_are_null(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, query: Query
) -> None:
    # The demo API sorts by created_at, so it cannot serve records without.
    records = [{"id": "missing"}, dict.fromkeys(incident(1)) | {"id": "null"}]
    web = listen(lambda asked: {"data": records[int(asked.query["offset"]) :]})
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", web.base_url)
    monkeypatch.setenv("API_KEY", "k3y")
    _sync()
    columns = "id, status, created_at, updated_at"
    assert query(f"SELECT {columns} FROM incidents.incident_data ORDER BY id") == [
        ("missing", None, None, None),
        ("null", None, None, None),
    ]


def test_ids_are_text_whatever_the_api_sends(api: DemoServer, rows: Rows, query: Query) -> None:
    rows[:] = [incident(1, id=7), incident(2, id="007"), incident(3, id=2**62)]
    _sync()
    rows[:] = [incident(1, id="7", status="changed")]
    _sync()
    assert query("SELECT id, status FROM incidents.incident_data ORDER BY id") == [
        ("007", "triggered"),
        (str(2**62), "triggered"),
        ("7", "changed"),
    ]


def test_timestamps_land_in_utc(api: DemoServer, rows: Rows, query: Query) -> None:
    texts = [
        "2026-11-01T12:00:00Z",
        "2026-11-01T12:00:00.000Z",
        "2026-11-01T12:00:00+00:00",
        "2026-11-01T14:00:00+02:00",
        "2026-11-01T06:30:00-05:30",
        "2026-11-01 12:00:00",
        "2026-11-01T12:00:00",
    ]
    rows[:] = [incident(n, created_at=text) for n, text in enumerate(texts)]
    _sync()
    noon = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
    assert query("SELECT created_at FROM incidents.incident_data") == [(noon,)] * len(texts)


def test_each_resource_has_a_table_of_its_own(
    listen: Listen, configure: Configure, query: Query
) -> None:
    answers = {"/incidents": [{"id": 1}], "/incidents/1/notes": [{"text": "a"}], "/teams": []}
    web = listen(lambda asked: answers[asked.path])
    configure(
        client={"base_url": web.base_url, "paginator": "single_page"},
        resource_defaults={"write_disposition": "replace"},
        resources=[
            {"name": "Teams", "columns": {"teamName": {"data_type": "text"}}, "endpoint": "/teams"},
            {"name": "notes", "endpoint": "/incidents/{resources.incident_data.id}/notes"},
            {"name": "incident_data", "endpoint": "/incidents"},
        ],
    )
    _sync()
    assert query("SELECT id FROM incidents.incident_data") == [(1,)]
    assert query("SELECT text FROM incidents.notes") == [("a",)]
    assert query("SELECT team_name FROM incidents.teams") == []


def test_the_load_is_accounted_for(api: DemoServer, database: Path) -> None:
    load = run_sync(load_settings(), lambda _: None)
    assert load.dataset_name == "incidents"
    assert not load.has_failed_jobs
    assert str(database) in str(load)


def test_the_folder_of_the_database_is_made(
    api: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a" / "b" / "warehouse.duckdb"
    monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", str(path))
    with open_sync(load_settings(), print) as sync:
        assert sync.store.name == str(path)
    assert path.parent.is_dir()


@pytest.mark.parametrize("batch", [1, 100, 5000])
@pytest.mark.sample(1)
def test_of_several_versions_in_one_sync_the_newest_stays_whatever_earlier_syncs_met(
    api: DemoServer, rows: Rows, query: Query, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(batches, "BATCH_ROWS", batch)
    del rows[3:]
    state = "SELECT id, status FROM incidents.incident_data ORDER BY id"
    _sync()  # no row comes twice

    newer, newest = "2026-11-06T00:00:00Z", "2026-11-07T00:00:00Z"
    rows += [incident(1, status="newest", updated_at=newest)]
    rows += [incident(1, status="newer", updated_at=newer), incident(4)]
    _sync()
    expected = [(f"INC-{n:04}", "triggered") for n in (2, 3, 4)]
    assert query(state) == [("INC-0001", "newest"), *expected]

    del rows[3:5]  # and none again
    rows[0].update(status="last", updated_at="2026-11-08T00:00:00Z")
    _sync()
    assert query(state) == [("INC-0001", "last"), *expected]
