"""What holds for the demo incidents at every moment, checked at moments hypothesis picks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents_dagster.demo_api.stories import EPOCH, incidents_at
from incidents_dagster.demo_api.weeks import stories_of
from incidents_dagster.demo_api.world import SEVERITIES, WATCHED_EVERY, WATCHED_NOTED

moments = st.datetimes(
    min_value=datetime(2026, 5, 25) + timedelta(seconds=WATCHED_EVERY),
    max_value=datetime(2027, 2, 28),
    timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=-7))]),
)
# Seconds to months, since most of what can go wrong happens within minutes of an event.
steps = st.one_of(st.integers(0, 3600), st.integers(0, 30 * 86400)).map(
    lambda seconds: timedelta(seconds=seconds)
)
property_test = settings(deadline=None, max_examples=30)


def _parse(text: object) -> datetime:
    assert isinstance(text, str)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@property_test
@given(moments, steps)
def test_no_incident_vanishes_and_each_change_is_told(now: datetime, step: timedelta) -> None:
    later = {row["id"]: row for row in incidents_at(now + step)}
    for row in incidents_at(now):
        then: dict[str, Any] = later[row["id"]]
        assert then["updated_at"] >= row["updated_at"]
        assert then["timeline_entries"] >= row["timeline_entries"]
        fixed = ["number", "title", "severity", "service", "team", "tags", "url", "created_at"]
        once = [name for name in ("acknowledged_at", "assignee") if row[name]]
        assert [then[name] for name in fixed + once] == [row[name] for name in fixed + once]
        if then != row:
            assert _parse(then["updated_at"]) > now


@property_test
@given(moments)
def test_records_agree_with_themselves(now: datetime) -> None:
    rows = incidents_at(now)
    assert [row["created_at"] for row in rows] == sorted(str(row["created_at"]) for row in rows)
    for n, row in enumerate(rows):
        created, updated = _parse(row["created_at"]), _parse(row["updated_at"])
        assert row["id"] == f"INC-{1000 + n}"
        assert str(row["url"]).endswith(f"/{row['id']}")
        assert EPOCH <= created <= updated <= now
        assert (row["assignee"] is None) == (row["acknowledged_at"] is None)
        if row["acknowledged_at"] is not None:
            assert created < _parse(row["acknowledged_at"]) <= updated
        assert (row["resolved_at"] is None) == (row["status"] != "resolved")
        if row["status"] == "resolved":
            assert created < _parse(row["resolved_at"]) == updated
        elif row["status"] == "acknowledged":
            assert row["acknowledged_at"] is not None


@property_test
@given(moments)
def test_something_has_always_just_changed(now: datetime) -> None:
    latest = max(_parse(row["updated_at"]) for row in incidents_at(now))
    assert now - latest < timedelta(seconds=31)


def test_an_open_incident_gets_notes_for_two_weeks() -> None:
    """Every 30 seconds while a monitor watches it, else as often as its severity has them."""
    rhythms = {one.name: one.noted for one in SEVERITIES}
    seen = set()
    for n, story in enumerate(stories_of(0, "notes")):
        begun, ended = story.spells[0]
        untouched = [at for at, _ in story.events if at < begun + 2 * story.noted]
        if len(untouched) > 1 or ended < begun + 3 * story.noted:
            continue  # something else changes it meanwhile

        def entries_and_age(seconds: int, n: int = n, begun: int = begun) -> tuple[Any, float]:
            row = incidents_at(EPOCH + timedelta(seconds=begun + seconds), "notes")[n]
            age = _parse(row["updated_at"]) - EPOCH
            return row["timeline_entries"], age.total_seconds() - begun

        noted = story.noted
        assert noted in (rhythms[story.severity], WATCHED_NOTED)
        assert entries_and_age(0) == entries_and_age(noted - 1) == (1, 0)
        assert entries_and_age(noted) == (2, noted)
        assert entries_and_age(2 * noted - 1) == (2, noted)
        seen.add(noted)
    assert WATCHED_NOTED in seen
    assert len(seen) > 1


def test_a_forgotten_incident_gets_no_more_notes() -> None:
    now = EPOCH + timedelta(weeks=40)
    left = [row for row in incidents_at(now) if row["status"] != "resolved"]
    ages = [
        (now - _parse(row["created_at"]), now - _parse(row["updated_at"]))
        for row in left
        if row["acknowledged_at"] and now - _parse(row["acknowledged_at"]) > timedelta(days=40)
    ]
    assert ages
    for age, unchanged in ages:
        assert age - unchanged <= timedelta(days=14)


def test_nothing_exists_before_the_epoch() -> None:
    assert incidents_at(EPOCH - timedelta(microseconds=1)) == []
    assert incidents_at(datetime(1999, 1, 1, tzinfo=timezone.utc)) == []


def test_about_a_thousand_incidents_by_the_end_of_november() -> None:
    assert 1_000 <= len(incidents_at(datetime(2026, 11, 30, tzinfo=timezone.utc))) <= 1_500


def test_the_doctor_sees_the_same_from_december_on() -> None:
    """README shows what it says of the first two pages, as of today."""
    rows = incidents_at(datetime(2026, 11, 30, tzinfo=timezone.utc))[:200]
    assert {row["status"] for row in rows} == {"resolved"}


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        incidents_at(datetime(2026, 10, 1))


def test_callers_may_edit_what_they_get() -> None:
    now = EPOCH + timedelta(days=3)
    untouched = json.dumps(incidents_at(now))
    rows: list[dict[str, Any]] = incidents_at(now)
    rows[0]["tags"].append("edited")
    taken = next(row for row in rows if row["assignee"])
    taken["assignee"]["name"] = "edited"
    rows.clear()
    assert json.dumps(incidents_at(now)) == untouched


def test_the_seed_decides() -> None:
    now = EPOCH + timedelta(days=3)
    assert incidents_at(now, seed="one") == incidents_at(now, seed="one")
    assert incidents_at(now, seed="one") != incidents_at(now, seed="two")


def test_another_process_sees_the_same_incidents() -> None:
    now = EPOCH + timedelta(days=40, seconds=12, microseconds=500)
    program = (
        "import json; from datetime import datetime;"
        "from incidents_dagster.demo_api.stories import incidents_at;"
        f"print(json.dumps(incidents_at(datetime.fromisoformat({now.isoformat()!r}))))"
    )
    other = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert json.loads(other.stdout) == incidents_at(now)
