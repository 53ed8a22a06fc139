"""How far the figures can be trusted: what is proven, until when, and what has no phase."""

from dataclasses import dataclass
from datetime import datetime

import duckdb

from incidents_dagster.report.words import clean

# A sync sees what was so when it began. The tables are as of the newest read, proven or not.
SQL = """
WITH gaps AS (
    SELECT *, epoch(begun - lag(begun) OVER (PARTITION BY source ORDER BY begun)) / 60 AS gap
    FROM incidents.syncs
),

synced AS (
    SELECT
        source,
        max(begun) AS proven_until,
        max(ended) AS read_until,
        max_by(proof, begun) AS proof,
        count(*) AS syncs,
        median(gap) FILTER (WHERE begun > last_begun - INTERVAL 91 DAY) AS polled_minutes,
        max(gap) FILTER (WHERE begun > last_begun - INTERVAL 91 DAY) AS longest_gap
    FROM gaps
    JOIN (SELECT source, max(begun) AS last_begun FROM incidents.syncs GROUP BY ALL) USING (source)
    GROUP BY ALL
),

unproven AS (
    SELECT source, count(DISTINCT id) AS incidents
    FROM incidents.change_log
    LEFT JOIN synced USING (source)
    WHERE sync_ended > coalesce(read_until, '-infinity')
    GROUP BY ALL
)

SELECT
    source,
    as_of,
    proven_until,
    coalesce(proof = 'accepted', false) AS accepted,
    coalesce(syncs, 0) AS syncs,
    polled_minutes,
    longest_gap,
    coalesce(unproven.incidents, 0) AS unproven,
    coalesce(counted.incidents, 0) AS incidents,
    coalesce(without_phase, 0) AS without_phase,
    statuses
FROM (
    SELECT
        source,
        max(as_of) AS as_of,
        count(*) AS incidents,
        count(*) FILTER (WHERE phase IS NULL) AS without_phase,
        list_sort(list_distinct(list(coalesce(status, 'none')) FILTER (WHERE phase IS NULL)))
            AS statuses
    FROM insight.incident_lifecycle
    GROUP BY ALL
) AS counted
FULL JOIN synced USING (source)
LEFT JOIN unproven USING (source)
ORDER BY source
"""


@dataclass(frozen=True)
class Trust:
    """What is known about the syncs of one source.

    Attributes:
        source: The source.
        as_of: When its newest sync had read all, proven or not.
        proven_until: When its last proven sync began; None: there was none.
        accepted: Whether the settings did without a proof in that sync.
        syncs: How many were proven.
        polled_minutes: The usual time between two of them, over 13 weeks; None: fewer than two.
        longest_gap: The longest such time.
        unproven: How many incidents changed in syncs since then that are not proven.
        incidents: How many it has, deleted ones too.
        without_phase: How many of them have a status without a phase.
        statuses: Those statuses.
    """

    source: str
    as_of: datetime | None
    proven_until: datetime | None
    accepted: bool
    syncs: int
    polled_minutes: float | None
    longest_gap: float | None
    unproven: int
    incidents: int
    without_phase: int
    statuses: tuple[str, ...]


def read(connection: duckdb.DuckDBPyConnection) -> list[Trust]:
    """One of each source that has incidents; of each that has synced, if none has any."""
    found = connection.execute(SQL).fetchall()
    rows = [(clean(row[0]), *row[1:-1], tuple(map(clean, row[-1] or []))) for row in found]
    all_of_them = [Trust(*row) for row in rows]
    # Others may be configured no more; their syncs stay on record.
    return [one for one in all_of_them if one.incidents] or all_of_them
