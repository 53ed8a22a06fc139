"""Kills a sync some time after a stage of it began: in a forked process, or as a user starts it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

from faults.running.forks import Child
from faults.running.project import ROOT, Project

STAGES = ("fetch", "normalize", "load", "merge", "after")
TOO_LATE = "ended before the kill"
# Seconds that a stage takes at most, about: a kill comes at any time of them.
LASTS = {"fetch": 0.25, "normalize": 0.12, "load": 0.1, "merge": 0.04, "after": 0.04}
COMMAND = (
    "import runpy, faults.running.marked_on_import; "
    "runpy.run_module('incidents_dagster', run_name='__main__', alter_sys=True)"
)


def kill_fork(child: Child, wanted: str, delay: float, turn: int = 1) -> str:
    """Kills a process that tells its stages, so many seconds after one began for this turn.

    Returns:
        The stage that it was in.
    """
    if all(child.hears(wanted.__eq__) for _ in range(turn)):
        time.sleep(delay)
    child.kill()
    return _stage(child.told, child.ended)


def kill_command(
    project: Project, wanted: str, delay: float, turn: int = 1, before: str = ""
) -> str:
    """The same for `python -m incidents_dagster`.

    Args:
        project: Whose source is synced.
        wanted: The stage.
        delay: Seconds since it began.
        turn: For which time.
        before: Python that the process runs first.
    """
    folder = str(project.folder)
    environment = {**os.environ, "DAGSTER_HOME": folder, "TMPDIR": folder}
    with subprocess.Popen(
        [sys.executable, "-c", before + COMMAND, *project.command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        told: list[str] = []
        for line in process.stdout:
            told.append(line.strip())
            if told.count(f"@{wanted}") >= turn:
                time.sleep(delay)
                break
        with suppress(ProcessLookupError):  # with several sources, each has a process of its own
            os.killpg(process.pid, signal.SIGKILL)
        told += [line.strip() for line in process.stdout]
    stages = [line.removeprefix("@") for line in told if line.startswith("@")]
    return _stage(stages, process.returncode == 0)


def _stage(told: list[str], ended: bool) -> str:
    return TOO_LATE if ended else (told[-1] if told else "start")
