"""SIGKILL at random moments of a sync, and what the table and the next sync make of it."""

import os
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fakes.incidents import KEY
from fakes.source import VERSION, Source
from faults.judging.change_log import log_amiss
from faults.judging.outcome import Outcome, Result
from faults.running.forks import Forks, Tell, forks, one_sync
from faults.running.killed import LASTS, STAGES, TOO_LATE, kill_command, kill_fork
from faults.running.marked import mark_stages
from faults.running.project import Project, in_project
from faults.sources import FIRST, ON_A_SECOND_SOURCE, SECOND, name_on
from incidents_dagster.demo_api.server import DemoServer

TITLE = "Kills"
WHAT = (
    "A sync in a process of its own is killed by SIGKILL at a random moment of each of its stages, "
    "a tenth of them as `python -m incidents_dagster`. The table must hold the whole old or the "
    "whole new state, id by id with status and time of change, and the log of changes must say of "
    "each row what the table says, and nothing twice. Then the source changes once more, "
    "and the next sync must be green, without any repair, and equal the source. "
    + ON_A_SECOND_SOURCE
)

# Source → the seeds of all kills, and of a part of them.
SEEDS: dict[str, tuple[Sequence[int], Sequence[int]]] = {
    FIRST: (range(110), (0, 1, 2, 3, 6, 9)),
    SECOND: (range(60), (2, 9)),
}
ROWS, PAGE = 2_000, 500


@dataclass
class Trials:
    """Kills, one after the other, and what they have come to."""

    project: Project
    processes: Forks
    source: Source = field(default_factory=lambda: Source(0, ROWS))
    served: list[dict[str, Any]] = field(default_factory=list)
    stages: Counter[str] = field(default_factory=Counter)
    outcomes: list[Outcome] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    repairs: int = 0
    logs_amiss: int = 0

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
            stage = kill_command(self.project, wanted, delay)
        else:
            work = partial(staged_sync, source=self.project.source)
            stage = kill_fork(self.processes.start(work), wanted, delay)
        self.stages[stage] += 1
        wrong, after = [], self._table()
        if after not in (before, new):
            wrong.append(f"the table of {len(after)} rows is neither the old nor the new one")
        lost, doubled = len(before.keys() - after.keys()), self._doubled()
        wrong += self._log_amiss("after the kill")

        new = self._change()
        if message := self.processes.sync(self.project.source):
            self.repairs += 1
            wrong.append(f"the next sync failed: {message}")
        elif (final := self._table()) != new:
            lost += len(new.keys() - final.keys())
            differ = sum(final.get(row_id) != version for row_id, version in new.items())
            wrong.append(f"{differ} rows differ from the source at the end")
        doubled += self._doubled()
        wrong += self._log_amiss("at the end")
        if (seed + 1) % 10 == 0 and (disturbed := self.project.disturbed()):
            wrong.append(disturbed)
        self.lost += lost
        self.doubled += doubled
        how = "python -m incidents_dagster" if command else "run_sync"
        return Outcome(
            name_on(
                self.project.source,
                f"seed {seed}: {how}, killed {1000 * delay:.0f} ms after {wanted} began: {stage}",
            ),
            "wrong" if wrong or lost or doubled else "right",
            "; ".join(wrong),
        )

    def _begin(self, seed: int) -> None:
        self.source = Source(seed, ROWS)
        self.project.stored.empty()
        self.project.settle()

    def _change(self) -> dict[str, tuple[Any, ...]]:
        self.source.change()
        self.served[:] = self.source.records()
        return self.source.versions()

    def _table(self) -> dict[str, tuple[Any, ...]]:
        exists = (
            "SELECT 1 FROM duckdb_tables() "
            "WHERE schema_name = '{schema}' AND table_name = 'incident_data'"
        )
        return self.project.versions(*VERSION) if self.project.query(exists) else {}

    def _log_amiss(self, when: str) -> list[str]:
        amiss = log_amiss(self.project.query)
        self.logs_amiss += bool(amiss)
        return [f"{when}, {amiss}"] if amiss else []

    def _doubled(self) -> int:
        found = self.project.query(
            "SELECT count(*) - count(DISTINCT id) FROM {schema}.incident_data"
        )
        return int(found[0][0]) if found else 0


def run(part: bool) -> Result:
    """The section."""
    trials = [_trials(source, seeds[part]) for source, seeds in SEEDS.items()]
    outcomes = [outcome for one in trials for outcome in one.outcomes]
    stages = sum((one.stages for one in trials), Counter[str]())
    kills = len(outcomes) - stages[TOO_LATE]
    figures: dict[str, int | float] = {
        "kills": kills,
        "kills, on a second source": len(trials[1].outcomes) - trials[1].stages[TOO_LATE],
        "kills survived": kills - sum(outcome.verdict == "wrong" for outcome in outcomes),
        **{f"kills in {s}": stages[s] for s in ("start", *STAGES) if stages[s]},
        "rows lost": sum(one.lost for one in trials),
        "rows doubled": sum(one.doubled for one in trials),
        "logs of changes that differ": sum(one.logs_amiss for one in trials),
        "hand repairs": sum(one.repairs for one in trials),
    }
    return Result(outcomes, figures)


def _trials(source: str, seeds: Iterable[int]) -> Trials:
    """Those of one source, done."""
    served: list[dict[str, Any]] = []
    with (
        DemoServer(incidents=lambda: list(served), api_key=KEY) as api,
        in_project(api.base_url, source=source) as project,
    ):
        api.faults.page_cap = PAGE
        os.environ[project.variable("client", "paginator", "limit")] = str(PAGE)
        with forks() as processes:
            trials = Trials(project, processes, served=served)
            trials.outcomes += [trials.one(seed) for seed in seeds]
    return trials


def staged_sync(tell: Tell, source: str = FIRST) -> str | None:
    """`one_sync`, which tells its stages alone."""
    mark_stages(tell)
    return one_sync(lambda _: None, source)
