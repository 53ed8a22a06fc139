"""SIGKILL while a first read goes through its windows, and what the syncs after it make of that."""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from fakes.incident_pages import IncidentPages
from faults.cases.ordinary.case import LATER, change, record, records
from faults.cases.ordinary.windows import SETTINGS, begin
from faults.judging.change_log import log_amiss
from faults.judging.fields import Row
from faults.judging.outcome import Outcome, Result, versions_of
from faults.running.forks import Forks, Tell, forks
from faults.running.killed import LASTS, STAGES, TOO_LATE, kill_command, kill_fork
from faults.running.marked import mark_stages
from faults.running.project import in_project
from faults.running.stories import LIMIT, Story
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing import backfill
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync

TITLE = "Kills in windows"
WHAT = (
    "The list shows 20 records, so that a first read goes through many windows, each a load of "
    "its own here. It is killed by SIGKILL in one of these, goes on, and is killed in a later one; "
    "a fifth of the times as `python -m incidents_dagster`. Meanwhile incidents change and come. "
    "What was loaded has to stay, as the API has served it, nothing twice, and the log of changes "
    "has to agree. The next three syncs are green, and the table equals the source. Then a "
    "reconcile is killed, which leaves the table as it was or as it has to be, and the next one "
    "has it equal the source."
)
SEEDS = {True: (4,), False: tuple(range(20))}
ROWS = 120
Versions = dict[str, tuple[Any, ...]]
SMALL_LOADS = "from incidents_dagster.ingestion.landing import backfill; backfill.ENOUGH = 1; "


@dataclass
class Trials:
    """First reads that are killed, one after the other, each into an empty store."""

    story: Story
    processes: Forks
    stages: Counter[str] = field(default_factory=Counter)
    went_on: int = 0

    def one(self, seed: int) -> Outcome:
        """Two kills of a first read, whole syncs, and the kill of a reconcile."""
        random, project, api = Random(seed), self.story.project, self.story.api
        project.stored.empty()
        api.rows = records(ROWS)
        served, wrong, met = [*api.rows], list[str](), list[str]()
        for time in (1, 2):
            before = self._table()
            met.append(self._kill(random, "INCREMENTAL", seed % 5 == 4 and time == 2))
            wrong += self._amiss(before, served)
            served += self._changed(random, time)
        self.went_on += 0 < len(self._table()) < ROWS
        for _ in range(3):
            if message := self.processes.sync():
                wrong.append(f"a next sync failed: {message}")
        wrong += self._unequal(self._table())

        served += self._changed(random, 3)
        gone = api.rows.pop(random.randrange(ROWS))["id"]
        before = self._table()
        met.append(self._kill(random, "RECONCILE"))
        if (after := self._table()) != before and (other := self._unequal(after)):
            wrong += ["after the kill of a reconcile, neither as before nor as the API", *other]
        if message := self._reconciled():
            wrong.append(f"the next reconcile failed: {message}")
        wrong += self._unequal(self._table()) + self._amiss({}, served, gone)
        self.stages.update(met)
        return Outcome(
            f"seed {seed}: killed in {', '.join(met)}",
            "wrong" if wrong else "right",
            "; ".join(wrong),
        )

    def _kill(self, random: Random, mode: str, command: bool = False) -> str:
        stage = random.choice(STAGES)
        turn = random.randint(1, 5) if mode == "INCREMENTAL" else 1
        delay = random.uniform(0, LASTS[stage])
        if command:
            return kill_command(self.story.project, stage, delay, turn, SMALL_LOADS)
        child = self.processes.start(partial(staged_sync, mode=mode))
        return kill_fork(child, stage, delay, turn)

    def _reconciled(self) -> str | None:
        child = self.processes.start(partial(staged_sync, mode="RECONCILE"))
        child.hears()
        return child.result if child.ended else "the process died"

    def _changed(self, random: Random, time: int) -> list[Row]:
        """Three incidents change, and one is new; all that the API has now."""
        rows = self.story.api.rows
        change(self.story, *random.sample(range(ROWS), 3), at=LATER + time)
        rows.append(record(ROWS + time, LATER + time))
        return [*rows]

    def _table(self) -> Versions:
        return self.story.project.versions("status", "updated_at")

    def _unequal(self, table: Versions) -> list[str]:
        source = versions_of(self.story.api.rows)
        other = [i for i in table.keys() | source.keys() if table.get(i) != source.get(i)]
        return [f"{len(other)} rows differ from the API, such as {min(other)}"] if other else []

    def _amiss(self, before: Versions, served: list[Row], *gone: str) -> list[str]:
        """What a table that need not have all rows has otherwise than before, or than served."""
        table, told = self._table(), {(row["id"], *versions_of([row])[row["id"]]) for row in served}
        lost = before.keys() - table.keys() - {*gone}
        false = [i for i, version in table.items() if (i, *version) not in told]
        wrong = [f"{len(lost)} rows lost, such as {min(lost)}"] if lost else []
        wrong += (
            [f"{len(false)} rows that were never served, such as {min(false)}"] if false else []
        )
        return wrong + ([amiss] if (amiss := log_amiss(self.story.project.query)) else [])


def staged_sync(tell: Tell, mode: str) -> str | None:
    """One sync that tells its stages, each window a load: its message, if it is red."""
    mark_stages(tell)
    backfill.ENOUGH = 1
    try:
        run_sync(load_settings(), lambda _: None, Mode[mode])
    except Exception as error:
        return redact(explain(error))
    return None


def run(part: bool) -> Result:
    """The section."""
    with IncidentPages("offset", LIMIT) as api, in_project(api.base_url) as project:
        story = Story(api, project, "offset")
        story.configure(**SETTINGS)
        begin(story)
        with forks() as processes:
            trials = Trials(story, processes)
            outcomes = [trials.one(seed) for seed in SEEDS[part]]
    stages = trials.stages
    figures: dict[str, int | float] = {
        "kills": stages.total() - stages[TOO_LATE],
        **{f"kills in {s}": stages[s] for s in ("start", *STAGES) if stages[s]},
        "first reads that went on where they had stopped": trials.went_on,
    }
    return Result(outcomes, figures)
