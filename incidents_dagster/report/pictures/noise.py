"""Which services have the incidents, and how many are noise: Pareto bars, the longest first."""

from itertools import accumulate

from incidents_dagster.report.figures import Figures, Noise
from incidents_dagster.report.picture import Picture, Table
from incidents_dagster.report.svg import Svg
from incidents_dagster.report.words import count, share

TITLE = "Noise by service"
LIMITS = (
    "A short-lived incident was closed within 5 minutes without an acknowledgement; that it was "
    "not worth waking somebody is a guess. It does not show who was woken."
)
MOST_ROWS, FEW_ROWS, MOST_IN_TABLE = 10, 6, 40
ROOM = 34  # letters of a name
ROW, BAR, TOP = 50, 12, 22  # heights in pixels


def picture(figures: Figures) -> Picture:
    """The services of the last 13 weeks."""
    services = [one for one in figures.noise if one.incidents]
    n = sum(one.incidents for one in services)
    counted = f"{count(n, 'incident')} of the last 13 weeks, {count(len(services), 'service')}"
    if not n:
        told = "No incident was opened in the last 13 weeks."
        return Picture("noise", TITLE, counted, told, LIMITS)
    return Picture(
        "noise",
        TITLE,
        counted,
        _reading(services, n),
        LIMITS,
        _drawn(services[:MOST_ROWS], services, n),
        _drawn(services[:FEW_ROWS], services, n),
        Table(
            ("Service", "Incidents", "Short-lived", "Reopened", "Repeated within a day"),
            [
                (
                    one.service,
                    f"{one.incidents:,}",
                    f"{one.short_lived:,}" if one.timed else "unknown",
                    f"{one.reopened:,}",
                    "unknown" if one.repeated is None else f"{one.repeated:,}",
                )
                for one in services[:MOST_IN_TABLE]
            ],
        ),
    )


def _reading(services: list[Noise], n: int) -> str:
    so_far = list(accumulate(one.incidents for one in services))
    half = 1 + sum(2 * total < n for total in so_far)
    short, timed = (sum(getattr(one, of) for one in services) for of in ("short_lived", "timed"))
    titled = [one.repeated for one in services if one.repeated is not None]
    told = ""
    if len(services) > 1:
        verb = "has" if half == 1 else "have"
        told = f"{half} of {len(services)} services {verb} half of all incidents. "
    if timed:
        of = "all" if timed == n else f"the {timed:,} of which that is known"
        told += f"{share(short / timed)} of {of} were short-lived"
    else:
        told += "It is not known how many were short-lived"
    if titled:
        of = "" if timed == n else " of all"
        told += f", {share(sum(titled) / n)}{of} repeated within a day"
    noisy = max(services, key=lambda one: one.short_lived)
    if noisy.short_lived and len(services) > 1:
        told += (
            f"; most short-lived ones are of {noisy.service}: {noisy.short_lived:,} of its "
            f"{noisy.incidents:,}"
        )
    return f"{told}."


def _drawn(shown: list[Noise], services: list[Noise], n: int) -> Svg:
    rest = services[len(shown) :]
    svg = Svg(TOP + ROW * len(shown) + (20 if rest else 0))
    svg.box(0, 4, 0.03, 11, "bar light")
    svg.text(0.04, 14, "all")
    svg.box(0.14, 4, 0.03, 11, "bar")
    svg.text(0.18, 14, "short-lived")
    svg.text(1, 14, "so far, of all", "muted", "end")
    most, so_far = services[0].incidents, 0
    for row, one in enumerate(shown):
        top = TOP + row * ROW
        so_far += one.incidents
        svg.text(0, top + 15, _fitting(one.service))
        told = f"{one.incidents:,}"
        if one.short_lived:
            told += f", {one.short_lived:,} short-lived"
        svg.text(1, top + 15, share(so_far / n), "muted", "end")
        svg.text(0, top + 29, told, "strong")
        svg.box(0, top + 34, one.incidents / most, BAR, "bar light")
        svg.box(0, top + 34, one.short_lived / most, BAR, "bar")
    if rest:
        others = sum(one.incidents for one in rest)
        top = TOP + ROW * len(shown) + 14
        told = f"and {count(len(rest), 'service')} more with {count(others, 'incident')}"
        svg.text(0, top, told, "muted")
    return svg


def _fitting(name: str) -> str:
    """A name without its middle if it is long: services differ at the end, sources at the start."""
    half = ROOM // 2
    return name if len(name) <= ROOM else f"{name[: half - 1]}…{name[-half:]}"
