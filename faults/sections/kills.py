"""SIGKILL at random moments of a sync, and what the table and the next sync make of it."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dlt
from dlt.destinations.job_client_impl import SqlLoadJob

from fakes.incidents import KEY
from fakes.source import VERSION, Source
from faults.judging.outcome import Outcome, Result
from faults.running.forks import Child, Forks, Tell, forks, one_sync
from faults.running.project import ROOT, Project, in_project
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.warehouse.destination import SyncClient

TITLE = "Kills"
WHAT = (
    "A sync in a process of its own is killed by SIGKILL at a random moment of each of its stages, "
    "a tenth of them as `python -m incidents_dagster`. The table must hold the whole old or the "
    "whole new state, id by id with status and time of change. Then the source changes once more, "
    "and the next sync must be green, without any repair, and equal the source."
)

KILLS = 110
PART = (0, 1, 2, 3, 4, 5, 6, 9)
ROWS, PAGE = 2_000, 500
STAGES = ("fetch", "normalize", "load", "merge", "after")
TOO_LATE = "ended before the kill"
# Seconds that a stage takes at most, about: a kill comes at any time of them.
LASTS = {"fetch": 0.25, "normalize": 0.12, "load": 0.1, "merge": 0.04, "after": 0.04}
COMMAND = (
    "import os, runpy, sys; from faults.sections import kills; "
    "kills.mark_stages(lambda stage: os.write(1, f'@{stage}\\n'.encode())); "
    "runpy.run_module('incidents_dagster', run_name='__main__')"
)


@dataclass
class Trials:
    """Kills, one after the other, and what they have come to."""

    project: Project
    processes: Forks
    source: Source = field(default_factory=lambda: Source(0, ROWS))
    served: list[dict[str, Any]] = field(default_factory=list)
    stages: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    repairs: int = 0

    def one(self, seed: int) -> Outcome:
        """A change, a sync that is killed, another change, a whole sync."""
        if seed % 10 == 0:  # ten each on a database of their own, which the first has to make
            self._begin(seed)
        # Each database's first sync is killed in another stage than the last one's.
        wanted = STAGES[(seed + seed // 10) % len(STAGES)]
        delay = random.Random(seed).uniform(0, LASTS[wanted])
        command = seed % 10 == 9
        before, new = self._table(), self._change()
        if command:
            stage = _kill_command(wanted, delay)
        else:
            stage = _kill_fork(self.processes.start(staged_sync), wanted, delay)
        self.stages[stage] += 1
        wrong, after = [], self._table()
        if after not in (before, new):
            wrong.append(f"the table of {len(after)} rows is neither the old nor the new one")
        lost, doubled = len(before.keys() - after.keys()), self._doubled()

        new = self._change()
        if message := self.processes.sync():
            self.repairs += 1
            wrong.append(f"the next sync failed: {message}")
        elif (final := self._table()) != new:
            lost += len(new.keys() - final.keys())
            differ = sum(final.get(row_id) != version for row_id, version in new.items())
            wrong.append(f"{differ} rows differ from the source at the end")
        doubled += self._doubled()
        self.lost += lost
        self.doubled += doubled
        how = "python -m incidents_dagster" if command else "run_sync"
        return Outcome(
            f"seed {seed}: {how}, killed {1000 * delay:.0f} ms after {wanted} began: {stage}",
            "wrong" if wrong or lost or doubled else "right",
            "; ".join(wrong),
        )

    def _begin(self, seed: int) -> None:
        self.source = Source(seed, ROWS)
        for file in self.project.folder.glob(f"{self.project.database.name}*"):
            shutil.rmtree(file) if file.is_dir() else file.unlink()

    def _change(self) -> dict[str, tuple[Any, ...]]:
        self.source.change()
        self.served[:] = self.source.records()
        return self.source.versions()

    def _table(self) -> dict[str, tuple[Any, ...]]:
        exists = "SELECT 1 FROM duckdb_tables() WHERE table_name = 'incident_data'"
        return self.project.versions(*VERSION) if self.project.query(exists) else {}

    def _doubled(self) -> int:
        found = self.project.query(
            "SELECT count(*) - count(DISTINCT id) FROM incidents.incident_data"
        )
        return int(found[0][0]) if found else 0


def run(part: bool) -> Result:
    """The section."""
    served: list[dict[str, Any]] = []
    with (
        DemoServer(incidents=lambda: list(served), api_key=KEY) as api,
        in_project(api.base_url) as project,
    ):
        api.faults.page_cap = PAGE
        os.environ["SOURCES__INCIDENTS__CLIENT__PAGINATOR__LIMIT"] = str(PAGE)
        with forks() as processes:
            trials = Trials(project, processes, served=served)
            outcomes = [trials.one(seed) for seed in (PART if part else range(KILLS))]
    kills = len(outcomes) - trials.stages[TOO_LATE]
    figures: dict[str, int | float] = {
        "kills": kills,
        "kills survived": kills - sum(outcome.verdict == "wrong" for outcome in outcomes),
        **{f"kills in {s}": trials.stages[s] for s in ("start", *STAGES) if trials.stages[s]},
        "rows lost": trials.lost,
        "rows doubled": trials.doubled,
        "hand repairs": trials.repairs,
    }
    return Result(outcomes, figures)


def mark_stages(tell: Callable[[str], Any]) -> None:
    """Tells each stage of the syncs of this process when it begins."""

    def marked(kind: Any, name: str, stage: str) -> None:
        original = getattr(kind, name)

        def method(*arguments: Any, **options: Any) -> Any:
            tell(stage)
            return original(*arguments, **options)

        setattr(kind, name, method)

    marked(dlt.Pipeline, "extract", "fetch")
    marked(dlt.Pipeline, "normalize", "normalize")
    marked(dlt.Pipeline, "load", "load")
    marked(SqlLoadJob, "run", "merge")
    marked(SyncClient, "complete_load", "after")


def staged_sync(tell: Tell) -> str | None:
    """`one_sync`, which tells its stages alone."""
    mark_stages(tell)
    return one_sync(lambda _: None)


def _kill_fork(child: Child, wanted: str, delay: float) -> str:
    if child.hears(partial(str.__eq__, wanted)):
        time.sleep(delay)
    child.kill()
    return _stage(child.told, child.ended)


def _kill_command(wanted: str, delay: float) -> str:
    environment = {**os.environ, "DAGSTER_HOME": os.environ["DLT_PROJECT_DIR"]}
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        told = []
        for line in process.stdout:
            told.append(line.strip())
            if told[-1] == f"@{wanted}":
                time.sleep(delay)
                break
        process.kill()
        told += [line.strip() for line in process.stdout]
    stages = [line.removeprefix("@") for line in told if line.startswith("@")]
    return _stage(stages, process.returncode == 0)


def _stage(told: list[str], ended: bool) -> str:
    return TOO_LATE if ended else (told[-1] if told else "start")
