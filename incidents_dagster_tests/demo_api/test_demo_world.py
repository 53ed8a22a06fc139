"""What the demo's incidents tell, whenever in a year somebody looks at the last thirteen weeks."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from statistics import median
from typing import Any

import pytest

from incidents_dagster.demo_api.stories import EPOCH, SEED, incidents_at
from incidents_dagster.demo_api.weeks import stories_of
from incidents_dagster.demo_api.world import FLAPPING, FLAPS, MIGRATED

Row = dict[str, Any]
Year = list[tuple[datetime, list[Row]]]
TODAY = datetime(2026, 11, 30, tzinfo=timezone.utc)
WEEK = timedelta(weeks=1)
TIMES = ("created_at", "acknowledged_at", "resolved_at", "updated_at")
BATCHES = ("Price Feed", "Stock Levels")
FLAP = FLAPPING[0].format(FLAPS)


def seen_at(now: datetime) -> list[Row]:
    """The incidents, with their times as times."""
    rows: list[Row] = incidents_at(now)
    for row in rows:
        row |= {t: row[t] and datetime.fromisoformat(row[t].replace("Z", "+00:00")) for t in TIMES}
    return rows


@pytest.fixture(scope="module")
def year() -> Year:
    """Moments of a year, and the incidents of thirteen weeks, without the alert that flaps."""
    moments = [TODAY + week * WEEK for week in range(0, 53, 6)]
    return [
        (now, [r for r in seen_at(now) if r["created_at"] >= now - 13 * WEEK if r["title"] != FLAP])
        for now in moments
    ]


def minutes(rows: list[Row], until: str) -> float:
    """The median time from the opening on, of those that have come as far."""
    took: list[timedelta] = [r[until] - r["created_at"] for r in rows if r[until]]
    return median(one / timedelta(minutes=1) for one in took)


def share(rows: list[Row], fits: Callable[[Row], bool]) -> float:
    """How many of the rows fit, as a share."""
    return sum(map(fits, rows)) / len(rows)


def at_night(row: Row) -> bool:
    """Opened in the hours of sleep."""
    return not 8 <= row["created_at"].hour < 22


def by_severity(rows: list[Row]) -> Iterator[list[Row]]:
    for name in ("sev1", "sev2", "sev3", "sev4"):
        yield [row for row in rows if row["severity"] == name]


def test_a_severer_incident_is_acknowledged_and_resolved_sooner(year: Year) -> None:
    for _, rows in year:
        acknowledged = [minutes(some, "acknowledged_at") for some in by_severity(rows)]
        resolved = [minutes(some, "resolved_at") for some in by_severity(rows)]
        assert acknowledged == sorted(acknowledged)
        assert resolved == sorted(resolved)
        sev1, *_, sev4 = by_severity(rows)
        assert acknowledged[0] < 10
        assert minutes([row for row in sev1 if at_night(row)], "acknowledged_at") < 10
        assert acknowledged[-1] > 4 * 60
        assert minutes(sev4, "resolved_at") > 2 * 24 * 60


def test_many_are_resolved_within_the_hour_and_a_few_not_for_weeks(year: Year) -> None:
    for now, rows in year:
        took = [(row["resolved_at"] or now) - row["created_at"] for row in rows]
        assert sum(one < timedelta(hours=1) for one in took) > len(took) / 6
        assert sum(one > WEEK for one in took) > len(took) / 30
        left = [row for row in seen_at(now) if row["status"] != "resolved"]
        assert 5 < len(left) < 40
        assert any(now - row["created_at"] > 3 * WEEK for row in left)


def test_people_work_by_day_and_some_services_wake_them_up(year: Year) -> None:
    for _, rows in year:
        night = [row for row in rows if row["service"] in BATCHES]
        day = [row for row in rows if row["service"] not in BATCHES]
        assert share(night, at_night) > 0.5
        assert share(day, at_night) < 0.25  # of the hours, 0.42 are night
        assert share(day, lambda row: row["created_at"].weekday() >= 5) < 0.2  # of the days, 0.29


def test_teams_have_habits_of_their_own(year: Year) -> None:
    rows = [row for _, some in year for row in some]
    teams: dict[str, set[str]] = {}
    for row in rows:
        teams.setdefault(row["service"], set()).add(row["team"])
    assert len(teams) == 9
    assert all(len(of_one) == 1 for of_one in teams.values())
    urgent = [
        row
        for row in rows
        if row["severity"] in ("sev1", "sev2") and row["service"] not in MIGRATED
    ]
    quick, slow = (
        minutes([row for row in urgent if row["team"] == name], "resolved_at")
        for name in ("Identity", "Logistics")
    )
    assert slow > 1.3 * quick


def test_thirteen_weeks_have_one_or_two_bad_ones_that_stay_the_same() -> None:
    rows = [row for row in seen_at(TODAY + 52 * WEEK) if row["title"] != FLAP]
    weeks = Counter((row["created_at"] - EPOCH) // WEEK for row in rows)
    usual = median(weeks.values())
    bad = {week for week, count in weeks.items() if count > 2 * usual}
    first, last = (TODAY - EPOCH) // WEEK, max(weeks)
    for end in range(first, last + 1):
        assert 1 <= len(bad & {*range(end - 13, end)}) <= 2, end
    assert max(week for week in bad if week < first) < first - 3, "some weeks back"
    urgent = [
        row for row in rows if row["service"] in MIGRATED and row["severity"] in ("sev1", "sev2")
    ]
    for row in urgent:
        row["week"] = (row["created_at"] - EPOCH) // WEEK
    usually = minutes([row for row in urgent if row["week"] not in bad], "resolved_at")
    for week in bad:
        of_it = [row for row in urgent if row["week"] == week]
        assert minutes(of_it, "resolved_at") > 1.5 * usually, week


def test_an_alert_flaps_several_times_a_day_in_some_weeks() -> None:
    rows = [row for row in seen_at(TODAY + 52 * WEEK) if row["title"] == FLAP]
    for row in rows:
        assert (row["service"], row["status"]) == (FLAPS, "resolved")
        assert row["acknowledged_at"] is row["assignee"] is None
        assert row["resolved_at"] - row["created_at"] < timedelta(minutes=5)
    days = Counter((row["created_at"] - EPOCH) // timedelta(days=1) for row in rows)
    assert 2 <= min(days.values()) <= max(days.values()) <= 5
    weeks = Counter(day // 7 for day in days)
    assert set(weeks.values()) == {7}
    for end in range((TODAY - EPOCH) // WEEK, max(weeks)):
        assert 2 <= len(weeks.keys() & {*range(end - 13, end)}) <= 4


def test_some_incidents_are_open_again_after_hours() -> None:
    stories = [story for week in range(27) for story in stories_of(week, SEED)]
    again = [(n, story) for n, story in enumerate(stories) if len(story.spells) > 1]
    assert 0.03 < len(again) / len(stories) < 0.12
    back = set()
    for n, story in again[::5]:
        (_, closed), (opened, last) = story.spells
        before, open_again, at_last = (
            seen_at(EPOCH + timedelta(seconds=at))[n] for at in (opened - 1, opened, last)
        )
        assert timedelta(minutes=30) <= timedelta(seconds=opened - closed) <= timedelta(hours=12)
        assert (before["status"], at_last["status"]) == ("resolved", "resolved")
        assert before["resolved_at"] == before["updated_at"] < open_again["updated_at"]
        assert open_again["resolved_at"] is None
        assert at_last["resolved_at"] == EPOCH + timedelta(seconds=last)
        back.add(open_again["status"])
    assert back == {"triggered", "acknowledged"}
