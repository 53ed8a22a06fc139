"""The command `sync`: a run of each source's job, and a summary in a few lines.

The runs are recorded in the project's Dagster instance, so `make dev` shows them too. One source is
synced in this process; several at the same time, in processes of their own.
"""

import gc
import logging
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import datetime, timezone
from multiprocessing.connection import Connection
from typing import Any

import click
import dagster as dg

from incidents_dagster.configured import configured
from incidents_dagster.ingestion.errors import IngestionError, SettingsError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.plain_text import plain
from incidents_dagster.ingestion.reading.proof import times
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import PROJECT_ROOT
from incidents_dagster.ingestion.tables import FIRST, INCIDENTS
from incidents_dagster.names import READ_COPY, reconcile_job, sync_job

# What each job makes of the tables when they are synced.
AFTERWARDS = (dg.AssetKey(INCIDENTS), dg.AssetKey(READ_COPY))
PRUNED_PER_RUN = 10  # takes 1 s
# Not forked from this process, as DuckDB and Dagster have threads. What all runs need is imported
# once: the definitions, and Dagster's history, which takes half a second of CPU.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [f"incidents_dagster.{name}" for name in ("run", "definitions", "history")]
)
# At the same time; most of a sync is waiting for the API.
MOST_AT_ONCE = max(4, 2 * (os.cpu_count() or 1))


@dataclass(frozen=True)
class Outcome:
    """How the run of one source ended.

    Attributes:
        job: The job's name.
        lines: The summary.
        why: Why it failed; empty if it succeeded.
        duration: How long it took, such as `3.1 s`.
        interrupted: Whether Ctrl-C ended it.
        incidents: The rows of each source in the view over all, as it found them.
    """

    job: str
    lines: list[str]
    why: str
    duration: str = "no time"
    interrupted: bool = False
    incidents: dict[str, int] = field(default_factory=dict)


