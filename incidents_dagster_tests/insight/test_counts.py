"""`backlog_daily`, `open_by_age`, `arrivals` and `noise`: every incident is counted once."""

from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import strategies

from incidents_dagster_tests.examples import examples
from incidents_dagster_tests.insight.seen import PHASES, Seen, amiss, at, built, opened

Answers = Callable[[str], list[Any]]
FLOWS = (
    "SELECT day::VARCHAR, opened, closed, reopened, deleted, returned, open_at_end, "
    "oldest_age_minutes, is_over FROM insight.backlog_daily ORDER BY day"
)


def test_each_day_has_what_came_and_went(seen: Seen, answers: Answers) -> None:
    seen.sync(1, opened("A", -30), opened("B", 0.5))
    seen.sync(26, {"id": "A", "status": "done", "updated_at": at(25)}, opened("C", 20))
    seen.sync(80, {"id": "A", "status": "again", "updated_at": at(75)})
    seen.sync(90, {"id": "B", "status": "new", "deleted": True})
    seen.sync(100, {"id": "B", "status": "new"})
    assert amiss(built(seen)) == []
    assert answers(FLOWS) == [
        ("2026-02-28", 1, 0, 0, 0, 0, 1, 360, True),
        ("2026-03-01", 0, 0, 0, 0, 0, 1, 1800, True),
        ("2026-03-02", 2, 0, 0, 0, 0, 3, 3240, True),
        ("2026-03-03", 0, 1, 0, 0, 0, 2, 2850, True),
        ("2026-03-04", 0, 0, 0, 0, 0, 2, 4290, True),
        ("2026-03-05", 0, 0, 1, 1, 0, 2, 7560, True),
        ("2026-03-06", 0, 0, 0, 0, 1, 3, 7800, False),
    ]


def test_a_day_that_is_over_stays_whatever_comes_later(seen: Seen, answers: Answers) -> None:
    seen.sync(1, opened("A", 0))
    seen.sync(30)
    built(seen)
    before = answers(FLOWS)[0]
    seen.sync(
        31,
        opened("late", 2),  # which the API has shown only now
        {"id": "A", "status": "done", "updated_at": at(3), "resolved_at": at(3)},
    )
    assert amiss(built(seen)) == []
    assert answers(FLOWS)[0] == before
    assert answers(FLOWS)[1][1:3] == (1, 1)


def test_the_days_before_the_first_sync_are_there_if_all_closings_are_known(
    seen: Seen, answers: Answers
) -> None:
    seen.sync(49, opened("A", 0, status="done", resolved_at=at(25)), opened("B", 26))
    assert amiss(built(seen)) == []
    days = [(day, opened_, closed, left) for day, opened_, closed, *_, left, _, _ in answers(FLOWS)]
    assert days == [
        ("2026-03-02", 1, 0, 1),
        ("2026-03-03", 1, 1, 1),
        ("2026-03-04", 0, 0, 1),
    ]
    seen.sync(73, opened("C", 72))
    (seen.file.parent / "other").mkdir()
    other = Seen(seen.file.parent / "other" / "warehouse.duckdb")
    other.sync(49, opened("A", 0, status="done"), opened("B", 26))
    other.sync(73, opened("C", 72))
    assert amiss(built(other)) == []


def test_what_was_acknowledged_before_the_first_sync_is_known_from_the_apis_times(
    seen: Seen, answers: Answers
) -> None:
    acknowledged = (
        "SELECT day::VARCHAR, acknowledged_at_end FROM insight.backlog_daily ORDER BY day"
    )
    seen.sync(
        73,
        opened("A", 0, status="done", acknowledged_at=at(25), resolved_at=at(49)),
        opened("B", 1, status="working", acknowledged_at=at(26)),
        opened("C", 2),
        opened("D", 3, status="done", resolved_at=at(50)),
        # What the API says may make no sense.
        opened("E", 4, status="done", acknowledged_at=at(-1), resolved_at=at(51)),
        opened("F", 5, acknowledged_at=at(6)),
    )
    assert amiss(built(seen)) == []
    assert answers(acknowledged) == [
        ("2026-03-02", 0),
        ("2026-03-03", 2),
        ("2026-03-04", 1),
        ("2026-03-05", 1),
    ]
    seen.sync(75, opened("G", 73.5, status="done", acknowledged_at=at(74), resolved_at=at(74.5)))
    seen.sync(97, {"id": "A", "status": "working", "acknowledged_at": at(96.5)})
    assert amiss(built(seen)) == []
    assert answers(acknowledged)[:3] == [("2026-03-02", 0), ("2026-03-03", 2), ("2026-03-04", 1)]


def test_without_such_times_it_is_unknown_until_the_first_sync(
    seen: Seen, answers: Answers
) -> None:
    seen.sync(49, opened("A", 0, status="done", resolved_at=at(25)), opened("B", 26, "working"))
    seen.sync(73)
    assert amiss(built(seen)) == []
    acknowledged = answers("SELECT acknowledged_at_end FROM insight.backlog_daily ORDER BY day")
    assert acknowledged == [(None,), (None,), (1,), (1,)]


