"""Good answers with one to three random changes each, and an independent reader that judges.

The changes are in the spirit of schemathesis: at any node of the JSON, or of its bytes. Each case
follows from its seed alone; Hypothesis can take the place of the seeds, see `mutated`.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fakes.incident_pages import IncidentPages, Page, Tell, as_json, truth
from fakes.incidents import incident
from faults.cases.mutations import Choose, mutated
from faults.judging.oracle import fields_lost, told_otherwise
from faults.judging.outcome import Outcome, Result, clear, judged, versions_of
from faults.running.processes import HungError, in_processes, limited
from faults.running.project import Project, in_project
from faults.running.syncs import in_table, shipped

TITLE = "Mutated answers"
WHAT = (
    "The source has 30 incidents in pages of 10 (by offset, cursor or link), of which a random "
    "part changes before each case. One page, or all, is told with one to three random changes: "
    "keys deleted or renamed, values nulled, swapped, of another type or number, wrapped, "
    "unwrapped, replaced by other parts of the answer, items dropped, repeated or reordered, bytes "
    "cut, flipped or inserted. Red is right where the table is as before; green is right where "
    "the table equals the source. Any other green table is held against what the answers say, by "
    "a reader of its own: each difference has to be what a record told (its newest version), a "
    "record in quarantine, or a record that no answer held while neither a total, nor a short page "
    "before others, nor a next page gave away that there was more: such a lie cannot be found. In "
    "every green table, a row that was written has all fields of a record that told it, each in a "
    "column of its own. "
    "All else is wrong, as is a sync without end, or a good sync after it that is not green and "
    "equal to the source (after a lie that cannot be found: a reconcile, and but for rows that it "
    "has told with a newer time, which no older version replaces)."
)
AS_TOLD = "green, and as the answers told"
CASES = 2_000
CASES_A_PROJECT = 20
SYNC_SECONDS = 300
ROWS, PAGE_ROWS = 30, 10
STYLES = ("offset", "offset", "cursor", "link")


class Liar:
    """Tells some pages otherwise: the same one the same way each time, or once alone.

    Args:
        choose: As for `mutated`.
    """

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._page = choose.choice([0, 1, 1, 2, 2, 3, 3])  # 0: every one
        self._once = choose.random() < 0.2
        self._told: dict[bytes, bytes] = {}

    def __call__(self, page: Page) -> Any:
        good = as_json(page.body)
        if self._page not in (0, page.number) or (self._once and good in self._told):
            return page.body
        if good not in self._told:
            self._told[good] = mutated(page.body, self._choose)
        return self._told[good]


def case(
    name: str, project: Project, api: IncidentPages, tell: Tell, full_refresh: bool = False
) -> tuple[str, Outcome]:
    """One sync of `api.rows` as `tell` has them, and a good one after it.

    Returns:
        What came of it, for the figures, and the outcome.
    """
    source, before, had = versions_of(api.rows), in_table(project), _rows(project)
    api.served.clear()
    try:
        api.tell = tell
        with limited(SYNC_SECONDS):
            message = project.sync(full_refresh=full_refresh)
        after = in_table(project)
        came, wrong = "green, and equal to the source", ""
        if message is not None:
            came, wrong = "red", judged(name, message, before, after, source).note
            wrong = "" if after == before and clear(message) else wrong
        else:
            kept = project.query("SELECT record FROM incidents.quarantine")
            if after != source:
                came = AS_TOLD
                wrong = told_otherwise([*api.served], before, after, source, kept)
            wrong = wrong or fields_lost([*api.served], had, _rows(project), kept)
        api.tell = truth
        with limited(SYNC_SECONDS):
            again = project.sync(reconcile=came == AS_TOLD)
        left = _differences(source, in_table(project), came == AS_TOLD)
        if again or left:
            wrong += f" then the good sync: {again or f'green, and {left} not as the source'}"
    except HungError:
        came, wrong = "no end", f"no end within {SYNC_SECONDS} s"
    except Exception as error:  # a case must not end the others
        came, wrong = "failed", f"{type(error).__name__}: {str(error)[:200]}"
    if wrong:
        return "wrong", Outcome(name, "wrong", wrong)
    return came, Outcome(name, "red" if came == "red" else "right", message or "")


def _rows(project: Project) -> dict[str, Any]:
    return {row["id"]: row for row in project.rows()}


def _differences(source: dict[str, Any], table: dict[str, Any], lied_to: bool) -> list[str]:
    """Ids that differ; less those that a lie has made newer, as no older version replaces them."""
    return [
        name
        for name in sorted({*source, *table})
        if source.get(name) != table.get(name)
        and not (
            lied_to
            and name in source
            and name in table
            and (table[name][1] is None or table[name][1] >= source[name][1])
        )
    ]


def cases_of_project(number: int) -> list[tuple[str, Outcome]]:
    """What came of the cases of one project, which are its first sync and those that follow."""
    found: list[tuple[str, Outcome]] = []
    seeds = list(range(number * CASES_A_PROJECT, (number + 1) * CASES_A_PROJECT))
    while seeds:
        found += cases_of_seeds(seeds)
        seeds = seeds[len(found) - CASES_A_PROJECT :] if len(found) < CASES_A_PROJECT else []
    return found


def cases_of_seeds(seeds: Sequence[int]) -> list[tuple[str, Outcome]]:
    """What came of the cases, in one new project, up to the first that leaves traces in it.

    Those are the wrong ones, and the lies that cannot be found.
    """
    found: list[tuple[str, Outcome]] = []
    style = STYLES[seeds[0] // CASES_A_PROJECT % len(STYLES)]
    with IncidentPages(style, PAGE_ROWS) as api, in_project(api.base_url) as project:
        project.configure(section(style))
        source = [incident(n) for n in range(1, ROWS + 1)]
        for seed in seeds:
            choose = random.Random(seed)
            for n in choose.sample(range(ROWS), choose.randint(1, ROWS)):
                source[n] = incident(n + 1, 2 + seed % CASES_A_PROJECT)
            name, full_refresh = f"seed {seed}, by {style}", choose.random() < 0.5
            api.rows = [*source]
            found.append(case(name, project, api, Liar(choose), full_refresh))
            if found[-1][0] in ("wrong", AS_TOLD):
                break
    return found


def section(style: str) -> dict[str, Any]:
    """`[sources.incidents]` as shipped, by this style and in pages of ten.

    Nothing is fetched ahead: the reader could not know which answers the sync has used.
    """
    return {**shipped(style, PAGE_ROWS), "fetch_ahead": 1}


def run(part: bool) -> Result:
    """2,000 cases, or 20."""
    numbers = range(1 if part else CASES // CASES_A_PROJECT)
    found = [one for of_project in in_processes(cases_of_project, numbers) for one in of_project]
    counts = Counter(came for came, _ in found)
    outcomes = [outcome for _, outcome in found if outcome.verdict == "wrong"]
    said = Counter(re.sub(r"\d+", "N", o.note)[:120] for came, o in found if came == "red")
    for came, times in sorted(counts.items()):
        if came == "red":
            reasons = "; ".join(f"{reason} ({n:,})" for reason, n in said.most_common(5))
            outcomes.append(Outcome(f"{times:,} more: {came}", "red", f"Most often: {reasons}"))
        elif came != "wrong":
            outcomes.append(Outcome(f"{times:,} more: {came}", "right"))
    return Result(outcomes, {"mutated answers": len(found), **dict(sorted(counts.items()))})