@dg.logger(
    {"prefix": dg.Field(str, default_value="")},
    "A run's own log lines on standard error, without Dagster's events.",
)
def terminal(context: dg.InitLoggerContext) -> logging.Logger:
    """Shows progress and summary; a failure is shown once, at the end."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.levelno == logging.INFO)
    prefix = (context.logger_config or {}).get("prefix", "")
    # Dagster puts job, run and step in front, each followed by a dash.
    handler.format = lambda record: plain(prefix + record.getMessage().split(" - ", 3)[-1])  # type: ignore[method-assign]
    logger = logging.Logger("incidents_dagster", logging.INFO)
    logger.addHandler(handler)
    return logger


def main(mode: str = "incremental", chosen: Sequence[str] = ()) -> int:
    """Syncs or reconciles sources, and prints the outcome.

    Args:
        mode: A value of `Mode`.
        chosen: Their names; default: all.

    Returns:
        The exit status: 1 if a run or a check of severity ERROR failed, else 0.

    Raises:
        KeyboardInterrupt: After Ctrl-C, when the runs have ended.
    """
    os.environ["DAGSTER_HOME"] = os.environ.get("DAGSTER_HOME") or str(PROJECT_ROOT)
    # As in `make dev`: relative paths in somebody's own assets count from here.
    os.chdir(PROJECT_ROOT)
    try:
        # Loading the definitions reads the settings, and those may be wrong.
        from incidents_dagster.sources import SOURCES, WRONG  # noqa: PLC0415

        known = [*SOURCES, *WRONG]
        if unknown := [name for name in chosen if name not in known]:
            raise SettingsError(f"there is no source {unknown[0]!r}: known are {', '.join(known)}.")
        if mode == "adopt" and len(known) > 1 and not chosen:
            raise SettingsError(f"--adopt is for one source: name it, as in --source={known[-1]}.")
        from incidents_dagster import definitions  # noqa: F401, PLC0415

        first = list(configured())
    except IngestionError as error:
        name = chosen[0] if len(chosen) == 1 else FIRST
        click.echo(f"{_job_of(name, mode)} did not start: {error}", err=True)
        return 1
    for line in first:
        click.echo(line)
    # Also creates the history, which several processes cannot do at once.
    with dg.DagsterInstance.get() as instance:
        if len(known) == 1:
            status = conclude(run_one(FIRST, mode, instance))
        else:
            status = _run_several([name for name in known if name in (chosen or known)], mode)
        _prune(instance)
    return status


def _job_of(source: str, mode: str) -> str:
    return reconcile_job(source) if mode == "reconcile" else sync_job(source)


def run_one(source: str, mode: str, instance: dg.DagsterInstance, alone: bool = True) -> Outcome:
    """Runs the job of one source in this process.

    Args:
        source: Its name.
        mode: A value of `Mode`.
        instance: Records the run.
        alone: Whether no other source runs beside it; else its lines are fewer, and say its name.
    """
    from incidents_dagster.checks import not_applicable  # noqa: PLC0415
    from incidents_dagster.definitions import defs  # noqa: PLC0415
    from incidents_dagster.sources import SOURCES  # noqa: PLC0415

    started = time.monotonic()
    known = SOURCES.get(source)
    name = _job_of(source, mode) if known else sync_job(source)
    with_terminal = dg.Definitions.merge(defs, dg.Definitions(loggers={"terminal": terminal}))
    job = with_terminal.resolve_job_def(name)
    prefix = "" if alone else f"{source}: "
    loggers = {"terminal": {"config": {"prefix": prefix}}}
    config: dict[str, Any] = {**(job.run_config or {}), "loggers": loggers}
    if mode != "incremental" and known:
        config["ops"] = {known.op: {"config": {mode: True}}}
    gc.freeze()  # what is imported stays
    gc.enable()
    result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=config)
    graph = defs.resolve_asset_graph()
    described = {key: graph.get_check_spec(key).description for key in graph.asset_check_keys}
    if alone and known:
        left_out = {known.key(n): not_applicable(table) for n, table in known.tables.items()}
        lines = report(result, described, left_out)
    else:
        lines = brief(result, described)
    # By name: dlt wraps the exception, and `explain` turns it into text.
    interrupted = not result.success and "ExecutionInterruptedError" in reason(result)
    return Outcome(
        name,
        list(lines),
        why_failed(result),
        f"{time.monotonic() - started:.1f} s",
        interrupted,
        _rows_of_all(result),
    )


def conclude(outcome: Outcome) -> int:
    """Prints how the run of the only source ended, and returns the exit status."""
    for line in outcome.lines:
        click.echo(plain(line))
    if outcome.why and not outcome.interrupted:
        _say_who_is_told()
    click.echo(plain(_headline(outcome)), err=bool(outcome.why))
    if outcome.interrupted:
        raise KeyboardInterrupt
    return 1 if outcome.why else 0


def _say_who_is_told() -> None:
    # It looks at the history, wherever a run was; and at what is still wrong when it starts.
    click.echo("Notified: by sync_failure_sensor, as soon as `make dev` runs")


def _run_several(sources: Sequence[str], mode: str) -> int:
    """Runs the jobs of several sources at the same time, and prints each one's outcome."""
    started = time.monotonic()
    outcomes = []
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        runs = [pool.submit(_in_a_process, source, mode) for source in sources]
        for run in as_completed(runs):
            outcomes.append(outcome := run.result())
            click.echo(plain(_headline(outcome)))
            for line in outcome.lines:
                click.echo(plain(line))
    if any(outcome.interrupted for outcome in outcomes):
        raise KeyboardInterrupt
    rows: dict[str, int] = {}
    for outcome in outcomes:
        rows |= outcome.incidents
    told = ", ".join(f"{count:,} of {source}" for source, count in rows.items())
    click.echo(f"{INCIDENTS}: {sum(rows.values()):,} rows{f', {told}' if told else ''}.")
    failed = [outcome.job for outcome in outcomes if outcome.why]
    right = len(outcomes) - len(failed)
    click.echo(
        f"{right} of {len(outcomes)} sources succeeded in {time.monotonic() - started:.1f} s."
    )
    if not failed:
        click.echo(f"Try:      make sql Q='FROM {FIRST}.{INCIDENTS} LIMIT 5'")
        return 0
    _say_who_is_told()
    click.echo(f"FAILED: {', '.join(failed)}", err=True)
    return 1


def _headline(outcome: Outcome) -> str:
    if outcome.interrupted:
        return f"{outcome.job} was interrupted after {outcome.duration}."
    if outcome.why:
        return f"{outcome.job} FAILED in {outcome.duration}: {outcome.why}"
    return f"{outcome.job} succeeded in {outcome.duration}."


