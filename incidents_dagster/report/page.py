"""The page: figures and pictures in the template `page.html`, written as one file.

Everything is in it, so that it opens without a network; its policy forbids any request. The
template escapes all texts.
"""

import os
from functools import cache
from pathlib import Path

import jinja2

from incidents_dagster.ingestion.errors import IngestionError
from incidents_dagster.ingestion.warehouse.store import Store
from incidents_dagster.report.figures import Figures
from incidents_dagster.report.picture import Picture
from incidents_dagster.report.svg import STYLE
from incidents_dagster.report.trust import Trust
from incidents_dagster.report.words import count, duration, listed, moment, share

WEEKS_LIMITS = (
    "Last week is the seven days before the last sync. If nothing but chance is at work, 95 of 100 "
    "weeks are in the range: for counts, that of Poisson counts at the rate of the weeks before, "
    "wider where those weeks differ more than Poisson counts do; for times, the 95 % limits of the "
    "median, and only if last week's do not overlap them is it a change. A woken hour is a sleep "
    "hour with a new incident. It does not show why something changed."
)
MOST_TRUST_LINES = 12


def page_path(store: Store) -> Path:
    """Where the page of a store's rows is."""
    return store.folder / "report" / "index.html"


def rendered(figures: Figures, pictures: list[Picture]) -> str:
    """The page as HTML."""
    last_week = figures.last_week
    return _template().render(
        svg_style=STYLE,
        as_of=moment(max((one.as_of for one in figures.trust if one.as_of), default=None)),
        trust=trust_lines(figures.trust),
        warnings=warnings(figures.trust),
        cards=_cards(figures),
        rows=last_week.rows if figures.incidents else [],
        weeks_told=_weeks_told(figures),
        weeks_reading=_weeks_reading(figures),
        weeks_limits=WEEKS_LIMITS,
        pictures=pictures,
        oldest=figures.oldest,
        several=len(figures.sources) > 1,
        store=figures.store,
    )


def write(html: str, path: Path) -> None:
    """Writes the page so that a reader has the old one or the new one, and never half of one.

    Raises:
        IngestionError: It cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_text(html, "utf-8")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise IngestionError(
            f"The report cannot be written to {path}: {error.strerror}. It is always beside the "
            "DuckDB file, which INCIDENTS_DUCKDB_PATH moves, or in data/ if the store is shared: "
            "make room for it there."
        ) from None


def trust_lines(trust: list[Trust]) -> list[str]:
    """How far the page can be trusted, a line for each source."""
    if not trust:
        return ["No incident is known yet."]
    lines = []
    for one in trust[:MOST_TRUST_LINES]:
        of = f"{one.source}: " if len(trust) > 1 else ""
        if not one.proven_until:
            lines.append(f"{of}{count(one.incidents, 'incident')}, of which no sync is proven.")
            continue
        proven = "Accepted without a proof" if one.accepted else "Proven complete"
        told = f"{proven} until {moment(one.proven_until)}: {count(one.incidents, 'incident')}"
        lines.append(f"{of}{told}, {_polled(one)}.")
    if more := len(trust) - len(lines):
        lines.append(f"And {count(more, 'source')} more.")
    return lines


def _polled(one: Trust) -> str:
    if one.polled_minutes is None:
        return f"read by {count(one.syncs, 'sync')} so far"
    told = f"polled every {duration(one.polled_minutes)}"
    if one.longest_gap and one.longest_gap > 2 * one.polled_minutes:
        told += f", the longest gap {duration(one.longest_gap)}"
    return told


def warnings(trust: list[Trust]) -> list[str]:
    """What is not proven, and which statuses have no phase."""
    found = []
    unproven = [one for one in trust if one.unproven or not one.proven_until]
    if unproven:
        changed = sum(one.unproven for one in unproven)
        found.append(
            f"Not proven: {listed([one.source for one in unproven])}. "
            f"{count(changed, 'incident')} changed in syncs after the last proven one."
        )
    without = sum(one.without_phase for one in trust)
    if without:
        incidents = sum(one.incidents for one in trust)
        statuses = [f"“{status}”" for one in trust for status in one.statuses]
        found.append(
            f"{without:,} of {count(incidents, 'incident')} have a status without a phase, and are "
            f"in no figure of what is open or closed: {listed(statuses)}. Name them in phases of "
            "the resource, in .dlt/config.toml."
        )
    return found


def _cards(figures: Figures) -> list[tuple[str, str]]:
    if not figures.incidents:
        return []
    weeks = figures.last_week
    cards = [("open now", f"{figures.open:,}"), ("opened last week", f"{weeks.opened:,}")]
    closed = "unknown" if weeks.closed is None else f"{weeks.closed:,}"
    cards.append(("closed last week", closed))
    if len(figures.sources) == 1:
        of_all = [one for one in figures.groups if one.severity == "all"]
        timed = [one for one in of_all if one.incidents > one.without_times]
        half = duration(timed[0].p50) if timed else "unknown"
        cards.append(("half resolved within", half))
    none = "unknown" if figures.open else "none"
    cards.append(("the oldest open", duration(figures.oldest[0].age) if figures.oldest else none))
    known = [one for one in figures.acknowledged if one.cohort == "all"]
    if len(known) == len(figures.sources) == 1:
        cards.append(("acknowledgements known", share(known[0].coverage)))
    return cards


def _weeks_told(figures: Figures) -> str:
    weeks = figures.last_week.weeks
    told = count(figures.last_week.opened, "incident")
    if not weeks:
        return f"n: {told} of last week; no whole week before it is known"
    return f"n: {told} of last week, against {count(weeks, 'week')} before"


def _weeks_reading(figures: Figures) -> str:
    if not figures.incidents:
        return "There are no incidents to compare."
    if not figures.last_week.weeks:
        return "There is nothing to compare with yet: that takes two weeks of incidents."
    changes = [f"{row.name}: {row.verdict}" for row in figures.last_week.rows if row.is_change]
    if not changes:
        return "Nothing has changed beyond what chance allows."
    return f"Changed beyond what chance allows: {', '.join(changes)}."


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["duration"] = duration
    environment.trim_blocks = environment.lstrip_blocks = True
    return environment.from_string((Path(__file__).parent / "page.html").read_text("utf-8"))
