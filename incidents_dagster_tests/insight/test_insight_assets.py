"""The tables of `insight` in Dagster: assets, checks, lineage, the sensor, on a real instance."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from fakes.incidents import incident
from incidents_dagster.definitions import defs
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.incidents_view import incidents
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.settings import PROJECT_ROOT, load_settings
from incidents_dagster.insight.assets import insight_tables
from incidents_dagster.insight.rules import RULES
from incidents_dagster.insight.sensor import insight_sensor
from incidents_dagster.insight.sql_files import sql_files
from incidents_dagster.sources import Source

TABLES = {
    "arrivals",
    "backlog_daily",
    "incident_lifecycle",
    "incident_status_history",
    "noise",
    "open_by_age",
    "time_to_acknowledge",
    "time_to_resolve",
}
VIEWS = {"cohort_times", "cohorts", "survival"}


Sync = Callable[..., dg.ExecuteInProcessResult]
Make = Callable[[], dg.ExecuteInProcessResult]


@pytest.fixture
def make(instance: dg.DagsterInstance) -> Make:
    """Makes the view over all sources, and the tables."""

    def materialize() -> dg.ExecuteInProcessResult:
        dg.materialize([incidents], instance=instance, raise_on_error=False)
        return dg.materialize([insight_tables], instance=instance, raise_on_error=False)

    return materialize


def test_a_file_is_a_table_and_each_column_is_described() -> None:
    files = sql_files()
    assert {name for name, one in files.items() if not one.is_view} == TABLES
    assert {name for name, one in files.items() if one.is_view} == VIEWS
    for name, one in files.items():
        assert one.description.endswith("."), name
        for column, told in one.columns.items():
            assert told.endswith("."), f"{name}.{column}"


def test_assets_follow_from_the_sql() -> None:
    graph = defs.resolve_asset_graph()
    upstream = {
        name: {key.path[-1] for key in graph.get(dg.AssetKey(name)).parent_keys}
        for name in TABLES | VIEWS
    }
    assert upstream["incident_status_history"] == {"incidents"}
    assert upstream["incident_lifecycle"] == {"incidents", "incident_status_history"}
    assert upstream["time_to_resolve"] == {"cohort_times"}
    assert upstream["noise"] == {"incident_lifecycle"}
    checked = {(key.asset_key.path[-1], key.name) for key in graph.asset_check_keys}
    assert {(rule.table, rule.name) for rule in RULES} <= checked


def test_the_job_makes_and_checks_all_tables(
    api: DemoServer,
    rows: list[dict[str, Any]],
    sync: Sync,
    make: Make,
    query: Callable[[str], list[Any]],
) -> None:
    rows[0]["status"] = "in orbit"
    assert sync().success
    made = make()
    assert made.success
    materialized = {
        event.asset_key.path[-1]: event.step_materialization_data.materialization.metadata
        for event in made.all_events
        if event.is_step_materialization and event.asset_key
    }
    assert set(materialized) == TABLES | VIEWS
    assert materialized["incident_lifecycle"]["dagster/row_count"].value == 250
    lineage = materialized["noise"]["dagster/column_lineage"].value
    assert isinstance(lineage, dg.TableColumnLineage)
    assert lineage.deps_by_column["service"] == [
        dg.TableColumnDep(asset_key="incident_lifecycle", column_name="service")
    ]
    evaluated = made.get_asset_check_evaluations()
    assert len(evaluated) == len(RULES)
    # The default shape has phases for the usual words alone.
    assert [one.check_name for one in evaluated if not one.passed] == ["every_status_has_a_phase"]
    assert query("SELECT count(*) FROM insight.incident_status_history") == [(250,)]
    found = query(
        "SELECT comment FROM duckdb_columns() "
        "WHERE schema_name = 'insight' AND table_name = 'noise' AND column_name = 'repeated'"
    )
    assert found == [
        ("Opened within a day after another one of the same title; null: none has a title.",)
    ]


def test_before_the_first_sync_the_job_says_what_to_do(api: DemoServer, make: Make) -> None:
    failed = make()
    assert not failed.success
    (event,) = failed.get_step_failure_events()
    data = event.step_failure_data.user_failure_data
    assert data
    assert "sync first (make run)" in str(data.description)


def test_the_sensor_asks_for_a_run_once_after_a_sync_that_changed_something(
    api: DemoServer, rows: list[dict[str, Any]], instance: dg.DagsterInstance, sync: Sync
) -> None:
    cursor: list[str | None] = [None]

    def tick() -> int:
        context = dg.build_sensor_context(instance=instance, cursor=cursor[0])
        result = insight_sensor(context)
        assert isinstance(result, dg.SensorResult)
        cursor[0] = result.cursor
        return len(result.run_requests or [])

    assert tick() == 0
    sync()
    assert tick() == 0  # the view of which the tables are made is still to come
    dg.materialize([incidents], instance=instance)
    assert [tick(), tick()] == [1, 0]
    sync()  # nothing has changed
    assert tick() == 0
    rows.append(incident(900, updated_at="2026-11-10T00:00:00Z"))
    sync()
    sync()
    assert [tick(), tick()] == [1, 0]


def test_a_resource_cannot_have_the_name_of_a_table(
    api: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "SOURCES__INCIDENTS__RESOURCES", '[{"name": "noise", "endpoint": {"path": "/v1/noise"}}]'
    )
    with pytest.raises(SettingsError, match=r"The resource noise in .* has the name of a table"):
        Source.of(load_settings())


def test_the_page_names_every_check() -> None:
    page = (PROJECT_ROOT / "docs" / "insight.md").read_text()
    for rule in RULES:
        assert f"| `{rule.table}` | `{rule.name}` | {rule.description[0].lower()}" in page
