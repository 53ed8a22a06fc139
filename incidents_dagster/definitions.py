"""The code location: everything that Dagster shows and runs.

Assets and checks are collected from their modules, so your own are picked up there, too.
"""

import dagster as dg

from incidents_dagster import assets, checks, incidents_view, read_copy
from incidents_dagster.alerts.sensor import sync_failure_sensor
from incidents_dagster.embedded_elt import DagsterDltResource
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.insight import assets as insight_assets
from incidents_dagster.insight.assets import insight_job
from incidents_dagster.insight.sensor import insight_sensor
from incidents_dagster.jobs import failing_jobs, reconcile_jobs, sync_jobs
from incidents_dagster.report import assets as report_assets
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster.schedules import schedule_of_wrong
from incidents_dagster.sensors import change_sensors, old_runs_sensor
from incidents_dagster.sources import SOURCES, WRONG

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(
        [assets, incidents_view, insight_assets, report_assets, read_copy], include_specs=True
    ),
    asset_checks=dg.load_asset_checks_from_modules([checks]),
    jobs=[*sync_jobs.values(), *reconcile_jobs.values(), *failing_jobs.values(), insight_job],
    schedules=[
        *(schedule for source in SOURCES.values() for schedule in source.schedules),
        *map(schedule_of_wrong, WRONG),
    ],
    sensors=[*change_sensors, sync_failure_sensor, old_runs_sensor, insight_sensor],
    resources={
        "dlt": DagsterDltResource(),
        "duckdb": IncidentsDuckDB(database=configured_store().name),
    },
    # A process per step would import everything again: seconds, for checks of milliseconds.
    executor=dg.in_process_executor,
)
