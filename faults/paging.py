"""Random histories of an API that changes between two pages, judged against a model of it."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import tomlkit

from faults.harness import ROOT, Outcome, Project, Result, clear, in_processes, in_project
from faults.model import (
    CHANGES,
    OFFSETS,
    OTHERS,
    PAGINATORS,
    PATH,
    SECOND,
    SORTS,
    Change,
    Model,
    ModelServer,
)
from incidents_dagster.ingestion import sync as pipeline
from incidents_dagster.ingestion.reading import proof as evidence

TITLE = "Pages that move"
WHAT = (
    "Random histories, each from its own seed: a model of an incident API inserts, updates and "
    "deletes rows before and between the pages of a sync, by every kind of paginator and sort "
    "order, with whole seconds and with microseconds. After a green sync every row that was at "
    "the source unchanged from its first request to its last is in the table, every row in the "
    "table is as the API has served it, and no older version has replaced a newer one. After a "
    "red one the table is as it was. Once the source is quiet, the next incremental sync leaves "
    "every row in its latest version, where that is not so yet, and a reconcile, in three of ten "
    "histories, leaves the table equal to the source. "
    "`Unproven` is a green sync that says in its metadata that it may have missed rows."
)
HISTORIES = {True: 40, False: 1_000}
PROCESSES = 2
# What the sync in question is asked for; the first one has no table yet.
OPTIONS: dict[str, dict[str, bool]] = {
    "incremental": {},
    "first": {},
    "full_refresh": {"full_refresh": True},
    "reconcile": {"reconcile": True},
}
MODES = ("incremental", "incremental", *OPTIONS)  # half of them incremental
SIZES = (30, 47, 64, 81, 98, 115, 130)


@dataclass(frozen=True)
class History:
    """What happens around one sync.

    Attributes:
        paginator: One of `PAGINATORS`.
        sort: The API's sort order.
        limit: Rows a page.
        rows: At the source, to begin with.
        mode: `first`: the sync is the first one, else the table has these rows already.
            `full_refresh` and `reconcile` are the sync's options.
        whole_seconds: Times have no fraction of a second.
        ahead: Pages are fetched ahead, for which the server has to be slow.
        reconciled: A reconcile follows at the end.
        changes: By their requests.
    """

    paginator: str = "offset"
    sort: str = "created_at"
    limit: int = 10
    rows: int = 30
    mode: str = "incremental"
    whole_seconds: bool = True
    ahead: bool = False
    reconciled: bool = True
    changes: tuple[Change, ...] = ()


@dataclass
class Synced:
    """How a sync ended: its message where it was red, and whether a green one says it is proven."""

    message: str | None
    proven: bool = True
    why: str = ""

    @property
    def kind(self) -> str:
        """`red`, `green` or `unproven`."""
        if self.message is not None:
            return "red"
        return "green" if self.proven else "unproven"


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


def random_history(seed: int) -> History:
    """The history of a seed; seeds that follow each other go through paginators and orders."""
    random = Random(seed)
    half = seed // 2
    paginator = OTHERS[half % len(OTHERS)] if seed % 2 else OFFSETS[half % len(OFFSETS)]
    limit = random.choice((10, random.randint(3, 25)))
    rows, mode = random.choice(SIZES), random.choice(MODES)
    before = random.randint(1, 4) if mode == "incremental" else random.randint(0, 2)
    pages = rows // limit + 3
    requests = [0] * before + [random.randint(1, pages) for _ in range(random.randint(0, 6))]
    changes = [
        Change(
            request,
            random.choice((0, 0, 1, 7.25, 45, 90, 600)),
            # Before an incremental sync much has to change, or it is of one page.
            "update many"
            if not request and mode == "incremental"
            else random.choice(list(CHANGES)),
            random.randrange(10**6),
        )
        for request in requests
    ]
    return History(
        paginator,
        SORTS[seed % len(SORTS)],
        limit,
        rows,
        mode,
        whole_seconds=random.random() < 0.5,
        ahead=paginator == "offset" and random.random() < 0.1,
        reconciled=random.random() < 0.3,
        changes=tuple(changes),
    )


class Player:
    """A project and a server in which histories take place, one after the other."""

    def __init__(self, project: Project, server: ModelServer) -> None:
        self.project, self.server = project, server

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
            self._in_quiet(played, model, reconcile=True)
            played.wrong += unequal(model, versions(self.project))
        return played

    def _begun(self, history: History) -> Model:
        """The model of a history before the sync in question, and the table with its state."""
        self.project.database.unlink(missing_ok=True)
        if history.mode != "first":
            shutil.copy(self._older(history.rows, history.whole_seconds), self.project.database)
        configure(self.project, history)
        self.server.delay = 0.012 if history.ahead else 0.0
        model = Model(history.rows, history.paginator, history.whole_seconds)
        if history.mode != "first":
            model.served.update(row.version for row in model.rows.values())
        self.server.model = model
        return model

    def _older(self, rows: int, whole_seconds: bool) -> Path:
        """A database that one sync of so many rows has made, once for all histories."""
        file = self.project.folder / f"older-{rows}-{whole_seconds}"
        if not file.exists():
            configure(self.project, History(limit=50))
            self.server.model = Model(rows, whole_seconds=whole_seconds)
            assert self.project.sync() is None
            shutil.move(self.project.database, file)
        return file

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


EVERYTHING = "SELECT * FROM incidents.incident_data ORDER BY id"


def configure(project: Project, history: History) -> None:
    """The project as it ships, but for paginator and sort order."""
    section = deepcopy(SHIPPED)
    paginator = dict(PAGINATORS[history.paginator])
    endpoint = section["resources"][0]["endpoint"]
    endpoint["path"] = PATH
    endpoint["params"] = {"sort": history.sort}
    (paginator if paginator["type"] == "offset" else endpoint["params"])["limit"] = history.limit
    section["client"]["paginator"] = paginator
    section["deleted_share"] = 1.0  # what few rows there are may all go
    section["fetch_ahead"] = 4 if history.ahead else 1
    project.configure(section)


SHIPPED = tomlkit.parse((ROOT / ".dlt" / "config.toml").read_text()).unwrap()["sources"][
    "incidents"
]


def sync(project: Project, model: Model, **options: Any) -> Synced:
    """One sync of `project` from `model`."""
    opened = []

    @contextmanager
    def open_sync(*args: Any, **named: Any) -> Iterator[Any]:
        with OPEN_SYNC(*args, **named) as one:
            opened.append(one)
            yield one

    # How long a walk takes is told by the clock that the API owns.
    clock = SimpleNamespace(monotonic=lambda: model.clock / SECOND)
    with patch.object(pipeline, "open_sync", open_sync), patch.object(evidence, "time", clock):
        message = project.sync(**options)
    if message is not None:
        return Synced(message)
    proof = opened[-1].proofs["incident_data"]
    return Synced(None, proof.proven, "; ".join(proof.unproven))


OPEN_SYNC = pipeline.open_sync


# The judge. A table is id → (version, status, microseconds of updated_at), less what is marked.


def versions(project: Project) -> dict[str, tuple[Any, ...]]:
    """The table's rows that are not marked as deleted."""
    return project.versions("version", "status", "epoch_us(updated_at)")


