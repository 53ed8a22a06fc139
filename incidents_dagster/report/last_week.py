"""Last week against the weeks before: the seven days before the last sync, and up to thirteen more.

A difference is a change only if it is beyond what chance allows: for counts, `chance`; for times,
if the 95 % limits of both medians do not overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from incidents_dagster.report.chance import FEWEST_OF_A_LIMIT, count_range
from incidents_dagster.report.words import NOT_REACHED, clean, duration, limits, number

MOST_WEEKS = 13
MOST_SOURCES = 3  # whose times have a row
# Week 0 is the last one. Hours count once, however many incidents and sources there are in them.
# Differences of seconds, as those of times take ten times as long.
COUNTS = """
WITH weekly AS (
    SELECT
        *,
        floor((epoch(as_of) - epoch(opened_at)) / 604800)::INT AS opened_week,
        floor((epoch(as_of) - epoch(first_closed_at)) / 604800)::INT AS closed_week
    FROM insight.incident_lifecycle
    WHERE phase IS DISTINCT FROM 'deleted'
),

hours AS (
    SELECT DISTINCT opened_week, date_trunc('hour', opened_local) AS opened_hour
    FROM weekly
    JOIN insight.arrivals ON
        arrivals.source = weekly.source
        AND weekday = isodow(opened_local)
        AND arrivals.hour = hour(opened_local)
    WHERE class = 'sleep' AND opened_week BETWEEN 0 AND 13
)

SELECT
    week,
    (SELECT count(*) FROM weekly WHERE opened_week = week),
    (SELECT count(*) FROM weekly WHERE closed_week = week),
    (SELECT count(*) FROM hours WHERE opened_week = week)
FROM unnest(generate_series(0, 13)) AS weeks (week)
ORDER BY week
"""
# How many whole weeks before the last one are known: of openings and, as an API may not say when
# incidents were closed, of the backlog, whose first day may begin at any hour.
KNOWN = """
SELECT
    min(floor((epoch(as_of) - epoch(first_opened)) / 604800)::INT - 1),
    CASE
        WHEN bool_and(first_day IS NOT NULL)
            THEN min(floor((epoch(as_of) - epoch(first_day)) / 604800)::INT - 1)
    END
FROM (
    SELECT source, max(as_of) AS as_of, min(opened_at) AS first_opened
    FROM insight.incident_lifecycle GROUP BY ALL
)
LEFT JOIN (
    SELECT source, (min(day) + 1)::TIMESTAMPTZ AS first_day
    FROM insight.backlog_daily GROUP BY ALL
) USING (source)
"""
# As in insight.survival, for these cohorts; but the formula has a lower limit even of one incident,
# and that would be called longer every other week.
TIMES = """
WITH timed AS (
    SELECT
        source,
        opened_at > as_of - INTERVAL 7 DAY AS is_last,
        (epoch_us(coalesce(first_closed_at, open_until)) - epoch_us(opened_at)) / 6e7 AS minutes,
        first_closed_at IS NOT NULL AS has_ended
    FROM insight.incident_lifecycle
    WHERE opened_at > as_of - to_days(7 + 7 * $weeks) AND counts_to_resolve
),

grouped AS (
    SELECT source, is_last, minutes, count(*) AS n, count(*) FILTER (WHERE has_ended) AS ended
    FROM timed WHERE minutes >= 0 GROUP BY ALL
),

steps AS (
    SELECT *, sum(n) OVER (PARTITION BY source, is_last ORDER BY minutes DESC)::DOUBLE AS at_risk
    FROM grouped
),

curves AS (
    SELECT
        *,
        product(1 - ended / at_risk) OVER so_far AS share,
        sum(CASE WHEN ended < at_risk THEN ended / (at_risk * (at_risk - ended)) END) OVER so_far
            AS variance
    FROM steps
    WINDOW so_far AS (PARTITION BY source, is_last ORDER BY minutes)
),

spread AS (
    SELECT
        *,
        CASE
            WHEN share BETWEEN 1e-12 AND 1 - 1e-12
                THEN exp(1.959964 * sqrt(variance) / abs(ln(share)))
        END AS power
    FROM curves
)

