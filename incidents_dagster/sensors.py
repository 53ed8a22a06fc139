"""Sensors: one watches each API for changes, one reports failed runs, one deletes old runs."""

from datetime import datetime, timezone
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import requests

from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.peek import first_changes
from incidents_dagster.ingestion.plain_text import plain, without_mentions
from incidents_dagster.ingestion.secrets.redaction import redact, remember, watch_logs
from incidents_dagster.ingestion.settings import Settings, load_settings, load_sources
from incidents_dagster.ingestion.tables import FIRST
from incidents_dagster.ingestion.warehouse.duckdb_file import database_path
from incidents_dagster.jobs import sync_jobs
from incidents_dagster.names import noun_of, reconcile_job, sync_job
from incidents_dagster.pruning import prune
from incidents_dagster.sources import SOURCES, Source

PRUNE_EVERY_SECONDS = 3600
PRUNED_PER_TICK = 100  # takes 10 s; Dagster ends a tick after 60
WEBHOOK_TIMEOUT_SECONDS = 10.0
SECRET_PATH = 16  # a shorter path of a webhook, such as /incidents, may be an ordinary word


def change_sensor(source: Source, job: Any) -> dg.SensorDefinition:
    """The sensor that watches the API of a source, and starts its `job`."""

    @dg.sensor(
        name=f"{noun_of(source.name)}_change_sensor",
        job=job,
        minimum_interval_seconds=int(source.settings.change_sensor.interval_seconds),
        description=(
            "Requests the first page that an incremental sync would read, once per tick, and "
            f"starts {sync_job(source.name)} if the table lacks anything on it. Off by default, "
            "because every tick costs the API a request."
        ),
    )
    def watched(_: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Keeps no cursor: the table shows what is known. The same changes start only one run; if
        it fails, the schedule tries again."""
        try:
            changes, last_load = first_changes(load_settings(source.name))
        except Exception as error:
            return dg.SensorResult(skip_reason=redact(f"Could not check: {explain(error)}"))
        if not len(changes):
            return dg.SensorResult(skip_reason="Nothing new or changed.")
        known = f"{changes.to_pylist()} after {last_load} in {database_path().resolve()}"
        run_key = sha256(known.encode()).hexdigest()
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key)])

    return watched


change_sensors = [change_sensor(source, sync_jobs[name]) for name, source in SOURCES.items()]


@dg.sensor(
    name="old_runs_sensor",
    minimum_interval_seconds=PRUNE_EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Deletes runs of the syncs that are older than their source's keep_runs_days from "
        "Dagster's history, but never the newest sync of an asset."
    ),
)
def old_runs_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Deletes at most `PRUNED_PER_TICK` runs per tick, the oldest first."""
    days = {n: one.keep_runs_days for n, one in load_sources().items() if isinstance(one, Settings)}
    deleted = prune(context.instance, days, datetime.now(timezone.utc), PRUNED_PER_TICK)
    told = ", ".join(f"{least:g}" for least in sorted({*days.values()}))
    return dg.SkipReason(f"Deleted {deleted:,} runs older than {told} days.")


@dg.run_failure_sensor(
    name="sync_failure_sensor",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Reports every failed run of this code location: in its log, and to webhook_url of its "
        "source, or of the first one, if that is set."
    ),
)
def sync_failure_sensor(context: dg.RunFailureSensorContext) -> None:
    """Reports which run failed and why, with every secret redacted."""
    run = context.dagster_run
    reasons = [
        event.step_failure_data.user_failure_data.description
        if event.step_failure_data.user_failure_data
        else event.step_failure_data.error_display_string.splitlines()[0]
        for event in context.get_step_failure_events()
    ]
    why = "; ".join(filter(None, reasons)) or _why_not_loaded(context)
    why = why or context.failure_event.message or "no reason given"
    text = plain(redact(f"{run.job_name} failed (run {run.run_id}): {why}"))
    context.log.error(text)
    if webhook := _webhook(run.job_name):
        _post(webhook, without_mentions(text), context)


def _webhook(job_name: str) -> str:
    """Where to report a failure of a job: what its source has, else what the first one has."""
    right = {n: one for n, one in load_sources().items() if isinstance(one, Settings)}
    own = [one for n, one in right.items() if job_name in (sync_job(n), reconcile_job(n))]
    first = [right[FIRST]] if FIRST in right else []
    return next((one.webhook_url for one in [*own, *first] if one.webhook_url), "")


def _why_not_loaded(context: dg.RunFailureSensorContext) -> str:
    """The error that kept the run's process from loading the definitions; empty if none did."""
    logs = context.instance.all_logs(context.dagster_run.run_id, dg.DagsterEventType.ENGINE_EVENT)
    events = [log.dagster_event for log in logs if log.dagster_event]
    errors = [event.engine_event_data.error for event in events if event.engine_event_data.error]
    # `SettingsError: …`, with its module
    return errors[-1].message.strip().partition(": ")[2] if errors else ""


def _post(webhook: str, text: str, context: dg.RunFailureSensorContext) -> None:
    # A webhook's address is itself a secret: urllib3 would log it, and error messages contain it.
    path = urlsplit(webhook).path
    remember(webhook, path if len(path) >= SECRET_PATH else "", in_records=False)
    watch_logs()
    try:
        response = requests.post(
            webhook, json={"text": text}, timeout=WEBHOOK_TIMEOUT_SECONDS, allow_redirects=False
        )
        response.raise_for_status()
        if response.is_redirect:
            raise requests.TooManyRedirects
    except requests.RequestException as error:
        context.log.error(f"Webhook delivery failed: {type(error).__name__}.")
