"""The doctor's last look: is Dagster running, when does it sync, and how old is the last sync."""

import os
import time

import dagster as dg

from incidents_dagster.ingestion.doctor.findings import Diagnosis, Level
from incidents_dagster.ingestion.settings import PROJECT_ROOT, load_settings
from incidents_dagster.names import asset_key

RUNNING_SECONDS = 300.0  # a daemon shows a sign of life every 30
SCHEDULER = "SCHEDULER"


def look_at_dagster(source: str, found: Diagnosis) -> None:
    """Adds findings about this project's Dagster instance, and the last sync of a source."""
    os.environ["DAGSTER_HOME"] = os.environ.get("DAGSTER_HOME") or str(PROJECT_ROOT)
    settings, now = load_settings(source), time.time()
    name = settings.main
    with dg.DagsterInstance.get() as instance:
        beat = instance.get_daemon_heartbeats().get(SCHEDULER)
        record = instance.get_latest_materialization_event(asset_key(source, name))
    cron = settings.schedules.sync_cron
    if not cron:
        found.add(Level.NOTE, "schedule", "schedules.sync_cron is empty: nothing syncs by itself.")
    elif beat and now - beat.timestamp < RUNNING_SECONDS:
        found.add(Level.OK, "schedule", f"Dagster is running, and syncs at {cron!r}.")
    else:
        found.add(
            Level.NOTE, "schedule", f"Dagster is not running; `make dev` would sync at {cron!r}."
        )
    if not record:
        found.add(
            Level.NOTE, "freshness", "No proven sync is on record yet.", "make run syncs once."
        )
        return
    minutes = (now - record.timestamp) / 60
    late = minutes > settings.freshness.warn_after_minutes
    found.add(
        Level.WARN if late else Level.OK,
        "freshness",
        f"The last proven sync was {minutes:,.0f} minutes ago.",
        "make run syncs once, make dev by the schedule." if late else "",
    )
