"""Several processes take turns with the DuckDB file: a sync has it open only while it uses it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from fakes.messages import Asked
from fakes.pages import row
from fakes.web import Web
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import DatabaseBusyError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.rows import batches
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.warehouse import duckdb_file
from incidents_dagster.ingestion.warehouse.duckdb_file import open_file
from incidents_dagster.ingestion.warehouse.file_reader import FileReader
from incidents_dagster_tests.ingestion.one_resource import MARKED, resource
from incidents_dagster_tests.ingestion.other_process import NOTES, OtherProcess

Configure = Callable[..., Settings]
Listen = Callable[[Callable[[Asked], Any]], Web]
Query = Callable[[str], list[Any]]

PAGE = 5
SECONDS = 1.0  # for one process, by the clock below


class Api:
    """Pages of a list by offset; `meanwhile` is called before each is sent."""

    def __init__(self, listen: Listen, configure: Configure) -> None:
        self.rows = [row(n, minute=n) for n in range(3 * PAGE)]
        self.meanwhile: Callable[[Asked], None] = lambda _: None
        pages = {"type": "offset", "limit": PAGE, "total_path": "total"}
        section = resource(listen(self._answer).base_url, pages)
        (one,) = section["resources"]
        section["resources"].append({**one, "name": "y"})  # dlt reads them in turns
        self._settings = configure(**section, completeness={"overlap_pages": False})

    def _answer(self, asked: Asked) -> Any:
        self.meanwhile(asked)
        at = int(asked.query["offset"])
        return {"data": self.rows[at : at + PAGE], "total": len(self.rows)}

    def sync(self, mode: Mode = Mode.INCREMENTAL) -> None:
        run_sync(self._settings, lambda _: None, mode)


@pytest.fixture
def it(listen: Listen, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(batches, "BATCH_ROWS", PAGE)  # each page is compared before the next
    return Api(listen, configure)


def test_while_the_api_holds_a_page_back_another_process_writes(
    it: Api, other: OtherProcess, query: Query
) -> None:
    it.sync()
    it.rows[0]["title"] = it.rows[7]["title"] = "new"
    del it.rows[12]
    it.meanwhile = lambda _: other.write()
    it.sync(Mode.RECONCILE)
    assert {*other.written} == {"done"}
    assert len(other.written) >= 6
    assert query(NOTES) == [(len(other.written),)]
    assert query(MARKED) == [("12",)]
    assert query("SELECT id FROM incidents.x WHERE title = 'new' ORDER BY id") == [("0",), ("7",)]
    assert query("SELECT count(DISTINCT id), count(*) FROM incidents.x") == [(15, 15)]
    same = "SELECT id, v, title, deleted_at IS NULL FROM incidents"
    assert query(f"{same}.x EXCEPT {same}.y") == []


def test_during_a_first_sync_another_process_writes_as_well(
    it: Api, other: OtherProcess, query: Query
) -> None:
    it.meanwhile = lambda asked: other.write() if asked.query["offset"] == str(PAGE) else None
    it.sync()
    assert {*other.written} == {"done"}
    assert query(NOTES) == [(len(other.written),)]
    assert query("SELECT count(DISTINCT id), count(*) FROM incidents.x") == [(15, 15)]


def test_a_connection_of_the_same_process_is_named(database: Path) -> None:
    with (
        duckdb.connect(str(database)),
        FileReader(database, seconds=0.2) as file,
        pytest.raises(DatabaseBusyError, match="open in this process, in another mode"),
    ):
        file.execute("SELECT 1")


def test_times_are_read_in_utc_whenever_the_file_is_opened(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE t AS SELECT TIMESTAMPTZ '2026-11-01 12:00:00+02' AS t")
    with FileReader(database, seconds=0) as file:
        for _ in range(2):
            found = file.execute("SELECT t.t::VARCHAR FROM t").fetchall()
            assert found == [("2026-11-01 10:00:00+00",)]
            file.release()


class Clock:
    """The clock by which the file is waited for.

    Attributes:
        now: Seconds.
        passes: Called whenever it goes on.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.passes: Callable[[float], None] = lambda _: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.passes(self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    fake = SimpleNamespace(monotonic=lambda: made.now, sleep=made.sleep)
    monkeypatch.setattr(duckdb_file, "time", fake)
    return made


@pytest.fixture
def turns(api: DemoServer, database: Path, other: OtherProcess) -> Iterator["Turns"]:
    """Two processes that have a table's file in turns, from now on."""
    run_sync(load_settings(), print)
    with OtherProcess(database) as second:
        other.take()
        yield Turns(other, second)


class Turns:
    """Lets two processes have the file in turns, so that it is never free.

    Attributes:
        has: The one that has it.
    """

    def __init__(self, first: OtherProcess, second: OtherProcess) -> None:
        self.has, self._next, self._since = first, second, 0.0

    def take_turns(self, now: float, seconds: float = 0.6 * SECONDS) -> None:
        """Gives it to the other one if this one has had it for `seconds`."""
        if now - self._since >= seconds:
            self._next.take()
            self.has.give_back()
            self.has, self._next, self._since = self._next, self.has, now


@pytest.fixture
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__WAIT_SECONDS", str(SECONDS))


@pytest.mark.usefixtures("_short_waits")
def test_a_sync_waits_for_several_that_take_turns(turns: Turns, clock: Clock) -> None:
    given_back = []

    def pass_on(now: float) -> None:
        if now < 3 * SECONDS:
            turns.take_turns(now)
        elif not given_back:
            turns.has.give_back()
            given_back.append(now)

    clock.passes = pass_on
    run_sync(load_settings(), print)
    assert given_back


@pytest.mark.usefixtures("_short_waits")
def test_a_sync_fails_if_one_of_them_keeps_the_file(
    turns: Turns, clock: Clock, database: Path
) -> None:
    clock.passes = lambda now: turns.take_turns(now) if now < 2 * SECONDS else None
    with pytest.raises(Exception, match="is open in") as failed:
        run_sync(load_settings(), print)
    message = explain(failed.value)
    assert message.startswith(f"{database} is open in another process (PID {turns.has.pid}, ")
    assert "and has been for over 1 s: close it there" in message
    assert clock.now > 2.5 * SECONDS


def test_nothing_waits_for_ever(
    turns: Turns, clock: Clock, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_file, "RETRY_SECONDS", 60.0)
    clock.passes = lambda now: turns.take_turns(now, 600)
    with pytest.raises(DatabaseBusyError) as failed:
        open_file(database, 900)
    assert clock.now == duckdb_file.MOST_SECONDS
    told = f"one process after another for over 3600 s, now in another process (PID {turns.has.pid}"
    assert told in str(failed.value)


def test_a_moment_is_not_reported(turns: Turns, clock: Clock, database: Path) -> None:
    said: list[str] = []
    clock.passes = lambda now: turns.has.give_back() if now == pytest.approx(0.5) else None
    open_file(database, 60, said.append).close()
    assert not said
