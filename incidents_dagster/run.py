"""The command `sync`: one run of a job in this process, and a summary in a few lines.

The run is recorded in the project's Dagster instance, so `make dev` shows it too.
"""

import gc
import logging
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import click
import dagster as dg

from incidents_dagster.configured import configured
from incidents_dagster.ingestion.errors import IngestionError
from incidents_dagster.ingestion.plain_text import plain
from incidents_dagster.ingestion.reading.proof import times
from incidents_dagster.ingestion.settings import PROJECT_ROOT, load_settings

PRUNED_PER_RUN = 10  # takes 1 s


@dg.logger({}, "A run's own log lines on standard error, without Dagster's events.")
def terminal(_: dg.InitLoggerContext) -> logging.Logger:
    """Shows progress and summary; a failure is shown once, at the end."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.levelno == logging.INFO)
    # Dagster puts job, run and step in front, each followed by a dash.
    handler.format = lambda record: plain(record.getMessage().split(" - ", 3)[-1])  # type: ignore[method-assign]
    logger = logging.Logger("incidents_dagster", logging.INFO)
    logger.addHandler(handler)
    return logger


def main(mode: str = "incremental") -> int:
    """Runs incidents_sync, or incidents_reconcile, and prints the outcome.

    Args:
        mode: A value of `Mode`.

    Returns:
        The exit status: 1 if the run or a check of severity ERROR failed, else 0.

    Raises:
        KeyboardInterrupt: After Ctrl-C, when the run has ended.
    """
    os.environ["DAGSTER_HOME"] = os.environ.get("DAGSTER_HOME") or str(PROJECT_ROOT)
    # As in `make dev`: relative paths in somebody's own assets count from here.
    os.chdir(PROJECT_ROOT)
    started = time.monotonic()
    name = "incidents_reconcile" if mode == "reconcile" else "incidents_sync"
    try:
        # Loading the definitions reads the settings, and those may be wrong.
        from incidents_dagster.assets import tables  # noqa: PLC0415
        from incidents_dagster.checks import not_applicable  # noqa: PLC0415
        from incidents_dagster.definitions import defs  # noqa: PLC0415
        from incidents_dagster.pruning import prune  # noqa: PLC0415

        settings = load_settings()
        first = list(configured())
    except IngestionError as error:
        click.echo(f"{name} did not start: {error}", err=True)
        return 1
    for line in first:
        click.echo(line)
    with_terminal = dg.Definitions.merge(defs, dg.Definitions(loggers={"terminal": terminal}))
    job = with_terminal.resolve_job_def(name)
    config: dict[str, Any] = {**(job.run_config or {}), "loggers": {"terminal": {}}}
    if mode != "incremental":
        config["ops"] = {"incidents_dlt": {"config": {mode: True}}}
    with dg.DagsterInstance.get() as instance:
        gc.freeze()  # what is imported stays
        gc.enable()
        result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=config)
        prune(instance, settings.keep_runs_days, datetime.now(timezone.utc), PRUNED_PER_RUN)
    graph = defs.resolve_asset_graph()
    described = {key: graph.get_check_spec(key).description for key in graph.asset_check_keys}
    left_out = {dg.AssetKey(name): not_applicable(table) for name, table in tables.items()}
    for line in report(result, described, left_out):
        click.echo(plain(line))
    return conclude(result, f"{time.monotonic() - started:.1f} s")


def conclude(result: dg.ExecuteInProcessResult, duration: str) -> int:
    """Prints how the run ended, and returns the exit status."""
    name = result.job_def.name
    # By name: dlt wraps the exception, and `explain` turns it into text.
    if not result.success and "ExecutionInterruptedError" in reason(result):
        click.echo(f"{name} was interrupted after {duration}.", err=True)
        raise KeyboardInterrupt
    broken = [
        check
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    ]
    if result.success and not broken:
        click.echo(f"{name} succeeded in {duration}.")
        return 0
    # Blocking checks have failed the run; the others leave it a success.
    why = "these checks failed: " + ", ".join(check.check_name for check in broken) + "."
    # A failure sensor watches the runs of its code location, and a run in this process has none.
    click.echo("Notified: nobody, as sync_failure_sensor only reports runs of `make dev`")
    click.echo(
        plain(f"{name} FAILED in {duration}: {why if result.success else reason(result)}"), err=True
    )
    return 1


def report(
    result: dg.ExecuteInProcessResult,
    described: Mapping[dg.AssetCheckKey, str | None] | None = None,
    left_out: Mapping[dg.AssetKey, Mapping[str, str]] | None = None,
) -> Iterator[str]:
    """The lines of a run's summary.

    Args:
        result: The run.
        described: Each check's description, shown if a failed one gives no reason of its own.
        left_out: The checks that an asset does not have, and why.
    """
    tables = []
    for synced in _synced(result):
        asset = synced.asset_key
        shown: dict[str, Any] = {key: entry.value for key, entry in synced.metadata.items()}
        tables.append(shown["dagster/table_name"].partition(".")[2])
        bad = f", {shown['quarantined']:,} of them quarantined" if shown["quarantined"] else ""
        yield f"{asset.to_user_string()}:"
        again = f" {times(shown['readings'])}" if shown["readings"] > 1 else ""
        yield _line(
            "rows",
            f"{shown['rows_read']:,} read{again}{bad}, {shown['dagster/row_count']:,} in all",
        )
        if "rows_new" in shown:
            gone = shown["rows_newly_deleted"]
            deleted = f", {gone:,} deleted at the API" if gone else ""
            changes = f"{shown['rows_new']:,} new, {shown['rows_changed']:,} changed{deleted}"
            yield _line("changes", changes)
        if backfilled := shown.get("rows_backfilled"):
            yield _line("before", f"{backfilled:,} read in windows of time, and loaded")
        for key, value in shown.items():
            if key.startswith("newest_"):
                newest = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))
                yield _line("newest", newest)
        yield _line("pages", f"{shown['pages']:,}; {shown['requests']:,} requests in all")
        yield _line("complete", shown["completeness"])
        if isinstance(synced, dg.AssetObservation):
            advice = "accept_unproven = true would let it"
            yield _line("WARN", f"not proven complete: does not count for freshness; {advice}")
        for check in result.get_asset_check_evaluations():
            if check.asset_key == asset:
                why = check.description or (described or {}).get(check.asset_check_key)
                told = check.check_name if check.passed or not why else f"{check.check_name}: {why}"
                yield _line("passed" if check.passed else check.severity.name, told)
        for name, why in (left_out or {}).get(asset, {}).items():
            yield _line("no check", f"{name}: {why}")
    if result.success:
        for table in tables:
            yield f"Try:      make sql Q='FROM {table} LIMIT 5'"


def _synced(
    result: dg.ExecuteInProcessResult,
) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
    """The syncs of a run: proven ones are materializations, unproven ones observations."""
    for event in result.all_events:
        if event.is_step_materialization:
            yield event.step_materialization_data.materialization
        elif event.is_asset_observation:
            yield event.asset_observation_data.asset_observation


def _line(label: str, text: str) -> str:
    return f"  {label:<10}{text}"


def reason(result: dg.ExecuteInProcessResult) -> str:
    """Why the run failed, in one message."""
    for event in result.get_step_failure_events():
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            return data.user_failure_data.description
        if data.error:
            return data.error.message.strip()
    return "see the run in `make dev`."
