"""Random histories of an API that changes between two pages, judged against a model of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fakes.model import Model
from fakes.model_server import ModelServer
from faults.cases.histories import OPTIONS, History, random_history
from faults.judging.histories import late, missing, red_faults, unequal, untrue
from faults.judging.outcome import Outcome, Result
from faults.running.model_syncs import EVERYTHING, Synced, sync, versions
from faults.running.processes import in_processes
from faults.running.project import Project, in_project

TITLE = "Pages that move"
WHAT = (
    "Random histories, each from its own seed: a model of an incident API inserts, updates and "
    "deletes rows before and between the pages of a sync, by every kind of paginator and sort "
    "order, with whole seconds and with microseconds. After a green sync every row that was at "
    "the source unchanged from its first request to its last is in the table, every row in the "
    "table is as the API has served it, and no older version has replaced a newer one. After a "
    "red one the table is as it was. Once the source is quiet, the next incremental sync leaves "
    "every row in its latest version, where that is not so yet, and a reconcile, in three of ten "
    "histories, leaves the table equal to the source, but for twenty rows or more that are older "
    "than all that it shows, if the sync says how many. "
    "`Unproven` is a green sync that says in its metadata that it may have missed rows."
)
HISTORIES = {True: 20, False: 1_000}
PROCESSES = 2


@dataclass
class Played:
    """What came of a history.

    Attributes:
        wrong: What no sync may do, in words.
        counts: How many syncs were green, unproven and red, how many walks were repeated, and
            how many rows a sync that says it is unproven has lost.
        reason: Of the red or unproven sync.
    """

    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    reason: str = ""


class Player:
    """A project and a server in which histories take place, one after the other."""

    def __init__(self, project: Project, server: ModelServer) -> None:
        self.project, self.server = project, server
        self._kept: dict[tuple[int, bool], str] = {}

    def play(self, history: History) -> Played:
        """Syncs as the history says, then in quiet, then reconciles; and judges each."""
        played, model = Played(), self._begun(history)
        before = self.project.query(EVERYTHING)
        had = versions(self.project)
        model.begin(history.changes)
        synced = self._sync(played, **OPTIONS[history.mode])
        if synced.message is not None:
            played.reason = synced.message
            played.wrong += red_faults(synced.message, before, self.project.query(EVERYTHING))
        else:
            found = versions(self.project)
            played.wrong += untrue(model, had, found)
            self._count(played, synced, missing(model, found))
        model.end()
        # Where nothing is outstanding, a further sync would show little for its time.
        if history.reconciled or late(model, versions(self.project)):
            proven = synced.proven
            synced = self._in_quiet(played, model)
            synced.proven &= proven
            self._count(played, synced, late(model, versions(self.project)))
        if history.reconciled:
            synced = self._in_quiet(played, model, reconcile=True)
            # Many missing rows need a second look.
            if unequal(model, versions(self.project), synced.beyond_window):
                synced = self._in_quiet(played, model)
            played.wrong += unequal(model, versions(self.project), synced.beyond_window)
        return played

    def _begun(self, history: History) -> Model:
        """The model of a history before the sync in question, and the table with its state."""
        self.project.stored.empty()
        if history.mode != "first":
            self.project.stored.start_from(self._older(history.rows, history.whole_seconds))
        self.project.configure(history.section())
        self.server.delay = 0.012 if history.ahead else 0.0
        model = Model(history.rows, history.paginator, history.whole_seconds)
        if history.mode != "first":
            model.served.update(row.version for row in model.rows.values())
        self.server.model = model
        return model

    def _older(self, rows: int, whole_seconds: bool) -> str:
        """What one sync of so many rows has made, once for all histories."""
        if (rows, whole_seconds) not in self._kept:
            self.project.configure(History(limit=50).section())
            self.server.model = Model(rows, whole_seconds=whole_seconds)
            assert self.project.sync() is None
            kept = self.project.stored.keep(self.project.folder)
            self._kept[rows, whole_seconds] = kept
        return self._kept[rows, whole_seconds]

    def _sync(self, played: Played, **options: Any) -> Synced:
        model = self.server.model
        synced = sync(self.project, model, **options)
        played.counts[synced.kind] += 1
        played.counts["walks repeated"] += len(model.walks) - len(set(model.walks))
        if synced.why:
            played.reason = synced.why
        return synced

    def _in_quiet(self, played: Played, model: Model, **options: Any) -> Synced:
        model.tick(90)
        model.begin()
        synced = self._sync(played, **options)
        if synced.message is not None:
            played.wrong.append(f"red although the source was quiet: {synced.message}")
        return synced

    def _count(self, played: Played, synced: Synced, losses: list[str]) -> None:
        if synced.proven:
            played.wrong += losses
        else:
            played.counts["lost unproven"] += len(losses)


def run(part: bool) -> Result:
    """Plays the histories of the seeds from 0 on, in two processes."""
    seeds, wrong = range(HISTORIES[part]), list[Outcome]()
    groups: dict[tuple[str, str], Counter[str]] = {}
    counts = Counter[str]()
    batches = in_processes(partial(played, seeds), range(PROCESSES), PROCESSES)
    for seed, one in sorted((seed, one) for batch in batches for seed, one in batch.items()):
        history = random_history(seed)
        case = f"{history.paginator}, by {history.sort}"
        group = groups.setdefault((history.paginator, history.sort), Counter())
        group.update(one.counts, histories=1)
        counts.update(changes=len(history.changes))
        if one.wrong:
            group["wrong"] += 1
            note = f"{len(one.wrong)} times, such as: {one.wrong[0]}"
            wrong.append(Outcome(f"seed {seed}: {history.mode}, {case}", "wrong", note))
    summaries = []
    for (paginator, sort), group in sorted(groups.items()):
        counts += group
        note = ", ".join(f"{group[name]} {name}" for name in group if group[name])
        verdict: Any = "right" if group["green"] + group["unproven"] else "red"
        summaries.append(Outcome(f"{paginator}, by {sort}", verdict, note))
    return Result(
        wrong + summaries,
        {
            "histories": counts["histories"],
            "changes before and between pages": counts["changes"],
            "syncs green": counts["green"] + counts["unproven"],
            "of these unproven, by their own word": counts["unproven"],
            "syncs red": counts["red"],
            "walks repeated": counts["walks repeated"],
            "histories with silent losses": counts["wrong"],
            "rows lost by unproven syncs": counts["lost unproven"],
        },
    )


def played(seeds: Sequence[int], first: int) -> dict[int, Played]:
    """Seed → what came of its history; of every `PROCESSES`-th seed, all in one project."""
    with ModelServer() as server, in_project(server.base_url) as project:
        player = Player(project, server)
        return {seed: player.play(random_history(seed)) for seed in seeds[first::PROCESSES]}