def missing(model: Model, table: dict[str, Any]) -> list[str]:
    """Rows that were there unchanged during the whole sync and are not in the table so."""
    return [
        f"{row.id} was there unchanged and is lost ({_seen(table, row.id)})"
        for row in model.at_begin.values()
        if row.id not in model.touched and table.get(row.id) != _as_row(row)
    ]


def untrue(model: Model, before: dict[str, Any], table: dict[str, Any]) -> list[str]:
    """Rows in the table that the API has never served so, or that went back in time."""
    served = {model.versions[number] for number in model.served}
    known = {(row.id, _as_row(row)) for row in served}
    wrong = [f"{id}: {row} was never served" for id, row in table.items() if (id, row) not in known]
    newest = {id: row[2] for id, row in before.items()}
    for number in model.served_now:
        row = model.versions[number]
        # What was read of a row that went away may have been given up with the reading.
        if row.id not in model.absent:
            newest[row.id] = max(newest.get(row.id, 0), row.updated_at)
    older = sorted(id for id, row in table.items() if row[2] < newest.get(id, 0))
    wrong += [f"{id} is in an older version than was read" for id in older]
    taken = sorted(before.keys() - table.keys() - model.absent)
    return wrong + [f"{id} was at the source all the time and is taken away" for id in taken]


def late(model: Model, table: dict[str, Any]) -> list[str]:
    """Rows at the source that the table has not in their latest version."""
    return [
        f"{row.id} is not in its latest version ({_seen(table, row.id)})"
        for row in model.rows.values()
        if table.get(row.id) != _as_row(row)
    ]


def unequal(model: Model, table: dict[str, Any]) -> list[str]:
    """As `late`, and rows that are not at the source any more."""
    extra = table.keys() - model.rows.keys()
    return late(model, table) + [f"{id} is gone and not marked" for id in sorted(extra)]


def red_faults(message: str, before: list[Any], after: list[Any]) -> list[str]:
    """What is wrong with a red sync, by its message and the rows of the table."""
    wrong = ["red, and the table changed"] if before != after else []
    if not clear(message):
        wrong.append(f"no clear message: {message[:200]!r}")
    return wrong


def _as_row(row: Any) -> tuple[Any, ...]:
    return row.version, row.status, row.updated_at


def _seen(table: dict[str, Any], id: str) -> str:
    return f"version {table[id][0]} is there" if id in table else "it is not there"


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
