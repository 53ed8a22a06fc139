"""The code location: everything that Dagster shows and runs.

Assets and checks are collected from their modules, so your own are picked up there, too.
"""

import dagster as dg

from incidents_dagster import assets, checks
from incidents_dagster.embedded_elt import DagsterDltResource
from incidents_dagster.ingestion.warehouse.duckdb_file import database_path
from incidents_dagster.jobs import incidents_reconcile, incidents_sync
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster.schedules import incidents_reconcile_weekly, incidents_sync_hourly
from incidents_dagster.sensors import (
    incident_change_sensor,
    old_runs_sensor,
    sync_failure_sensor,
)

defs = dg.Definitions(
    assets=dg.load_assets_from_modules([assets], include_specs=True),
    asset_checks=dg.load_asset_checks_from_modules([checks]),
    jobs=[incidents_sync, incidents_reconcile],
    schedules=[incidents_sync_hourly, incidents_reconcile_weekly],
    sensors=[incident_change_sensor, sync_failure_sensor, old_runs_sensor],
    resources={
        "dlt": DagsterDltResource(),
        "duckdb": IncidentsDuckDB(database=str(database_path())),
    },
    # A process per step would import everything again: seconds, for checks of milliseconds.
    executor=dg.in_process_executor,
)
