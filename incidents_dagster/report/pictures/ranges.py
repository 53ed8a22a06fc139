"""Medians beside each other over logarithmic time, each with its limits of 95 %."""

from dataclasses import dataclass

from incidents_dagster.report.scales import LogTime
from incidents_dagster.report.svg import Svg
from incidents_dagster.report.words import duration, fits

ROW, BOTTOM = 46, 22  # heights in pixels
ROOM = 34  # letters of a name


@dataclass(frozen=True)
class Range:
    """A median.

    Attributes:
        name: Of what.
        told: Beside the median, such as how many there are.
        p50: In minutes; None: not reached.
        low: Its lower limit.
        high: Its upper limit; None: there is none.
    """

    name: str
    told: str
    p50: float | None
    low: float | None
    high: float | None


def drawn(ranges: list[Range]) -> Svg:
    """A row for each: the median as a dot on the line between its limits."""
    height = ROW * len(ranges)
    svg = Svg(height + BOTTOM)
    x = LogTime.over(*(minutes for one in ranges for minutes in (one.p50, one.low, one.high)))
    x.draw(svg, 0, height)
    svg.line(0, height, 1, height, "axis")
    for row, one in enumerate(ranges):
        top = row * ROW
        svg.text(0, top + 14, fits(one.name, ROOM))
        svg.text(0, top + 28, one.told, "muted")
        svg.text(1, top + 14, duration(one.p50), "strong", "end")
        if one.low is not None:
            # Without an upper limit, the line goes to the edge.
            end = x(one.high) if one.high is not None else 1.0
            svg.line(x(one.low), top + 38, end, top + 38, "range")
        if one.p50 is not None:
            svg.dot(x(one.p50), top + 38, 5, "point")
    return svg
