"""Where values stand along an axis, and which of them are named there."""

from dataclasses import dataclass
from datetime import date
from math import floor, log10

from incidents_dagster.report.svg import Svg

STEPS = (1, 2, 5, 10)
# Minutes that an axis of times names; those that would stand too close are left out.
TIMES = {
    1.0: "1 min",
    10.0: "10 min",
    60.0: "1 h",
    360.0: "6 h",
    1440.0: "1 d",
    10080.0: "7 d",
    43200.0: "30 d",
    525600.0: "1 y",
    5256000.0: "10 y",
}
NEAR_EDGE = 0.04
MOST_MONTHS = 7


@dataclass(frozen=True)
class LogTime:
    """Minutes on a logarithmic axis, from the left edge to the right one."""

    least: float
    most: float

    @classmethod
    def over(cls, *minutes: float | None) -> "LogTime":
        """An axis that has room for these, and for 10 minutes to a day in any case."""
        known = [one for one in minutes if one is not None]
        return cls(max(0.5, min([10.0, *known]) / 1.3), max([1440.0, *known]) * 1.3)

    def __call__(self, minutes: float) -> float:
        """The share of the width at which so many minutes are."""
        bounded = min(max(minutes, self.least), self.most)
        return log10(bounded / self.least) / log10(self.most / self.least)

    def draw(self, svg: Svg, top: float, bottom: float) -> None:
        """Lines at the times that are named, and their names below."""
        for minutes, name in TIMES.items():
            x = self(minutes)
            if self.least <= minutes <= self.most and NEAR_EDGE < x < 1 - NEAR_EDGE:
                svg.line(x, top, x, bottom, "grid")
                svg.text(x, bottom + 15, name, "muted", "middle")


def ticks(most: float, count: int = 4) -> list[int]:
    """Round whole numbers from 0 to `most`, about `count` of them."""
    if most <= 0:
        return [0]
    rough = max(1.0, most / count)
    size = 10 ** floor(log10(rough))
    step = next(int(size * one) for one in STEPS if size * one >= rough)
    return list(range(0, int(most) + 1, step))


def months(first: date, last: date) -> list[date]:
    """The first days of months between two days, about seven at most."""
    found = []
    year, month = first.year, first.month
    while (day := date(year, month, 1)) <= last:
        if day >= first:
            found.append(day)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)  # noqa: PLR2004
    return found[:: -(-len(found) // MOST_MONTHS) or 1]
