"""Where a sync starts: no odd time in the table hides what changes later, or ends a sync."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster_tests.ingestion.changing_api import (
    NOW,
    ChangingApi,
    Configure,
    Listen,
    Query,
    iso,
)
from incidents_dagster_tests.ingestion.one_resource import TIME


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def millis(moment: datetime) -> int:
    return seconds(moment) * 1000


def roundup(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d.%H:%M:%S}"


@pytest.fixture
def it(configure: Configure, listen: Listen, query: Query) -> ChangingApi:
    return ChangingApi(configure, listen, query)


NUMBER = {"dedup_sort": "desc"}
DECIMAL = {"data_type": "decimal", "dedup_sort": "desc"}
TEXT = {"data_type": "text", "dedup_sort": "desc"}
# The API's times, the column, the odd time of one record. The first seven are one of each kind.
ODD: dict[str, tuple[Callable[[datetime], Any], dict[str, Any], Any]] = {
    "a clock 100 seconds fast": (iso, TIME, iso(NOW + timedelta(seconds=100))),
    "the year 9999": (iso, TIME, "9999-12-31T23:59:59Z"),
    "no time": (iso, TIME, None),
    "milliseconds among seconds": (seconds, NUMBER, millis(NOW)),
    "decimals, one in the future": (seconds, DECIMAL, seconds(NOW + timedelta(days=900))),
    "a word among texts": (iso, TEXT, "zzz"),
    "texts, two spellings": (roundup, {}, "~ yesterday"),
    "a clock a day fast": (iso, TIME, iso(NOW + timedelta(days=1))),
    "the year 1": (iso, TIME, "0001-01-01T00:00:00Z"),
    "the year 1 elsewhere": (iso, TIME, "0001-01-01T00:00:00+05:00"),
    "seconds, one in the future": (seconds, NUMBER, seconds(NOW + timedelta(days=900))),
    "milliseconds, one in the future": (millis, NUMBER, millis(NOW + timedelta(days=900))),
    "microseconds among milliseconds": (millis, NUMBER, millis(NOW) * 1000),
    "texts, one in the future": (iso, TEXT, iso(NOW + timedelta(seconds=100))),
    "texts, one in the year 9999": (roundup, TEXT, "9999-12-31.23:59:59"),
    "texts with a space": (roundup, TEXT, roundup(NOW + timedelta(days=1)).replace(".", " ")),
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.sample(7)
def test_an_odd_time_hides_nothing(it: ChangingApi, what: str) -> None:
    it.tell, column, odd = ODD[what]
    lag = 20_000 if it.tell is millis else 20
    it.reads(column, lag=lag if column in (TIME, NUMBER, DECIMAL) else 0)
    for n in range(5):
        it.now += timedelta(seconds=10)
        it.put(f"{n}", "first")
    it.rows["odd"] = {"id": "odd", "at": odd, "v": "first"}
    it.sync()
    for n in (0, 1, 0, 1):  # from half a minute before the clock that is 100 seconds fast, on
        it.now += timedelta(seconds=20)
        it.put(f"{n}", f"at {it.now}")
        it.sync()
        assert {**it.loaded, "odd": ""} == {**it.there, "odd": ""}


def test_a_later_time_in_a_text_that_sorts_before_is_newer(it: ChangingApi) -> None:
    it.reads(TEXT, lag=0)
    it.put("0", "first", "2026-03-01T10:20:00+02:00")
    it.put("1", "first", "2026-03-01T10:40:00+02:00")
    it.sync()
    it.keeps = lambda row, limit: datetime.fromisoformat(row["at"]) >= datetime.fromisoformat(limit)
    it.now += timedelta(minutes=40)
    it.put("1", "a", "2026-03-01T10:10:00+01:00")  # the clocks went back
    it.sync()
    assert it.loaded == it.there


def test_a_lag_with_a_fraction_fits_decimals(it: ChangingApi) -> None:
    it.tell = seconds
    it.reads(DECIMAL, lag=0.1)
    it.put("0", "first")
    it.sync()
    it.put("0", "a")
    it.sync()
    assert it.loaded == it.there
    assert it.since == [f"{seconds(NOW) - 1}.900000000"]


@pytest.mark.parametrize(("tell", "told"), [(iso, False), (roundup, False), (str, True)])
def test_a_text_that_is_no_time_is_told(
    it: ChangingApi, tell: Callable[..., str], told: bool
) -> None:
    it.tell = (lambda moment: f"r{seconds(moment)}") if tell is str else tell
    it.reads({"data_type": "text"}, lag=0)
    for n in range(3):
        it.now += timedelta(seconds=10)
        it.put(f"{n}", "first")
    it.sync()
    it.put("1", "a")
    it.sync()
    assert it.loaded == it.there
    assert it.since[-1] == it.rows["2"]["at"]
    assert ["at is text, and not a time" in line for line in it.said] == [True] * told


def test_of_texts_that_are_no_times_none_is_older(it: ChangingApi) -> None:
    it.tell = lambda moment: f"{moment:%d.%m.%Y %H:%M}"
    it.keeps = lambda row, limit: _day_first(row["at"]) >= _day_first(limit)
    it.now += timedelta(days=30)  # the 31st
    it.reads({"data_type": "text"}, lag=0)
    for n in range(3):
        it.put(f"{n}", "first")
    it.sync()
    it.now += timedelta(days=1)
    it.put("1", "a")
    it.sync()
    assert it.loaded == it.there
    assert not any("may ignore since" in line for line in it.said)


def _day_first(text: str) -> datetime:
    return datetime.strptime(text, "%d.%m.%Y %H:%M")


def test_a_clock_that_was_ahead_and_is_put_right_hides_nothing(it: ChangingApi) -> None:
    it.reads()
    it.put("0", "first")
    it.put("1", "first")
    it.now += timedelta(hours=3)  # its clock, by mistake
    it.put("2", "first")
    it.sync()
    it.now -= timedelta(hours=3) - timedelta(minutes=5)
    it.put("0", "a")
    it.sync()
    assert it.loaded == it.there
    assert "the API's clock was ahead" in it.said[0]
    it.now += timedelta(minutes=5)
    it.put("1", "a")
    it.sync()
    assert it.loaded == it.there
    assert None not in it.since


@pytest.mark.parametrize("odd", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_nothing_but_odd_times_ends_no_sync(it: ChangingApi, odd: str) -> None:
    it.reads()
    for n in range(3):
        it.put(f"{n}", "first", odd)
    for _ in range(3):
        it.sync()
        assert it.loaded == it.there
        assert len(it.since) <= 2


@pytest.mark.parametrize("initial", [0, "0", 1, "now-30d", "2020-01-01"])
@pytest.mark.parametrize("tell", [iso, seconds])
@pytest.mark.sample(4)
def test_any_initial_value_can_be_reconciled(
    it: ChangingApi, query: Query, initial: Any, tell: Callable[[datetime], Any]
) -> None:
    it.tell = tell
    it.reads(TIME if tell is iso else NUMBER, initial_value=initial)
    for n in range(6):
        it.put(f"{n}", "first")
    it.sync()
    assert it.loaded == it.there
    del it.rows["3"]
    it.sync(Mode.RECONCILE)
    assert query("SELECT id FROM incidents.x WHERE deleted_at IS NOT NULL") == [("3",)]
