"""What fails in one source is its own: the others are green, and each failure says its reason."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fakes.messages import Asked
from incidents_dagster.names import asset_key
from incidents_dagster_tests.sources.conftest import Sources


@pytest.mark.slow
def test_a_source_that_is_down_lies_or_has_a_wrong_key_leaves_the_others_alone(
    sources: Sources,
) -> None:
    good = sources.plain("incidents", 30, "k3y-of-the-first-one")
    down = sources.plain("down", 20, "k3y-of-what-is-down")
    lying = sources.plain("lying", 25, "k3y-of-the-liar")
    wrong = sources.plain("wrong", 15, "k3y-that-is-right")
    last = sources.plain("last", 10, "k3y-of-the-last-one")
    assert sources.command("sync").returncode == 0

    good.rows.append({**good.rows[0], "id": "INC-9001"})
    last.rows.append({**last.rows[0], "id": "INC-9002"})
    down.web.__exit__()
    lying.claims, wrong.key = 5, "k3y-that-was-changed"
    before = _syncs()
    done = sources.command("sync", "--full-refresh")
    assert done.returncode == 1
    assert "2 of 5 sources succeeded" in done.stdout
    said = {line.split()[0]: line for line in done.stdout.splitlines() if "_sync " in line}
    assert "succeeded" in said["incidents_sync"]
    assert "succeeded" in said["last_sync"]
    assert "FAILED" in said["down_sync"]
    assert "cannot be reached" in said["down_sync"]
    assert "FAILED" in said["lying_sync"]
    assert "30" in said["lying_sync"]
    assert "401" in said["wrong_sync"]
    assert "key was refused" in said["wrong_sync"]
    assert done.stderr.splitlines()[-1].startswith("FAILED: ")
    assert "k3y" not in done.stdout + done.stderr

    rows = dict(sources.query("SELECT source, count(*) FROM incidents.incidents GROUP BY ALL"))
    assert rows == {"incidents": 31, "down": 20, "lying": 25, "wrong": 15, "last": 11}
    # Freshness is each source's own: only those that were proven again have a new event.
    after = _syncs()
    assert {name for name in after if after[name] != before[name]} == {"incidents", "last"}


def _syncs() -> dict[str, str]:
    """Source → the run of its last proven sync."""
    found = {}
    with dg.DagsterInstance.get() as instance:
        for name in ("incidents", "down", "lying", "wrong", "last"):
            event = instance.get_latest_materialization_event(asset_key(name, "incident_data"))
            assert event
            found[name] = event.run_id
    return found


@pytest.mark.thorough
def test_a_killed_process_of_one_source_ends_no_other(sources: Sources) -> None:
    sources.plain("incidents", 30, "k3y-of-the-first-one")
    tickets = sources.plain("tickets", 20, "k3y-of-the-tickets")
    asked, killed = threading.Event(), threading.Event()
    answer = tickets.web.answer

    def slow(request: Asked) -> Any:
        asked.set()
        killed.wait(60)
        return answer(request)

    tickets.web.answer = slow
    command = subprocess.Popen(
        [sys.executable, "-m", "incidents_dagster", "sync"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asked.wait(60)
    os.kill(_holder_of(sources.folder / "warehouse.duckdb.tickets.lock"), signal.SIGKILL)
    killed.set()
    said, complained = command.communicate(timeout=120)
    assert command.returncode == 1
    assert "incidents_sync succeeded in " in said
    assert "tickets_sync FAILED" in said
    assert "its process ended before it was done, with status -9." in said
    assert "Traceback" not in complained
    assert sources.query("SELECT count(*) FROM incidents.incidents") == [(30,)]


def _holder_of(file: Path) -> int:
    """The process that has a file open."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if link.readlink() == file:
                return int(link.parts[2])
    raise AssertionError(f"nobody has {file} open")
