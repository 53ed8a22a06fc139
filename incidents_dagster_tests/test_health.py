"""What the doctor says about Dagster: whether it runs, and how old the last proven sync is."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from incidents_dagster.health import look_at_dagster
from incidents_dagster.ingestion.doctor.findings import Diagnosis, Level


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """What it says, by what it is about."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    def look() -> dict[str, Any]:
        found = Diagnosis()
        look_at_dagster("incidents", found)
        return {one.about: one for one in found.findings}

    return look


def test_the_age_of_the_last_proven_sync(
    told: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told()["freshness"].seen == "No proven sync is on record yet."
    with dg.DagsterInstance.get() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("incident_data"))
    assert told()["freshness"].level is Level.OK
    later = time.time() + 2 * 3600
    monkeypatch.setattr("incidents_dagster.health.time.time", lambda: later)
    assert told()["freshness"].level is Level.WARN
    assert "120 minutes ago" in told()["freshness"].seen


def test_a_schedule_that_is_off(
    told: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Dagster is not running" in told()["schedule"].seen
    monkeypatch.setenv("SOURCES__INCIDENTS__SCHEDULES__SYNC_CRON", "")
    assert "nothing syncs by itself" in told()["schedule"].seen
