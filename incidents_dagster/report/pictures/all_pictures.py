"""All pictures, in the order of the page."""

from incidents_dagster.report.figures import Figures
from incidents_dagster.report.picture import Picture
from incidents_dagster.report.pictures import (
    acknowledge,
    ages,
    arrivals,
    backlog,
    groups,
    noise,
    survival,
)

ALL = (
    backlog.picture,
    survival.picture,
    ages.picture,
    arrivals.picture,
    noise.picture,
    acknowledge.picture,
    groups.picture,
)


def pictures(figures: Figures) -> list[Picture]:
    """Those that have something to say."""
    return [found for make in ALL if (found := make(figures))]
