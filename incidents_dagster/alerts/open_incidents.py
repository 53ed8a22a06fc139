"""Incidents that have been open for longer than `alerts.open_hours` allows for their severity.

The view over all sources says which; a store that is in use is looked at later.
"""

from collections.abc import Iterator
from datetime import datetime, timezone

import duckdb

from incidents_dagster.alerts.conditions import Condition, Kind, Level, Looked, Place, span
from incidents_dagster.ingestion.errors import DatabaseBusyError
from incidents_dagster.ingestion.settings import Alerts
from incidents_dagster.ingestion.warehouse.all_incidents import VIEW
from incidents_dagster.ingestion.warehouse.configured_store import configured_store

ANY = "any"  # in open_hours: all severities that it does not name, and none
REMEMBERED = 200  # of the incidents of one severity, the newest; of these, a new one is noticed
# One row for each of them, the longest open first, with the number of all of its severity.
SQL = f"""
WITH late AS (
    SELECT coalesce(l.severity, '{ANY}') AS severity, id, title, url, created_at
    FROM {VIEW} v
    LEFT JOIN (SELECT unnest($severities) AS severity, unnest($hours) AS hours) l
        ON lower(trim(v.severity)) = l.severity
    WHERE source = $source AND phase IN ('open', 'acknowledged') AND deleted_at IS NULL
        AND created_at < to_timestamp($now) - to_seconds(coalesce(l.hours, $any) * 3600)
)
SELECT severity, count(*) OVER every_one, id, title, url, epoch(min(created_at) OVER every_one)
FROM late
WINDOW every_one AS (PARTITION BY severity)
QUALIFY row_number() OVER (PARTITION BY severity ORDER BY created_at DESC) <= {REMEMBERED}
ORDER BY severity, created_at
"""


def open_incidents(place: Place) -> Looked:
    """Looks at the incidents of all sources that have `open_hours`."""
    limited = {source: one for source, one in place.alerts.items() if one.open_hours}
    store = configured_store()
    if not limited or store.is_empty():
        return Looked()
    try:
        # Not a moment of waiting: syncs wait for the store, too.
        with store.connect(0, read_only=True) as connection:
            found = Looked()
            for source, alerts in limited.items():
                found.wrong += _late(connection, source, alerts, place.now)
    except DatabaseBusyError:
        return Looked(unseen={Kind.OPEN})
    except duckdb.CatalogException:  # no sync has made the view yet
        return Looked()
    wrong = {one.key for one in found.wrong}
    keys = {_key(source, name) for source, one in limited.items() for name in one.open_hours}
    found.well = dict.fromkeys(keys - wrong, "")
    return found


def _late(
    connection: duckdb.DuckDBPyConnection, source: str, alerts: Alerts, now: float
) -> Iterator[Condition]:
    hours = {name: most for name, most in alerts.open_hours.items() if name != ANY}
    rows = connection.execute(
        SQL,
        {
            "severities": list(hours),
            "hours": list(hours.values()),
            "any": alerts.open_hours.get(ANY),
            "source": source,
            "now": datetime.fromtimestamp(now, timezone.utc).timestamp(),
        },
    ).fetchall()
    for severity in dict.fromkeys(row[0] for row in rows):
        ones = [row for row in rows if row[0] == severity]
        _, count, *_, oldest = ones[0]
        what = f"severity {severity}" if severity != ANY else "any other severity"
        yield Condition(
            _key(source, severity),
            Kind.OPEN,
            Level.WARN,
            source,
            f"{source}: incidents of {what}",
            f"open for over {alerts.open_hours[severity]:g} h",
            f"{count:,}, the longest for {span(now - oldest)}",
            members={str(one[2]): " ".join(str(part) for part in one[2:5] if part) for one in ones},
        )


def _key(source: str, severity: str) -> str:
    return f"{Kind.OPEN.value}/{source}/{severity}"
