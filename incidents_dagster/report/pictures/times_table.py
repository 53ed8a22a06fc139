"""The table below the pictures of resolution times."""

from incidents_dagster.report.figures import Group
from incidents_dagster.report.picture import Table
from incidents_dagster.report.words import duration, limits, share


def times_table(groups: list[tuple[str, Group]]) -> Table:
    """A row for each group, by the name that it has there."""
    headings = ("", "Incidents", "Closed", "Still open", "Half within", "95 % limits")
    return Table(
        (*headings, "Nine in ten within", "Within a day"),
        [
            (
                name,
                f"{one.incidents:,}",
                f"{one.closed:,}",
                f"{one.still_open:,}",
                duration(one.p50),
                limits(one.low, one.high) if one.p50 is not None else "",
                duration(one.p90),
                share(one.within_1_d, "not known yet"),
            )
            for name, one in groups
        ],
    )
