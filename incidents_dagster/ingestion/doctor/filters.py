"""Whether the API's filter works.

Asked for what is still to come, it may send nothing; asked from a change on, it has to send that.
"""

from datetime import datetime, timedelta, timezone
from typing import Any

from incidents_dagster.ingestion.doctor.findings import Diagnosis, Level
from incidents_dagster.ingestion.doctor.looks import Looks
from incidents_dagster.ingestion.doctor.probe import Probe
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.reading.incremental import Incremental, Moment
from incidents_dagster.ingestion.rows.batches import to_arrow
from incidents_dagster.ingestion.tables import Table

FUTURE = timedelta(days=2)


def look_at_filter(probe: Probe, looks: Looks, found: Diagnosis) -> None:
    """Two requests, if the endpoint is read incrementally and by a time."""
    incremental = probe.api.incremental.get(probe.name)
    if not incremental:
        found.add(Level.NOTE, "filter", "None is configured: each sync reads everything.")
        return
    rows = looks.batch.rows
    if incremental.column not in rows.column_names:
        return
    changed = [row for row in rows.to_pylist() if isinstance(row[incremental.column], datetime)]
    if not changed:
        return
    by = incremental.start_param or "the placeholder {incremental.start_value}"
    _from_the_future(probe, by, found)
    # A record that has changed long after its creation shows which of the two the filter compares.
    lag = timedelta(seconds=incremental.lag + 1)
    late = [row for row in changed if _created(row, incremental) < row[incremental.column] - lag]
    newest = max(late or changed, key=lambda row: row[incremental.column])
    _from_a_change(probe, incremental, newest, found)


def _created(row: dict[str, Any], incremental: Incremental) -> datetime:
    created = row.get("created_at")
    return created if isinstance(created, datetime) else row[incremental.column]


def _from_the_future(probe: Probe, by: str, found: Diagnosis) -> None:
    future = Moment.of(datetime.now(timezone.utc).replace(microsecond=0) + FUTURE)
    try:
        walk = probe.walk(since=future)
    except Exception as error:
        found.add(
            Level.NOTE,
            "filter",
            f"Asked for what is still to come, the API refuses: {explain(error)}",
        )
        return
    if walk.records:
        found.add(
            Level.WARN,
            "filter",
            f"The API ignores {by}: asked for what changes after {future}, it sent "
            f"{len(walk.records):,} records, so each sync reads everything.",
            f"Check its name and format in {probe.api.settings.where('resources')}.",
        )
    else:
        found.add(
            Level.OK, "filter", f"Asked by {by} for what is still to come, the API sends nothing."
        )


def _from_a_change(
    probe: Probe, incremental: Incremental, row: dict[str, Any], found: Diagnosis
) -> None:
    table = Table.of(probe.api.declared, probe.name)
    since = Moment.of(row[incremental.column] - timedelta(seconds=incremental.lag + 1))
    walk = probe.walk(since=since)
    got = to_arrow(walk.records, dict(table.declared), table.primary_key, table.typed).rows
    key = {name: row[name] for name in table.primary_key}
    rows = got.to_pylist()
    if any(all(one.get(n) == v for n, v in key.items()) for one in rows):
        found.add(
            Level.OK, "filter", "Asked from a change on, the API sends the record that changed."
        )
        return
    older = [one for one in rows if one.get("created_at") and one["created_at"] < since]
    if older or incremental.column == "created_at":
        found.add(
            Level.NOTE,
            "filter",
            "Asked from a change on, the API sends others first: not all was seen.",
        )
        return
    found.add(
        Level.FAIL,
        "filter",
        f"Asked for what changed since {since}, the API does not send a record that changed "
        "later: it filters by another field, such as the creation.",
        f"Set incremental.cursor_path to that field in {probe.api.settings.where('resources')}, "
        "and still_open.",
    )
