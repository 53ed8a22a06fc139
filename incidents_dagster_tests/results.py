"""What a run has left in Dagster, read as a test wants it."""

from typing import Any

import dagster as dg

from incidents_dagster.run import AFTERWARDS


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The metadata of the one sync in `result`, by name."""
    events = result.get_asset_materialization_events()
    (event,) = (event for event in events if event.asset_key not in AFTERWARDS)
    return {name: entry.value for name, entry in event.materialization.metadata.items()}


def log_lines(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> list[str]:
    """What the run itself said, and what Dagster said of it."""
    return [record.user_message for record in instance.all_logs(result.run_id)]


def failure(result: dg.ExecuteInProcessResult) -> str:
    """The one message that a failed run gives."""
    (event,) = result.get_step_failure_events()
    assert event.step_failure_data.user_failure_data
    return event.step_failure_data.user_failure_data.description or ""
