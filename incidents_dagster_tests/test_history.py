"""Dagster's history: where it is, whoever opens it from wherever, and how old its runs get."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fakes.dagster_dev import wait_until
from fakes.incidents import incident
from incidents_dagster.assets import apis, synced
from incidents_dagster.checks import source_checks
from incidents_dagster.embedded_elt import DagsterDltResource
from incidents_dagster.incidents_view import incidents
from incidents_dagster.jobs import sync_jobs
from incidents_dagster.names import INSIGHT_JOB
from incidents_dagster.pruning import prune
from incidents_dagster.read_copy import read_copy
from incidents_dagster.resources import IncidentsDuckDB

ASSET = dg.AssetKey("incident_data")
Sync = Callable[..., str]

DAY = {"incidents": 1}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, which is not the project's."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def instance(
    checkout: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The instance of a copy of the project."""
    monkeypatch.setenv("DAGSTER_HOME", str(checkout))
    with dg.DagsterInstance.get() as found:
        yield found


@pytest.fixture
def run_job(instance: dg.DagsterInstance, database: Path, monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Runs incidents_sync into a file; returns the run's id."""

    def run(file: Path = database) -> str:
        definitions = dg.Definitions(
            assets=[*apis, *synced, incidents, read_copy],
            asset_checks=source_checks,
            jobs=[*sync_jobs.values()],
            resources={
                "dlt": DagsterDltResource(),
                "duckdb": IncidentsDuckDB(database=str(file)),
            },
        )
        monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", str(file))
        job = definitions.resolve_job_def("incidents_sync")
        return job.execute_in_process(instance=instance).run_id

    return run


def test_the_history_is_beside_dagster_yaml_wherever_a_process_starts(
    checkout: Path, elsewhere: Path, instance: dg.DagsterInstance
) -> None:
    @dg.op
    def speak() -> None:
        print("something")

    @dg.job
    def speaking() -> None:
        speak()

    run = speaking.execute_in_process(instance=instance)
    data = checkout / "data" / "dagster"
    assert list((data / "history" / "runs").glob(f"{run.run_id}.db"))
    assert list((data / "compute_logs").glob(run.run_id))
    assert instance.storage_directory().startswith(str(data))
    with dg.DagsterInstance.from_ref(instance.get_ref()) as of_a_worker:
        assert of_a_worker.get_run_by_id(run.run_id)
    assert not list(elsewhere.iterdir())


@pytest.mark.thorough
@pytest.mark.parametrize(
    "command",
    [
        ["dagster-daemon", "run", "-w", "{checkout}/workspace.yaml"],
        ["dagster-webserver", "-p", "0", "-w", "{checkout}/workspace.yaml"],
        ["dagster", "dev", "-p", "0", "-w", "{checkout}/workspace.yaml"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_no_process_of_dagster_begins_a_history_elsewhere(
    checkout: Path, elsewhere: Path, command: list[str]
) -> None:
    program, *arguments = [part.format(checkout=checkout) for part in command]
    process = subprocess.Popen(
        [checkout / ".venv" / "bin" / program, *arguments],
        env={**os.environ, "DAGSTER_HOME": str(checkout), "PYTHONPATH": str(checkout)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        made = checkout / "data" / "dagster" / "schedules" / "schedules.db"
        wait_until(made.exists, 60, "a history in the project")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (elsewhere / "data").exists()


def test_a_home_of_the_users_own_is_respected(
    checkout: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "dagster.yaml").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(elsewhere))
    made = subprocess.run(
        ["make", "--no-print-directory", "-o", ".venv/run", "run"],
        cwd=checkout,
        env={**os.environ, "INCIDENTS_DUCKDB_PATH": str(elsewhere / "x.duckdb")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert (elsewhere / "history" / "runs").is_dir()
    assert not (checkout / "data").exists()


@pytest.mark.usefixtures("api")
def test_old_runs_are_deleted_but_never_the_newest_sync(
    checkout: Path, instance: dg.DagsterInstance, run_job: Sync, rows: list[dict[str, Any]]
) -> None:
    now = datetime.now(timezone.utc)
    first = run_job()
    rows.append(incident(251))  # else the first has made the newest copy for readers
    second = run_job()
    history = checkout / "data" / "dagster"
    assert prune(instance, {"incidents": 90}, now + timedelta(days=89), 10) == 0
    assert prune(instance, {"incidents": 0}, now + timedelta(days=999), 10) == 0
    assert prune(instance, {"incidents": 90}, now + timedelta(days=91), 10) == 1
    assert [run.run_id for run in instance.get_runs()] == [second]
    assert not list(history.rglob(f"{first}*"))
    newest = instance.get_latest_materialization_event(ASSET)
    assert newest is not None
    assert newest.run_id == second
    assert prune(instance, {"incidents": 90}, now + timedelta(days=91), 10) == 0

    rows.append(incident(252))
    third, _ = run_job(), run_job()
    assert prune(instance, {"incidents": 90}, now + timedelta(days=91), 1) == 1
    assert instance.get_run_by_id(second) is None
    assert instance.get_run_by_id(third) is not None


@pytest.mark.usefixtures("api")
@pytest.mark.thorough
def test_the_newest_sync_into_each_database_stays(
    instance: dg.DagsterInstance, run_job: Sync, database: Path, rows: list[dict[str, Any]]
) -> None:
    one, other = run_job(), run_job(database.with_name("other.duckdb"))
    rows.append(incident(251))
    run_job(database.with_name("other.duckdb"))
    assert prune(instance, DAY, datetime.now(timezone.utc) + timedelta(days=2), 10) == 1
    assert instance.get_run_by_id(one)
    assert not instance.get_run_by_id(other)


@pytest.mark.usefixtures("api")
def test_runs_of_other_jobs_stay(instance: dg.DagsterInstance) -> None:
    @dg.job
    def own() -> None: ...

    run = own.execute_in_process(instance=instance)
    assert prune(instance, DAY, datetime.now(timezone.utc) + timedelta(days=99), 10) == 0
    assert instance.get_run_by_id(run.run_id)


@pytest.mark.usefixtures("api")
def test_runs_that_made_the_tables_of_insight_are_deleted_too(instance: dg.DagsterInstance) -> None:
    @dg.job(name=INSIGHT_JOB)
    def made() -> None: ...

    run = made.execute_in_process(instance=instance)
    assert prune(instance, DAY, datetime.now(timezone.utc) + timedelta(days=99), 10) == 1
    assert instance.get_run_by_id(run.run_id) is None
