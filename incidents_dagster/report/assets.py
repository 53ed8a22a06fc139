"""The asset `incident_report`: the page, with a small picture of each chart and its figures.

It follows the tables in the job `insight_refresh`. Dagster plots numbers in metadata over time.
"""

import base64
from typing import Any

import dagster as dg

from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.insight.assets import GROUP
from incidents_dagster.insight.sql_files import sql_files
from incidents_dagster.names import REPORT
from incidents_dagster.report.figures import Figures, read
from incidents_dagster.report.page import page_path, rendered, write
from incidents_dagster.report.picture import Picture
from incidents_dagster.report.pictures.all_pictures import pictures
from incidents_dagster.sources import LEADING
from incidents_dagster.who_started import waiting

DIGITS = 4  # of what is plotted
MARKDOWN = r"\`*_{}[]()#+-.!|<>~&"  # what means something in it


@dg.asset(
    name=REPORT,
    deps=list(sql_files()),
    group_name=GROUP,
    owners=LEADING.settings.owners,
    kinds={"html"},
    description=(
        "One page of what the incidents say, report/index.html beside the DuckDB file, or in "
        "data/ if the store is shared: how far it can be trusted, last week, backlog, how long "
        "incidents stay open, when people are disrupted, noise. It needs no network."
    ),
)
def incident_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """Reads the tables of `insight`, and writes the page."""
    try:
        store = configured_store()
        wait = waiting(LEADING.settings, context.run).wait_seconds
        figures = read(store, wait)
        shown = pictures(figures)
        path = page_path(store)
        write(rendered(figures, shown), path)
    except Exception as error:
        raise dg.Failure(redact(explain(error))) from None
    context.log.info(f"{REPORT}: {path}")
    return dg.MaterializeResult(
        asset_key=REPORT,
        metadata={
            "page": dg.MetadataValue.path(str(path)),
            **plotted(figures),
            # In one entry, as the UI opens each in a dialog.
            "pictures": dg.MetadataValue.md("\n\n".join(map(_markdown, shown))),
        },
    )


def plotted(figures: Figures) -> dict[str, float]:
    """The numbers that Dagster plots over time; what is not known or not reached is left out."""
    week = figures.last_week
    several = len(figures.sources) > 1
    found: dict[str, float | None] = {"incidents": figures.incidents}
    if figures.incidents:
        found |= {
            "open": figures.open,
            "opened_last_week": week.opened,
            "closed_last_week": week.closed,
            "woken_hours_last_week": week.woken,
            "oldest_age_minutes": figures.oldest[0].age if figures.oldest else None,
            "without_phase": sum(one.without_phase for one in figures.trust),
            "unproven": sum(one.unproven for one in figures.trust),
        }
    for group in figures.groups:
        if group.severity == "all":
            found[f"p50_minutes/{group.source}" if several else "p50_minutes"] = group.p50
    for one in figures.acknowledged:
        if one.cohort == "all":
            found[f"coverage/{one.source}" if several else "coverage"] = one.coverage
    return {name: round(value, DIGITS) for name, value in found.items() if value is not None}


def _markdown(picture: Picture) -> str:
    # Dagster leaves out <svg>, and shows images.
    lines = [f"### {picture.title}", _plain(f"{picture.reading} n: {picture.counted}.")]
    if picture.small:
        image = base64.b64encode(picture.small.alone(picture.title).encode()).decode()
        lines.append(f"![{picture.title}](data:image/svg+xml;base64,{image})")
    return "\n\n".join(lines)


def _plain(text: str) -> str:
    """Text that Markdown takes as it is: a title may hold links, images and HTML."""
    return "".join(f"\\{letter}" if letter in MARKDOWN else letter for letter in text)
