"""Who has started a run, and what follows: one that nobody sits in front of waits longer."""

import dagster as dg

from incidents_dagster.ingestion.settings import Settings

# Dagster's names of these tags are private.
TAGS = ("dagster/schedule_name", "dagster/sensor_name")


def is_scheduled(run: dg.DagsterRun) -> bool:
    """Whether a schedule or a sensor has started it, or the run that it repeats."""
    return any(tag in run.tags for tag in TAGS)


def waiting(settings: Settings, run: dg.DagsterRun) -> Settings:
    """The settings of a run: `wait_seconds` is how long it waits for the DuckDB file."""
    return settings.as_scheduled() if is_scheduled(run) else settings
