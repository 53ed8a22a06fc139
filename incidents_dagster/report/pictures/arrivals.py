"""When incidents are opened: a heat map of the hours of the week, with PagerDuty's classes."""

from incidents_dagster.report.figures import Figures
from incidents_dagster.report.picture import Picture, Table
from incidents_dagster.report.svg import Svg
from incidents_dagster.report.words import count, number, share

TITLE = "When people are disrupted"
LIMITS = (
    "It does not show who was on call, nor incidents that came without a new one, such as a "
    "reopened one."
)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOURS = range(24)
TOP, ROW, LEGEND = 22, 16, 26  # heights in pixels
COLUMN = 1 / 8
MOST_OPACITY = 0.5  # so that the numbers stay legible
SLEEP, BUSINESS, OFF = "sleep", "business", "off hours"

Cells = dict[tuple[int, int], tuple[int, str]]  # weekday and hour → incidents and class


def picture(figures: Figures) -> Picture:
    """The last 13 weeks of all sources."""
    cells = {(day, hour): (incidents, kind) for day, hour, incidents, kind in figures.arrivals}
    n = sum(incidents for incidents, _ in cells.values())
    counted = f"{count(n, 'incident')} of the last 13 weeks"
    if not n:
        told = "No incident was opened in the last 13 weeks."
        return Picture("arrivals", TITLE, counted, told, LIMITS)
    rows = [(f"{hour}:00", *(f"{cells[day, hour][0]:,}" for day in range(1, 8))) for hour in HOURS]
    return Picture(
        "arrivals",
        TITLE,
        counted,
        _reading(figures, cells, n),
        LIMITS,
        _drawn(cells),
        _drawn_small(cells),
        Table(("Hour", *DAYS), rows),
    )


def _reading(figures: Figures, cells: Cells, n: int) -> str:
    of_class = dict.fromkeys((SLEEP, BUSINESS, OFF), 0)
    for incidents, kind in cells.values():
        of_class[kind] += incidents
    hours = sum(figures.disrupted.values())
    asleep = figures.disrupted.get(SLEEP, 0)
    (day, hour), (most, _) = max(cells.items(), key=lambda cell: cell[1][0])
    weeks = f" ({number(asleep / figures.weeks)} a week)" if figures.weeks >= 1 else ""
    return (
        f"{share(of_class[SLEEP] / n)} came in sleep hours, {share(of_class[BUSINESS] / n)} in "
        f"business hours, {share(of_class[OFF] / n)} in others. {count(hours, 'hour')} had a new "
        f"incident, {asleep:,} of them sleep hours{weeks}. {DAYS[day - 1]} {hour}:00 had the "
        f"most: {most:,}."
    )


def _drawn(cells: Cells) -> Svg:
    svg = Svg(TOP + ROW * len(HOURS) + LEGEND)
    most = max(incidents for incidents, _ in cells.values())
    _head(svg)
    for hour in HOURS:
        top = TOP + hour * ROW
        svg.text(COLUMN - 0.02, top + 12, f"{hour}:00", "muted", "end")
        for column in range(1, 8):
            if incidents := cells[column, hour][0]:
                _cell(svg, column, top, ROW, incidents / most)
                svg.text((column + 0.5) * COLUMN, top + 12, f"{incidents:,}", anchor="middle")
    for kind, style in ((SLEEP, "sleep"), (BUSINESS, "business")):
        for column, first, last in _blocks(cells, kind):
            height = (last - first) * ROW - 2
            svg.box(column * COLUMN + 0.003, TOP + first * ROW + 1, COLUMN - 0.006, height, style)
    top = TOP + len(HOURS) * ROW + 9
    svg.box(COLUMN, top, 0.04, 11, "sleep")
    svg.text(COLUMN + 0.055, top + 10, "sleep hours")
    svg.box(0.5, top, 0.04, 11, "business")
    svg.text(0.555, top + 10, "business hours")
    return svg


def _drawn_small(cells: Cells) -> Svg:
    """Two hours in a row, without numbers and classes."""
    svg = Svg(TOP + ROW * len(HOURS) // 2 + 4)
    both = {
        (column, hour): cells[column, hour][0] + cells[column, hour + 1][0]
        for column in range(1, 8)
        for hour in HOURS[::2]
    }
    _head(svg)
    for (column, hour), incidents in both.items():
        if incidents:
            _cell(svg, column, TOP + hour * ROW // 2, ROW, incidents / max(both.values()))
    for hour in HOURS[::6]:
        svg.text(COLUMN - 0.02, TOP + hour * ROW // 2 + 12, f"{hour}:00", "muted", "end")
    return svg


def _head(svg: Svg) -> None:
    for column, name in enumerate(DAYS, 1):
        svg.text((column + 0.5) * COLUMN, 14, name, "muted", "middle")


def _cell(svg: Svg, column: int, top: float, height: float, share_of_most: float) -> None:
    svg.cell(column * COLUMN, top, COLUMN, height, MOST_OPACITY * share_of_most)


def _blocks(cells: Cells, kind: str) -> list[tuple[int, int, int]]:
    """Column, first hour and the one after the last, of hours of a class that follow each other."""
    found = []
    for column in range(1, 8):
        begun = None
        for hour in (*HOURS, len(HOURS)):
            inside = hour < len(HOURS) and cells[column, hour][1] == kind
            if inside and begun is None:
                begun = hour
            if not inside and begun is not None:
                found.append((column, begun, hour))
                begun = None
    return found
