"""Where a sync starts: no odd time in the table hides what changes later, or ends a sync."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster_tests.ingestion.one_resource import INCREMENTAL, TIME, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def millis(moment: datetime) -> int:
    return seconds(moment) * 1000


def roundup(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d.%H:%M:%S}"


def _is_since(at: Any, limit: Any) -> bool:
    if limit is None or at is None or isinstance(at, str) is not isinstance(limit, str):
        return True  # the API ignores what it cannot compare
    return bool(at >= limit) or limit == "now-30d"


class Api:
    """An API with a clock of its own, whose records change; `tell` writes its times."""

    def __init__(self, configure: Configure, listen: Listen, query: Query) -> None:
        self._configure, self._query = configure, query
        self.now, self.tell = NOW, iso
        self.records: dict[str, dict[str, Any]] = {}
        self.address = listen(self).base_url
        self.since: list[str | None] = []
        self.said: list[str] = []

    def __call__(self, asked: Asked) -> Any:
        since = asked.query.get("since")
        self.since.append(since)
        number = since and re.fullmatch(r"-?\d+(\.\d+)?", since)
        limit: Any = float(since) if since and number else since
        found = [r for r in self.records.values() if _is_since(r["at"], limit)]
        headers = {"Date": format_datetime(self.now, usegmt=True)}
        return Reply({"data": found, "next": None}, headers=headers)

    def change(self, key: str, version: str, at: Any = None) -> None:
        """A record changes now, or says that it did at another time."""
        self.records[key] = {
            "id": key,
            "at": self.tell(self.now) if at is None else at,
            "v": version,
        }

    def reads(self, column: dict[str, Any] | None = None, **incremental: Any) -> None:
        paginator = {"type": "cursor", "cursor_path": "next"}
        given = {**INCREMENTAL, **incremental}
        section = resource(self.address, paginator, incremental=given)
        section["resources"][0]["columns"] = {"at": TIME if column is None else column}
        self._configure(**section, quarantine_share=0.5)

    def sync(self, mode: Mode = Mode.INCREMENTAL) -> dict[str, str]:
        self.since.clear()
        self.said.clear()
        run_sync(load_settings(), self.said.append, mode)
        return dict(self._query("SELECT id, v FROM incidents.x ORDER BY id"))

    @property
    def versions(self) -> dict[str, str]:
        return {key: record["v"] for key, record in sorted(self.records.items())}


@pytest.fixture
def it(configure: Configure, listen: Listen, query: Query) -> Api:
    return Api(configure, listen, query)


NUMBER = {"dedup_sort": "desc"}
DECIMAL = {"data_type": "decimal", "dedup_sort": "desc"}
TEXT = {"data_type": "text", "dedup_sort": "desc"}
# The API's times, the column, the odd time of one record.
ODD: dict[str, tuple[Callable[[datetime], Any], dict[str, Any], Any]] = {
    "a clock 100 seconds fast": (iso, TIME, iso(NOW + timedelta(seconds=100))),
    "a clock a day fast": (iso, TIME, iso(NOW + timedelta(days=1))),
    "the year 9999": (iso, TIME, "9999-12-31T23:59:59Z"),
    "the year 1": (iso, TIME, "0001-01-01T00:00:00Z"),
    "the year 1 elsewhere": (iso, TIME, "0001-01-01T00:00:00+05:00"),
    "no time": (iso, TIME, None),
    "milliseconds among seconds": (seconds, NUMBER, millis(NOW)),
    "seconds, one in the future": (seconds, NUMBER, seconds(NOW + timedelta(days=900))),
    "milliseconds, one in the future": (millis, NUMBER, millis(NOW + timedelta(days=900))),
    "microseconds among milliseconds": (millis, NUMBER, millis(NOW) * 1000),
    "decimals, one in the future": (seconds, DECIMAL, seconds(NOW + timedelta(days=900))),
    "a word among texts": (iso, TEXT, "zzz"),
    "texts, one in the future": (iso, TEXT, iso(NOW + timedelta(seconds=100))),
    "texts, one in the year 9999": (roundup, TEXT, "9999-12-31.23:59:59"),
    "texts, two spellings": (roundup, {}, "~ yesterday"),
    "texts with a space": (roundup, TEXT, roundup(NOW + timedelta(days=1)).replace(".", " ")),
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_time_hides_nothing(it: Api, what: str) -> None:
    it.tell, column, odd = ODD[what]
    lag = 20_000 if it.tell is millis else 20
    it.reads(column, lag=lag if column in (TIME, NUMBER, DECIMAL) else 0)
    for n in range(5):
        it.now += timedelta(seconds=10)
        it.change(f"{n}", "first")
    it.records["odd"] = {"id": "odd", "at": odd, "v": "first"}
    loaded = it.sync()
    for version in "ab":
        for n in range(4):
            it.now += timedelta(seconds=10)
            it.change(f"{n}", version)
            loaded = it.sync()
            assert {k: v for k, v in loaded.items() if k != "odd"} == {
                k: v for k, v in it.versions.items() if k != "odd"
            }


@pytest.mark.parametrize(("tell", "told"), [(iso, False), (roundup, False), (str, True)])
def test_a_text_that_is_no_time_is_told(it: Api, tell: Callable[..., str], told: bool) -> None:
    it.tell = (lambda moment: f"r{seconds(moment)}") if tell is str else tell
    it.reads({"data_type": "text"}, lag=0)
    for n in range(3):
        it.now += timedelta(seconds=10)
        it.change(f"{n}", "first")
    it.sync()
    it.change("1", "a")
    assert it.sync() == it.versions
    assert it.since[-1] == it.records["2"]["at"]
    assert ["at is text, and not a time" in line for line in it.said] == [True] * told


@pytest.mark.parametrize("odd", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_nothing_but_odd_times_ends_no_sync(it: Api, odd: str) -> None:
    it.reads()
    for n in range(3):
        it.change(f"{n}", "first", odd)
    for _ in range(3):
        assert it.sync() == it.versions
        assert len(it.since) <= 2


@pytest.mark.parametrize("initial", [0, "0", 1, "now-30d", "2020-01-01"])
@pytest.mark.parametrize("tell", [iso, seconds])
@pytest.mark.sample(4)
def test_any_initial_value_can_be_reconciled(
    it: Api, query: Query, initial: Any, tell: Callable[[datetime], Any]
) -> None:
    it.tell = tell
    it.reads(TIME if tell is iso else NUMBER, initial_value=initial)
    for n in range(6):
        it.change(f"{n}", "first")
    assert it.sync() == it.versions
    del it.records["3"]
    it.sync(Mode.RECONCILE)
    assert query("SELECT id FROM incidents.x WHERE deleted_at IS NOT NULL") == [("3",)]