SELECT
    source,
    is_last,
    min(minutes) FILTER (WHERE share <= 0.5 + 1e-9),
    min(minutes) FILTER (
        WHERE CASE WHEN share < 1e-12 THEN 0 ELSE pow(share, power) END <= 0.5 + 1e-9
        AND at_risk >= $fewest
    ),
    min(minutes) FILTER (WHERE pow(share, 1 / power) <= 0.5 + 1e-9)
FROM spread
GROUP BY ALL
ORDER BY sum(n) DESC, source
"""


@dataclass(frozen=True)
class Row:
    """A figure of last week beside the weeks before.

    Attributes:
        name: What it is.
        last: Last week's.
        before: That of a usual week before.
        allowed: The range that chance allows.
        verdict: Whether that is a change, in a word or two.
        is_change: Whether it is beyond that range.
    """

    name: str
    last: str
    before: str
    allowed: str
    verdict: str
    is_change: bool = False


@dataclass(frozen=True)
class LastWeek:
    """The comparison.

    Attributes:
        rows: Its figures.
        weeks: How many weeks before the last one openings are known for, 13 at most.
        opened: How many incidents were opened last week.
        closed: How many were closed for the first time; None: unknown.
        woken: In how many sleep hours there was a new incident.
    """

    rows: list[Row]
    weeks: int
    opened: int
    closed: int | None
    woken: int


def read(connection: duckdb.DuckDBPyConnection) -> LastWeek:
    """Compares over all sources; times for each of the first few sources."""
    ((openings, closings),) = connection.execute(KNOWN).fetchall()
    weeks = _bounded(openings)
    weekly = connection.execute(COUNTS).fetchall()
    opened, closed, woken = ([row[number] for row in weekly] for number in (1, 2, 3))
    rows = [_count_row("opened", opened, weeks)]
    known = closings is not None and closings >= 0  # for the whole last week
    if known:
        rows.append(_count_row("closed", closed, _bounded(closings)))
    rows.append(_count_row("woken hours", woken, weeks))
    rows += _time_rows(connection, weeks)
    return LastWeek(rows, weeks, opened[0], closed[0] if known else None, woken[0])


def _bounded(weeks: int | None) -> int:
    return max(0, min(MOST_WEEKS, weeks or 0))


def _count_row(name: str, counts: Sequence[int], weeks: int) -> Row:
    last, before = counts[0], counts[1 : weeks + 1]
    if not before:
        return Row(name, f"{last:,}", "unknown", "unknown", "nothing to compare with")
    low, high = count_range(before)
    verdict = "more" if last > high else "fewer" if last < low else "within chance"
    usual = f"{number(sum(before) / weeks)} a week"
    return Row(name, f"{last:,}", usual, f"{low:,} to {high:,}", verdict, not low <= last <= high)


def _time_rows(connection: duckdb.DuckDBPyConnection, weeks: int) -> list[Row]:
    found: dict[str, dict[bool, tuple[Any, ...]]] = {}
    values = {"weeks": weeks, "fewest": FEWEST_OF_A_LIMIT}
    for source, is_last, *figures in connection.execute(TIMES, values).fetchall():
        found.setdefault(source, {})[is_last] = tuple(figures)
    rows = []
    for source, of in list(found.items())[:MOST_SOURCES]:
        name = "half resolved within" + (f", {clean(source)}" if len(found) > 1 else "")
        if True not in of:
            rows.append(Row(name, "no incident", *_median(of.get(False)), "nothing to compare"))
            continue
        last, limits_of_last = _median(of[True])
        if False not in of or not weeks:
            rows.append(Row(name, last, "unknown", "unknown", "nothing to compare with"))
            continue
        before, allowed = _median(of[False])
        shorter, longer = _apart(of[True], of[False]), _apart(of[False], of[True])
        verdict = "shorter" if shorter else "longer" if longer else "within chance"
        _, *bounds = of[True]
        told = f"{last} ({limits_of_last})" if last != NOT_REACHED and any(bounds) else last
        rows.append(Row(name, told, before, allowed, verdict, shorter or longer))
    return rows


def _median(of: tuple[Any, ...] | None) -> tuple[str, str]:
    if of is None:
        return "unknown", "unknown"
    p50, low, high = of
    return duration(p50), limits(low, high) if low is not None or high is not None else "unknown"


def _apart(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether all of one median's limits is below the other's."""
    (_, _, high), (_, low, _) = one, other
    return high is not None and low is not None and bool(high < low)
