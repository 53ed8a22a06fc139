"""Freshness as Dagster's real daemon judges it, with the shortest windows that Dagster allows.

Age alone makes the asset WARNING and then DEGRADED; a proven sync makes it HEALTHY again, and an
unproven one does not.
"""

import os
import subprocess
import time
from pathlib import Path

import pytest

from fakes.configuration import written_out
from fakes.dagster_dev import REPOSITORY, DagsterDev, dagster_dev, wait_until

DAEMON_INTERVAL_SECONDS = 2
WINDOWS = {
    "SOURCES__INCIDENTS__FRESHNESS__WARN_AFTER_MINUTES": "1",
    "SOURCES__INCIDENTS__FRESHNESS__FAIL_AFTER_MINUTES": "1.5",
    "FRESHNESS_DAEMON_INTERVAL_SECONDS": f"{DAEMON_INTERVAL_SECONDS}",
}
DAEMON_SECONDS = 60.0
DEGRADED_SECONDS = 90.0

SCHEDULE = "incidents_sync_hourly"
SCHEDULE_STATE = """query($selector: ScheduleSelector!) { scheduleOrError(
    scheduleSelector: $selector) { ... on Schedule { scheduleState { status } } } }"""
FRESHNESS = "{ assetNodes { assetKey { path } freshnessStatusInfo { freshnessStatus } } }"


@pytest.mark.slow
def test_the_daemon_sees_the_asset_age_and_recover(checkout: Path) -> None:
    # A sync at a full hour would make the asset young again, whenever the test runs.
    subprocess.run(
        [".venv/bin/dagster", "schedule", "stop", "-w", "workspace.yaml", SCHEDULE],
        cwd=checkout,
        env={**os.environ, "DAGSTER_HOME": str(checkout)},
        capture_output=True,
        timeout=120,
        check=True,
    )
    seen: list[str] = []
    with dagster_dev(checkout, **WINDOWS) as ui:
        selector = {**REPOSITORY, "scheduleName": SCHEDULE}
        state = ui.ask(SCHEDULE_STATE, selector=selector)["scheduleOrError"]["scheduleState"]
        assert state == {"status": "STOPPED"}

        watch(ui, seen, "UNKNOWN", DAEMON_SECONDS)
        ui.sync()
        watch(ui, seen, "HEALTHY", DAEMON_SECONDS)
        watch(ui, seen, "DEGRADED", DEGRADED_SECONDS + DAEMON_SECONDS)
        config = checkout / ".dlt" / "config.toml"
        shipped = written_out()
        config.write_text(shipped.replace("limit = 100", "limit = 1\nmaximum_offset = 1"))
        ui.sync()
        time.sleep(3 * DAEMON_INTERVAL_SECONDS)
        watch(ui, seen, "DEGRADED", DAEMON_SECONDS)
        config.write_text(shipped)
        ui.sync()
        watch(ui, seen, "HEALTHY", DAEMON_SECONDS)
    assert seen == ["UNKNOWN", "HEALTHY", "WARNING", "DEGRADED", "HEALTHY"]


def watch(ui: DagsterDev, seen: list[str], until: str, seconds: float) -> None:
    """Polls the asset's state up to `until`; adds to `seen` each that differs from the last."""

    def reached() -> bool:
        [info] = [
            node["freshnessStatusInfo"]
            for node in ui.ask(FRESHNESS)["assetNodes"]
            if node["assetKey"]["path"] == ["incident_data"]
        ]
        state = info["freshnessStatus"] if info else "no policy"
        if seen[-1:] != [state]:
            seen.append(state)
        return bool(state == until)

    wait_until(reached, seconds, {"state": until, "seen": seen})
