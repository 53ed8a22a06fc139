"""The change sensor, tick by tick on a real instance; `alerts` has the tests of the other one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from starlette.responses import Response

from fakes.incidents import incident
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.warehouse.duckdb_file import alone_on
from incidents_dagster.sensors import change_sensors

Sync = Callable[..., dg.ExecuteInProcessResult]


class Ticker:
    """Evaluates the change sensor as the daemon does, and runs what it asks for if told so."""

    def __init__(self, instance: dg.DagsterInstance, sync: Sync) -> None:
        self.instance = instance
        self.sync = sync

    def tick(self) -> tuple[list[str | None], str]:
        """Keys of the runs requested, and why none was."""
        result = change_sensors[0](dg.build_sensor_context(instance=self.instance))
        assert isinstance(result, dg.SensorResult)
        reason = result.skip_reason
        keys = [request.run_key for request in result.run_requests or []]
        return keys, reason.skip_message if reason else ""

    def noticed(self) -> bool:
        """Whether a tick asks for a run; runs it then, as the daemon would."""
        runs, _ = self.tick()
        if runs:
            assert self.sync().success
        return bool(runs)


@pytest.fixture
def ticker(instance: dg.DagsterInstance, sync: Sync) -> Ticker:
    return Ticker(instance, sync)


def test_a_run_only_when_something_is_new_or_changed(
    api: DemoServer, rows: list[dict[str, Any]], ticker: Ticker
) -> None:
    assert ticker.noticed()
    assert ticker.tick() == ([], "Nothing new or changed.")
    rows.append(incident(900, updated_at="2026-11-10T00:00:00Z"))
    assert ticker.noticed()
    assert not ticker.noticed()
    rows[0].update(status="resolved", updated_at="2026-11-11T00:00:00Z")
    assert ticker.noticed()
    assert not ticker.noticed()


@pytest.mark.thorough
def test_the_same_change_asks_for_one_run_however_long_that_takes(
    api: DemoServer, rows: list[dict[str, Any]], ticker: Ticker
) -> None:
    ticker.noticed()
    rows.append(incident(900, updated_at="2026-11-10T00:00:00Z"))
    (first,), _ = ticker.tick()
    (again,), _ = ticker.tick()
    assert first == again, "Dagster starts no second run for a run_key that it knows"
    rows[-1]["status"] = "resolved"
    (other,), _ = ticker.tick()
    assert other != first


@pytest.mark.thorough
def test_a_change_that_shares_the_newest_time_is_noticed(
    api: DemoServer, rows: list[dict[str, Any]], ticker: Ticker
) -> None:
    ticker.noticed()
    rows.append(incident(900, updated_at=rows[-1]["updated_at"]))
    assert ticker.noticed()
    rows[-1]["status"] = "resolved"
    assert ticker.noticed()
    assert not ticker.noticed()


def test_a_tick_is_one_small_question(api: DemoServer, ticker: Ticker) -> None:
    ticker.noticed()
    api.requests.clear()
    ticker.tick()
    (request,) = api.requests
    assert request.query == {
        **{"sort": "-updated_at", "limit": "100", "offset": "0"},
        # The newest change, less the minute of lag.
        "updated_since": "2026-11-01T03:55:00Z",
    }


def test_while_the_api_is_down_ticks_are_skipped(
    api: DemoServer, rows: list[dict[str, Any]], ticker: Ticker, waits: list[float]
) -> None:
    ticker.noticed()
    rows.append(incident(900, updated_at="2026-11-10T00:00:00Z"))
    api.faults.answers.extend(Response(status_code=503) for _ in range(4))
    runs, reason = ticker.tick()
    assert not runs
    assert "503" in reason
    api.stop()
    runs, reason = ticker.tick()
    assert not runs
    assert "cannot be reached" in reason
    assert api.api_key not in reason
    api.start()
    assert ticker.noticed()


def test_while_a_sync_runs_ticks_are_skipped(
    api: DemoServer, ticker: Ticker, database: Path
) -> None:
    with alone_on(database, "incidents", seconds=0):
        runs, reason = ticker.tick()
    assert not runs
    assert "Another sync" in reason
    assert not api.requests
    assert ticker.noticed()


def test_a_sync_may_start_while_the_api_is_asked(
    api: DemoServer, ticker: Ticker, database: Path
) -> None:
    ticker.noticed()
    held: list[bool] = []

    def answer(body: Any) -> Any:
        with alone_on(database, "incidents", seconds=0), duckdb.connect(str(database)):
            held.append(False)
        return body

    api.faults.reshape = answer
    assert not ticker.noticed()
    assert held == [False]


def test_a_missing_key_is_a_reason_too(
    api: DemoServer, ticker: Ticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("API_KEY")
    runs, reason = ticker.tick()
    assert not runs
    assert "api_key is missing" in reason


@pytest.mark.thorough
def test_the_demo_api_is_watched_where_none_is_configured(ticker: Ticker) -> None:
    assert ticker.noticed()


def test_the_change_sensor_is_off_until_somebody_turns_it_on() -> None:
    assert change_sensors[0].default_status == dg.DefaultSensorStatus.STOPPED
    assert change_sensors[0].minimum_interval_seconds == 60
