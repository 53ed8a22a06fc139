"""The figures of the report, read from the tables of `insight`; few rows, whatever is in the store.

`trust` and `last_week` read theirs; the rest is what `queries` has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from incidents_dagster.ingestion.errors import NoDatabaseError
from incidents_dagster.ingestion.warehouse.catalog import relations
from incidents_dagster.ingestion.warehouse.store import Store
from incidents_dagster.insight.sql_files import SCHEMA, sql_files
from incidents_dagster.report import last_week, queries, trust
from incidents_dagster.report.last_week import LastWeek
from incidents_dagster.report.trust import Trust
from incidents_dagster.report.words import clean, link

MOST_DOTS = 300
MOST_CURVES = 6


@dataclass(frozen=True)
class Group:
    """How long the incidents of a source, or of a severity of it, take to be closed."""

    source: str
    severity: str
    incidents: int
    closed: int
    still_open: int
    without_times: int
    p50: float | None
    low: float | None
    high: float | None
    p90: float | None
    within_1_d: float | None


@dataclass(frozen=True)
class Step:
    """A step of a curve: the share that is still open after so many minutes, with its limits."""

    minutes: float
    share: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Dot:
    """One incident: how long it took to be closed, or how long it has been open."""

    title: str
    is_open: bool
    minutes: float


@dataclass(frozen=True)
class Open:
    """An incident that is open now."""

    title: str
    url: str
    source: str
    severity: str
    status: str
    age: float


@dataclass(frozen=True)
class Noise:
    """A service, and its incidents of the last 13 weeks; of `timed` ones it is known how long."""

    service: str
    incidents: int
    timed: int
    short_lived: int
    reopened: int
    repeated: int | None


@dataclass(frozen=True)
class Acknowledged:
    """How long the incidents of a source and a month, or of all, waited for somebody."""

    source: str
    cohort: str
    incidents: int
    acknowledged: int
    coverage: float | None
    gap: float | None
    p50: float | None
    low: float | None
    high: float | None
    p90: float | None


@dataclass(frozen=True)
class Figures:
    """All that the page shows.

    Attributes:
        store: What the store is called.
        backlog: Day, open at its end, acknowledged of those (None: unknown), and how many sources
            are known by then.
        curves: Of (source, severity), the steps of the curve.
        ages: Bucket, open, not updated for so long.
        arrivals: Weekday, hour, incidents, class.
        disrupted: Class → hours of the last 13 weeks with a new incident.
        weeks: How many weeks incidents are known for, 13 at most.
    """

    store: str
    trust: list[Trust]
    last_week: LastWeek
    backlog: list[tuple[date, int, int | None, int]]
    groups: list[Group]
    curves: dict[tuple[str, str], list[Step]]
    dots: list[Dot]
    ages: list[tuple[str, int, int]]
    oldest: list[Open]
    arrivals: list[tuple[int, int, int, str]]
    disrupted: dict[str, int]
    weeks: float
    noise: list[Noise]
    acknowledged: list[Acknowledged]

    @property
    def incidents(self) -> int:
        """How many there are, deleted ones too."""
        return sum(one.incidents for one in self.trust)

    @property
    def open(self) -> int:
        """How many are open now."""
        return sum(count for _, count, _ in self.ages)

    @property
    def sources(self) -> list[str]:
        """Those that have incidents."""
        return [one.source for one in self.trust if one.incidents]

    @property
    def compared(self) -> list[Group]:
        """What has a curve: each of several sources, or all incidents and each severity."""
        of_all = [one for one in self.groups if one.severity == "all"]
        if len(of_all) > 1:
            return of_all[:MOST_CURVES]
        severities = [one for one in self.groups if one.severity != "all"]
        several = len(severities) > 1
        most = sorted(severities, key=lambda one: -one.incidents)[: MOST_CURVES - 1]
        return of_all + [one for one in severities if several and one in most]

    def name_of(self, group: Group) -> str:
        """What a group is called where all of `compared` are."""
        return group.source if len(self.sources) > 1 else group.severity


def read(store: Store, seconds: float) -> Figures:
    """The figures of a store.

    Args:
        store: Where the tables are.
        seconds: How long to wait for another process that is in the way.

    Raises:
        DatabaseBusyError: Another process was in the way for longer.
        NoDatabaseError: No source has synced yet, or there are no tables of `insight`.
    """
    store.require_rows()
    with store.read(seconds) as connection:
        _check_tables(connection, store.name)
        return _read(connection, store.title)


def _check_tables(connection: duckdb.DuckDBPyConnection, store: str) -> None:
    if missing := sorted({*sql_files()} - {one.name for one in relations(connection, SCHEMA)}):
        raise NoDatabaseError(
            f"{store} has no {SCHEMA}.{missing[0]} yet: run the job insight_refresh, or make "
            "report, which makes the tables first."
        )


def _read(connection: duckdb.DuckDBPyConnection, store: str) -> Figures:
    def rows(sql: str, **values: Any) -> list[Any]:
        return connection.execute(sql, values).fetchall()

    proven = trust.read(connection)
    several = len(proven) > 1
    ((weeks,),) = rows(queries.WEEKS)
    return Figures(
        store,
        proven,
        last_week.read(connection),
        rows(queries.BACKLOG),
        [Group(clean(s), clean(severity), *rest) for s, severity, *rest in rows(queries.GROUPS)],
        _curves(rows(queries.STEPS, by_severity=not several)),
        [Dot(clean(title), *rest) for title, *rest in rows(queries.DOTS, most=MOST_DOTS)],
        rows(queries.AGES),
        [_open(row) for row in rows(queries.OLDEST)],
        rows(queries.ARRIVALS),
        dict(rows(queries.DISRUPTED)),
        max(0.0, weeks or 0.0),
        [_noise(row, several) for row in rows(queries.NOISE)],
        [Acknowledged(clean(source), *rest) for source, *rest in rows(queries.ACKNOWLEDGED)],
    )


def _curves(rows: Sequence[Any]) -> dict[tuple[str, str], list[Step]]:
    curves: dict[tuple[str, str], list[Step]] = {}
    for source, severity, *step in rows:
        curves.setdefault((clean(source), clean(severity)), []).append(Step(*step))
    return curves


def _open(row: Sequence[Any]) -> Open:
    title, url, source, *texts, age = row
    severity, status = ("" if text is None else clean(text) for text in texts)
    return Open(clean(title), link(url), clean(source), severity, status, age)


def _noise(row: Sequence[Any], several: bool) -> Noise:
    source, service, *counts = row
    service = "no service" if service == "none" else service
    return Noise(clean(f"{source}: {service}" if several else service), *counts)
