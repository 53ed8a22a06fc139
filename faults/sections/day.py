"""A simulated day: 200 syncs of a source that changes, with faults, kills and reconciles."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg

from fakes.messages import Fault, Reply
from fakes.model import BEGIN, CHANGES, DAY, SECOND, Change, Model
from fakes.model_server import Instead, ModelServer
from faults.cases.day import FAULTS, HALVED, MOVING, NOT_RETRIED, Trouble
from faults.cases.histories import History
from faults.judging.histories import missing, red_faults, unequal, untrue
from faults.judging.outcome import Outcome, Result, steady
from faults.running.model_syncs import EVERYTHING, Synced, sync, versions
from faults.running.processes import no_waits
from faults.running.project import ROOT, Project, in_project

TITLE = "A simulated day"
WHAT = (
    "200 syncs over 24 hours of a clock that the API owns, against a source that is written to "
    "between them, and often between their pages. A third of the syncs meets a fault: statuses, "
    "closed connections, answers cut off or of the wrong shape, short pages, rows that move. Two "
    "processes are killed while they sync, five syncs are runs of Dagster, whose record is held "
    "against the table, every fiftieth sync reconciles, and so does the last, after which (or "
    "after a second look) the table equals the source. Each is judged as the histories of pages "
    "that move are; a red one has left the table as it was, and the reason of each is listed here."
)
SYNCS = {True: 20, False: 200}
EVERY = 50  # syncs, there is a reconcile
ASKING, LOADING = "while it asks", "while it loads"
KILLS = {62: ASKING, 131: LOADING}
RUNS = (20, 58, 101, 144, 184)  # syncs through Dagster; some meet a fault
ROWS = 150
SYNC = (
    "from incidents_dagster.ingestion.sync import run_sync\n"
    "from incidents_dagster.ingestion.settings import load_settings\n"
    "run_sync(load_settings(), lambda _: None)"
)


class SimulatedDay:
    """The syncs of a day, one after the other, and what came of them."""

    def __init__(self, project: Project, server: ModelServer, syncs: int) -> None:
        self.project, self.server, self.syncs = project, server, syncs
        self.model = server.model = Model(ROWS)
        self.wrong: list[Outcome] = []
        self.reds: Counter[tuple[str, str]] = Counter()  # by fault and message
        self.counts: Counter[str] = Counter()
        self.runs: list[tuple[bool, int]] = []  # green, and rows in the table
        project.configure(History(limit=25).section())

    def sync(self, number: int) -> None:
        """Sync `number` of the day, counted from 1, with all that happens before and during it."""
        random, model = Random(number), self.model
        for _ in range(random.randint(0, 6)):
            model.tick(random.random() * 86_400 / self.syncs / 4)
            self._change(random)
        fault, apart = self._fault(number, random), number in (*KILLS, *RUNS)
        moving = fault == MOVING or (fault is None and random.random() < 0.3)
        # A process of its own tells the time by a clock that has no part in this.
        kinds = random.choices(list(CHANGES), k=random.randint(2, 8) if moving and not apart else 0)
        changes = [
            Change(random.randint(1, 8), random.choice((0, 1, 70)), kind, random.randrange(10**6))
            for kind in kinds
        ]
        self.counts["changes"] += len(changes)
        before, had = self.project.query(EVERYTHING), versions(self.project)
        model.begin(changes)
        met = Counter({MOVING: fault == MOVING})
        if isinstance(fault, Trouble):
            first = 1 if apart else random.choice((1, 1, 2))
            self.server.instead = _meeting(fault, first, met)
        if number in KILLS and self.syncs == SYNCS[False]:
            self._judge(number, "killed", self._killed(KILLS[number], had))
        else:
            reconcile = number % EVERY == 0
            synced = self._synced(number, reconcile)
            found = versions(self.project)
            if synced.message is not None:
                self._reason(fault, synced.message)
                faults = red_faults(synced.message, before, self.project.query(EVERYTHING))
            else:
                faults = untrue(model, had, found)
                faults += missing(model, found) if synced.proven else []
                if reconcile and not changes:
                    faults += unequal(model, found, synced.beyond_window + synced.waiting)
            self._judge(number, synced.kind, faults)
        self.counts["met a fault"] += bool(+met)
        self.server.instead = lambda *_: None
        model.end()
        # The next sync comes when it is due, by the clock of the API.
        due = BEGIN + number * DAY // self.syncs
        model.tick(max(0, due - model.clock) / SECOND)

    def close(self) -> None:
        """The last reconcile, with a second look: the source is quiet, and the table equals it."""
        self.model.begin()
        synced = sync(self.project, self.model, reconcile=True)
        if synced.waiting:
            synced = sync(self.project, self.model)
        faults = [f"red in quiet: {synced.message}"] if synced.message is not None else []
        faults += unequal(self.model, versions(self.project), synced.beyond_window)
        self._judge(self.syncs, synced.kind, faults)

    def _change(self, random: Random) -> None:
        # Not so many deletions that nothing would be left of the source by noon.
        kind = random.choice([kind for kind in CHANGES if "many" not in kind])
        kind = random.choice((kind, kind, kind, "insert many", "update many"))
        self.model.change(kind, random.randrange(10**6))
        self.counts["changes"] += 1

    def _fault(self, number: int, random: Random) -> Trouble | str | None:
        if number in KILLS or number % 5 not in (1, 3):
            return HALVED if number == 2 * EVERY else None  # a reconcile that must not take rows
        if number in RUNS:
            return NOT_RETRIED
        turn = number // 5 * 2 + (number % 5 == 3)
        return (*FAULTS, MOVING, MOVING)[turn % (len(FAULTS) + 2)]

    def _synced(self, number: int, reconcile: bool) -> Synced:
        if number not in RUNS or self.syncs != SYNCS[False]:
            return sync(self.project, self.model, reconcile=reconcile)
        done = _process("-m", "incidents_dagster")
        _, said = done.communicate(timeout=120)
        self.runs.append((done.returncode == 0, len(versions(self.project))))
        last_line = said.strip().rpartition("\n")[2]
        return Synced(None if done.returncode == 0 else re.sub(r"^.* s: ", "", last_line))

    def _killed(self, moment: str, had: dict[str, Any]) -> list[str]:
        """Starts a sync in a process and kills it at the moment; what is wrong then."""
        folder = self.project.folder  # has dlt's working folder, wherever the store has it
        process = _process("-c", SYNC, TMPDIR=str(folder))
        if moment == ASKING:
            self.server.instead = lambda *_: process.kill()
        while process.poll() is None:
            if moment == LOADING and any(folder.glob("*/*/load/normalized/*")):
                process.kill()
            time.sleep(0.001)
        process.communicate()
        if process.returncode != -signal.SIGKILL:
            return ["it ended before it was killed"]
        found = versions(self.project)
        return [] if found == had else untrue(self.model, had, found)

    def _reason(self, fault: Trouble | str | None, message: str) -> None:
        name = fault.name if isinstance(fault, Trouble) else fault or "no fault"
        self.reds[name, steady(message)] += 1

    def _judge(self, number: int, kind: str, faults: list[str]) -> None:
        self.counts[kind] += 1
        if faults:
            note = f"{len(faults)} times, such as: {faults[0]}"
            self.wrong.append(Outcome(f"sync {number} of {self.syncs}, {kind}", "wrong", note))
        else:
            self.counts[f"{kind}, and right"] += 1


def _process(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(part: bool) -> Result:
    """Lets the day, or its first hours, go by."""
    syncs = SYNCS[part]
    with ModelServer() as server, in_project(server.base_url) as project, no_waits():
        home = project.folder / "dagster"
        home.mkdir()
        (home / "dagster.yaml").touch()
        os.environ["DAGSTER_HOME"] = str(home)
        day = SimulatedDay(project, server, syncs)
        for number in range(1, syncs):
            day.sync(number)
        day.close()
        if day.runs:
            day.wrong += recorded(home, day.runs)
        rows = len(day.model.rows)
    counts = day.counts
    outcomes = day.wrong + [
        Outcome(f"{counts[kind]} syncs {kind}", "right", "each judged by itself")
        for kind in ("green, and right", "unproven, and right", "killed, and right")
        if counts[kind]
    ]
    for (fault, message), count in sorted(day.reds.items()):
        outcomes.append(Outcome(f"{fault}: {count} red", "red", message))
    figures = {
        "syncs": syncs,
        "of these met a fault": counts["met a fault"],
        "killed": counts["killed"],
        "through Dagster": len(day.runs),
        "green": counts["green"] + counts["unproven"],
        "of these unproven, by their own word": counts["unproven"],
        "red, each with its reason": counts["red"],
        "changes at the source": counts["changes"],
        "rows at the source at the end": rows,
    }
    return Result(outcomes, figures)


def recorded(home: Path, runs: list[tuple[bool, int]]) -> list[Outcome]:
    """What Dagster's own record has other than the runs' exit codes and the table say."""
    wrong = []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        kept = [*reversed(instance.get_runs())]
        if len(kept) != len(runs):
            wrong.append(Outcome("runs of Dagster", "wrong", f"{len(kept)} are on record"))
        for run, (green, rows) in zip(kept, runs, strict=False):
            events = instance.all_logs(
                run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
            )
            shown = [
                event.asset_materialization.metadata["dagster/row_count"].value
                for event in events
                if event.asset_materialization
                and event.asset_materialization.asset_key == dg.AssetKey("incident_data")
            ]
            if (run.is_success, shown) != (green, [rows] if green else []):
                note = f"{run.status.value} with {shown} rows, and {rows} are in the table"
                wrong.append(Outcome(f"run {run.run_id} of Dagster", "wrong", note))
    return wrong


def _meeting(fault: Trouble, first: int, met: Counter[str]) -> Instead:
    def instead(request: int, answer: dict[str, Any]) -> Reply | Fault | None:
        if not first <= request < first + fault.times:
            return None
        met[fault.name] += 1
        return fault.reply(answer)

    return instead
