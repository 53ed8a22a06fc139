"""The job that syncs every resource with its checks, and its hourly schedule."""

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
