"""Asset checks that warn or fail, blocking or not, as their last evaluation has it.

A check that could not be evaluated, because its run failed, stays what it was.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from incidents_dagster.alerts.conditions import Condition, Kind, Level, Looked, Place

LEVELS = {dg.AssetCheckSeverity.WARN: Level.WARN, dg.AssetCheckSeverity.ERROR: Level.ERROR}
PLANNED = "PLANNED"
STATES = {Level.WARN: "warns", Level.ERROR: "failed"}


def failed_checks(place: Place) -> Looked:
    """Looks at the last evaluation of each check."""
    found = Looked()
    graph = place.repository.asset_graph
    keys = sorted(graph.asset_check_keys, key=str)
    for run_id, evaluation in _last(place.instance, keys):
        check, asset = evaluation.asset_check_key, evaluation.asset_key.to_user_string()
        key = f"{Kind.CHECK.value}/{asset}/{check.name}"
        if evaluation.passed:
            found.well[key] = run_id
            continue
        expected, level = graph.get_check_spec(check).description, LEVELS[evaluation.severity]
        found.wrong.append(
            Condition(
                key,
                Kind.CHECK,
                level,
                place.source_of_asset(check.asset_key),
                f"{asset}: {check.name}",
                STATES[level],
                evaluation.description or "no reason given",
                (f"It passes when: {expected}",) if expected else (),
                run_id,
            )
        )
    seen = {*found.well, *(one.key for one in found.wrong)}
    every = {f"{Kind.CHECK.value}/{key.asset_key.to_user_string()}/{key.name}" for key in keys}
    found.unsure |= every - seen
    return found


def _last(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]
) -> Iterator[tuple[str, Any]]:
    """Run id and last evaluation of each check that has one.

    Dagster has no public way to these; its UI reads them here. All in one query, and one more for
    each check that a run has planned and not evaluated.
    """
    events = instance.event_log_storage
    for key, record in events.get_latest_asset_check_execution_by_key(keys).items():
        last: Any = record
        if record.status.value == PLANNED:
            last = events.get_asset_check_summary_records([key])[key]
            last = last.last_completed_check_execution_record
        if last:
            yield last.run_id, last.evaluation