def test_days_are_those_of_the_time_zone(seen: Seen, answers: Answers) -> None:
    seen.sync(23.5, opened("A", 23))
    seen.sync(24.5)
    built(seen, timezone="Europe/Berlin")  # an hour ahead
    assert [day for day, *_ in answers(FLOWS)] == ["2026-03-03"]
    built(seen)
    assert [day for day, *_ in answers(FLOWS)] == ["2026-03-02", "2026-03-03"]


def test_open_incidents_by_age_and_by_silence(seen: Seen, answers: Answers) -> None:
    ages = (0.5, 1, 5, 30, 80, 200, 1000)
    seen.sync(
        1000,
        *(opened(str(age), 1000 - age, updated_at=at(999.5)) for age in ages),
        opened("no time", 0, created_at=None),
        opened("closed", 0, status="done", resolved_at=at(1)),
    )
    assert amiss(built(seen)) == []
    assert answers(
        "SELECT bucket, open, not_updated FROM insight.open_by_age ORDER BY position"
    ) == [
        ("under 1 h", 1, 7),
        ("1 h to 4 h", 1, 0),
        ("4 h to 1 d", 1, 0),
        ("1 d to 3 d", 1, 0),
        ("3 d to 7 d", 1, 0),
        ("7 d to 30 d", 1, 0),
        ("over 30 d", 1, 1),
        ("unknown", 1, 0),
    ]


def test_arrivals_have_every_hour_of_the_week_with_its_class(seen: Seen, answers: Answers) -> None:
    week = 7 * 24
    seen.sync(
        20 * week,
        opened("too old", 0),
        opened("A", 19 * week + 3.5),  # a Monday, at night
        opened("B", 19 * week + 3.9),
        opened("C", 18 * week + 3.5),
        opened("D", 18 * week + 9),
        opened("E", 18 * week + 19),
        opened("gone", 18 * week + 20),
    )
    seen.sync(20 * week + 1, {"id": "gone", "status": "new", "deleted": True})
    assert amiss(built(seen)) == []
    assert answers("SELECT count(*), sum(incidents) FROM insight.arrivals") == [(168, 5)]
    assert answers(
        "SELECT weekday, hour, incidents, disrupted_hours, class FROM insight.arrivals "
        "WHERE incidents > 0 ORDER BY ALL"
    ) == [
        (1, 3, 3, 2, "sleep"),
        (1, 9, 1, 1, "business"),
        (1, 19, 1, 1, "off hours"),
    ]
    assert answers("SELECT class, count(*) FROM insight.arrivals GROUP BY ALL ORDER BY ALL") == [
        ("business", 50),
        ("off hours", 48),
        ("sleep", 70),
    ]
    built(seen, business_hours="0-4", sleep_hours="4-5", business_days=["mon"])
    assert answers("SELECT class, count(*) FROM insight.arrivals GROUP BY ALL ORDER BY ALL") == [
        ("business", 4),
        ("off hours", 157),
        ("sleep", 7),
    ]


def test_noise_is_short_lived_reopened_or_repeated(seen: Seen, answers: Answers) -> None:
    quick = {"service": "web", "title": "slow"}
    seen.sync(0, opened("old", 0, **quick))
    seen.sync(1, opened("A", 0.5, status="done", updated_at=at(0.55), **quick))
    seen.sync(30, opened("B", 29, status="working", service="db", title="full"))
    seen.sync(31, {"id": "B", "status": "done", "updated_at": at(31)})
    seen.sync(32, {"id": "B", "status": "again", "updated_at": at(32)})
    assert amiss(built(seen)) == []
    assert answers(
        "SELECT service, incidents, short_lived, reopened, repeated FROM insight.noise ORDER BY ALL"
    ) == [("db", 1, 0, 1, 0), ("web", 2, 1, 0, 1)]


STATUSES = strategies.sampled_from([*PHASES, "odd", "deleted"])
HISTORIES = strategies.lists(
    strategies.tuples(strategies.integers(1, 40), strategies.integers(0, 5), STATUSES),
    min_size=1,
    max_size=12,
)


@hypothesis.settings(
    deadline=None,
    max_examples=examples(10, 150),
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(history=HISTORIES)
def test_whatever_happens_every_table_adds_up(
    history: list[tuple[int, int, str]], tmp_path_factory: Any
) -> None:
    seen = Seen(tmp_path_factory.mktemp("any") / "warehouse.duckdb")
    now, known = 0.0, set()
    for hours, number, status in history:
        now += hours
        name = str(number)
        if status == "deleted":
            if name not in known:
                continue
            seen.sync(now, {"id": name, "deleted": True})
            continue
        row = {"id": name, "status": status, "updated_at": at(now - hours / 2)}
        if name not in known:
            row["created_at"] = at(now - hours * number / 2)
        known.add(name)
        seen.sync(now, row, proven=number != 5)
    if known:
        assert [one for one in amiss(built(seen)) if "phase" not in one] == []
