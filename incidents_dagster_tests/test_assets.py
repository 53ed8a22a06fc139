"""The asset `incident_data`: its definition, what a sync shows, what counts, how it fails."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster._core.definitions.freshness_evaluator import TimeWindowFreshnessPolicyEvaluator
from dagster._core.loader import LoadingContextForTest
from starlette.responses import Response

from fakes.configuration import written_out
from fakes.incidents import incident
from incidents_dagster.assets import synced
from incidents_dagster.definitions import defs
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.reading import progress
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.sources import SOURCES
from incidents_dagster_tests.results import failure, log_lines, shown

KEY = dg.AssetKey("incident_data")
Sync = Callable[..., dg.ExecuteInProcessResult]


def freshness(instance: dg.DagsterInstance) -> str:
    """How Dagster's daemon would judge the asset now."""
    node = defs.resolve_asset_graph().get(KEY)
    judged = TimeWindowFreshnessPolicyEvaluator().evaluate_freshness(
        LoadingContextForTest(instance), node
    )
    return asyncio.run(judged).value


def test_its_definition_is_what_the_ui_shows() -> None:
    spec = synced[0].specs_by_key[KEY]
    assert spec.group_name == "incidents"
    assert [dep.asset_key for dep in spec.deps] == [dg.AssetKey("incident_api")]
    assert spec.kinds == {"dlt", "duckdb"}
    assert spec.owners == ["team:on-call"]
    assert "incidents.incident_data" in (spec.description or "")
    assert spec.freshness_policy is not None
    columns = {c.name: c for c in spec.metadata["dagster/column_schema"].columns}
    assert list(columns) == ["id", "status", "created_at", "updated_at", "phase", "deleted_at"]
    assert not columns["id"].constraints.nullable
    assert all(column.description for column in columns.values())


def test_a_sync_that_took_a_secret_out_of_rows_says_so(
    api: DemoServer, sync: Sync, rows: list[dict[str, Any]], instance: dg.DagsterInstance
) -> None:
    for row in rows[:3]:
        row["reported_by"] = f"bot with {api.api_key}"
    result = sync()
    assert shown(result)["rows_redacted"] == 3
    said = "; 3 of those read have *** instead of a secret."
    assert any(line.endswith(said) for line in log_lines(result, instance))


def test_a_materialization_shows_rows_columns_and_requests(
    api: DemoServer, sync: Sync, database: Path
) -> None:
    result = sync()
    assert result.success
    metadata = shown(result)
    assert metadata["rows_read"] == metadata["rows_loaded"] == metadata["rows_new"] == 250
    assert metadata["rows_changed"] == 0
    assert metadata["dagster/row_count"] == metadata["total_at_api"] == 250
    assert metadata["completeness"].startswith("proven: 250 records in 3 pages; ")
    assert metadata["distinct_ids"] == 250
    assert metadata["quarantined"] == metadata["rows_redacted"] == 0
    assert metadata["rows_deleted"] == metadata["rows_newly_deleted"] == 0
    assert "changed_since" not in metadata
    assert metadata["pages"] == metadata["requests"] == len(api.requests) == 3
    assert metadata["dagster/table_name"] == "warehouse.incidents.incident_data"
    newest = datetime(2026, 11, 1, 4, 10, tzinfo=timezone.utc)
    assert metadata["newest_updated_at"] == newest.timestamp()
    columns = {c.name: c for c in metadata["dagster/column_schema"].columns}
    assert columns["service"].type == "JSON"
    assert columns["updated_at"].type == "TIMESTAMP WITH TIME ZONE"
    assert "primary key" in columns["id"].description
    with duckdb.connect(str(database), read_only=True) as connection:
        loads = connection.execute("SELECT load_id FROM incidents._dlt_loads").fetchall()
    assert loads == [(metadata["load_id"],)]


def test_the_preview_has_the_newest_incidents_first(
    api: DemoServer, rows: list[dict[str, Any]], sync: Sync
) -> None:
    rows.append(incident(900, updated_at="2026-11-20T00:00:00Z", title="x" * 500))
    (first, *others) = shown(sync())["preview"].records
    assert first.data["id"] == "INC-0900"
    assert first.data["updated_at"].startswith("2026-11-20 00:00:00")
    assert len(first.data["title"]) < 100
    assert len(others) == 4


def test_a_second_sync_merges_what_changed(
    api: DemoServer, rows: list[dict[str, Any]], sync: Sync, instance: dg.DagsterInstance
) -> None:
    sync()
    rows[3].update(status="resolved", updated_at="2026-11-02T00:00:00Z")
    rows.append(incident(900))
    result = sync()
    metadata = shown(result)
    assert (metadata["rows_new"], metadata["rows_changed"]) == (1, 1)
    assert metadata["dagster/row_count"] == 251
    assert any("1 new, 1 changed" in line for line in log_lines(result, instance))


