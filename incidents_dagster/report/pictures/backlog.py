"""How many incidents were open at the end of each day, by phase: a stacked area."""

from datetime import date, timedelta

from incidents_dagster.report.figures import Figures
from incidents_dagster.report.picture import Picture, Table
from incidents_dagster.report.scales import months, ticks
from incidents_dagster.report.svg import Svg
from incidents_dagster.report.trust import Trust
from incidents_dagster.report.words import count, listed

TITLE = "Backlog"
LIMITS = (
    "It does not show how old they are. Days before the first sync are there only if the API says "
    "when incidents were closed, and what was acknowledged then only if it says when."
)
HEIGHT, TOP, BOTTOM, KEY_LINE = 254, 48, 230, 17  # pixels
MOST_POINTS, FEW_POINTS = 700, 80
WEEK, QUARTER = 7, 91  # days
LEAST_DAYS, LEAST_NAMED = 2, 2
HATCH = 6  # pixels between two lines
EDGE = 0.06  # where the name of a month has no room

Days = list[tuple[date, int, int | None, int]]


def picture(figures: Figures) -> Picture:
    """The backlog of all sources."""
    days = figures.backlog
    if len(days) < LEAST_DAYS:
        told = f"{count(days[-1][1], 'incident')} open on {days[-1][0]}. " if days else ""
        return Picture(
            "backlog",
            TITLE,
            count(len(days), "day"),
            f"{told}A curve needs two days: it begins with the first proven sync.",
            LIMITS,
        )
    sources = max(day[3] for day in days)
    late = next((day for day, *_, known in days if known == sources), None)
    limits = LIMITS
    if late and late != days[0][0]:
        limits = f"{LIMITS} All {sources} sources are in it from {late} on."
    limits += _about_late(figures.trust)
    if absent := [one.source for one in figures.trust if not one.proven_until]:
        limits = f"{limits} Not in it, as no sync of it is proven: {listed(absent)}."
    return Picture(
        "backlog",
        TITLE,
        count(len(days), "day"),
        _reading(days),
        limits,
        _drawn(days, MOST_POINTS),
        _drawn(days, FEW_POINTS),
        _table(days),
    )


def _about_late(trust: list[Trust]) -> str:
    """Which sources are not as of today, or so."""
    read = [(one.source, one.as_of) for one in trust if one.proven_until and one.as_of]
    newest = max((as_of for _, as_of in read), default=None)
    late = [
        f"{source} ({as_of:%Y-%m-%d})"
        for source, as_of in read
        if newest and newest - as_of >= timedelta(days=1)
    ]
    return f" After its last sync, a source counts as it was then: {listed(late)}." if late else ""


def _reading(days: Days) -> str:
    last, open_now, acknowledged, _ = days[-1]
    told = f"{open_now:,} open at the end of {last}"
    if open_now and acknowledged is not None:
        told += f", {open_now - acknowledged:,} of them not acknowledged"
    # Another source is no change.
    alike = [day for day in days if day[3] == days[-1][3]]
    if len(alike) >= LEAST_DAYS:
        then = alike[-1 - QUARTER] if len(alike) > QUARTER else alike[0]
        change = open_now - then[1]
        direction = "more" if change > 0 else "fewer"
        compared = f"{abs(change):,} {direction} than" if change else "as many as"
        told += f"; {compared} on {then[0]}"
    most = max(days, key=lambda day: day[1])
    return f"{told}. The most were {most[1]:,}, on {most[0]}."


def _drawn(days: Days, points: int) -> Svg:
    svg = Svg(HEIGHT)
    step = -(-len(days) // points)
    shown = days[::-1][::step][::-1]  # the last day in any case
    first, last = shown[0][0], shown[-1][0]
    length = (last - first).days or 1
    most = max(1, *(day[1] for day in shown))

    def x(day: date) -> float:
        return (day - first).days / length

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * value / most

    named = ticks(most)
    for value in named:
        svg.line(0, y(value), 1, y(value), "axis" if not value else "grid")
    total = [(x(day), y(both)) for day, both, _, _ in shown]
    # From the last day on of which it is not known what was acknowledged.
    unknowns = [number for number, (*_, held, _) in enumerate(shown) if held is None]
    begin = unknowns[-1] + 1 if unknowns else 0
    known = shown[begin:]
    acknowledged = [(x(day), y(held or 0)) for day, _, held, _ in known]
    unknown = total[: begin + 1] if begin else []
    if len(unknown) > 1:
        svg.path([*unknown, (unknown[-1][0], y(0)), (0.0, y(0))], "area unknown", filled=True)
    if len(known) > 1:
        begun = acknowledged[0][0]
        svg.path([*acknowledged, (1.0, y(0)), (begun, y(0))], "area light", filled=True)
        for line in range(HATCH, BOTTOM - TOP, HATCH):
            _hatch(svg, acknowledged, BOTTOM - line)
        svg.path([*total[-len(known) :], *acknowledged[::-1]], "area", filled=True)
        _key(svg)
    if len(unknown) > 1:
        line = KEY_LINE if len(known) > 1 else 0
        svg.box(0, 4 + line, 0.03, 11, "area unknown")
        svg.text(0.04, 14 + line, "phase unknown", "muted")
    svg.path(total, "curve")
    for value in named[1:]:
        svg.text(0, y(value) - 3, f"{value:,}", "muted")
    named_months = [day for day in months(first, last) if EDGE < x(day) < 1 - EDGE]
    if len(named_months) < LEAST_NAMED:
        svg.text(0, BOTTOM + 17, str(first), "muted")
        svg.text(1, BOTTOM + 17, str(last), "muted", "end")
        named_months = []
    for before, month in zip([None, *named_months], named_months, strict=False):
        svg.line(x(month), BOTTOM, x(month), BOTTOM + 4, "axis")
        is_same = before and before.year == month.year
        words = f"{month:%b}" if is_same else f"{month:%b %Y}"
        svg.text(x(month), BOTTOM + 17, words, "muted", "middle")
    svg.text(1, 14, f"{shown[-1][1]:,} now", "strong", "end")
    return svg


def _key(svg: Svg) -> None:
    svg.box(0, 4, 0.03, 11, "area")
    svg.text(0.04, 14, "open")
    svg.box(0.18, 4, 0.03, 11, "area light")
    for line in (7, 11):
        svg.line(0.18, line, 0.21, line, "hatch")
    svg.text(0.22, 14, "acknowledged")


def _hatch(svg: Svg, edge: list[tuple[float, float]], y: float) -> None:
    """A horizontal line at `y` wherever the area reaches above it."""
    begun: float | None = None
    for (x, top), (_, before) in zip(edge, [edge[0], *edge[:-1]], strict=True):
        inside = top < y and before < y
        if inside and begun is None:
            begun = x
        if not inside and begun is not None:
            svg.line(begun, y, x, y, "hatch")
            begun = None
    if begun is not None:
        svg.line(begun, y, edge[-1][0], y, "hatch")


def _table(days: Days) -> Table:
    weekly = days[::-1][: QUARTER + 1 : WEEK]
    return Table(
        ("Day", "Open", "Acknowledged of them"),
        [
            (str(day), f"{total:,}", "unknown" if held is None else f"{held:,}")
            for day, total, held, _ in weekly
        ],
    )
