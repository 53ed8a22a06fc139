"""`python -m incidents_dagster` in a folder of its own, where everything is logged.

The folder has settings, DAGSTER_HOME, DuckDB file (or the rows are on a server, see `stores`),
temporary files and output; to search it is for the sections.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import tomlkit
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_graphql.test.utils import execute_dagster_graphql

from faults.running.project import ROOT

SECONDS = 120
DAGSTER = {
    "telemetry": {"enabled": False},
    "python_logs": {"managed_python_loggers": ["root"], "python_log_level": "DEBUG"},
}
RUNS = """{ runsOrError { ... on Runs { results { runId status runConfigYaml
  tags { key value } executionPlan { steps { key } }
  eventConnection(limit: 1000) { events { __typename
    ... on MessageEvent { message level stepKey eventType }
    ... on ErrorEvent { error { message stack className causes { message stack } } }
    ... on MaterializationEvent { label description metadataEntries { ...entry } }
    ... on LogsCapturedEvent { fileKey externalUrl }
  } } } } }
  assetsOrError { ... on AssetConnection { nodes { key { path } } } } }
fragment entry on MetadataEntry { label description
  ... on TextMetadataEntry { text } ... on JsonMetadataEntry { jsonString }
  ... on TableMetadataEntry { table { records } } }"""

Process = subprocess.Popen[bytes]


def furnished(folder: Path, settings: dict[str, Any]) -> None:
    """Makes a scenario's folder: config.toml, and Dagster's."""
    for part in (".dlt", "home", "tmp"):
        (folder / part).mkdir()
    (folder / ".dlt" / "config.toml").write_text(tomlkit.dumps(settings))
    (folder / "home" / "dagster.yaml").write_text(json.dumps(DAGSTER))


def run(
    folder: Path,
    code: str,
    *words: str,
    environment: dict[str, str],
    meanwhile: Callable[[Process], None] = lambda _: None,
) -> tuple[int, str]:
    """Runs `code` with these words; its exit status and what it printed, which a file keeps, too.

    Args:
        folder: The scenario's.
        code: For `python -c`.
        words: Its arguments.
        environment: Beside the folder's own.
        meanwhile: Called with the process once it has started.
    """
    output = folder / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "TMPDIR": str(folder / "tmp"),
                "DLT_PROJECT_DIR": str(folder),
                "DLT_DATA_DIR": str(folder / "dlt"),
                "DAGSTER_HOME": str(folder / "home"),
                "PYTHONFAULTHANDLER": "1",
                "RUNTIME__LOG_LEVEL": "DEBUG",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            meanwhile(process)
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            status = -signal.SIGALRM
        finally:
            process.kill()
            process.wait()
    return status, output.read_text(errors="replace")


def wait_for(condition: Callable[[], bool], process: Process) -> None:
    """Waits for it, no longer than the process lives, nor than it may take."""
    end = time.monotonic() + SECONDS
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)


def told_by_dagster(home: Path) -> str:
    """What the event log and the UI's GraphQL answer of all runs."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        runs = instance.get_runs()
        logs = [str(instance.all_logs(run.run_id)) for run in runs]
        with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
            asked: Any = execute_dagster_graphql(workspace.create_request_context(), RUNS)
    assert not asked.errors, asked.errors
    return json.dumps(asked.data, ensure_ascii=False) + "\n".join([*map(str, runs), *logs])