def _in_a_process(source: str, mode: str) -> Outcome:
    """Runs the job of one source in a process of its own: if that is killed, no other run ends."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_send_outcome, args=(sender, source, mode))
    process.start()
    sender.close()
    try:
        outcome: Outcome = receiver.recv()
    except EOFError:
        process.join()
        why = f"its process ended before it was done, with status {process.exitcode}."
        return Outcome(_job_of(source, mode), [], why)
    process.join()
    return outcome


def _send_outcome(sender: Connection, source: str, mode: str) -> None:
    try:
        with dg.DagsterInstance.get() as instance:
            outcome = run_one(source, mode, instance, alone=False)
    except Exception as error:  # of Dagster's own, such as that its history cannot be written
        outcome = Outcome(_job_of(source, mode), [], redact(explain(error)))
    sender.send(outcome)


def _prune(instance: dg.DagsterInstance) -> None:
    from incidents_dagster.pruning import prune  # noqa: PLC0415
    from incidents_dagster.sources import SOURCES  # noqa: PLC0415

    days = {name: source.settings.keep_runs_days for name, source in SOURCES.items()}
    prune(instance, days, datetime.now(timezone.utc), PRUNED_PER_RUN)


def why_failed(result: dg.ExecuteInProcessResult) -> str:
    """Why the run failed, or which checks of severity ERROR did; empty if none."""
    if not result.success:
        return reason(result)
    broken = [
        check.check_name
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    ]
    # Blocking checks have failed the run; the others leave it a success.
    return f"these checks failed: {', '.join(broken)}." if broken else ""


def _rows_of_all(result: dg.ExecuteInProcessResult) -> dict[str, int]:
    """Source → its rows in the view over all sources."""
    from incidents_dagster.incidents_view import ROWS_OF  # noqa: PLC0415

    for event in result.all_events:
        if event.is_step_materialization and event.asset_key == dg.AssetKey(INCIDENTS):
            found = event.step_materialization_data.materialization.metadata
            return {
                name.removeprefix(ROWS_OF): int(entry.value)  # type: ignore[arg-type]
                for name, entry in found.items()
                if name.startswith(ROWS_OF)
            }
    return {}


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
            yield _line("changes", _changes(shown))
        if backfilled := shown.get("rows_backfilled"):
            yield _line("before", f"{backfilled:,} read in windows of time, and loaded")
        for key, value in shown.items():
            if key.startswith("newest_"):
                newest = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))
                yield _line("newest", newest)
        yield _line("pages", f"{shown['pages']:,}; {shown['requests']:,} requests in all")
        yield _line("complete", shown["completeness"])
        yield from _unproven(synced)
        for check in result.get_asset_check_evaluations():
            if check.asset_key == asset:
                yield _told(check, described)
        for name, why in (left_out or {}).get(asset, {}).items():
            yield _line("no check", f"{name}: {why}")
    for check in result.get_asset_check_evaluations():
        if check.asset_key in AFTERWARDS and not check.passed:
            yield _told(check, described)
    if result.success:
        for table in tables:
            yield f"Try:      make sql Q='FROM {table} LIMIT 5'"


def brief(
    result: dg.ExecuteInProcessResult, described: Mapping[dg.AssetCheckKey, str | None]
) -> Iterator[str]:
    """The lines of one run among several: rows, proof, and the checks that failed."""
    for synced in _synced(result):
        shown: dict[str, Any] = {key: entry.value for key, entry in synced.metadata.items()}
        bad = f", {shown['quarantined']:,} in quarantine" if shown["quarantined"] else ""
        changes = f", {_changes(shown)}" if "rows_new" in shown else ""
        rows = f"{shown['rows_read']:,} read{changes}{bad}, {shown['dagster/row_count']:,} in all"
        yield f"  {synced.asset_key.path[-1]}: {rows}; {shown['completeness']}"
        yield from _unproven(synced)
    for check in result.get_asset_check_evaluations():
        if not check.passed:
            yield _told(check, described)


def _changes(shown: Mapping[str, Any]) -> str:
    gone = shown["rows_newly_deleted"]
    deleted = f", {gone:,} deleted at the API" if gone else ""
    return f"{shown['rows_new']:,} new, {shown['rows_changed']:,} changed{deleted}"


def _unproven(synced: dg.AssetMaterialization | dg.AssetObservation) -> Iterator[str]:
    if isinstance(synced, dg.AssetObservation):
        advice = "accept_unproven = true would let it"
        yield _line("WARN", f"not proven complete: does not count for freshness; {advice}")


def _told(
    check: dg.AssetCheckEvaluation, described: Mapping[dg.AssetCheckKey, str | None] | None
) -> str:
    why = check.description or (described or {}).get(check.asset_check_key)
    told = check.check_name if check.passed or not why else f"{check.check_name}: {why}"
    return _line("passed" if check.passed else check.severity.name, told)


def _synced(
    result: dg.ExecuteInProcessResult,
) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
    """The syncs of a run: proven ones are materializations, unproven ones observations."""
    for event in result.all_events:
        if event.is_step_materialization:
            found: Any = event.step_materialization_data.materialization
        elif event.is_asset_observation:
            found = event.asset_observation_data.asset_observation
        else:
            continue
        if found.asset_key not in AFTERWARDS:
            yield found


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