def test_a_sync_that_brings_nothing_succeeds_and_says_so(
    api: DemoServer, rows: list[dict[str, Any]], sync: Sync, instance: dg.DagsterInstance
) -> None:
    rows.clear()
    first = sync()
    assert first.success
    assert shown(first)["rows_loaded"] == 0
    assert any("returned no rows" in line for line in log_lines(first, instance))
    assert [check.passed for check in first.get_asset_check_evaluations()] == [True] * 10
    second = sync()
    assert second.success
    assert shown(second)["dagster/row_count"] == 0


def test_a_sync_without_changes_says_so(
    api: DemoServer, sync: Sync, instance: dg.DagsterInstance
) -> None:
    sync()
    assert any("nothing new or changed" in line for line in log_lines(sync(), instance))


@pytest.mark.thorough
def test_a_long_sync_reports_its_progress(
    api: DemoServer, sync: Sync, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.0)
    lines = [line for line in log_lines(sync(), instance) if "rows/s" in line]
    assert "1 pages, 100 rows" in lines[0]
    assert "40% of 250" in lines[0]


def test_a_missing_key_fails_the_run_by_name(
    api: DemoServer, sync: Sync, monkeypatch: pytest.MonkeyPatch, database: Path
) -> None:
    monkeypatch.delenv("API_KEY")
    result = sync()
    assert not result.success
    assert failure(result).startswith("api_key is missing")
    assert not database.exists()
    assert api.requests == []


def test_a_refused_key_fails_the_run_and_does_not_show_it(
    api: DemoServer, sync: Sync, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "not-the-right-key")
    result = sync()
    assert "401" in failure(result)
    assert "check the secret" in failure(result)
    assert not any("not-the-right-key" in str(log) for log in instance.all_logs(result.run_id))


def test_an_api_that_fails_leaves_the_table_as_it_was(
    api: DemoServer, rows: list[dict[str, Any]], sync: Sync, waits: list[float], database: Path
) -> None:
    sync()
    rows[0]["status"] = "changed"
    api.faults.answers.extend(Response(status_code=503) for _ in range(4))
    result = sync()
    assert not result.success
    assert "503" in failure(result)
    assert waits == [2, 4, 8]
    with duckdb.connect(str(database), read_only=True) as connection:
        counts = connection.execute(
            "SELECT status, count(*) FROM incidents.incident_data GROUP BY ALL"
        ).fetchall()
    assert counts == [("triggered", 250)]


@pytest.mark.thorough
def test_a_change_in_any_field_counts(
    api: DemoServer, rows: list[dict[str, Any]], sync: Sync
) -> None:
    sync()
    rows[0].update(title="another", updated_at=rows[-1]["updated_at"])
    rows[1].update(service={"id": "svc-2", "name": "Search"}, updated_at=rows[-1]["updated_at"])
    assert shown(sync())["rows_changed"] == 2


@pytest.mark.thorough
def test_a_second_sync_asks_only_for_what_changed(
    api: DemoServer, rows: list[dict[str, Any]], sync: Sync
) -> None:
    sync()
    rows.append(incident(900, updated_at="2026-11-20T00:00:00Z"))
    api.requests.clear()
    metadata = shown(sync())
    # What shares the newest minute but one, and the newest, and the new one.
    assert (metadata["rows_read"], metadata["rows_loaded"], metadata["rows_new"]) == (17, 1, 1)
    (request,) = api.requests
    assert request.query["updated_since"] == "2026-11-01T03:55:00Z"
    assert metadata["cursor_column"] == "updated_at"
    assert metadata["changed_since"] == "2026-11-01T03:55:00Z"
    assert metadata["distinct_ids"] == metadata["total_at_api"] == 17


def test_a_sync_of_some_bad_records_loads_the_others_and_counts_them(
    api: DemoServer, rows: list[dict[str, Any]], sync: Sync, instance: dg.DagsterInstance
) -> None:
    rows[0]["id"] = None
    rows[1]["status"] = {"odd": True}
    result = sync()
    assert result.success
    metadata = shown(result)
    assert (metadata["rows_read"], metadata["quarantined"], metadata["rows_new"]) == (250, 2, 248)
    assert any("2 in quarantine" in line for line in log_lines(result, instance))


