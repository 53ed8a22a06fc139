"""The asset `read_copy` in runs, and how long a run waits for a reader of the file itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from fakes.incidents import incident
from incidents_dagster.assets import apis, synced
from incidents_dagster.checks import source_checks
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.embedded_elt import DagsterDltResource
from incidents_dagster.incidents_view import incidents
from incidents_dagster.ingestion.settings import PROJECT_ROOT, load_settings
from incidents_dagster.ingestion.warehouse import duckdb_file
from incidents_dagster.ingestion.warehouse.duckdb_file import read_copy_path
from incidents_dagster.insight.assets import insight_tables
from incidents_dagster.read_copy import CHECK, DESCRIPTION, read_copy
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster.run import reason, report
from incidents_dagster.who_started import is_scheduled
from incidents_dagster_tests.ingestion.other_process import OtherProcess

Rows = list[dict[str, Any]]
Run = Callable[..., dg.ExecuteInProcessResult]

COUNT = "SELECT count(*) FROM incidents.incidents"
PERSON, SCHEDULED = 1.0, 5.0  # seconds, by a clock of the test's own


@pytest.fixture
def copy(database: Path) -> Path:
    return read_copy_path(database)


@pytest.fixture
def run(api: DemoServer, database: Path, instance: dg.DagsterInstance) -> Run:
    """Runs what the job of a sync does."""

    def once(**tags: str) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [*apis, *synced, *source_checks, incidents, read_copy],
            resources={
                "dlt": DagsterDltResource(),
                "duckdb": IncidentsDuckDB(database=str(database)),
            },
            instance=instance,
            tags=tags,
            raise_on_error=False,
        )

    return once


class Clock:
    """The clock by which the file is waited for, and a process that has the file for some time.

    Attributes:
        held: Whether it still has it.
    """

    def __init__(self, reader: OtherProcess) -> None:
        self._reader, self._now, self._until, self.held = reader, 0.0, 0.0, False

    def takes(self, for_seconds: float) -> None:
        self._reader.take()
        self._until, self.held = self._now + for_seconds, True

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        if self.held and self._now > self._until:
            self._reader.give_back()
            self.held = False


def made(result: dg.ExecuteInProcessResult) -> list[dict[str, Any]]:
    """What the copy shows, if it was made anew."""
    return [dict(one.metadata) for one in result.asset_materializations_for_node("read_copy")]


def checked(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = (one for one in result.get_asset_check_evaluations() if one.check_name == CHECK)
    return found


def answer(file: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_a_run_ends_with_the_copy_if_it_changed_something(
    run: Run, rows: Rows, copy: Path, instance: dg.DagsterInstance
) -> None:
    first = run()
    (shown,) = made(first)
    assert shown["file"].value == str(copy)
    assert shown["megabytes"].value > 0
    assert {"held_seconds", "cpu_seconds"} < set(shown)
    assert answer(copy, COUNT) == [(250,)]
    with OtherProcess(copy) as reader:
        reader.take()
        again = run()
        assert again.success
        assert made(again) == []
        assert checked(again).passed
        rows.append(incident(900, updated_at="2026-11-20T00:00:00Z"))
        assert len(made(run())) == 1
        assert reader.ask(COUNT) == "250"
    assert answer(copy, COUNT) == [(251,)]
    result = dg.materialize([insight_tables, read_copy], instance=instance)
    assert len(made(result)) == 1
    assert answer(copy, "SELECT count(*) FROM insight.incident_lifecycle") == [(251,)]


def test_a_copy_that_cannot_be_made_leaves_the_run_green_and_is_told(
    run: Run, database: Path, copy: Path
) -> None:
    copy.mkdir()
    result = run()
    assert result.success
    assert made(result) == []
    found = checked(result)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert f"Readers do not have the newest: {copy} is no copy" in str(found.description)
    assert f"  WARN      {CHECK}: {found.description}" in [*report(result)]
    copy.rmdir()
    assert checked(run()).description == DESCRIPTION
    assert answer(copy, COUNT) == [(250,)]


@pytest.mark.thorough
def test_a_run_that_nobody_sits_in_front_of_waits_longer_for_a_reader_of_the_file(
    run: Run,
    rows: Rows,
    database: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__WAIT_SECONDS", str(PERSON))
    monkeypatch.setenv("SOURCES__INCIDENTS__WAIT_SECONDS_SCHEDULED", str(SCHEDULED))
    copy = read_copy_path(database)
    assert run().success
    rows.append(incident(900, updated_at="2026-11-20T00:00:00Z"))
    with OtherProcess(database) as reader:
        clock = Clock(reader)
        monkeypatch.setattr(duckdb_file, "time", clock)
        clock.takes(for_seconds=2 * PERSON)
        failed = run()
        assert not failed.success
        assert f"(PID {reader.pid}, " in reason(failed)
        assert f"and has been for over {PERSON:g} s: close it there" in reason(failed)
        assert f"To read, open {copy} there instead" in reason(failed)
        waited = run(**{"dagster/schedule_name": "incidents_sync_hourly"})
        assert waited.success, reason(waited)
        assert answer(copy, COUNT) == [(251,)]
        clock.takes(for_seconds=120)  # twice what a person's waits
        tags = {"dagster/sensor_name": "insight_sensor"}
        assert dg.materialize([insight_tables], instance=instance, tags=tags).success
        assert not clock.held


def test_a_schedule_and_a_sensor_are_known_by_tags_that_dagster_sets() -> None:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def job() -> None:
        nothing()

    @dg.sensor(job=job)
    def sensor(_: dg.SensorEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest()

    schedule = dg.ScheduleDefinition(job=job, cron_schedule="@daily")
    with dg.DagsterInstance.ephemeral() as instance:
        ticks = [
            schedule.evaluate_tick(dg.build_schedule_context(instance)),
            sensor.evaluate_tick(dg.build_sensor_context(instance)),
        ]
        for tick in ticks:
            (request,) = tick.run_requests or []
            started = job.execute_in_process(instance=instance, tags=dict(request.tags))
            assert is_scheduled(started.dagster_run)
        assert not is_scheduled(job.execute_in_process(instance=instance).dagster_run)


def test_waiting_ends_before_dagster_ends_the_run() -> None:
    settings = load_settings()
    scheduled = settings.as_scheduled()
    assert scheduled.wait_seconds == 900 > settings.wait_seconds
    longer = settings.model_copy(update={"wait_seconds": 3600.0})
    assert longer.as_scheduled().wait_seconds == 3600
    monitoring = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())["run_monitoring"]
    # For another sync, for the file to compare with, and to load.
    most = 60 * settings.max_minutes + 3 * scheduled.wait_seconds
    assert most < monitoring["max_runtime_seconds"]
