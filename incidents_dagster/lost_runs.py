"""Ends the runs that a code server has taken with it, after the next one has started.

A code server is the parent of its runs, and notices at once if one is killed. Nobody notices if it
is killed together with them, as with its container: for Dagster, they run on, and hold back the
next ones of their sources. deploy/compose.yaml calls this.
"""

import time
from datetime import datetime, timezone

import dagster as dg

UNDER_WAY = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
WHY = "The code server that ran this has ended, and the run with it."


def end_lost_runs(instance: dg.DagsterInstance, after: float) -> list[str]:
    """Marks as failed what was under way when this was called, so that Dagster tries it again.

    Args:
        instance: Whose runs.
        after: Seconds to wait before. Dagster drops the second try if the daemon has not found the
            code server again, for which it looks once a minute.

    Returns:
        The ids of these runs.
    """
    begun = datetime.now(timezone.utc)
    time.sleep(after)
    filters = dg.RunsFilter(statuses=UNDER_WAY, updated_before=begun)
    lost = [record.dagster_run for record in instance.get_run_records(filters)]
    for run in lost:
        # Not among the documented methods; `deploy/test_workers.py` sees that it is there.
        instance.report_run_failed(run, WHY)
    return [run.run_id for run in lost]
