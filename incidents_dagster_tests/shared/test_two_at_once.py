"""Two processes that sync one source at the same moment, twenty times."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from fakes.incidents import incident
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster_tests.shared.database import Database

TIMES, FIRST = 20, 250
PATIENT, IMPATIENT = "60", "0.05"
# Syncs for each line, which says how long to wait for the other one, and prints how it ended.
PROGRAM = """
import os, sys
from incidents_dagster.ingestion.errors import DatabaseBusyError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
for seconds in sys.stdin:
    os.environ["SOURCES__INCIDENTS__WAIT_SECONDS"] = seconds.strip()
    try:
        run_sync(load_settings(), lambda _: None)
        print("loaded", flush=True)
    except DatabaseBusyError as busy:
        print(explain(busy).replace("\\n", " "), flush=True)
"""


@contextmanager
def _worker() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _said(workers: list[subprocess.Popen[str]], seconds: str) -> list[str]:
    for worker in workers:
        assert worker.stdin
        worker.stdin.write(f"{seconds}\n")
        worker.stdin.flush()
    return [worker.stdout.readline().strip() for worker in workers if worker.stdout]


def _in_order(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["id"], row["status"]) for row in sorted(rows, key=lambda row: str(row["id"]))]


def test_one_waits_or_ends_with_a_word_and_no_row_is_lost(
    api: DemoServer, rows: list[dict[str, Any]], shared: Database
) -> None:
    api.faults.latency = 0.15  # longer than the impatient one waits
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker()) for _ in range(2)]
        for time in range(TIMES):
            # All have changed, and five are new.
            many = FIRST + 5 * time
            rows[:] = [incident(n, version=time) for n in range(1, many + 1)]
            if time % 2:
                ended, word = sorted(_said(workers, IMPATIENT), reverse=True)
                assert ended == "loaded", word
                assert word.startswith("Another sync of incidents"), word
            else:
                assert _said(workers, PATIENT) == ["loaded", "loaded"]
            found = shared.ask(
                'SELECT id, status FROM incidents.incident_data ORDER BY id COLLATE "C"'
            )
            assert found == _in_order(rows), time
    # Each version of each incident is in its history, once.
    versions = sum(FIRST + 5 * time for time in range(TIMES))
    assert shared.count(table="incidents.change_log") == versions
    entries = "SELECT count(DISTINCT (id, status)), count(DISTINCT entry) FROM incidents.change_log"
    assert shared.ask(entries) == [(versions, versions)]