def test_an_unproven_sync_is_no_materialization_and_does_not_count_for_freshness(
    api: DemoServer, sync: Sync, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    maximum = "SOURCES__INCIDENTS__CLIENT__PAGINATOR__MAXIMUM_OFFSET"
    monkeypatch.setenv(maximum, "100")
    result = sync()
    assert result.success
    assert not result.get_asset_materialization_events()
    assert freshness(instance) == "UNKNOWN"
    (observed,) = instance.fetch_observations(KEY, limit=2).records
    assert observed.asset_observation
    said = {name: entry.value for name, entry in observed.asset_observation.metadata.items()}
    why = "unproven: the paginator is configured to stop at a maximum"
    assert (said["completeness"], said["dagster/row_count"]) == (why, 100)
    warnings = [log for log in instance.all_logs(result.run_id) if log.level == logging.WARNING]
    assert why in warnings[0].user_message
    # Dagster by itself would skip them all.
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert len(checks) == 10
    assert checks["ids_are_unique"].passed
    assert not checks["table_matches_source"].passed
    assert why in (checks["table_matches_source"].description or "")

    monkeypatch.delenv(maximum)
    result = sync()
    assert freshness(instance) == "PASS"
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks["table_matches_source"].passed


def test_a_full_refresh_reads_everything_again_and_merges(
    api: DemoServer, rows: list[dict[str, Any]], sync: Sync
) -> None:
    sync()
    rows[0]["title"] = "changed, and the API did not say when"
    assert shown(sync())["rows_changed"] == 0
    metadata = shown(sync(full_refresh=True))
    assert (metadata["rows_read"], metadata["rows_loaded"]) == (250, 1)
    assert (metadata["rows_new"], metadata["rows_changed"]) == (0, 1)
    assert metadata["dagster/row_count"] == 250


@pytest.mark.thorough
def test_a_sync_without_changes_loads_nothing(api: DemoServer, sync: Sync, database: Path) -> None:
    sync()
    assert shown(sync())["load_id"].startswith("none")
    with duckdb.connect(str(database), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM incidents._dlt_loads").fetchone() == (1,)


def _reload(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reload of the code location does to the configured tables."""
    tables = Table.all_of(declared_source(load_settings()))
    loaded: Any = SOURCES["incidents"].tables
    for name in [*loaded]:
        monkeypatch.delitem(loaded, name)
    for name, table in tables.items():
        monkeypatch.setitem(loaded, name, table)


@pytest.mark.thorough
def test_a_column_declared_later_appears(
    api: DemoServer, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync()
    columns = '{"id": {"data_type": "text"}, "opened_by": {"data_type": "text"}}'
    monkeypatch.setenv(
        "SOURCES__INCIDENTS__RESOURCES",
        '[{"name": "incident_data", "endpoint": {"path": "/v1/incidents", "data_selector": "data"},'
        f' "columns": {columns}}}]',
    )
    _reload(monkeypatch)
    result = sync()
    assert result.success
    assert "opened_by" in {c.name for c in shown(result)["dagster/column_schema"].columns}


def test_a_resource_that_got_no_answer_succeeds_unproven(
    api: DemoServer, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "SOURCES__INCIDENTS__RESOURCES",
        '[{"name": "incident_data", "endpoint": {"path": "/v1/none", "data_selector": "data",'
        ' "response_actions": [{"status_code": 404, "action": "ignore"}]}}]',
    )
    _reload(monkeypatch)
    result = sync()
    assert result.success
    assert result.get_asset_materialization_events() == []
    (observed,) = result.get_asset_observation_events()
    metadata = observed.asset_observation_data.asset_observation.metadata
    assert metadata["dagster/row_count"].value == 0
    assert metadata["completeness"].value == "unproven: the API sent no response with records"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('name = "incident_data"', 'name = "alerts"'),
        ("resources.columns.status]", "resources.columns.state]"),
        ('data_type = "text"\nnullable = true', 'data_type = "json"\nnullable = true'),
        ('primary_key = "id"', 'primary_key = "number"'),
    ],
)
@pytest.mark.sample(2)
def test_what_changed_since_loading_asks_for_a_reload(
    api: DemoServer, sync: Sync, write_config: Callable[[str], None], before: str, after: str
) -> None:
    text = written_out()
    assert before in text
    write_config(text.replace(before, after))
    assert "have changed since this code location was loaded: reload" in failure(sync())
    assert api.requests == []


def test_other_settings_take_effect_without_a_reload(
    api: DemoServer, sync: Sync, write_config: Callable[[str], None]
) -> None:
    text = written_out().replace("limit = 100", "limit = 50")
    write_config(text.replace('#group = "incidents"', 'group = "x"'))
    assert sync().success
    assert api.requests[0].query["limit"] == "50"


@pytest.mark.thorough
def test_two_runs_in_one_process_both_work(api: DemoServer, sync: Sync) -> None:
    assert [sync().success for _ in range(3)] == [True] * 3
