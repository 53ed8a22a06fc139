"""What a source's assets and jobs are called in Dagster.

The first source has the names that it has always had; those of a further one begin with its own.
"""

import dagster as dg

from incidents_dagster.ingestion.tables import FIRST

# The tag of a job's runs that says which source they sync; deploy/dagster.yaml limits runs by it.
SOURCE_TAG = "incidents/source"
# The asset of the copy that readers open.
READ_COPY = "read_copy"


def asset_key(source: str, asset: str) -> dg.AssetKey:
    """The key of an asset of a source, such as that of a resource."""
    return dg.AssetKey([asset] if source == FIRST else [source, asset])


def sync_job(source: str) -> str:
    """The job that syncs a source."""
    return f"{source}_sync"


def reconcile_job(source: str) -> str:
    """The job that reads a source anew, and marks what is gone there."""
    return f"{source}_reconcile"


# The job that makes the tables of `insight`.
INSIGHT_JOB = "insight_refresh"
# The asset that follows them in it.
REPORT = "incident_report"


def jobs_of(source: str) -> list[str]:
    """The jobs of a source; the first one also has what is made of all."""
    every = [sync_job(source), reconcile_job(source)]
    return [*every, INSIGHT_JOB] if source == FIRST else every


def noun_of(source: str) -> str:
    """What the names of a source's checks and sensor begin with."""
    return "incident" if source == FIRST else source
