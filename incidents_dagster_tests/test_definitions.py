"""The code location: exact names, and that it loads anywhere and with nothing set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from incidents_dagster.definitions import defs
from incidents_dagster.ingestion.settings import PROJECT_ROOT
from incidents_dagster.insight.rules import RULES
from incidents_dagster.insight.sql_files import sql_files

CHECKS = {
    "ids_are_unique",
    "ids_are_not_null",
    "newest_change_is_recent",
    "statuses_are_present",
    "created_is_not_after_updated",
    "timestamps_are_not_in_the_future",
    "table_matches_source",
    "incremental_misses_nothing",
    "quarantine_is_empty",
    "statuses_have_a_phase",
    "every_incident_is_there_once",
    "read_copy_is_current",
}
# schedule → its job, and when
SCHEDULES = {
    "incidents_sync_hourly": ("incidents_sync", "0 * * * *"),
    "incidents_reconcile_weekly": ("incidents_reconcile", "30 3 * * 0"),
}

# Prints what is defined, as seen by a process that has only this to go by.
LIST = """
import json
from incidents_dagster.definitions import defs
graph = defs.resolve_asset_graph()
print(json.dumps({
    "assets": sorted(
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if graph.get(key).group_name != "insight"
    ),
    "checks": sorted(
        f"{key.asset_key.to_user_string()}:{key.name}"
        for key in graph.asset_check_keys
        if graph.get(key.asset_key).group_name != "insight"
    ),
}))
"""


def loaded_elsewhere(cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Loads the definitions from an empty directory with a bare environment."""
    empty = cwd / "empty"
    empty.mkdir()
    return subprocess.run(
        [sys.executable, "-c", LIST],
        cwd=empty,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT_ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_names_are_exactly_these() -> None:
    repository = defs.get_repository_def()
    graph = repository.asset_graph
    assert {key.path[-1] for key in graph.get_all_asset_keys()} == {
        "incident_data",
        "incident_api",
        "incidents",
        "incident_report",
        "read_copy",
        *sql_files(),
    }
    assert graph.external_asset_keys == {dg.AssetKey("incident_api")}
    assert {key.name for key in graph.asset_check_keys} == CHECKS | {rule.name for rule in RULES}
    blocking = {key.name for key in graph.asset_check_keys if graph.get_check_spec(key).blocking}
    assert blocking == {"ids_are_unique", "ids_are_not_null"}
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert jobs == {"incidents_sync", "incidents_reconcile", "insight_refresh"}
    assert {schedule.name for schedule in repository.schedule_defs} == set(SCHEDULES)
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "incident_change_sensor",
        "insight_sensor",
        "old_runs_sensor",
        "sync_failure_sensor",
    }
    assert set(defs.resources or {}) == {"dlt", "duckdb"}


def test_every_definition_has_a_description() -> None:
    repository = defs.get_repository_def()
    graph = repository.asset_graph
    described = [
        *(graph.get(key).description for key in graph.get_all_asset_keys()),
        *(graph.get_check_spec(key).description for key in graph.asset_check_keys),
        *(sensor.description for sensor in repository.sensor_defs),
        *(schedule.description for schedule in repository.schedule_defs),
        *(repository.get_job(job).description for job, _ in SCHEDULES.values()),
    ]
    assert all(described)


@pytest.mark.parametrize("name", ["incidents_sync", "incidents_reconcile"])
def test_a_job_is_the_asset_with_its_checks_in_one_process(name: str) -> None:
    job = defs.resolve_job_def(name)
    assert {node.name for node in job.nodes} == {
        "incidents_dlt",
        "incident_checks",
        "incidents",
        "read_copy",
    }
    assert job.executor_def.name == "in_process"
    # Materialize in the UI uses Dagster's own job of all assets.
    assert defs.get_repository_def().get_job("__ASSET_JOB").executor_def.name == "in_process"


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_on_from_the_start(name: str) -> None:
    schedule = defs.get_repository_def().get_schedule_def(name)
    assert (schedule.job_name, schedule.cron_schedule) == SCHEDULES[name]
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert schedule.execution_timezone == "UTC"


def test_one_run_at_a_time_uses_the_file() -> None:
    job = defs.resolve_job_def("incidents_sync")
    # The view is made with no other write between, and the copy under a lock of its own.
    pools_of = {node.name: node.definition.pool for node in job.nodes}
    assert pools_of == {
        "incidents_dlt": "incidents_duckdb",
        "incident_checks": "incidents_duckdb",
        "incidents": None,
        "read_copy": None,
    }
    pools = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())["concurrency"]["pools"]
    assert pools == {"default_limit": 1, "granularity": "run"}


@pytest.mark.thorough
def test_it_loads_from_an_empty_directory_with_a_bare_environment(tmp_path: Path) -> None:
    process = loaded_elsewhere(tmp_path)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["assets"] == [
        "incident_api",
        "incident_data",
        "incidents",
        "read_copy",
    ]
    assert "dagster-embedded-elt" not in process.stderr
    assert list((tmp_path / "empty").iterdir()) == []


def test_it_loads_without_the_key_of_a_configured_api(tmp_path: Path) -> None:
    process = loaded_elsewhere(
        tmp_path, SOURCES__INCIDENTS__CLIENT__BASE_URL="https://api.example.invalid"
    )
    assert process.returncode == 0, process.stderr


def test_a_further_resource_gets_its_asset_and_checks_without_code(tmp_path: Path) -> None:
    resources = [
        {
            "name": "incident_data",
            "endpoint": "/v1/incidents",
            "columns": {"status": {"data_type": "text"}},
        },
        {"name": "alerts", "primary_key": ["region", "number"], "endpoint": {"path": "/v1/alerts"}},
    ]
    process = loaded_elsewhere(tmp_path, SOURCES__INCIDENTS__RESOURCES=json.dumps(resources))
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == {
        "assets": ["alerts", "incident_api", "incident_data", "incidents", "read_copy"],
        "checks": [
            "alerts:ids_are_not_null",
            "alerts:ids_are_unique",
            "alerts:incremental_misses_nothing",
            "alerts:quarantine_is_empty",
            "alerts:table_matches_source",
            "incident_data:ids_are_not_null",
            "incident_data:ids_are_unique",
            "incident_data:incremental_misses_nothing",
            "incident_data:quarantine_is_empty",
            "incident_data:statuses_are_present",
            "incident_data:table_matches_source",
            "incidents:every_incident_is_there_once",
            "read_copy:read_copy_is_current",
        ],
    }


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("CLIENT__PAGINATOR__TYPE", "ofset", "client.paginator.type must be one of "),
        ("CLIENT__BASE_URLL", "https://x", "'base_urll'"),
        ("FRESHNESS__WARN_AFTER_MINUTES", "soon", "freshness.warn_after_minutes"),
    ],
)
@pytest.mark.sample(1)
def test_a_wrong_setting_is_named_with_its_place(
    name: str, value: str, told: str, tmp_path: Path
) -> None:
    process = loaded_elsewhere(tmp_path, **{f"SOURCES__INCIDENTS__{name}": value})
    assert process.returncode != 0
    last_line = process.stderr.strip().splitlines()[-1]
    assert "SettingsError" in last_line
    assert told in last_line
    assert f"the environment variable SOURCES__INCIDENTS__{name}" in last_line
