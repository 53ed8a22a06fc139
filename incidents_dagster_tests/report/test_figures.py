"""The figures of the report, from histories that are known."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest

from incidents_dagster.ingestion.errors import NoDatabaseError
from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster.report.assets import plotted
from incidents_dagster.report.chance import count_range
from incidents_dagster.report.figures import Figures, read
from incidents_dagster.report.last_week import Row
from incidents_dagster.report.pictures.all_pictures import pictures
from incidents_dagster.report.words import NBSP
from incidents_dagster_tests.insight.seen import Seen, at, opened

Read = Callable[..., Figures]
WEEK = 7 * 24


def closed(name: str, hours: float, after: float, **fields: str) -> dict[str, object]:
    """A record that was opened then, and closed so many hours later, as the API says."""
    return opened(name, hours, status="done", resolved_at=at(hours + after), **fields)


def row(figures: Figures, name: str) -> Row:
    """The row of last week's table."""
    (found,) = [one for one in figures.last_week.rows if one.name == name]
    return found


def test_the_range_of_a_steady_count_is_that_of_poisson_with_an_uncertain_rate() -> None:
    assert count_range([100] * 13) == (80, 121)  # Poisson's alone: 81 to 120
    assert count_range([100]) == (74, 130)  # one week says little about the rate
    assert count_range([0] * 13) == (0, 1)


def test_the_range_is_wider_where_the_weeks_differ_more_than_by_chance() -> None:
    low, high = count_range([20, 60, 20, 60, 20, 60])
    assert low < 20
    assert high > 60


def test_last_week_is_compared_with_the_weeks_before(seen: Seen, figures: Read) -> None:
    steady = [
        closed(f"{week}-{n}", week * WEEK + 10 + n, 1 + n / 9)
        for week in range(9)
        for n in range(10)
    ]
    many = [closed(f"now-{n}", 9 * WEEK + 12 + n / 10, 100) for n in range(30)]
    seen.sync(10 * WEEK + 9, *steady, *many)
    found = figures()
    assert found.last_week.weeks == 8
    assert row(found, "opened") == Row("opened", "30", "10 a week", "4 to 17", "more", True)
    times = row(found, "half resolved within")
    assert times.last.startswith(f"4.2{NBSP}d (")
    assert (times.before, times.verdict) == (f"87{NBSP}min", "longer")
    # Ten hours from 10:00 on are no sleep hours; nor are 12:00 to 15:00.
    assert row(found, "woken hours").last == "0"
    assert found.disrupted == {"business": 9 * 8 + 3, "off hours": 9 * 2}


def test_a_few_slow_incidents_are_no_change_and_not_compared(seen: Seen, figures: Read) -> None:
    usual = [
        closed(f"{week}-{n}", week * WEEK + 10 + n, 1 + n / 9, severity="low")
        for week in range(9)
        for n in range(10)
    ]
    slow = [closed(f"slow-{n}", 9 * WEEK + 12, 100 + n, severity="high") for n in range(5)]
    seen.sync(10 * WEEK + 9, *usual, *slow)
    found = figures()
    times = row(found, "half resolved within")
    assert (times.last, times.verdict) == (f"4.2{NBSP}d", "within chance")
    (told,) = [one.reading for one in pictures(found) if one.name == "groups"]
    assert told == "There is nothing to compare yet. Of 1 row, fewer than 6 incidents are closed."


def test_of_many_severities_those_with_the_most_incidents_are_drawn(
    seen: Seen, figures: Read
) -> None:
    few = [closed(f"few-{n}", n, 1, severity=f"sev{n:02}") for n in range(20)]
    many = [closed(f"many-{n}", n, 9, severity="usual") for n in range(9)]
    seen.sync(99, *few, *many)
    (shown,) = [one for one in pictures(figures()) if one.name == "groups"]
    assert shown.svg
    assert ">usual<" in shown.svg.alone("groups")
    assert shown.counted.endswith("the picture has the largest of them")


def test_what_is_within_chance_is_no_change(seen: Seen, figures: Read) -> None:
    rows = [
        closed(f"{week}-{n}", week * WEEK + 23 + n * 24, 1 + n)
        for week, many in enumerate((4, 5, 6, 5, 4, 6, 7))
        for n in range(many)
    ]
    seen.sync(7 * WEEK + 22, *rows)
    found = figures()
    assert not any(one.is_change for one in found.last_week.rows)
    assert row(found, "woken hours").last == "7"
    assert found.last_week.woken == 7


def test_before_two_weeks_are_known_there_is_nothing_to_compare_with(
    seen: Seen, figures: Read
) -> None:
    seen.sync(5, opened("A", 1))
    found = figures()
    assert row(found, "opened").verdict == "nothing to compare with"
    assert row(found, "half resolved within").last == "not reached"


def test_closings_before_the_first_sync_are_unknown_where_the_api_does_not_say(
    seen: Seen, figures: Read
) -> None:
    seen.sync(5 * WEEK, *(opened(str(n), n * 24, status="done") for n in range(30)))
    found = figures()
    assert found.last_week.closed is None
    assert "closed" not in {one.name for one in found.last_week.rows}
    assert "closed_last_week" not in plotted(found)


