"""Dagster's real daemon tells what the command line did, once, over a restart of the daemon."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.dagster_dev import BARE_DEV, DagsterDev, dagster_dev, wait_until
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster_tests.alerts.conftest import Ears

SECONDS = 120.0  # a tick comes every 30
JOB = "incidents_sync"


def sync(checkout: Path, **environment: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "incidents_dagster", "sync"],
        cwd=checkout,
        env={**os.environ, "DAGSTER_HOME": str(checkout), **environment},
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )


def wait_for_tick(ui: DagsterDev, wrong: str) -> None:
    said = f"sync_failure_sensor skipped: Wrong now: {wrong}"
    wait_until(lambda: said in ui.log.read_text(), SECONDS, said)


@pytest.mark.slow
def test_over_a_restart_of_the_daemon(
    checkout: Path, api: DemoServer, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DLT_PROJECT_DIR", "DLT_DATA_DIR", "INCIDENTS_DUCKDB_PATH"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("SOURCES__INCIDENTS__SCHEDULES__SYNC_CRON", "")
    heard: list[str] = []

    def of_the_job() -> list[str]:
        heard.extend(told for told in ears.heard() if told.startswith(JOB))
        return heard

    sync(checkout, API_KEY="not-the-right-key")
    with dagster_dev(checkout, *BARE_DEV) as ui:
        wait_for_tick(ui, JOB)
        (told,) = of_the_job()
        assert "returned 401" in told
    sync(checkout, API_KEY="neither-the-right-key")
    with dagster_dev(checkout, *BARE_DEV) as ui:
        wait_for_tick(ui, JOB)
        assert of_the_job() == [told]
        sync(checkout)
        wait_until(lambda: len(of_the_job()) > 1, SECONDS, "the end")
        assert heard[1].startswith(f"{JOB} succeeds again")
