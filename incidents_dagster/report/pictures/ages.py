"""How long the open incidents have been open: bars by age."""

from incidents_dagster.report.figures import Figures
from incidents_dagster.report.picture import Picture, Table
from incidents_dagster.report.svg import Svg
from incidents_dagster.report.words import count, duration

TITLE = "Open now, by age"
LIMITS = "It does not show how urgent they are, nor whether somebody works on them."
ROW, BAR = 36, 12  # heights in pixels
OLD = ("3 d to 7 d", "7 d to 30 d", "over 30 d")


def picture(figures: Figures) -> Picture:
    """The open incidents of all sources by age."""
    ages = [age for age in figures.ages if age[0] != "unknown" or age[1] or age[2]]
    counted = count(figures.open, "open incident")
    if not figures.open:
        told = "No incident is open." if figures.incidents else "There are no incidents."
        return Picture("open_by_age", TITLE, counted, told, LIMITS)
    old = sum(number for bucket, number, _ in ages if bucket in OLD)
    unknown = sum(number for bucket, number, _ in ages if bucket == "unknown")
    known = figures.open - unknown
    told = f"{old:,} of {known:,} have been open for 3 days or longer"
    if figures.oldest:
        first = figures.oldest[0]
        told += f"; the oldest for {duration(first.age)}: “{first.title}”"
    if unknown:
        told += f". Of {unknown:,}, that is not known"
    if not known:
        told = "How long they have been open is not known"
    return Picture(
        "open_by_age",
        TITLE,
        counted,
        f"{told}.",
        LIMITS,
        svg := _drawn(ages),
        svg,
        Table(
            ("Age", "Open", "Not updated for so long"),
            [(bucket, f"{number:,}", f"{quiet:,}") for bucket, number, quiet in ages],
        ),
    )


def _drawn(ages: list[tuple[str, int, int]]) -> Svg:
    svg = Svg(ROW * len(ages))
    most = max(number for _, number, _ in ages)
    for row, (bucket, number, quiet) in enumerate(ages):
        top = row * ROW
        svg.text(0, top + 13, bucket)
        told = f"{quiet:,} not updated for so long" if quiet else ""
        svg.text(0.88, top + 13, told, "muted", "end")
        svg.text(1, top + 13, f"{number:,}", "strong", "end")
        svg.box(0, top + 19, 1, BAR, "track")
        svg.box(0, top + 19, number / most, BAR, "bar")
    return svg
