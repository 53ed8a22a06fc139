"""Servers and settings of the ingestion's own tests."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.demo_api.app import Faults
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.reading.source import open_api
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster_tests.ingestion.other_process import OtherProcess

# A configuration of the test's own would let dlt phone home and log.
RUNTIME = {"dlthub_telemetry": False, "log_level": "CRITICAL"}


@pytest.fixture(scope="module")
def demo() -> Iterator[tuple[DemoServer, list[list[Any]]]]:
    """One demo API for the tests of a module; it serves the last of the lists beside it."""
    served: list[list[Any]] = [[]]
    with DemoServer(incidents=lambda: served[-1]) as server:
        yield server, served


@pytest.fixture
def api(
    demo: tuple[DemoServer, list[list[Any]]],
    rows: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> DemoServer:
    """As for all other tests, without starting and stopping a server in each: all is reset."""
    server, served = demo
    served[:] = [rows]
    server.requests.clear()
    vars(server.faults).update(vars(Faults()))
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", server.base_url)
    monkeypatch.setenv("API_KEY", server.api_key)
    return server


@pytest.fixture
def listen() -> Iterator[Callable[[Callable[[Asked], Any]], Web]]:
    """Starts a server that answers as the test says."""
    with ExitStack() as running:
        yield lambda answer: running.enter_context(Web(answer))


@pytest.fixture
def other(database: Path) -> Iterator[OtherProcess]:
    """Another process, which opens the test's DuckDB file when it is told to."""
    with OtherProcess(database) as process:
        yield process


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address that refuses every connection for as long as the test runs."""
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound_but_not_listening.getsockname()[1]}"


@pytest.fixture
def configure(write_config: Callable[[str], None]) -> Callable[..., Settings]:
    """Writes a whole [sources.incidents] of the test's own and loads it."""

    def write(**section: Any) -> Settings:
        write_config(tomlkit.dumps({"sources": {"incidents": section}, "runtime": RUNTIME}))
        return load_settings()

    return write


@pytest.fixture
def fetch() -> Callable[[Settings, str], list[Any]]:
    """All records that a resource brings, without loading them."""

    def all_of(settings: Settings, name: str) -> list[Any]:
        with open_api(settings, lambda _: None) as api:
            return list(api.records(name))

    return all_of
