"""`time_to_resolve` and `time_to_acknowledge`: right, or empty, never a wrong figure."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from incidents_dagster_tests.insight.seen import Seen, amiss, at, built, opened

Answers = Callable[[str], list[Any]]
ALL = "cohort = 'all' AND severity = 'all' AND team = 'all'"
COUNTS = "incidents, closed, still_open, deleted, without_times"


def lived(seen: Seen, *minutes: float | None, until: float = 100.0) -> None:
    """Incidents that were opened at 0, and closed after so many minutes; None: not yet."""
    seen.sync(0, *(opened(str(n), 0) for n in range(len(minutes))))
    closed = sorted((m, n) for n, m in enumerate(minutes) if m is not None)
    for m, n in closed:
        done = {"id": str(n), "status": "done", "updated_at": at(m / 60), "resolved_at": at(m / 60)}
        seen.sync(m / 60, done)
    seen.sync(until)


def quantiles(answers: Answers, where: str = ALL) -> Any:
    return answers(
        f"SELECT p50_minutes, p75_minutes, p90_minutes FROM insight.time_to_resolve WHERE {where}"
    )


def test_with_nothing_closed_no_quantile_is_reached(seen: Seen, answers: Answers) -> None:
    lived(seen, None, None, until=2)
    assert amiss(built(seen)) == []
    assert answers(f"SELECT {COUNTS} FROM insight.time_to_resolve WHERE {ALL}") == [(2, 0, 2, 0, 0)]
    assert quantiles(answers) == [(None, None, None)]
    assert answers(
        f"SELECT within_30_min, within_1_h, within_4_h FROM insight.time_to_resolve WHERE {ALL}"
    ) == [(0, 0, None)]


def test_open_incidents_count_as_long_as_they_are_open(seen: Seen, answers: Answers) -> None:
    # By hand: 4/5, 4/5 · 3/4 = 3/5, and 3/5 · 1/2 = 3/10 with one gone in between.
    seen.sync(0, *(opened(name, 0) for name in "ABCDE"))
    for hours, name in ((1, "A"), (2, "B")):
        seen.sync(hours, {"id": name, "status": "done", "updated_at": at(hours)})
    seen.sync(3, {"id": "C", "status": "new", "deleted": True})
    seen.sync(4, {"id": "D", "status": "done", "updated_at": at(4)})
    seen.sync(5)
    assert amiss(built(seen)) == []
    assert answers(
        "SELECT minutes, at_risk, ended, round(share, 6) FROM insight.survival "
        f"WHERE measure = 'resolve' AND {ALL} ORDER BY minutes"
    ) == [
        (60, 5, 1, 0.8),
        (120, 4, 1, 0.6),
        (240, 2, 1, 0.3),
        (300, 1, 0, 0.3),
    ]
    assert quantiles(answers) == [(240, None, None)]
    assert answers(f"SELECT {COUNTS} FROM insight.time_to_resolve WHERE {ALL}") == [(5, 3, 1, 1, 0)]


def test_what_is_older_than_the_first_sync_counts_if_the_api_says_when_such_ones_were_closed(
    tmp_path: Path, seen: Seen, answers: Answers
) -> None:
    figures = f"SELECT {COUNTS}, p50_minutes FROM insight.time_to_resolve WHERE {ALL}"
    old = [opened("long", -1000), opened("late", -900), opened("quick", -10, status="done")]
    later = [{"id": "late", "status": "done", "updated_at": at(20)}, opened("new", 19)]
    seen.sync(0, *old)
    seen.sync(20, *later)
    seen.sync(21, {"id": "new", "status": "done", "updated_at": at(21)})
    assert amiss(built(seen)) == []
    assert answers(figures) == [(4, 1, 0, 0, 3, 120)]

    says = Seen(tmp_path / "says.duckdb")
    says.sync(0, *old[:2], {**old[2], "resolved_at": at(-9)})
    says.sync(20, *later)
    assert amiss(built(says)) == []
    with duckdb.connect(str(says.file)) as connection:
        assert connection.execute(figures).fetchall() == [(4, 2, 2, 0, 0, 55200)]


def test_of_a_list_of_open_ones_nothing_older_than_the_first_sync_counts(
    tmp_path: Path,
) -> None:
    alerts = Seen(tmp_path / "alerts.duckdb", absent="closed")
    alerts.sync(0, opened("long", -1000))
    alerts.sync(20, opened("new", 19))
    alerts.sync(21, {"id": "new", "status": "new", "deleted": True})
    assert amiss(built(alerts)) == []
    with duckdb.connect(str(alerts.file)) as connection:
        found = connection.execute(f"SELECT {COUNTS} FROM insight.time_to_resolve WHERE {ALL}")
        assert found.fetchall() == [(2, 1, 0, 0, 1)]
        found = connection.execute(
            "SELECT id FROM insight.incident_lifecycle WHERE NOT counts_to_acknowledge"
        )
        assert found.fetchall() == [("long",)]


def test_a_severity_called_all_is_counted_once(seen: Seen, answers: Answers) -> None:
    seen.sync(0, opened("A", 0, severity="all", team="all"), opened("B", 0, severity="sev1"))
    assert amiss(built(seen)) == []
    assert answers(f"SELECT incidents FROM insight.time_to_resolve WHERE {ALL}") == [(2,)]


def test_all_closed_one_and_ties(seen: Seen, answers: Answers) -> None:
    lived(seen, 60, 60, 60, 240)
    built(seen)
    assert quantiles(answers) == [(60, 60, 240)]
    assert answers(
        f"SELECT within_30_min, within_1_h, within_4_h, within_7_d FROM insight.time_to_resolve "
        f"WHERE {ALL}"
    ) == [(0, 0.75, 1, 1)]


def test_one_incident(seen: Seen, answers: Answers) -> None:
    lived(seen, 90)
    built(seen)
    assert quantiles(answers) == [(90, 90, 90)]
    assert answers(f"SELECT p50_low, p50_high FROM insight.time_to_resolve WHERE {ALL}") == [
        (90, None)
    ]


def test_negative_and_missing_times_are_counted_and_in_no_figure(
    seen: Seen, answers: Answers
) -> None:
    seen.sync(
        5,
        opened("right", 0, status="done", resolved_at=at(1)),
        opened("negative", 2, status="done", resolved_at=at(1)),
        opened("no opening", 0, status="done", created_at=None, resolved_at=at(1)),
        opened("no closing", 0, status="done"),
        opened("no phase", 0, status="odd"),
        opened("to come", 50),
    )
    assert [one for one in amiss(built(seen)) if "phase" not in one] == []
    assert answers(f"SELECT {COUNTS} FROM insight.time_to_resolve WHERE {ALL}") == [(6, 1, 0, 0, 5)]
    assert quantiles(answers) == [(60, 60, 60)]


def test_cohorts_are_by_opening_in_the_time_zone_of_the_settings(
    seen: Seen, answers: Answers
) -> None:
    # Monday 2 March, 00:30 UTC, is Sunday in New York.
    seen.sync(0, opened("A", -24 * 40, severity="high", team="x"), opened("B", -24 * 40))
    seen.sync(1, opened("C", 0.5, severity="high"))
    built(seen)
    cells = "SELECT cohort, severity, team, incidents FROM insight.time_to_resolve ORDER BY ALL"
    assert answers(f"SELECT * FROM ({cells}) WHERE severity = 'all' AND team = 'all'") == [
        ("2026-01", "all", "all", 2),
        ("2026-03", "all", "all", 1),
        ("2026-W04", "all", "all", 2),
        ("2026-W10", "all", "all", 1),
        ("all", "all", "all", 3),
    ]
    assert answers(f"SELECT * FROM ({cells}) WHERE cohort = 'all'") == [
        ("all", "all", "all", 3),
        ("all", "all", "x", 1),
        ("all", "high", "all", 2),
        ("all", "high", "x", 1),
    ]
    built(seen, timezone="America/New_York")
    assert answers("SELECT DISTINCT cohort FROM insight.time_to_resolve ORDER BY 1")[2:4] == [
        ("2026-W04",),
        ("2026-W09",),
    ]


def test_an_acknowledgement_may_be_missed_between_two_polls(seen: Seen, answers: Answers) -> None:
    seen.sync(0, *(opened(name, 0) for name in "ABCD"))
    seen.sync(1, {"id": "A", "status": "working", "updated_at": at(0.5)})
    seen.sync(2, {"id": "B", "status": "done", "updated_at": at(2)})
    seen.sync(3, {"id": "A", "status": "done", "updated_at": at(3)})
    seen.sync(4, {"id": "C", "status": "working", "updated_at": at(4), "acknowledged_at": at(3.5)})
    assert amiss(built(seen)) == []
    ((*counts, coverage, gap, p50),) = answers(
        "SELECT incidents, acknowledged, closed, still_open, coverage, gap_minutes, p50_minutes "
        f"FROM insight.time_to_acknowledge WHERE {ALL}"
    )
    assert counts == [4, 2, 2, 1]
    assert coverage == pytest.approx(2 / 3)  # of A, B and C
    assert gap == 10  # 30 minutes for one of the three
    assert p50 == 210  # 3/4, then one is closed without it, then 3/4 · 1/2


def test_without_acknowledgements_there_are_no_rows(seen: Seen, answers: Answers) -> None:
    lived(seen, 60, None)
    built(seen)
    assert answers("FROM insight.time_to_acknowledge") == []
