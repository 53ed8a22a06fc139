"""How long incidents wait until somebody acknowledges them, by month, with how much is known."""

from incidents_dagster.report.figures import Acknowledged, Figures
from incidents_dagster.report.picture import Picture, Table
from incidents_dagster.report.pictures.ranges import Range, drawn
from incidents_dagster.report.words import count, duration, limits, share

TITLE = "Time to acknowledge"
LIMITS = (
    "What is closed without an acknowledgement counts as waiting until it was closed. A dot is the "
    "time within which half are acknowledged, the line has its 95 % limits. It does not show "
    "whether whoever acknowledged it began to work on it."
)
MOST_MONTHS, FEW_MONTHS, MOST_SENTENCES = 6, 4, 3


def picture(figures: Figures) -> Picture:
    """By month; by source, where there are several."""
    of_all = [one for one in figures.acknowledged if one.cohort == "all"]
    if not of_all:
        told = (
            "Nothing shows an acknowledgement: the API gives no time of it, and no sync has seen "
            "an incident in a status of that phase."
        )
        return Picture("time_to_acknowledge", TITLE, count(0, "acknowledgement"), told, LIMITS)
    n = sum(one.incidents for one in of_all)
    known = sum(one.acknowledged for one in of_all)
    months = [one for one in figures.acknowledged if one.cohort != "all"]
    several, of_several = len(of_all) > 1, len(figures.sources) > 1
    shown = of_all if several else months[-MOST_MONTHS:] or of_all
    return Picture(
        "time_to_acknowledge",
        TITLE,
        f"{count(n, 'incident')}, {known:,} of them with a known acknowledgement",
        " ".join(_reading(one, of_several) for one in of_all[:MOST_SENTENCES]),
        LIMITS,
        drawn([_range(one, several) for one in shown[-MOST_MONTHS:]]),
        drawn([_range(one, several) for one in shown[-FEW_MONTHS:]]),
        _table(of_all + (months[-MOST_MONTHS:] if not several else []), several),
    )


def _reading(one: Acknowledged, several: bool) -> str:
    of = f" of {one.source}" if several else ""
    if one.p50 is None:
        told = f"The time within which half{of} are acknowledged is not reached"
    else:
        told = f"Half{of} are acknowledged within {duration(one.p50)} ({limits(one.low, one.high)})"
    told += f"; known for {share(one.coverage)} of those that were acknowledged or closed"
    if one.gap:
        told += f", to within {duration(one.gap)} on average, as syncs saw it"
    return f"{told}."


def _name(one: Acknowledged, several: bool) -> str:
    return one.source if several else one.cohort


def _range(one: Acknowledged, several: bool) -> Range:
    told = f"{one.incidents:,}, known for {share(one.coverage)}"
    return Range(_name(one, several), told, one.p50, one.low, one.high)


def _table(rows: list[Acknowledged], several: bool) -> Table:
    headings = ("", "Incidents", "Acknowledged", "Known for", "Half within", "95 % limits")
    return Table(
        (*headings, "Nine in ten within"),
        [
            (
                _name(one, several),
                f"{one.incidents:,}",
                f"{one.acknowledged:,}",
                share(one.coverage),
                duration(one.p50),
                limits(one.low, one.high) if one.p50 is not None else "",
                duration(one.p90),
            )
            for one in rows
        ],
    )
