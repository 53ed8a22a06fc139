"""`make run`: one incidents_sync through Dagster in this process, and what came of it in few lines.

The run is recorded in the project's Dagster instance, so `make dev` shows it too.
"""

import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg

from incidents_dagster.ingestion.errors import IngestionError
from incidents_dagster.ingestion.settings import PROJECT_ROOT
from incidents_dagster.ingestion.warehouse.duckdb_file import database_path


@dg.logger({}, "What a run itself says, on standard error; Dagster's events left out.")
def terminal(_: dg.InitLoggerContext) -> logging.Logger:
    """Shows progress and summary; what failed is told once, at the end."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.levelno == logging.INFO)
    # Dagster puts job, run and step in front, each followed by a dash.
    handler.format = lambda record: record.getMessage().split(" - ", 3)[-1]  # type: ignore[method-assign]
    logger = logging.Logger("incidents_dagster", logging.INFO)
    logger.addHandler(handler)
    return logger


def main() -> int:
    """Runs the job and prints the outcome; 0 when it succeeded, else 1."""
    # dagster.yaml stands in the project root, and its paths count from there.
    os.environ.setdefault("DAGSTER_HOME", str(PROJECT_ROOT))
    os.chdir(PROJECT_ROOT)
    started = time.monotonic()
    try:
        # Loading the definitions reads the settings, and those may be wrong.
        from incidents_dagster.definitions import defs  # noqa: PLC0415
    except IngestionError as error:
        print(f"incidents_sync did not start: {error}", file=sys.stderr)
        return 1
    with_terminal = dg.Definitions.merge(defs, dg.Definitions(loggers={"terminal": terminal}))
    job = with_terminal.resolve_job_def("incidents_sync")
    with dg.DagsterInstance.get() as instance:
        gc.freeze()
        gc.enable()
        result = job.execute_in_process(
            instance=instance, raise_on_error=False, run_config={"loggers": {"terminal": {}}}
        )
    for line in report(result):
        print(line)
    seconds = time.monotonic() - started
    if result.success:
        print(f"incidents_sync succeeded in {seconds:.1f} s.")
        return 0
    print(f"incidents_sync FAILED in {seconds:.1f} s: {reason(result)}", file=sys.stderr)
    return 1


def report(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """What a person wants to know of a run, a line each."""
    tables = []
    for synced in _synced(result):
        asset = synced.asset_key
        shown: dict[str, Any] = {key: entry.value for key, entry in synced.metadata.items()}
        tables.append(shown["dagster/table_name"].partition(".")[2])
        bad = f", {shown['quarantined']:,} of them quarantined" if shown["quarantined"] else ""
        yield f"{asset.to_user_string()}:"
        yield _line(
            "rows", f"{shown['rows_read']:,} read{bad}, {shown['dagster/row_count']:,} in all"
        )
        if "rows_new" in shown:
            gone = shown["rows_newly_deleted"]
            deleted = f", {gone:,} deleted at the API" if gone else ""
            changes = f"{shown['rows_new']:,} new, {shown['rows_changed']:,} changed{deleted}"
            yield _line("changes", changes)
        for key, value in shown.items():
            if key.startswith("newest_"):
                newest = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))
                yield _line("newest", newest)
        yield _line("pages", f"{shown['pages']:,}; {shown['requests']:,} requests in all")
        yield _line("complete", shown["completeness"])
        if isinstance(synced, dg.AssetObservation):
            yield _line("WARN", "not proven to be complete: it does not count for freshness")
        for check in result.get_asset_check_evaluations():
            if check.asset_key == asset:
                why = "" if check.passed else f": {check.description}"
                verdict = "passed" if check.passed else check.severity.name
                yield _line(verdict, check.check_name + why)
    if result.success:
        yield f"Database: {database_path()}"
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
        if data.error and data.error.cls_name == "DagsterExecutionInterruptedError":
            return "interrupted."
        if data.error:
            return data.error.message.strip()
    return "see the run in `make dev`."
