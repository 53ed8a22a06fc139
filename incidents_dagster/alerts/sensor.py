"""The sensor that tells once when something gets worse, and once when it is well again.

It compares what is wrong now with what it has told, which is in its cursor. So it also tells what
it has not seen happen: a run of the command line, or one from while no daemon was running.
"""

import time
from collections.abc import Callable, Mapping

import dagster as dg

from incidents_dagster.alerts.conditions import Kind, Looked, Place
from incidents_dagster.alerts.delivery import deliver
from incidents_dagster.alerts.failed_checks import failed_checks
from incidents_dagster.alerts.failed_runs import failed_runs
from incidents_dagster.alerts.late_syncs import lost_freshness, unproven_syncs
from incidents_dagster.alerts.messages import WELL, message
from incidents_dagster.alerts.open_incidents import open_incidents
from incidents_dagster.alerts.receivers import Known
from incidents_dagster.alerts.told import Memory
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.sources import SOURCES, WRONG

LOOKS: Mapping[Kind, Callable[[Place], Looked]] = {
    Kind.RUN: failed_runs,
    Kind.CHECK: failed_checks,
    Kind.FRESHNESS: lost_freshness,
    Kind.PROOF: unproven_syncs,
    Kind.OPEN: open_incidents,
}


@dg.sensor(
    name="sync_failure_sensor",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Tells once when something gets worse, and once when it is well again: failed runs and "
        "checks, lost freshness, syncs that stay unproven, incidents that stay open. In its log, "
        "and to webhook_url and alerts.urls of the source, or of the first one."
    ),
)
def sync_failure_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Requests no run; its cursor is a `Memory`."""
    now, memory = time.time(), Memory.of(context.cursor)
    known = Known.of([*SOURCES, *WRONG])
    for why in known.wrong.values():
        context.log.error(f"Alerts wait, as their settings are wrong: {redact(why)}")
    assert context.repository_def
    place = Place(context.instance, context.repository_def, known.alerts, now)
    for change in memory.changes(_look(place, context), now):
        told = message(change, known.ui_url, now)
        (context.log.info if told.level == WELL else context.log.error)(told.text)
        memory.waiting.append(told)
    deliver(memory, known, now, context.log)
    context.update_cursor(memory.cursor())
    wrong = "; ".join(one.subject for one in memory.told.values()) or "nothing"
    return dg.SkipReason(f"Wrong now: {wrong}. {len(memory.waiting)} alerts wait for a receiver.")


def _look(place: Place, context: dg.SensorEvaluationContext) -> Looked:
    found = Looked()
    for kind, look in LOOKS.items():
        try:
            found.add(look(place))
        except Exception as error:  # one that cannot look may not silence the others
            context.log.error(redact(f"Could not look at {kind.value}: {explain(error)}"))
            found.unseen.add(kind)
    return found
