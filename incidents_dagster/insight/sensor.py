"""The sensor that makes the tables of `insight` anew after syncs that changed something."""

import json

import dagster as dg

from incidents_dagster.ingestion.tables import INCIDENTS
from incidents_dagster.insight.assets import SETTINGS, insight_job
from incidents_dagster.source_checks import syncs
from incidents_dagster.sources import SOURCES, Source


@dg.sensor(
    name="insight_sensor",
    job=insight_job,
    minimum_interval_seconds=int(SETTINGS.every_minutes * 60),
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Starts insight_refresh if a sync has changed something since the last time, at most every "
        f"{SETTINGS.every_minutes:g} minutes: see insight.every_minutes."
    ),
)
def insight_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Keeps the newest sync of each source that it has seen, by its run."""
    seen: dict[str, str] = json.loads(context.cursor or "{}")
    newest, changed = {**seen}, False
    for name, source in SOURCES.items():
        for run_id, rows in _new(context.instance, source, seen.get(name)):
            newest[name] = run_id
            changed |= rows > 0
    if newest == seen or not changed:
        return dg.SensorResult(skip_reason="Nothing has changed.", cursor=json.dumps(newest))
    if not context.instance.get_latest_materialization_event(dg.AssetKey(INCIDENTS)):
        # Only a resource was materialized, in the UI.
        return dg.SensorResult(
            skip_reason=f"The asset {INCIDENTS}, of which the tables are made, is still to come.",
            cursor=context.cursor,
        )
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=json.dumps(newest))], cursor=json.dumps(newest)
    )


def _new(instance: dg.DagsterInstance, source: Source, seen: str | None) -> list[tuple[str, int]]:
    """The ended syncs of a source since `seen`, the oldest first, each with the rows it loaded."""
    found = []
    for run_id, metadata in syncs(instance, source.key(source.main)):
        if run_id == seen:
            break
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:  # else its view over all sources is still to come
            rows = metadata.get("rows_loaded", 0) + metadata.get("rows_backfilled", 0)
            found.append((run_id, int(rows)))
    return found[::-1]
