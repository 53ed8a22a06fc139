"""Sensors: one watches each API for changes, one deletes old runs; `alerts` has the third."""

from datetime import datetime, timezone
from hashlib import sha256
from typing import Any

import dagster as dg

from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.peek import first_changes
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import Settings, load_settings, load_sources
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.jobs import sync_jobs
from incidents_dagster.names import noun_of, sync_job
from incidents_dagster.pruning import prune
from incidents_dagster.sources import SOURCES, Source

PRUNE_EVERY_SECONDS = 3600
PRUNED_PER_TICK = 100  # takes 10 s; Dagster ends a tick after 60


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
        known = f"{changes.to_pylist()} after {last_load} in {configured_store().name}"
        run_key = sha256(known.encode()).hexdigest()
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key)])

    return watched


change_sensors = [change_sensor(source, sync_jobs[name]) for name, source in SOURCES.items()]


@dg.sensor(
    name="old_runs_sensor",
    minimum_interval_seconds=PRUNE_EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Deletes runs of the jobs that are older than their source's keep_runs_days from "
        "Dagster's history, but never the newest sync of an asset."
    ),
)
def old_runs_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Deletes at most `PRUNED_PER_TICK` runs per tick, the oldest first."""
    days = {n: one.keep_runs_days for n, one in load_sources().items() if isinstance(one, Settings)}
    deleted = prune(context.instance, days, datetime.now(timezone.utc), PRUNED_PER_TICK)
    told = ", ".join(f"{least:g}" for least in sorted({*days.values()}))
    return dg.SkipReason(f"Deleted {deleted:,} runs older than {told} days.")
