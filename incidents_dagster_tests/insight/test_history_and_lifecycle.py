"""`incident_status_history` and `incident_lifecycle`: what is known of each incident, and when."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from incidents_dagster_tests.insight.seen import PHASES, Seen, amiss, at, built, opened

Answers = Callable[[str], list[Any]]
INTERVALS = (
    "SELECT id, status, entered_after, entered_by, evidence FROM insight.incident_status_history "
    "ORDER BY id, sequence"
)


def test_bounds_are_the_polls_and_what_the_record_says(seen: Seen, answers: Answers) -> None:
    seen.sync(1, opened("old", 0))
    seen.sync(
        2,
        opened("fresh", 1.5),
        {"id": "old", "status": "working", "updated_at": at(1.25)},
    )
    seen.sync(
        3,
        {"id": "fresh", "status": "working", "updated_at": None},
        {"id": "old", "status": "done", "updated_at": at(2.5), "resolved_at": at(2.25)},
    )
    assert amiss(built(seen)) == []
    assert answers(INTERVALS) == [
        ("fresh", "new", at(1.5), at(1.5), "update"),
        ("fresh", "working", at(2), at(3), "poll"),
        ("old", "new", None, at(0), "update"),
        ("old", "working", at(1), at(1.25), "update"),
        ("old", "done", at(2.25), at(2.25), "field"),
    ]
    assert answers(
        "SELECT left_after, left_by, is_current FROM insight.incident_status_history "
        "WHERE id = 'old' ORDER BY sequence"
    ) == [(at(1), at(1.25), False), (at(2.25), at(2.25), False), (None, None, True)]


def test_a_time_of_the_api_outside_of_the_polls_does_not_count(
    seen: Seen, answers: Answers
) -> None:
    seen.sync(1, opened("A", 0), opened("B", 0))
    seen.sync(
        5,
        {"id": "A", "status": "done", "updated_at": at(4), "resolved_at": at(0.5)},
        {"id": "B", "status": "done", "updated_at": at(4), "resolved_at": at(9)},
    )
    built(seen)
    assert answers(f"SELECT * FROM ({INTERVALS}) WHERE status = 'done'") == [
        ("A", "done", at(1), at(4), "update"),
        ("B", "done", at(1), at(4), "update"),
    ]


def test_the_time_of_a_phase_bounds_one_of_several_statuses(tmp_path: Path) -> None:
    seen = Seen(tmp_path / "a.duckdb", phases={**PHASES, "filed": "closed"})
    seen.sync(1, opened("A", 0))
    seen.sync(5, {"id": "A", "status": "filed", "updated_at": at(4), "resolved_at": at(2)})
    built(seen)
    with duckdb.connect(str(seen.file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        assert connection.execute(INTERVALS).fetchall()[1] == (
            ("A", "filed", at(2), at(4), "field")
        )
        closed = "SELECT first_closed_at FROM insight.incident_lifecycle"
        assert connection.execute(closed).fetchall() == [(at(2),)]


def test_what_was_closed_before_the_first_sync_has_a_time_only_where_the_api_gives_one(
    seen: Seen, answers: Answers
) -> None:
    seen.sync(
        10,
        opened("known", 0, "done", resolved_at=at(3)),
        opened("unknown", 0, "done", updated_at=at(5)),
        opened("impossible", 4, "done", resolved_at=at(3)),
        opened("open", 0, "new", updated_at=at(5)),
    )
    assert amiss(built(seen)) == []
    assert answers(
        "SELECT id, first_closed_at, is_open, open_until, age_minutes "
        "FROM insight.incident_lifecycle ORDER BY id"
    ) == [
        ("impossible", None, False, None, None),
        ("known", at(3), False, None, None),
        ("open", None, True, at(10), 600.0),
        ("unknown", None, False, None, None),
    ]


def test_a_reopened_incident_has_its_first_and_its_last_close(seen: Seen, answers: Answers) -> None:
    seen.sync(0, opened("A", 0))
    for hours, status in ((1, "done"), (2, "again"), (3, "working"), (4, "done")):
        seen.sync(hours, {"id": "A", "status": status, "updated_at": at(hours)})
    assert amiss(built(seen)) == []
    assert answers(
        "SELECT first_closed_at, last_closed_at, reopened, is_open, acknowledged_after, "
        "acknowledged_by FROM insight.incident_lifecycle"
    ) == [(at(1), at(4), 1, False, at(2), at(3))]


def test_a_deletion_and_a_return(seen: Seen, answers: Answers) -> None:
    seen.sync(0, opened("A", 0), opened("B", 0))
    seen.sync(1, {"id": "A", "status": "new", "deleted": True})
    seen.sync(2, {"id": "B", "status": "new", "deleted": True})
    seen.sync(3, {"id": "B", "status": "new"})
    assert amiss(built(seen)) == []
    assert answers(
        "SELECT id, sequence, status, phase, entered_after, entered_by "
        "FROM insight.incident_status_history WHERE sequence > 1 ORDER BY ALL"
    ) == [
        ("A", 2, None, "deleted", at(0), at(1)),
        ("B", 2, None, "deleted", at(1), at(2)),
        ("B", 3, "new", "open", at(2), at(3)),
    ]
    assert answers(
        "SELECT id, is_open, deleted_at, open_until FROM insight.incident_lifecycle ORDER BY id"
    ) == [("A", False, at(1), at(0)), ("B", True, None, at(3))]


def test_where_the_list_has_only_what_is_open_absence_closes(tmp_path: Path) -> None:
    seen = Seen(tmp_path / "a.duckdb", absent="closed")
    seen.sync(0, opened("A", 0))
    seen.sync(1, {"id": "A", "status": "new", "deleted": True})
    seen.sync(2, {"id": "A", "status": "new"})
    assert amiss(built(seen)) == []
    with duckdb.connect(str(seen.file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        assert connection.execute(
            "SELECT status, phase, entered_by FROM insight.incident_status_history "
            "ORDER BY sequence"
        ).fetchall() == [
            ("new", "open", at(0)),
            ("new", "closed", at(1)),
            ("new", "open", at(2)),
        ]
        assert connection.execute(
            "SELECT first_closed_at, reopened, is_open, deleted_at FROM insight.incident_lifecycle"
        ).fetchall() == [(at(1), 1, True, None)]


def test_a_status_without_a_phase_is_told_and_changes_nothing(seen: Seen, answers: Answers) -> None:
    seen.sync(0, opened("A", 0), opened("B", 0, "odd"))
    seen.sync(1, {"id": "A", "status": "odd", "updated_at": at(1)})
    seen.sync(2, {"id": "A", "status": "again", "updated_at": at(2)})
    made = built(seen)
    assert amiss(made) == ["incident_status_history: every_status_has_a_phase"]
    problem = next(one.problem for one in made.found if one.count)
    assert problem == "1 are wrong: incidents odd 2"
    assert answers("SELECT id, phase, is_open FROM insight.incident_lifecycle ORDER BY id") == [
        ("A", "open", True),
        ("B", None, None),
    ]
    assert answers("SELECT open_at_end FROM insight.backlog_daily") == [(1,)]


def test_a_mended_phase_mends_the_past(tmp_path: Path) -> None:
    file = tmp_path / "a.duckdb"
    seen = Seen(file, phases={**PHASES, "again": "closed"})
    seen.sync(0, opened("A", 0))
    seen.sync(1, {"id": "A", "status": "again", "updated_at": at(1)})
    seen.sync(2, {"id": "A", "status": "done", "updated_at": at(2)})
    seen.table.declared["phase"]["x-filled"]["phases"] = PHASES
    built(seen)
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        closed = "SELECT first_closed_at FROM insight.incident_lifecycle"
        assert connection.execute(closed).fetchall() == [(at(2),)]


def test_two_sources_may_have_the_same_ids(tmp_path: Path) -> None:
    one, other = Seen(tmp_path / "a.duckdb"), Seen(tmp_path / "a.duckdb", "tickets", {"x": "open"})
    one.sync(0, opened("A", 0))
    other.sync(1, opened("A", 0, "x"))
    one.sync(2, {"id": "A", "status": "done", "updated_at": at(2)})
    assert amiss(built(one, other)) == []
    with duckdb.connect(str(one.file)) as connection:
        assert connection.execute(
            "SELECT source, is_open FROM insight.incident_lifecycle ORDER BY ALL"
        ).fetchall() == [("incidents", False), ("tickets", True)]


def test_a_table_of_somebody_else_is_left_alone(seen: Seen) -> None:
    seen.sync(0, opened("A", 0))
    with duckdb.connect(str(seen.file)) as connection:
        connection.execute("CREATE SCHEMA insight")
        connection.execute("CREATE TABLE insight.noise AS SELECT 1 AS mine")
    with pytest.raises(Exception, match=r"insight\.noise, the name of a table of this project"):
        built(seen)
    with duckdb.connect(str(seen.file)) as connection:
        assert connection.execute("FROM insight.noise").fetchall() == [(1,)]