def test_closings_of_last_week_are_known_after_a_week_of_syncs(seen: Seen, figures: Read) -> None:
    seen.sync(20, opened("A", 1, status="done"))
    seen.sync(WEEK + 12)
    assert figures().last_week.closed is None
    seen.sync(WEEK + 24)
    assert figures().last_week.closed == 0


def test_trust_says_what_is_proven_polled_and_unproven(seen: Seen, figures: Read) -> None:
    seen.sync(0, opened("A", 0))
    for hours in (1, 2, 3, 12):
        seen.sync(hours)
    seen.sync(13, opened("B", 13), opened("odd", 13, status="in orbit"), proven=False)
    (found,) = figures().trust
    assert found.proven_until == at(12)
    assert (found.syncs, found.polled_minutes, found.longest_gap) == (5, 60, 540)
    assert (found.incidents, found.unproven, found.without_phase) == (3, 2, 1)
    assert found.statuses == ("in orbit",)


def test_what_is_not_known_is_not_plotted(seen: Seen, figures: Read) -> None:
    seen.sync(2, opened("A", 1), opened("B", 1))
    assert plotted(figures()) == {
        "incidents": 2,
        "open": 2,
        "opened_last_week": 2,
        "woken_hours_last_week": 1,
        "oldest_age_minutes": 60,
        "without_phase": 0,
        "unproven": 0,
    }


def test_a_curve_has_some_points_of_each_decade_and_the_share_at_them(
    seen: Seen, figures: Read
) -> None:
    minutes = [1.04**n for n in range(120)]
    seen.sync(20 * WEEK, *(closed(str(n), n / 10, one / 60) for n, one in enumerate(minutes)))
    steps = figures().curves["incidents", "all"]
    assert 60 < len(steps) < 120
    for step in steps:
        longer = sum(one > step.minutes * (1 + 1e-6) for one in minutes)
        assert step.share == pytest.approx(longer / 120)


def test_several_sources_are_beside_each_other_and_never_pooled(seen: Seen, figures: Read) -> None:
    other = Seen(seen.file, "tickets")
    seen.sync(30, *(closed(str(n), n, 1, severity=f"sev{n % 2}") for n in range(9)))
    other.sync(31, *(closed(str(n), n, 20) for n in range(5)), opened("late", 2))
    found = figures(other)
    assert found.sources == ["incidents", "tickets"]
    assert set(found.curves) == {("incidents", "all"), ("tickets", "all")}
    assert plotted(found)["p50_minutes/incidents"] == 60
    assert plotted(found)["p50_minutes/tickets"] == 1200
    titles = {one.name: one.title for one in pictures(found)}
    assert titles["groups"] == "By source and severity"


def test_the_backlog_keeps_what_is_open_in_a_source_that_syncs_no_more(
    seen: Seen, figures: Read
) -> None:
    other = Seen(seen.file, "tickets")
    for day in range(4):
        seen.sync(day * 24 + 1, opened(str(day), day * 24))
    other.sync(26, opened("A", 25), opened("B", 25))
    found = figures(other)
    assert [(total, known) for _, total, _, known in found.backlog] == [
        (1, 1),
        (4, 2),
        (5, 2),
        (6, 2),
    ]
    assert found.open == 6
    (limits,) = [one.limits for one in pictures(found) if one.name == "backlog"]
    assert limits.endswith("a source counts as it was then: tickets (2026-03-03).")


def test_a_further_source_is_no_change_of_the_backlog(seen: Seen, figures: Read) -> None:
    other = Seen(seen.file, "tickets")
    for day in range(4):
        seen.sync(day * 24 + 1, opened(str(day), day * 24))
        if day > 1:
            other.sync(day * 24 + 1, *(opened(f"{day}-{n}", day * 24) for n in range(10)))
    (told,) = [one.reading for one in pictures(figures(other)) if one.name == "backlog"]
    assert "24 open at the end of 2026-03-05" in told
    assert "11 more than on 2026-03-04" in told


@pytest.mark.parametrize(
    ("first", "days", "named"),
    [
        (date(2025, 11, 30), 33, ["2025-11-30", "2026-01-02"]),  # months at its edges alone
        (date(2024, 1, 20), 800, ["Jun 2024", "Oct", "Feb 2025", "Jun", "Oct", "Feb 2026"]),
    ],
)
def test_the_axis_of_the_backlog_says_which_days_and_years(
    first: date, days: int, named: list[str], seen: Seen, figures: Read
) -> None:
    seen.sync(1)
    found: list[tuple[date, int, int | None, int]] = [
        (first + timedelta(days=day), 1, 0, 1) for day in range(days + 1)
    ]
    (shown,) = [one for one in pictures(replace(figures(), backlog=found)) if one.name == "backlog"]
    assert re.findall(r">([A-Z][a-z]{2}(?: \d{4})?|\d{4}-\d\d-\d\d)<", shown.inline) == named


def test_the_report_needs_the_tables(seen: Seen) -> None:
    with pytest.raises(NoDatabaseError, match=r"sync first \(make run\)"):
        read(FileStore(seen.file.with_name("none.duckdb")), 1.0)
    with pytest.raises(NoDatabaseError, match="run the job insight_refresh, or make report"):
        read(FileStore(seen.file), 1.0)
