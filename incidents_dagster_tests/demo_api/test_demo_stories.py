"""What holds for the demo incidents at every moment, checked at moments hypothesis picks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents_dagster.demo_api.stories import EPOCH, incidents_at

FIRST_OPENED = EPOCH + timedelta(hours=1)
RANKS = ("triggered", "acknowledged", "resolved")

moments = st.datetimes(
    min_value=datetime(2026, 9, 1, 1),
    max_value=datetime(2026, 11, 30),
    timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=-7))]),
)
# Seconds to months, since most of what can go wrong happens within minutes of an event.
steps = st.one_of(st.integers(0, 3600), st.integers(0, 30 * 86400)).map(
    lambda seconds: timedelta(seconds=seconds)
)
property_test = settings(deadline=None, max_examples=60)


def _parse(text: object) -> datetime:
    assert isinstance(text, str)
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


@property_test
@given(moments, steps)
def test_incidents_only_move_forward(now: datetime, step: timedelta) -> None:
    later = {row["id"]: row for row in incidents_at(now + step)}
    for row in incidents_at(now):
        then: dict[str, Any] = later[row["id"]]
        assert then["updated_at"] >= row["updated_at"]
        assert then["timeline_entries"] >= row["timeline_entries"]
        assert RANKS.index(then["status"]) >= RANKS.index(str(row["status"]))
        fixed = ("number", "title", "severity", "service", "tags", "created_at")
        assert [then[name] for name in fixed] == [row[name] for name in fixed]
        if then != row:
            assert _parse(then["updated_at"]) > now


@property_test
@given(moments)
def test_records_agree_with_themselves(now: datetime) -> None:
    rows = incidents_at(now)
    assert [row["created_at"] for row in rows] == sorted(str(row["created_at"]) for row in rows)
    for n, row in enumerate(rows):
        created, updated = _parse(row["created_at"]), _parse(row["updated_at"])
        opening = EPOCH + n * timedelta(hours=2)
        assert opening <= created < opening + timedelta(hours=1)
        assert row["id"] == f"INC-{1000 + n}"
        assert created <= updated <= now
        assert (row["assignee"] is None) == (row["status"] == "triggered")
        if row["status"] == "resolved":
            assert row["resolved_at"] == row["updated_at"]
            assert timedelta(days=1) <= updated - created <= timedelta(days=5)
        else:
            assert row["resolved_at"] is None
            assert now - created <= timedelta(days=5, seconds=1)
            assert now - updated <= timedelta(minutes=30, seconds=1)


@property_test
@given(moments)
def test_something_has_always_just_changed(now: datetime) -> None:
    latest = max(_parse(row["updated_at"]) for row in incidents_at(now))
    assert now - latest < timedelta(seconds=31)


def test_notes_come_every_30_seconds_then_every_30_minutes() -> None:
    opened = _parse(incidents_at(FIRST_OPENED)[0]["created_at"])

    def entries_and_latest(**after: int) -> tuple[object, timedelta]:
        row = incidents_at(opened + timedelta(**after))[0]
        return row["timeline_entries"], _parse(row["updated_at"]) - opened

    assert entries_and_latest(seconds=0) == (1, timedelta(0))
    assert entries_and_latest(seconds=29) == (1, timedelta(0))
    assert entries_and_latest(seconds=30) == (2, timedelta(seconds=30))
    # The opening, 480 notes and the acknowledgement.
    assert entries_and_latest(hours=4, minutes=29) == (482, timedelta(hours=4))
    assert entries_and_latest(hours=4, minutes=30) == (483, timedelta(hours=4, minutes=30))
    assert entries_and_latest(hours=24) == (482 + 40, timedelta(hours=24))


def test_incidents_are_acknowledged_within_half_an_hour_or_only_when_resolved() -> None:
    rows = incidents_at(EPOCH + timedelta(days=14))[:100]
    after_half_an_hour = []
    for n, row in enumerate(rows):
        opened = _parse(row["created_at"])
        assert incidents_at(opened + timedelta(seconds=59))[n]["status"] == "triggered"
        assert incidents_at(opened + timedelta(days=5))[n]["status"] == "resolved"
        after_half_an_hour.append(incidents_at(opened + timedelta(minutes=30))[n]["status"])
        if after_half_an_hour[-1] == "triggered":
            resolved = _parse(row["resolved_at"])
            before = incidents_at(resolved - timedelta(seconds=1))[n]
            assert (before["status"], before["assignee"]) == ("triggered", None)
    assert set(after_half_an_hour) == {"triggered", "acknowledged"}
    assert after_half_an_hour.count("acknowledged") > after_half_an_hour.count("triggered")


def test_nothing_exists_before_the_epoch() -> None:
    assert incidents_at(EPOCH - timedelta(microseconds=1)) == []
    assert incidents_at(datetime(1999, 1, 1, tzinfo=timezone.utc)) == []


def test_about_a_thousand_incidents_by_the_end_of_november() -> None:
    assert len(incidents_at(datetime(2026, 11, 30, tzinfo=timezone.utc))) == 90 * 12


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        incidents_at(datetime(2026, 10, 1))


def test_callers_may_edit_what_they_get() -> None:
    now = EPOCH + timedelta(days=3)
    untouched = json.dumps(incidents_at(now))
    rows: list[dict[str, Any]] = incidents_at(now)
    rows[0]["tags"].append("edited")
    rows[0]["service"]["name"] = "edited"
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
