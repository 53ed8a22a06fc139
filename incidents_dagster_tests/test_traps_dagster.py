"""Traps of Dagster and of dagster-dlt: what a run repeats, drops, tells and takes for granted.

What a red test means stands in test_traps.py.
"""

import importlib
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg
import dlt
import pytest
from dagster_dlt import DagsterDltResource, dlt_assets
from dlt.common.storages.exceptions import LoadPackageNotFound
from dlt.extract import DltSource

from incidents_dagster import embedded_elt
from incidents_dagster.assets import NO_MATERIALIZATION
from incidents_dagster_tests.upstream import error_of, pipeline_into

pytestmark = pytest.mark.thorough

Events = Callable[[dg.AssetExecutionContext], Iterator[Any]]


@dlt.source(name="source")
def numbers(rows: int = 3, between: Callable[[], object] = lambda: None) -> Any:
    """A source of `rows` records, which calls `between` after its first."""

    @dlt.resource(name="items", primary_key="id", write_disposition="merge")
    def items() -> Iterator[dict[str, int]]:
        for number in range(rows):
            yield {"id": number}
            if number == 0:
                between()

    return items


def asset_of(
    source: DltSource, database: Path, events: Events | None = None
) -> dg.AssetsDefinition:
    """`source` as an asset, the way that the documentation of dagster-dlt shows."""

    @dlt_assets(dlt_source=source, dlt_pipeline=pipeline_into(database), name="shipped")
    def shipped(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from events(context) if events else DagsterDltResource().run(context=context)

    return shipped


def failure_of(asset: dg.AssetsDefinition, mended: str) -> Exception:
    return error_of(lambda: dg.materialize([asset]), mended)


# --- dagster-embedded-elt and dagster-dlt


@pytest.mark.skipif(
    find_spec("dagster_embedded_elt") is None,
    reason="the newest Dagster, which dagster-embedded-elt does not allow",
)
def test_embedded_elt_warns_when_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """dagster-embedded-elt is in its last release and says so on every import.
    `incidents_dagster.embedded_elt` silences that one warning because of this."""
    monkeypatch.delitem(sys.modules, "dagster_embedded_elt.dlt")
    with warnings.catch_warnings(record=True) as shipped:
        warnings.simplefilter("always")
        importlib.import_module("dagster_embedded_elt.dlt")
    assert "dagster-embedded-elt" in "".join(str(warning.message) for warning in shipped), (
        "The deprecation is mended upstream: delete the filter in incidents_dagster.embedded_elt."
    )

    monkeypatch.delitem(sys.modules, "dagster_embedded_elt.dlt")
    with warnings.catch_warnings(record=True) as ours:
        warnings.simplefilter("always")
        importlib.reload(embedded_elt)
    assert not ours


def test_a_source_and_a_pipeline_serve_one_run_only(database: Path) -> None:
    """dagster-dlt takes names out of the live schema for its metadata, and dlt misses them in the
    next run of the process. `assets.assets_of` opens fresh ones because of this."""
    used = asset_of(numbers(), database)
    assert dg.materialize([used]).success
    error = failure_of(
        used,
        "The second run in one process is mended upstream: assets.assets_of may use the "
        "source and the pipeline of its decorator.",
    )
    assert isinstance(error.__cause__, KeyError)


def test_an_asset_of_dlt_has_an_awkward_key_and_hangs_on_one_that_is_not_there(
    database: Path,
) -> None:
    """The default key is dlt_<source>_<resource>, and the asset upstream of it is defined nowhere.
    `assets.IncidentsTranslator` replaces both because of this."""
    (spec,) = asset_of(numbers(), database).specs
    mended = "is mended upstream: delete it in assets.IncidentsTranslator.get_asset_spec."
    assert spec.key == dg.AssetKey("dlt_source_items"), f"The key {mended}"
    assert [dep.asset_key for dep in spec.deps] == [dg.AssetKey("source_items")], (
        f"The dependency {mended}"
    )


def test_the_table_that_a_run_reports_does_not_exist(database: Path) -> None:
    """dagster-dlt makes up the table's full name of destination and schema, and DuckDB's has the
    file's stem and the dataset. `metadata.table_metadata` replaces it because of this."""
    result = dg.materialize([asset_of(numbers(), database)])
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["dagster/table_name"].value == "duckdb.source.items", (
        "The name of the table is mended upstream: delete dagster/table_name in "
        "metadata.table_metadata, if it is warehouse.traps.items."
    )


def test_counting_the_rows_fails_when_nothing_was_loaded(database: Path) -> None:
    """`fetch_row_count()` raises after a sync of no rows, when everything is loaded.
    `metadata.sync_metadata` counts for itself because of this."""
    error = failure_of(
        asset_of(
            numbers(rows=0),
            database,
            lambda context: DagsterDltResource().run(context=context).fetch_row_count(),
        ),
        "The count after no rows is mended upstream: delete Table.row_count and call "
        "fetch_row_count() in assets.assets_of.",
    )
    assert "Missing jobs metadata" in str(error)


def test_a_run_drops_what_another_is_just_loading(database: Path) -> None:
    """Every run begins by dropping the pipeline's working folder, in use or not.
    `sync.open_sync` takes a lock, `duckdb_file.alone_on`, because of this."""
    meanwhile: list[bool] = []

    def second_run() -> None:
        meanwhile.append(dg.materialize([asset_of(numbers(), database)]).success)

    def run_the_second() -> None:
        thread = threading.Thread(target=second_run, daemon=True)
        thread.start()
        thread.join(timeout=60)

    error = failure_of(
        asset_of(numbers(between=run_the_second), database),
        "The dropping of a folder in use is mended upstream: delete database.alone_on, if two "
        "runs that load one file get along in all else.",
    )
    assert meanwhile == [True]
    assert isinstance(error, LoadPackageNotFound)


# --- Dagster


def test_one_asset_without_a_result_skips_the_checks_of_all() -> None:
    """And freshness follows results, so that an unproven sync may not be one.
    `assets.NO_MATERIALIZATION` is yielded because of this."""

    def checked(*unproven: dg.MaterializeResult[Any]) -> dg.ExecuteInProcessResult:
        @dg.multi_asset(specs=[dg.AssetSpec(key, skippable=True) for key in ("proven", "other")])
        def synced() -> Iterator[dg.MaterializeResult[Any]]:
            yield dg.MaterializeResult(asset_key="proven")
            yield from unproven

        @dg.multi_asset_check(
            specs=[dg.AssetCheckSpec("check", asset=a) for a in ("proven", "other")]
        )
        def checks() -> Iterator[dg.AssetCheckResult]:
            for key in ("proven", "other"):
                yield dg.AssetCheckResult(asset_key=key, check_name="check", passed=True)

        return dg.materialize([synced, checks])

    assert not checked().get_asset_check_evaluations(), (
        "The skipping is mended upstream: delete NO_MATERIALIZATION in assets."
    )
    result = checked(dg.MaterializeResult(asset_key="other", metadata=NO_MATERIALIZATION))
    assert len(result.get_asset_check_evaluations()) == 2
    (event,) = result.get_asset_materialization_events()
    assert event.asset_key == dg.AssetKey("proven")


def test_a_failed_run_tells_the_causes_of_its_error() -> None:
    """Dagster records an error with the text of everything that caused it, and dlt's texts hold
    addresses and records. `assets.assets_of` raises `from None` because of this."""

    def told(cut: bool) -> str:
        @dg.asset
        def failing() -> None:
            try:
                raise LookupError("s3cr3t")
            except LookupError as error:
                if cut:
                    raise dg.Failure("No.") from None
                raise dg.Failure("No.") from error

        result = dg.materialize([failing], raise_on_error=False)
        (event,) = result.get_step_failure_events()
        return str(event.step_failure_data)

    assert "s3cr3t" in told(cut=False), (
        "The telling of causes is mended upstream: delete `from None` in assets.assets_of."
    )
    assert "s3cr3t" not in told(cut=True)


def test_a_failure_sensor_does_not_see_a_run_of_another_process() -> None:
    """It looks at the runs that its own code location launched, and a run that is executed in
    process has none. `alerts.sensor` is a plain sensor, also because of this."""
    seen: list[str] = []

    @dg.asset
    def failing() -> None:
        raise dg.Failure("No.")

    @dg.run_failure_sensor
    def own(context: dg.RunFailureSensorContext) -> None:
        seen.append("own")

    @dg.run_failure_sensor(monitor_all_code_locations=True)
    def of_all(context: dg.RunFailureSensorContext) -> None:
        seen.append("of all")

    repository = dg.Definitions(assets=[failing], sensors=[own, of_all]).get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:

        def tick(sensor: dg.SensorDefinition, cursor: str | None) -> str | None:
            context = dg.SensorEvaluationContext(
                instance_ref=None,
                last_tick_completion_time=None,
                last_run_key=None,
                cursor=cursor,
                repository_name=repository.name,  # as the daemon has it
                repository_def=repository,
                instance=instance,
            )
            return sensor.evaluate_tick(context).cursor

        # The first tick only notes where to begin.
        begins = {sensor: tick(sensor, None) for sensor in (own, of_all)}
        dg.materialize([failing], instance=instance, raise_on_error=False)
        for sensor, begin in begins.items():
            tick(sensor, begin)
    assert "of all" in seen
    assert "own" not in seen, (
        "The overlooking is mended upstream: alerts.failed_runs may be a run_failure_sensor."
    )


def test_an_instance_without_settings_limits_no_pool_and_notices_no_dead_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It also reports home, and where it retries runs, it repeats those that the API refused.
    dagster.yaml says otherwise because of this."""
    (tmp_path / "dagster.yaml").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        pools = instance.get_concurrency_config().pool_config
        shipped = {
            "concurrency.pools.default_limit": pools.default_pool_limit,
            "concurrency.pools.granularity": pools.pool_granularity,
            "run_monitoring.enabled": instance.run_monitoring_enabled,
            "run_retries.enabled": instance.run_retries_enabled,
            "run_retries.retry_on_asset_or_op_failure": (
                instance.run_retries_retry_on_asset_or_op_failure
            ),
            "telemetry.enabled": instance.telemetry_enabled,
        }
    assert shipped == {
        "concurrency.pools.default_limit": None,
        "concurrency.pools.granularity": None,
        "run_monitoring.enabled": False,
        "run_retries.enabled": False,
        "run_retries.retry_on_asset_or_op_failure": True,
        "telemetry.enabled": True,
    }, "What differs here is mended upstream: delete it in dagster.yaml."


def test_relative_paths_in_dagster_yaml_count_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from DAGSTER_HOME, so that a run from elsewhere would begin a history there.
    The classes of `history` are in dagster.yaml because of this."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (home / "dagster.yaml").write_text("storage: {sqlite: {base_dir: data/dagster}}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.chdir(elsewhere)
    with dg.DagsterInstance.get() as instance:
        instance.get_runs_count()
    assert (elsewhere / "data" / "dagster").is_dir(), (
        "The place of relative paths is mended upstream: delete the classes of history."
    )


def test_a_deleted_run_leaves_its_file_and_what_it_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`history.forget` removes them because of this."""

    @dg.job
    def nothing() -> None: ...

    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").touch()
    with dg.DagsterInstance.get() as instance:
        run_id = nothing.execute_in_process(instance=instance).run_id
        instance.delete_run(run_id)
    assert list(tmp_path.rglob(f"{run_id}.db")), (
        "The leaving is mended upstream: delete all but delete_run in history.forget."
    )


def test_dagster_without_a_home_forgets_and_a_pyproject_hides_the_workspace(
    tmp_path: Path,
) -> None:
    """Without DAGSTER_HOME a command keeps its history in a folder that it removes, and a
    [tool.dagster] in pyproject.toml makes it ignore workspace.yaml. So dagster.yaml names a
    `base_dir` for its storage, the Makefile sets DAGSTER_HOME, and pyproject.toml has no table."""
    (tmp_path / "tiny.py").write_text("import dagster as dg\n\ndefs = dg.Definitions()\n")
    (tmp_path / "workspace.yaml").write_text(
        "load_from: [{python_module: {module_name: tiny, location_name: of_workspace}}]\n"
    )
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dagster]\nmodule_name = "tiny"\ncode_location_name = "of_pyproject"\n'
    )
    # It finds instance and workspace as `dagster dev` does, and ends.
    said = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    output = said.stdout + said.stderr
    assert "of_pyproject" in output
    assert "of_workspace" not in output, (
        "The hiding of workspace.yaml is mended upstream: pyproject.toml may have [tool.dagster]."
    )
    assert "temporary directory" in output, (
        "The forgetting is mended upstream: delete base_dir in dagster.yaml and DAGSTER_HOME in "
        "the Makefile."
    )


def test_schedules_and_sensors_are_stopped_by_default() -> None:
    """Until somebody starts them in the UI, neither runs.
    `schedules.schedule` and `alerts.sensor` set `default_status` for it."""

    @dg.sensor(job_name="job")
    def sensor(context: dg.SensorEvaluationContext) -> None: ...

    schedule = dg.ScheduleDefinition(job_name="job", cron_schedule="0 * * * *")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED, (
        "The stopped schedule is mended upstream: delete default_status in schedules."
    )
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED, (
        "The stopped sensor is mended upstream: delete default_status in the sensors."
    )


def test_freshness_below_a_minute_is_refused() -> None:
    """And so is a warning that does not come before the failure, both without a word of the
    setting they come from. `settings.Freshness` checks them first because of this."""
    minute = timedelta(minutes=1)
    mended = "is mended upstream: delete the checks in settings.Freshness."
    policy = dg.FreshnessPolicy.time_window
    error = error_of(lambda: policy(fail_window=minute / 2), f"The least window {mended}")
    assert "cannot be less than 1 minute" in str(error)
    error = error_of(lambda: policy(fail_window=minute, warn_window=minute), f"The order {mended}")
    assert "warn_window must be less" in str(error)
