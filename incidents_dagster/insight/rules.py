"""The checks of the tables of `insight`: each a query that selects what is wrong.

A check's description is true when it passes.
"""

from dataclasses import dataclass

import duckdb

SAMPLE_SIZE = 5
COUNTED = "every_incident_is_counted_once"


@dataclass(frozen=True)
class Found:
    """What a rule found.

    Attributes:
        rule: The rule.
        count: How many rows are wrong.
        sample: Some of them, as text.
    """

    rule: "Rule"
    count: int
    sample: str

    @property
    def problem(self) -> str:
        """What is wrong; empty if nothing is."""
        more = " …" if self.count > SAMPLE_SIZE else ""
        return f"{self.count:,} are wrong: {self.sample}{more}" if self.count else ""


@dataclass(frozen=True)
class Rule:
    """A check of a table.

    Attributes:
        table: The table.
        name: The check's name.
        description: What is true when it passes.
        offenders: SQL that selects what is wrong.
        is_error: Whether a failure means that figures are wrong; else it warns.
    """

    table: str
    name: str
    description: str
    offenders: str
    is_error: bool = True

    def find(self, connection: duckdb.DuckDBPyConnection) -> Found:
        """Counts and samples what is wrong."""
        sample = connection.execute(
            f"SELECT count(*) OVER (), * FROM ({self.offenders}) ORDER BY ALL LIMIT {SAMPLE_SIZE}"
        ).fetchall()
        told = "; ".join(
            " ".join("null" if v is None else str(v) for v in row[1:]) for row in sample
        )
        return Found(self, sample[0][0] if sample else 0, told)


def _counted(table: str, what: str, theirs: str, ours: str) -> Rule:
    """That the counts of a table, by source, are those of `incident_lifecycle`."""
    return Rule(
        table,
        COUNTED,
        f"{what} of incident_lifecycle is counted in {table} once.",
        f"SELECT source, theirs, ours FROM ({theirs}) FULL JOIN ({ours}) USING (source) "
        "WHERE theirs IS DISTINCT FROM ours",
    )


LIFECYCLE = "SELECT source, {count} AS ours FROM insight.incident_lifecycle GROUP BY source"
RECENT = "phase IS DISTINCT FROM 'deleted' AND opened_at > as_of - INTERVAL 91 DAY"

RULES = (
    Rule(
        "incident_status_history",
        "intervals_are_seamless",
        "An incident's intervals follow each other without gap or overlap, and one is current.",
        """
        SELECT source, id, sequence
        FROM (
            SELECT
                *,
                row_number() OVER incident AS number,
                lead(entered_after) OVER incident AS next_after,
                lead(entered_by) OVER incident AS next_by,
                lead(sequence) OVER incident AS next_sequence
            FROM insight.incident_status_history
            WINDOW incident AS (PARTITION BY source, id ORDER BY sequence)
        )
        WHERE
            sequence <> number
            OR entered_by IS NULL
            OR entered_after > entered_by
            OR next_by < entered_by
            OR next_after < entered_after
            OR left_after IS DISTINCT FROM next_after
            OR left_by IS DISTINCT FROM next_by
            OR is_current <> (next_sequence IS NULL)
        """,
    ),
    Rule(
        "incident_status_history",
        "every_status_has_a_phase",
        "The settings have a phase for every status that was seen.",
        "SELECT source, status, count(DISTINCT id) AS incidents "
        "FROM insight.incident_status_history WHERE phase IS NULL GROUP BY ALL",
        is_error=False,
    ),
    Rule(
        "incident_lifecycle",
        COUNTED,
        "Every row of incidents.incidents is in incident_lifecycle once.",
        """
        SELECT source, id, theirs, ours
        FROM (SELECT source, id, count(*) AS theirs FROM incidents.incidents GROUP BY ALL)
        FULL JOIN (SELECT source, id, count(*) AS ours FROM insight.incident_lifecycle GROUP BY ALL)
            USING (source, id)
        WHERE theirs IS DISTINCT FROM ours
        """,
    ),
    Rule(
        "incident_lifecycle",
        "no_time_is_negative",
        "No incident ends before it begins.",
        """
        SELECT source, id FROM insight.incident_lifecycle
        WHERE
            first_closed_at < opened_at
            OR last_closed_at < first_closed_at
            OR acknowledged_by < acknowledged_after
            OR age_minutes < 0
            OR minutes_since_update < 0
        """,
    ),
    _counted(
        "time_to_resolve",
        "Every incident",
        "SELECT source, incidents AS theirs FROM insight.time_to_resolve "
        "WHERE cohort = 'all' AND severity = 'all' AND team = 'all'",
        LIFECYCLE.format(count="count(*)"),
    ),
    Rule(
        "time_to_resolve",
        "cohorts_add_up",
        "Months and weeks have all incidents whose opening is known, each once.",
        """
        SELECT source, months, weeks, opened
        FROM (
            SELECT
                source,
                sum(incidents) FILTER (cohort LIKE '____-__') AS months,
                sum(incidents) FILTER (cohort LIKE '____-W__') AS weeks
            FROM insight.time_to_resolve
            WHERE severity = 'all' AND team = 'all'
            GROUP BY source
        )
        JOIN (
            SELECT source, count(opened_at) AS opened FROM insight.incident_lifecycle
            GROUP BY source
        ) USING (source)
        WHERE coalesce(months, 0) <> opened OR coalesce(weeks, 0) <> opened
        """,
    ),
    _counted(
        "open_by_age",
        "Every open incident",
        "SELECT source, sum(open) AS theirs FROM insight.open_by_age GROUP BY source",
        LIFECYCLE.format(count="count(*) FILTER (WHERE is_open)"),
    ),
    Rule(
        "backlog_daily",
        COUNTED,
        "Every open incident of incident_lifecycle is open at the end of the last day.",
        """
        SELECT source, open_at_end, ours
        FROM (
            SELECT source, last(open_at_end ORDER BY day) AS open_at_end
            FROM insight.backlog_daily
            GROUP BY source
        )
        JOIN (
            SELECT source, count(*) FILTER (WHERE is_open) AS ours
            FROM insight.incident_lifecycle
            GROUP BY source
        ) USING (source)
        WHERE open_at_end <> ours
        """,
    ),
    Rule(
        "backlog_daily",
        "days_add_up",
        "Every day is there, and what is open at its end follows from the day before.",
        """
        SELECT source, day
        FROM (
            SELECT
                *,
                lag(day) OVER days AS day_before,
                lag(open_at_end) OVER days AS open_before
            FROM insight.backlog_daily
            WINDOW days AS (PARTITION BY source ORDER BY day)
        )
        WHERE
            day <> day_before + 1
            OR open_at_end <> open_before + opened + reopened + returned - closed - deleted
            OR oldest_age_minutes < 0
        """,
    ),
    _counted(
        "arrivals",
        "Every incident of the last 13 weeks",
        "SELECT source, sum(incidents) AS theirs FROM insight.arrivals GROUP BY source",
        LIFECYCLE.format(count=f"count(*) FILTER (WHERE {RECENT})"),
    ),
    Rule(
        "noise",
        COUNTED,
        "Every incident of the last 13 weeks of incident_lifecycle is counted in noise once.",
        f"""
        SELECT source, theirs, ours
        FROM (SELECT source, sum(incidents) AS theirs FROM insight.noise GROUP BY source)
        FULL JOIN (
            SELECT source, count(*) AS ours FROM insight.incident_lifecycle WHERE {RECENT}
            GROUP BY source
        ) USING (source)
        WHERE theirs IS DISTINCT FROM ours
        """,
    ),
)
