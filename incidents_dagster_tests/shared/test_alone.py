"""Two syncs of one source, killed ones, and ones whose lock is lost."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.dagster_dev import wait_until
from fakes.incidents import incident
from fakes.postgres import PASSWORD
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import DatabaseBusyError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import open_sync, run_sync
from incidents_dagster.ingestion.warehouse import postgres_lock
from incidents_dagster.ingestion.warehouse.postgres import Server
from incidents_dagster_tests.shared.database import Database

Rows = list[dict[str, Any]]
LATER = "2026-11-20T00:00:00+00:00"
WHOLE_SYNC = """
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.settings import load_settings
run_sync(load_settings())
"""
# Killed after dlt's statements of the merge, before its transaction ends.
KILLED_IN_THE_MERGE = (
    """
import os, signal
from incidents_dagster.ingestion.warehouse import postgres_lock
postgres_lock.check = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""
    + WHOLE_SYNC
)
LOCK = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def _said_by_one_that_loses_its_lock(api: DemoServer, shared: Database) -> str:
    lost = threading.Event()

    def lose(body: dict[str, Any]) -> dict[str, Any]:
        if not lost.is_set():
            lost.set()
            assert shared.ask(f"SELECT pg_terminate_backend(pid) FROM ({LOCK}) AS holders")
        return body

    api.faults.reshape = lose
    with pytest.raises(Exception) as failed:  # noqa: PT011 - dlt's, with ours inside
        run_sync(load_settings())
    assert lost.is_set()
    return explain(failed.value)


@contextmanager
def _process(program: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_sync_gives_up_with_a_word_when_the_first_takes_too_long(
    api: DemoServer, shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__WAIT_SECONDS", "0.05")
    with open_sync(load_settings(), print) as first:
        with pytest.raises(DatabaseBusyError, match="Another sync of incidents") as busy:
            run_sync(load_settings())
        assert "then try again" in explain(busy.value)
        assert api.faults.request_count == 0
        first.pipeline.run(first.source)
    run_sync(load_settings())
    assert shared.count() == 250


def test_a_second_sync_waits_for_the_first_and_both_load(
    api: DemoServer, rows: Rows, shared: Database
) -> None:
    api.faults.latency = 0.2
    with _process(WHOLE_SYNC) as first:
        wait_until(lambda: bool(shared.ask(LOCK)), 60, "the first sync has the lock")
        rows.append(incident(251, updated_at=LATER))
        run_sync(load_settings())
        said, _ = first.communicate(timeout=60)
        assert first.returncode == 0, said
    assert shared.count() == 251
    assert shared.count("status = 'triggered'", "incidents.change_log") == 251


def test_after_a_kill_while_it_reads_the_next_one_need_not_wait(
    api: DemoServer, shared: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it removes what the killed one has left."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    api.faults.latency = 3600
    with _process(WHOLE_SYNC) as process:
        wait_until(lambda: bool(api.faults.in_flight), 60, "the sync asks the API")
        assert shared.ask(LOCK)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert len([*tmp_path.glob("incidents_dagster-*")]) == 1
    api.faults.latency = 0
    monkeypatch.setenv("SOURCES__INCIDENTS__WAIT_SECONDS", "5")
    run_sync(load_settings())
    assert shared.count() == 250
    assert not [*tmp_path.glob("incidents_dagster-*")]


def test_a_kill_in_the_merge_leaves_the_table_as_it_was(
    api: DemoServer, rows: Rows, shared: Database
) -> None:
    run_sync(load_settings())
    rows[:] = [incident(n, status="resolved", updated_at=LATER) for n in range(1, 300)]
    with _process(KILLED_IN_THE_MERGE) as process:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, said
    assert shared.count() == shared.count("status = 'triggered'") == 250
    assert shared.count(table="incidents.change_log") == 250
    run_sync(load_settings())
    assert shared.count() == shared.count("status = 'resolved'") == 299
    # Each has one entry more, and the new ones their first.
    assert shared.count(table="incidents.change_log") == 250 + 299


def test_who_has_lost_the_lock_loads_nothing_and_says_so(
    api: DemoServer, rows: Rows, shared: Database
) -> None:
    run_sync(load_settings())
    rows.append(incident(251, updated_at=LATER))
    said = _said_by_one_that_loses_its_lock(api, shared)
    assert "nothing was loaded: sync again" in said
    assert shared.count() == 250
    assert shared.count(table="incidents.change_log") == 250
    run_sync(load_settings())
    assert shared.count() == 251


def test_all_connections_ended_while_it_reads_is_one_message(
    api: DemoServer, rows: Rows, shared: Database
) -> None:
    run_sync(load_settings())
    rows.append(incident(251, updated_at=LATER))

    def end(body: dict[str, Any]) -> dict[str, Any]:
        shared.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return body

    api.faults.reshape = end
    with pytest.raises(Exception) as failed:  # noqa: PT011 - dlt's, with ours inside
        run_sync(load_settings())
    assert "sync again" in explain(failed.value)
    assert shared.count() == 250
    api.faults.reshape = None
    run_sync(load_settings())
    assert shared.count() == 251


def test_rows_that_are_appended_need_the_lock_too(
    api: DemoServer, rows: Rows, shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    (resource,) = load_settings().api["resources"]
    del resource["endpoint"]["incremental"]
    appended = {**resource, "write_disposition": "append"}
    monkeypatch.setenv("SOURCES__INCIDENTS__RESOURCES", json.dumps([appended]))
    run_sync(load_settings())
    there = shared.count()
    said = _said_by_one_that_loses_its_lock(api, shared)
    assert "nothing was loaded: sync again" in said
    assert shared.count() == there


def test_the_server_notices_that_a_machine_is_gone(shared: Database) -> None:
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "idle_session_timeout")
    with (
        postgres_lock.alone_on(Server(shared.url, PASSWORD), "x", 1) as connection,
        connection.cursor() as cursor,
    ):
        told = {}
        for name in names:
            cursor.execute(f"SHOW {name}")
            told[name] = cursor.fetchone()[0]
    assert told == {
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "15",
        "idle_session_timeout": "0",
    }
