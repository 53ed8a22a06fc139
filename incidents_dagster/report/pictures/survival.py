"""How long incidents stay open: Kaplan-Meier curves over logarithmic time, and single incidents."""

from collections.abc import Callable

from incidents_dagster.report.figures import MOST_DOTS, Dot, Figures, Group, Step
from incidents_dagster.report.picture import Picture
from incidents_dagster.report.pictures.times_table import times_table
from incidents_dagster.report.scales import LogTime
from incidents_dagster.report.svg import Svg
from incidents_dagster.report.words import count, duration, fits, limits

TITLE = "How long incidents stay open"
LIMITS = (
    "Open incidents count as long as they have been open, and are assumed to go on as others of "
    "their age did; a reopened one counts until it was first closed. It does not show whether "
    "that took work or waiting."
)
ABOUT_MISSING = (
    " If the API does not say when incidents were closed, none that is older than the first sync "
    "is in a curve."
)
KEY, PLOT, STRIP = 18, 200, 36  # heights in pixels
PERCENT = (100, 75, 50, 25)
FEW_DOTS, FEW_STEPS = 40, 24
JITTERS = 5
ROOM = 25  # letters of a name and its counts, beside the median on a phone
MOST_SENTENCES = 3

Height = Callable[[float], float]  # of a share, in pixels


def picture(figures: Figures) -> Picture:
    """The curves of several sources, or of all incidents and the severities of the only one."""
    groups = figures.compared
    drawn = [one for one in groups if (one.source, one.severity) in figures.curves]
    n, still_open = _sum(figures, "incidents"), _sum(figures, "still_open")
    counted = f"{count(n, 'incident')}, {still_open:,} of them open and never closed"
    missing = _sum(figures, "without_times")
    if missing:
        counted += f"; {missing:,} without times or a phase are in no curve"
    if not drawn:
        told = "No incident has times from which a curve could be made."
        return Picture("time_to_resolve", TITLE, counted, told, LIMITS)
    return Picture(
        "time_to_resolve",
        TITLE,
        counted,
        " ".join(
            _reading(one, figures) for one in drawn[: min(len(figures.sources), MOST_SENTENCES)]
        ),
        LIMITS + (ABOUT_MISSING if missing else "") + _about_dots(figures.dots, n),
        _drawn(figures, drawn, small=False),
        _drawn(figures, drawn, small=True),
        times_table([(figures.name_of(one), one) for one in drawn]),
    )


def _sum(figures: Figures, name: str) -> int:
    return sum(getattr(one, name) for one in figures.groups if one.severity == "all")


def _about_dots(dots: list[Dot], n: int) -> str:
    if len(dots) < MOST_DOTS or n <= MOST_DOTS:  # those that have no dot have no times
        return ""
    return f" Of {n:,} incidents, {len(dots):,} picked by chance are dots."


def _reading(group: Group, figures: Figures) -> str:
    of = f" of {group.source}" if len(figures.sources) > 1 else ""
    if group.p50 is None:
        return f"The time by which half{of} are resolved is not reached yet."
    told = f"Half{of} are resolved within {duration(group.p50)}"
    told += f" (95 % limits: {limits(group.low, group.high)})"
    ninety = duration(group.p90)
    return f"{told}; nine in ten {f'within {ninety}' if group.p90 is not None else ninety}."


def _drawn(figures: Figures, groups: list[Group], small: bool) -> Svg:
    top = KEY * len(groups) + 26
    bottom, strips = top + PLOT, (top + PLOT + 24, top + PLOT + 24 + STRIP)
    svg = Svg(strips[1] + STRIP + 2)
    curves = [figures.curves[one.source, one.severity] for one in groups]
    ends = [step.minutes for steps in curves for step in (steps[0], steps[-1])]
    x = LogTime.over(*ends, *(dot.minutes for dot in figures.dots))

    def y(value: float) -> float:
        return bottom - PLOT * value

    for percent in PERCENT:
        svg.line(0, y(percent / 100), 1, y(percent / 100), "grid")
    x.draw(svg, top, bottom)
    svg.line(0, bottom, 1, bottom, "axis")
    if len(figures.sources) == 1 and not small:
        _band(svg, curves[0], x, y)
    for number, steps in list(enumerate(curves))[::-1]:  # the first one above the others
        some = steps[:: -(-len(steps) // FEW_STEPS)] if small else steps
        svg.path(_stairs(some, x, y), f"curve c{number}")
    for percent in PERCENT:
        words = f"{percent} % still open" if percent == PERCENT[0] else f"{percent} %"
        svg.text(0, y(percent / 100) - 3, words, "muted")
    for number, one in enumerate(groups):
        _key(svg, KEY * number + 6, number, figures.name_of(one), one)
    dots = figures.dots[:FEW_DOTS] if small else figures.dots
    for strip, is_open in zip(strips, (False, True), strict=True):
        word = "still open" if is_open else "closed"
        svg.text(0, strip + 14, word, "muted")
        svg.line(0, strip + STRIP, 1, strip + STRIP, "grid")
        for number, dot in enumerate(dots):
            if dot.is_open is is_open:
                told = "" if small else f"{dot.title}, {word}, {duration(dot.minutes)}"
                height = strip + STRIP - 3 - number % JITTERS * 3
                svg.dot(x(dot.minutes), height, 3, "open" if is_open else "closed", told)
    return svg


def _key(svg: Svg, top: float, number: int, name: str, group: Group) -> None:
    svg.path([(0, top + 4), (0.09, top + 4)], f"curve c{number}")
    counts = f": {group.incidents:,}, {group.still_open:,} open"
    if len(name) + len(counts) > ROOM:  # the table has it
        counts = f": {group.incidents:,}"
    shown = fits(name, ROOM - len(counts)) + counts
    svg.text(0.11, top + 8, shown, "strong" if number == 0 else "")
    half = duration(group.p50) if group.p50 is not None else "half not reached"
    svg.text(1, top + 8, f"half in {half}" if group.p50 is not None else half, "", "end")


def _stairs(steps: list[Step], x: LogTime, y: Height) -> list[tuple[float, float]]:
    points, share_before = [(0.0, y(1.0))], 1.0
    for step in steps:
        points += [(x(step.minutes), y(share_before)), (x(step.minutes), y(step.share))]
        share_before = step.share
    return points


def _band(svg: Svg, steps: list[Step], x: LogTime, y: Height) -> None:
    """The limits of 95 % of a curve, as far as there are any."""
    known = [one for one in steps if one.low is not None and one.high is not None]
    if len(known) > 1:
        highs = _stairs([Step(s.minutes, s.high or 0.0, None, None) for s in known], x, y)
        lows = _stairs([Step(s.minutes, s.low or 0.0, None, None) for s in known], x, y)
        svg.path([*highs, *lows[::-1]], "band", filled=True)
