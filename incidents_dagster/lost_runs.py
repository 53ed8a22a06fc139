"""Ends the runs that a code server has left behind, before the next one starts: deploy/compose.yaml.

A code server is the parent of its runs, and notices at once if one is killed. Nobody notices if it
is killed together with them, as with its container: for Dagster, they would run on.
"""

import dagster as dg

UNDER_WAY = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
WHY = "The code server that ran this has ended, and the run with it."


def end_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks each run that is under way as failed, so that Dagster tries it again.

    No code server may run: what it runs would be taken for lost.

    Returns:
        The ids of these runs.
    """
    lost = instance.get_runs(filters=dg.RunsFilter(statuses=UNDER_WAY))
    for run in lost:
        # Not among the documented methods; `deploy/test_workers.py` sees that it is there.
        instance.report_run_failed(run, WHY)
    return [run.run_id for run in lost]
