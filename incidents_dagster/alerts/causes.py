"""Why a run failed, in a line: the error at the root, not what Dagster wraps it in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
EVENTS = {
    PLANNED,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ENGINE_EVENT,
    dg.DagsterEventType.RUN_FAILURE,
}
# By name, as the event log has it: what Dagster raises for a blocking check.
BLOCKED = "DagsterAssetCheckFailedError"


@dataclass(frozen=True)
class Cause:
    """Why a run failed.

    Attributes:
        text: In a line.
        assets: Those of the steps that failed; of all, if none began.
        checks_alone: Whether nothing but blocking checks failed it.
    """

    text: str
    assets: tuple[str, ...]
    checks_alone: bool


def cause_of(instance: dg.DagsterInstance, run_id: str) -> Cause:
    """Why the run failed."""
    logs = instance.all_logs(run_id, EVENTS)
    events = [log.dagster_event for log in logs if log.dagster_event]
    failures = [event for event in events if event.is_step_failure]
    steps = {event.step_key for event in failures}
    planned = [event for event in events if event.event_type is PLANNED]
    assets = [e.asset_key for e in planned if e.asset_key and (not steps or e.step_key in steps)]
    texts = [_of_step(event.step_failure_data) for event in failures] or _before_steps(events)
    errors = [event.step_failure_data.error for event in failures]
    return Cause(
        "; ".join(dict.fromkeys(filter(None, texts))) or "no reason given",
        tuple(sorted({key.to_user_string() for key in assets})),
        bool(errors) and all(error and error.cls_name == BLOCKED for error in errors),
    )


def _of_step(failure: Any) -> str:
    if failure.user_failure_data and failure.user_failure_data.description:
        return str(failure.user_failure_data.description)
    error = failure.error
    if not error:
        return ""
    while error.cause:
        error = error.cause
    return f"{error.cls_name}: {_said_by(error)}"


def _before_steps(events: list[Any]) -> Iterator[str]:
    """The error that kept the run's process from starting; else what Dagster says about its end."""
    errors = [e.engine_event_data.error for e in events if e.is_engine_event]
    if found := [error for error in errors if error]:
        yield _said_by(found[-1])
    else:
        ends = [e for e in events if e.event_type is dg.DagsterEventType.RUN_FAILURE]
        yield from (event.message or "" for event in ends)


def _said_by(error: Any) -> str:
    """The text of an error without its class and module: `SettingsError: …`."""
    return str(error.message).strip().partition(": ")[2]
