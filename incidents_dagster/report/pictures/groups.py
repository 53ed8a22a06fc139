"""Sources and severities beside each other: half resolved within, with limits."""

from incidents_dagster.report.chance import FEWEST_OF_A_LIMIT
from incidents_dagster.report.figures import Figures, Group
from incidents_dagster.report.picture import Picture
from incidents_dagster.report.pictures.ranges import Range, drawn
from incidents_dagster.report.pictures.times_table import times_table
from incidents_dagster.report.words import count, duration

LIMITS = (
    "A dot is the time within which half are resolved, the line has its 95 % limits; where two "
    "lines overlap, chance may have made the difference. It does not show why, and sources and "
    "severities may mean different things."
)
MOST_ROWS, FEW_ROWS, MOST_IN_TABLE = 12, 6, 60


def picture(figures: Figures) -> Picture | None:
    """By source and severity; None if there is only one of both."""
    several = len(figures.sources) > 1
    rows = [one for one in figures.groups if one.severity != "all"]
    severities: dict[str, int] = {}
    for one in rows:
        severities[one.source] = severities.get(one.source, 0) + 1
    rows = [one for one in figures.groups if one.severity == "all" or severities[one.source] > 1]
    if len(rows) < 2:  # noqa: PLR2004
        return None
    title = "By source and severity" if several else "By severity"
    if several and not any(one.severity != "all" for one in rows):
        title = "By source"
    of_all = [one for one in rows if one.severity == "all"]
    n = sum(one.incidents for one in of_all)
    left = "; the picture has the largest of them" if len(rows) > MOST_ROWS else ""
    return Picture(
        "groups",
        title,
        f"{count(n, 'incident')} in {count(len(rows), 'row')}{left}",
        _reading(rows, several),
        LIMITS,
        drawn([_range(one, several) for one in _largest(rows, MOST_ROWS)]),
        drawn([_range(one, several) for one in _largest(rows, FEW_ROWS)]),
        times_table([(_name(one, several), one) for one in _largest(rows, MOST_IN_TABLE)]),
    )


def _largest(rows: list[Group], most: int) -> list[Group]:
    """Those with the most incidents, in the order of all."""
    largest = sorted(rows, key=lambda one: -one.incidents)[:most]
    return [one for one in rows if one in largest]


def _name(one: Group, several: bool) -> str:
    if one.severity == "all":
        return one.source if several else "all"
    return f"{one.source}: {one.severity}" if several else one.severity


def _range(one: Group, several: bool) -> Range:
    told = f"{one.incidents:,}, {one.still_open:,} open"
    return Range(_name(one, several), told, one.p50, one.low, one.high)


def _reading(rows: list[Group], several: bool) -> str:
    kinds = [one for one in rows if (one.severity == "all") is several]
    many = [one for one in kinds if one.closed >= FEWEST_OF_A_LIMIT]
    reached = sorted((one.p50, _name(one, several), one) for one in many if one.p50 is not None)
    left, few = len(many) - len(reached), len(kinds) - len(many)
    more = f" Of {count(left, 'row')}, half is not reached yet." if left else ""
    if few:
        more += f" Of {count(few, 'row')}, fewer than {FEWEST_OF_A_LIMIT} incidents are closed."
    if len(reached) < 2:  # noqa: PLR2004
        return f"There is nothing to compare yet.{more}"
    (_, fast, quickest), (_, slow, slowest) = reached[0], reached[-1]
    apart = quickest.high is not None and slowest.low is not None and quickest.high < slowest.low
    verdict = "more than chance makes" if apart else "which may be chance"
    return (
        f"{fast} is resolved soonest, half within {duration(quickest.p50)}, and {slow} last, half "
        f"within {duration(slowest.p50)}: {verdict}.{more}"
    )
