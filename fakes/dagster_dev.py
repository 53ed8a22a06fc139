"""Dagster's UI of a checkout: started as a person starts it, stopped as Ctrl-C stops it.

It gets a free port and a process group of its own, in which everything that it starts stays; no
test leaves one of them behind. What the UI knows is asked over its GraphQL API.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

# What is installed is what this test run runs on: make does not look whether it is up to date.
MAKE_DEV = ("make", "-o", ".venv/run", "dev")
BARE_DEV = (".venv/bin/dagster", "dev")
# Where this test run's own settings are, and what a `make` that runs it hands down to any other.
NOT_INHERITED = ("DLT_PROJECT_DIR", "INCIDENTS_DUCKDB_PATH", "MAKEFLAGS", "MAKEOVERRIDES", "ARGS")
START_SECONDS = 120.0
# What takes longer does not end by itself: Dagster kills it.
STOP_SECONDS = 60.0
SYNC_SECONDS = 120.0
LOG_TAIL = 20_000
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "incidents_dagster"}

LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries {
    name loadStatus locationOrLoadError { __typename } } } } }"""
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } } }"""
RUN = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


def wait_until(condition: Callable[[], bool], seconds: float, what: object) -> None:
    """Polls `condition`.

    Raises:
        TimeoutError: It was not true within `seconds`; says, as it is then, `what` failed to come.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"Not within {seconds:.0f} s: {what}")
        time.sleep(0.3)


@dataclass
class DagsterDev:
    """A running `dagster dev`.

    Attributes:
        url: Address of the UI, without a slash at the end.
        process: What was started; its id is also its process group's.
        log: What it and its children wrote so far.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, query: str, **variables: Any) -> Any:
        """The `data` of a GraphQL query or mutation."""
        with requests.Session() as session:
            session.trust_env = False  # no proxy stands between this machine and itself
            answer = session.post(
                f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60
            )
        answer.raise_for_status()
        body = answer.json()
        assert "errors" not in body, body["errors"]
        return body["data"]

    def launch(self, **selection: Any) -> str:
        """Starts the job incidents_sync, or what is selected of it; returns the run's id."""
        selector = {**REPOSITORY, "jobName": "incidents_sync", **selection}
        params = {"selector": selector, "runConfigData": "{}"}
        launched = self.ask(LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def status(self, run_id: str) -> str:
        """How a run stands, in Dagster's words."""
        return str(self.ask(RUN, id=run_id)["runOrError"]["status"])

    def ended(self, run_id: str) -> str:
        """How a run has ended, in Dagster's words; waits for that."""
        ends = ("SUCCESS", "FAILURE", "CANCELED")
        wait_until(lambda: self.status(run_id) in ends, SYNC_SECONDS, f"{run_id} ended")
        return self.status(run_id)

    def sync(self) -> str:
        """Runs incidents_sync to its successful end; returns the run's id."""
        run_id = self.launch()
        assert self.ended(run_id) == "SUCCESS"
        return run_id

    def interrupt(self) -> None:
        """What a terminal does on Ctrl-C: SIGINT to the whole foreground process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def is_gone(self) -> bool:
        """No process of the group is left."""
        self.process.poll()  # collects it; until then the dead leader counts as a member
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def serves(self) -> bool:
        """The UI answers, and the project's code location is loaded.

        Raises:
            AssertionError: It has ended, or the code location could not be loaded.
        """
        assert self.process.poll() is None, "ended while starting"
        try:
            entries = self.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
        except requests.ConnectionError:
            return False
        if any(entry["loadStatus"] != "LOADED" for entry in entries):
            return False
        loaded = {entry["name"]: entry["locationOrLoadError"]["__typename"] for entry in entries}
        assert loaded == {"incidents_dagster": "RepositoryLocation"}
        return True


@contextmanager
def dagster_dev(checkout: Path, *command: str, **environment: str) -> Iterator[DagsterDev]:
    """Runs `command`, or else `make dev`, in `checkout`, with its own settings and data.

    Nothing of it is left afterwards, and a test that fails within shows what it logged.

    Raises:
        TimeoutError: It did not serve, or Ctrl-C did not end it, in time.
    """
    command = command or MAKE_DEV
    port = free_port()
    # The environment is that of this test run, where the package is installed from elsewhere.
    env = {**os.environ, "PYTHONPATH": str(checkout), "DAGSTER_CLI_DEV_PORT": str(port)}
    for name in NOT_INHERITED:
        env.pop(name, None)
    env |= environment
    log = checkout.parent / "dagster_dev.log"
    # A child inherits that SIGINT is ignored, as it is where a script runs pytest with `&`.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=checkout,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    signal.signal(signal.SIGINT, handler)
    ui = DagsterDev(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until(ui.serves, START_SECONDS, f"{' '.join(command)} serves {ui.url}")
        yield ui
        if not ui.is_gone():
            ui.interrupt()
            wait_until(ui.is_gone, STOP_SECONDS, f"Ctrl-C ended {' '.join(command)}")
    except BaseException:
        print(log.read_text()[-LOG_TAIL:])
        raise
    finally:
        if not ui.is_gone():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
