"""Deletes old runs of this project's jobs from Dagster's history, with the events that they left.

Runs of other jobs stay, and so does the newest sync of each asset into each database: freshness and
checks look at it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import dagster as dg

from incidents_dagster.names import jobs_of
from incidents_dagster.source_checks import syncs

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def prune(instance: dg.DagsterInstance, days: Mapping[str, float], now: datetime, most: int) -> int:
    """Deletes ended runs of the sources' jobs that are older than `days`, the oldest first.

    Args:
        instance: Whose history.
        days: Source → age in days; 0 deletes nothing.
        now: With a time zone.
        most: How many runs at most.

    Returns:
        How many were deleted.
    """
    old = [
        dg.RunsFilter(job_name=job, statuses=ENDED, created_before=now - timedelta(days=age))
        for source, age in days.items()
        for job in jobs_of(source)
        if age
    ]
    if not any(map(instance.get_runs_count, old)):
        return 0
    kept = _newest(instance)
    found = [
        record.dagster_run.run_id
        for filters in old
        for record in instance.get_run_records(filters, limit=most + len(kept), ascending=True)
    ]
    # Brings alembic, which a sync without history does not need.
    from incidents_dagster.history import forget  # noqa: PLC0415

    deleted = [run_id for run_id in found if run_id not in kept][:most]
    for run_id in deleted:
        forget(instance, run_id)
    return len(deleted)


def _newest(instance: dg.DagsterInstance) -> set[str]:
    """The run of the newest sync of each asset into each database, and that of any other asset."""
    newest: dict[tuple[dg.AssetKey, str], str] = {}
    for key in instance.get_asset_keys():
        for run_id, metadata in syncs(instance, key):
            newest.setdefault((key, str(metadata.get("database"))), run_id)
    return set(newest.values())
