"""The jobs that sync every resource with its checks, and their schedules."""

import dagster as dg

from incidents_dagster.assets import incident_assets

incidents_sync = dg.define_asset_job(
    "incidents_sync",
    selection=dg.AssetSelection.assets(incident_assets),
    description="Reads every resource from the incident API into DuckDB and checks the tables.",
)

incidents_sync_hourly = dg.ScheduleDefinition(
    name="incidents_sync_hourly",
    job=incidents_sync,
    cron_schedule="0 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Syncs at every full hour.",
)

incidents_reconcile = dg.define_asset_job(
    "incidents_reconcile",
    selection=dg.AssetSelection.assets(incident_assets),
    config={"ops": {"incidents_dlt": {"config": {"reconcile": True}}}},
    description=(
        "Reads everything from the incident API and marks rows that are gone there with "
        "deleted_at. Fails rather than believe a reading that is unproven, empty or suspiciously "
        "small."
    ),
)

incidents_reconcile_weekly = dg.ScheduleDefinition(
    name="incidents_reconcile_weekly",
    job=incidents_reconcile,
    cron_schedule="30 3 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Reconciles on Sunday nights.",
)
