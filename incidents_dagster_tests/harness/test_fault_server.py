"""The fault server in front of another API: what is right arrives unchanged, faults are met."""

from typing import Any

import pytest

from fakes.web import Web
from faults.server import forward, seeded, told
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync

pytestmark = pytest.mark.thorough


def test_a_sync_through_the_fault_server_recovers_and_is_complete(
    api: DemoServer,
    rows: list[dict[str, Any]],
    database: Any,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    with Web(forward(api.base_url), told(seeded(7), seen.append)) as server:
        monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", server.base_url)
        info = run_sync(load_settings(), lambda _: None)
    assert not info.has_failed_jobs
    assert waits, "the seed has no fault for so few requests: take another"
    assert len(server.asked) == len(seen) == 3 + len(waits)
    assert any("right" not in line for line in seen)
    assert not any(api.api_key in line or "?" in line for line in seen)
    assert api.requests[-1].path == "/v1/incidents"
