"""A list that the API shows only in part is read in windows of time, each proven by itself."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing import backfill
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.reading.windows import Window, Windows
from incidents_dagster.ingestion.rows import batches
from incidents_dagster.ingestion.settings import PROJECT_ROOT, Settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster_tests.ingestion.one_resource import MARKED, resource
from incidents_dagster_tests.ingestion.other_process import NOTES, OtherProcess

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]

CEILING = 10
DAY = datetime(2026, 3, 1, tzinfo=timezone.utc)
WINDOW = {"cursor_path": "at", "start_param": "since", "end_param": "until"}
ISO = "%Y-%m-%dT%H:%M:%SZ"


class Api:
    """Shows ten records of a list, oldest first, and takes a window of time.

    Attributes:
        ceiling: So many records of a list are shown.
        limit: How many are asked for.
        total: Whether it reports how many records the list has.
        longest: A longer window is refused; None: none is.
        exclusive: Whether both ends of a window are left out.
        refuses: The number of the request that it refuses, counted from the first one; 0: none.
    """

    def __init__(self, listen: Listen, configure: Configure) -> None:
        self.rows: list[dict[str, Any]] = []
        self.web, self._configure = listen(self._answer), configure
        self.said: list[str] = []
        self.total, self.exclusive, self.refuses = True, False, 0
        self.ceiling, self.limit, self.lag = CEILING, 5, 3600
        self.paginator: Any = None
        self.initial: str | None = "2026-01-01T00:00:00Z"
        self.more: dict[str, Any] = {}  # of the endpoint
        self.own: dict[str, Any] = {}  # of the resource
        self.longest: timedelta | None = None

    def has(self, count: int, apart: timedelta, begin: datetime = DAY) -> None:
        """Adds records."""
        first = len(self.rows)
        for n in range(count):
            at = (begin + apart * n).strftime(ISO)
            self.rows.append({"id": f"{first + n:05}", "at": at})

    def _answer(self, asked: Asked) -> Any:
        since, until = asked.query.get("since", ""), asked.query.get("until", "9")
        if len(self.web.asked) == self.refuses:
            return Reply({}, 400)
        if self.longest and _span(since, until) > self.longest:
            return Reply({"error": "range too long"}, 400)
        at, size = int(asked.query.get("offset", 0)), int(asked.query.get("limit", self.limit))
        if at + size > self.ceiling:
            return Reply({"error": "offset too large"}, 400)
        rows = [r for r in self.rows if since <= r["at"] <= until]
        if self.exclusive:
            rows = [r for r in rows if r["at"] not in (since, until)]
        return {"data": rows[at : at + size], **({"total": len(rows)} if self.total else {})}

    def sync(self, mode: Mode = Mode.INCREMENTAL, **windows: Any) -> None:
        settings = self.write(**windows)
        self.web.asked.clear()
        self.said.clear()
        run_sync(settings, self.said.append, mode)

    def write(self, **windows: Any) -> Settings:
        pages = self.paginator or {"type": "offset", "limit": self.limit, "total_path": ""}
        incremental = {**WINDOW, "lag": self.lag}
        incremental |= {"initial_value": self.initial} if self.initial else {}
        section = resource(self.web.base_url, pages, incremental=incremental, **self.more)
        one = section["resources"][0]
        one |= {"windows": {"most": CEILING, **windows}}
        one |= self.own
        one["columns"] = {"at": {"data_type": "timestamp", "dedup_sort": "desc"}}
        section["completeness"] = {"overlap_pages": False} if not self.total else {}
        return self._configure(**section)

    def refusal(self, **windows: Any) -> str:
        with pytest.raises(Exception, match="x") as failed:
            self.sync(**windows)
        return explain(failed.value)


def _span(since: str, until: str) -> timedelta:
    end = datetime.now(timezone.utc) if until == "9" else _moment(until)
    return end - _moment(since) if since else timedelta(days=10_000)


def _moment(text: str) -> datetime:
    return datetime.strptime(text, ISO).replace(tzinfo=timezone.utc)


@pytest.fixture
def api(listen: Listen, configure: Configure) -> Api:
    return Api(listen, configure)


IDS = "SELECT count(DISTINCT id), count(*) FROM incidents.x WHERE deleted_at IS NULL"


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.sample(1)
def test_more_than_the_api_shows_is_read_in_halves(
    api: Api, query: Query, total: bool, exclusive: bool
) -> None:
    api.total, api.exclusive = total, exclusive
    api.has(60, timedelta(hours=5))
    api.has(25, timedelta(minutes=10), DAY + timedelta(days=20))
    api.sync()
    assert query(IDS) == [(85, 85)]
    assert any("windows to go." in line for line in api.said)


def test_a_sync_of_what_changed_is_one_window(api: Api, query: Query) -> None:
    api.has(20, timedelta(hours=5))
    api.sync()
    api.sync()
    assert len(api.web.asked) == 1
    api.has(25, timedelta(minutes=10), DAY + timedelta(days=20))
    api.sync()
    assert query(IDS) == [(45, 45)]


def test_a_full_read_in_windows_shows_what_was_deleted(api: Api, query: Query) -> None:
    api.has(40, timedelta(hours=5))
    api.sync()
    del api.rows[5], api.rows[-1]
    api.sync(Mode.RECONCILE)
    assert query(MARKED) == [("00005",), ("00039",)]


def test_while_the_api_holds_a_window_back_another_process_writes(
    api: Api, query: Query, other: OtherProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "ENOUGH", 10)
    monkeypatch.setattr(batches, "BATCH_ROWS", 5)
    api.has(40, timedelta(hours=5))
    whole = api.web.answer

    def answer(asked: Asked) -> Any:
        other.write()
        return whole(asked)

    api.web.answer = answer
    api.sync()
    first_read = len(other.written)
    del api.rows[5], api.rows[-1]
    api.sync(Mode.RECONCILE)
    assert {*other.written} == {"done"}
    assert 8 < first_read < len(other.written) - 8
    assert query(MARKED) == [("00005",), ("00039",)]
    assert query(IDS) == [(38, 38)]
    assert query(NOTES) == [(len(other.written),)]


def test_windows_are_no_longer_than_the_api_takes(api: Api, query: Query) -> None:
    api.longest = timedelta(days=31)
    api.has(40, timedelta(hours=5))
    api.sync(days=30)
    assert query(IDS) == [(40, 40)]


@pytest.mark.parametrize("mode", [Mode.INCREMENTAL, Mode.FULL_REFRESH])
@pytest.mark.sample(1)
def test_what_came_before_a_window_was_halved_is_loaded_once(
    api: Api, query: Query, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    """Without a total, the ceiling is seen only after whole batches have arrived."""
    monkeypatch.setattr(batches, "BATCH_ROWS", 5)
    api.ceiling = 30
    api.has(60, timedelta(hours=5))
    whole = api.web.answer
    api.web.answer = lambda asked: {"data": whole(asked)["data"]}
    api.sync(mode, most=30)
    assert query(IDS) == [(60, 60)]


def test_an_instant_with_too_many_records_fails_with_the_reason(api: Api, query: Query) -> None:
    api.has(5, timedelta(hours=5))
    api.has(11, timedelta(0), DAY + timedelta(days=1))
    message = api.refusal()
    assert "There are more than 10 records around 2026-03-01 23:59:5" in message
    assert "one second is the shortest time" in message
    assert query("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'x'") == [(0,)]


def test_the_unit_ends_the_halving(api: Api) -> None:
    api.has(30, timedelta(minutes=10))
    assert "one day is the shortest time" in api.refusal(unit="day")


def test_a_window_that_lacks_a_record_fails_the_sync(api: Api) -> None:
    api.has(40, timedelta(hours=5))
    whole = api.web.answer

    def answer(asked: Asked) -> Any:
        body = whole(asked)
        if isinstance(body, dict) and "until" in asked.query and body["data"]:
            body["total"] += 1
        return body

    api.web.answer = answer
    assert "but the API reports" in api.refusal()


@pytest.mark.parametrize("stopped_at", [8, 3, 20])
@pytest.mark.sample(1)
def test_a_first_read_that_was_stopped_goes_on_at_its_last_window(
    api: Api, query: Query, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    monkeypatch.setattr(backfill, "ENOUGH", 1)
    api.has(60, timedelta(hours=5))
    api.refuses = stopped_at
    api.refusal()
    api.refuses = 0
    loaded = query("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'x'") == [(1,)]
    (last,) = query("SELECT max(at) FROM incidents.x")[0] if loaded else (None,)
    api.sync()
    assert query(IDS) == [(60, 60)]
    if last:
        begin = min(asked.query["since"] for asked in api.web.asked)
        assert begin >= (last - timedelta(days=15)).strftime(ISO)
        assert any("going on at" in line for line in api.said)
    api.sync()
    assert len(api.web.asked) == 1  # whole: what changed is enough
    api.sync(Mode.RECONCILE)
    assert query(MARKED) == []


@pytest.mark.parametrize("at", [None, "1999-01-01T00:00:00Z"])
@pytest.mark.sample(1)
def test_what_no_window_asks_for_is_not_marked_as_deleted(
    api: Api, query: Query, at: str | None
) -> None:
    api.ceiling, api.initial = 1_000, None
    api.has(15, timedelta(hours=5))
    api.rows.append({"id": "odd", "at": at})
    whole, odd = api.web.answer, api.rows[-1]
    api.web.answer = lambda asked: {"data": api.rows}
    api.own, api.paginator = {"windows": False}, "single_page"
    api.sync()
    api.rows.remove(odd)
    api.own, api.paginator, api.web.answer = {}, None, whole
    for mode in (Mode.INCREMENTAL, Mode.RECONCILE):
        api.sync(mode)
        assert query(MARKED) == []


def test_what_becomes_no_incident_in_any_window_is_marked(api: Api, query: Query) -> None:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    api.lag = 86_400 * 30
    api.own = {"drop_where": {"kind": "test"}}
    api.has(40, timedelta(hours=5), now - timedelta(days=20))
    api.sync()
    for row in (api.rows[0], api.rows[-1]):
        row["kind"] = "test"
    api.sync()
    assert query(MARKED) == [("00000",), ("00039",)]


def test_windows_that_are_new_read_everything(api: Api, query: Query) -> None:
    """The list may have been cut off without a sign before."""
    api.has(30, timedelta(hours=5))
    whole, api.limit = api.web.answer, 9
    api.web.answer = lambda asked: {"data": whole(asked)["data"]}
    api.own = {"windows": False}
    api.paginator = "single_page"
    api.sync()
    assert query(IDS) == [(9, 9)]
    api.own = {}
    api.sync()
    assert query(IDS) == [(30, 30)]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.sample(1)
def test_the_page_before_the_first_one_is_that_of_the_window(
    api: Api, query: Query, first: int
) -> None:
    """The first windows are empty; an API that counts from 1 may send page 1 for page 0."""
    api.has(30, timedelta(hours=5))
    api.paginator = {"type": "page_number", "base_page": 1, "total_path": ""}

    def answer(asked: Asked) -> Any:
        since, until = asked.query["since"], asked.query.get("until", "9")
        at = 5 * max(0, int(asked.query["page"]) - first)
        return {"data": [r for r in api.rows if since <= r["at"] <= until][at : at + 5]}

    api.web.answer = answer
    if first:
        api.sync()
        assert query(IDS) == [(30, 30)]
    else:
        assert "set paginator.base_page to 0" in api.refusal()


SYNC = """
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
run_sync(load_settings(), lambda line: print(line, flush=True))
"""


@pytest.mark.thorough
def test_many_records_behind_a_ceiling_are_all_there_after_a_kill(
    api: Api, query: Query, tmp_path: Path
) -> None:
    """25,000 of them, 12,000 on one day, behind a ceiling of 10,000."""
    api.ceiling, api.limit = 10_000, 500
    api.has(13_000, timedelta(minutes=10), DAY - timedelta(days=58))
    api.has(12_000, timedelta(seconds=7), DAY + timedelta(days=100))
    api.write(most=10_000)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    process = subprocess.Popen([sys.executable, "-c", SYNC], cwd=tmp_path, env=environment)
    whole = api.web.answer

    def answer(asked: Asked) -> Any:
        if len(api.web.asked) == 30:
            process.kill()
        return whole(asked)

    api.web.answer = answer
    assert process.wait(60) == -signal.SIGKILL
    (loaded,) = query("SELECT count(*) FROM incidents.x")[0]
    assert 0 < loaded < 25_000
    api.sync(most=10_000)
    assert query(IDS) == [(25_000, 25_000)]
    assert any("going on at" in line for line in api.said)
    assert len(api.web.asked) < 50  # not all of it again
    api.sync(Mode.RECONCILE, most=10_000)  # fails unless it is proven
    assert query(MARKED) == []


@pytest.mark.parametrize("changed", ["source", "fields"])
def test_settings_that_change_after_a_stopped_first_read_reach_every_row(
    api: Api, query: Query, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    monkeypatch.setattr(backfill, "ENOUGH", 1)
    api.has(60, timedelta(hours=5))
    api.refuses = 20
    api.refusal()
    api.refuses = 0
    assert 0 < query("SELECT count(*) FROM incidents.x")[0][0] < 60
    if changed == "source":
        api.rows = api.rows[::2]
        api.more = {"params": {"team": "a"}}
    else:
        api.own = {"fields": {"title": "id"}}
    for _ in range(3):  # a second look at what is missing
        api.sync()
    if changed == "source":
        assert query(IDS) == [(30, 30)]
    else:
        assert query("SELECT count(*) FROM incidents.x WHERE title = id") == [(60,)]


def test_a_reconcile_in_windows_looks_for_what_changed_window_by_window(
    api: Api, query: Query
) -> None:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    api.lag = 86_400 * 30
    api.has(40, timedelta(hours=5), now - timedelta(days=20))
    api.sync()
    del api.rows[20]
    api.sync(Mode.RECONCILE)
    assert query(MARKED) == [("00020",)]


def test_a_window_of_one_unit_may_be_as_full_as_a_list_can_be(api: Api, query: Query) -> None:
    api.ceiling = 1_000  # it counts records, not places
    api.has(40, timedelta(hours=8))
    api.sync(unit="day")
    assert query(IDS) == [(40, 40)]


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.sample(1)
def test_an_instant_with_as_many_as_are_shown_is_proven_by_a_total_alone(
    api: Api, query: Query, total: bool
) -> None:
    """Without one, the API may have cut it off."""
    api.total, api.ceiling = total, 1_000
    api.has(5, timedelta(hours=5))
    api.has(CEILING + (not total), timedelta(0), DAY + timedelta(days=9))
    whole = api.web.answer

    def answer(asked: Asked) -> Any:
        body = whole(asked)
        return body if total else {"data": body["data"][: CEILING - int(asked.query["offset"])]}

    api.web.answer = answer
    if total:
        api.sync()
        assert query(IDS) == [(15, 15)]
    else:
        assert "There are 10 or more records around" in api.refusal()
        assert len(api.web.asked) < 200  # and not each second after that


def test_more_windows_than_make_sense_are_refused(api: Api) -> None:
    assert "makes more than 10,000 windows since 2026-01-01" in api.refusal(days=0.00001)


def test_the_windows_of_a_first_read_are_few_loads(api: Api, query: Query) -> None:
    api.has(60, timedelta(hours=5))
    api.sync()
    loads = "SELECT count(*) FROM incidents._dlt_loads WHERE schema_name = 'incidents'"
    assert query(loads)[0][0] <= 2


def test_an_api_without_records_is_asked_once_when_nothing_is_left(api: Api) -> None:
    api.sync(days=10)
    first = len(api.web.asked)
    assert first > 10
    api.sync(days=10)
    assert len(api.web.asked) <= first


def test_windows_of_a_length_lie_end_to_end() -> None:
    plan = Windows(days=30).plan(datetime.now(timezone.utc) - timedelta(days=70))
    assert [one.end for one in plan[:-1]] == [one.begin for one in plan[1:]]
    assert [one.end is None for one in plan] == [False, False, True]


def test_halves_meet_and_stop_at_the_unit() -> None:
    hour = timedelta(hours=1)
    first, second = Window(DAY, DAY + 3 * hour).halves(DAY, hour) or []
    assert (first.begin, first.end, second.end) == (DAY, second.begin, DAY + 3 * hour)
    assert Window(DAY, DAY + hour).halves(DAY, hour) is None
    assert Window(DAY, None).halves(DAY - hour, hour) is None


@pytest.mark.parametrize(
    ("windows", "told"),
    [
        ({"most": "all"}, "windows.most in "),
        ({"most": 1.5}, "windows.most in [sources.incidents] of "),
        ({"days": -1}, "must be greater than or equal to 0, not -1"),
        ({"unit": "week"}, "'second', 'minute', 'hour' or 'day', not 'week'"),
        ({"units": "day"}, "did you mean 'unit'?"),
        (7, "resources[0].windows in "),
    ],
)
def test_a_mistake_names_the_setting(configure: Configure, windows: Any, told: str) -> None:
    section = resource("http://127.0.0.1:9", "single_page", incremental=WINDOW)
    section["resources"][0]["windows"] = windows
    with pytest.raises(SettingsError) as refused:
        declared_source(configure(**section))
    assert told in str(refused.value)


def test_windows_need_an_end(configure: Configure) -> None:
    incremental = {"cursor_path": "at", "start_param": "since"}
    section = resource("http://127.0.0.1:9", "single_page", incremental=incremental)
    section["resources"][0]["windows"] = {"most": 5}
    with pytest.raises(SettingsError, match="an end_param"):
        declared_source(configure(**section))
