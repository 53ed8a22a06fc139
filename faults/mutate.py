"""Good answers with one to three random changes each, and an independent reader that judges.

The changes are in the spirit of schemathesis: at any node of the JSON, or of its bytes. Each case
follows from its seed alone; Hypothesis can take the place of the seeds, see `mutated`.
"""

import copy
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from faults.harness import (
    HungError,
    Outcome,
    Project,
    Result,
    clear,
    in_processes,
    in_project,
    judged,
    limited,
)
from faults.oracle import told_otherwise
from faults.pages import Page, Pages, Tell, as_json, incident, truth
from faults.syncs import KEY, in_table, shipped, versions_of

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
    "before others, nor a next page gave away that there was more: such a lie cannot be found. "
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
ODD: tuple[Any, ...] = (None, "", "x", "0", 0, -1, 1.5, True, False, [], {}, 10**20, [None], [{}])

Choose = random.Random
Place = tuple[Any, Any]  # a dict and a key of it, or a list and an index


def _places(tree: Any, depth: int = 0) -> Iterator[tuple[int, Place]]:
    entries: Any = ()
    if isinstance(tree, dict):
        entries = list(tree.items())
    elif isinstance(tree, list):
        entries = list(enumerate(tree))
    for key, value in entries:
        yield depth, (tree, key)
        yield from _places(value, depth + 1)


def _place(body: Any, choose: Choose) -> Place:
    """A node: any depth is as likely as any other, or the many fields would hide the few keys."""
    places = list(_places(body))
    depth = choose.choice(sorted({depth for depth, _ in places}))
    return choose.choice([place for at, place in places if at == depth])


def _rename(holder: Any, key: Any, choose: Choose) -> None:
    if isinstance(holder, dict):
        name = choose.choice([key.upper(), key + "_", key[:-1], "", "_dlt_id", "error"])
        holder[name] = holder.pop(key)


def _number(holder: Any, key: Any, choose: Choose) -> None:
    value = holder[key]
    if isinstance(value, (int, float)):
        holder[key] = choose.choice([value + 1, value - 1, -value, value * 1000, value + 0.5])


def _unwrap(holder: Any, key: Any, _: Choose) -> None:
    value = holder[key]
    if isinstance(value, (dict, list)) and value:
        holder[key] = next(iter(value.values() if isinstance(value, dict) else value))


def _wrap(holder: Any, key: Any, choose: Choose) -> None:
    holder[key] = choose.choice([[holder[key]], {"value": holder[key]}])


def _delete(holder: Any, key: Any, _: Choose) -> None:
    del holder[key]


def _odd(holder: Any, key: Any, choose: Choose) -> None:
    holder[key] = copy.deepcopy(choose.choice(ODD))


def _items(holder: Any, key: Any, choose: Choose) -> None:
    items = holder if isinstance(holder, list) else holder[key]
    if isinstance(items, list) and items:
        at = choose.randrange(len(items))
        change = choose.choice(["drop", "half", "repeat", "reorder"])
        if change == "drop":
            del items[at]
        elif change == "half":
            del items[at:]
        elif change == "repeat":
            items.insert(choose.randrange(len(items)), copy.deepcopy(items[at]))
        else:
            choose.shuffle(items)


NODES: dict[str, Callable[[Any, Any, Choose], None]] = {
    "deleted": _delete,
    "odd value": _odd,
    "number changed": _number,
    "renamed": _rename,
    "wrapped": _wrap,
    "unwrapped": _unwrap,
    "items changed": _items,
}
PAIRS = ("swapped", "replaced by another part")
BYTES = ("cut off", "a bit flipped", "bytes inserted", "bytes removed")


def mutated(body: Any, choose: Choose) -> bytes:
    """A good answer's JSON with one to three changes.

    Args:
        body: The answer; stays as it is.
        choose: Makes every choice: `random.Random(seed)`, or Hypothesis' `randoms()`, which
            shrinks what it finds.
    """
    body = {"answer": copy.deepcopy(body)}
    for _ in range(choose.randint(1, 3)):
        kind = choose.choice([*NODES, *PAIRS, "bytes"])
        if kind == "bytes":
            return _of_bytes(as_json(body.get("answer")), choose)
        if not list(_places(body)):
            break
        holder, key = _place(body, choose)
        if kind in NODES:
            NODES[kind](holder, key, choose)
            continue
        other, at = _place(body, choose)
        one, two = holder[key], copy.deepcopy(other[at])
        if kind == "swapped" and not _holds(one, other) and not _holds(other[at], holder):
            other[at] = one
        holder[key] = two
    return as_json(body.get("answer"))


def _holds(tree: Any, holder: Any) -> bool:
    return tree is holder or any(found[key] is holder for _, (found, key) in _places(tree))


def _of_bytes(sent: bytes, choose: Choose) -> bytes:
    at, kind = choose.randrange(len(sent)), choose.choice(BYTES)
    if kind == "cut off":
        return sent[:at]
    if kind == "a bit flipped":
        return sent[:at] + bytes([sent[at] ^ 1 << choose.randrange(8)]) + sent[at + 1 :]
    if kind == "bytes inserted":
        more = choose.choice([b"\0", b"\xff", b'"', b"{", b"]", b",", b"9", b" ", b"\\u0000"])
        return sent[:at] + more + sent[at:]
    return sent[:at] + sent[at + choose.randint(1, 40) :]


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
    name: str, project: Project, api: Pages, tell: Tell, full_refresh: bool = False
) -> tuple[str, Outcome]:
    """One sync of `api.rows` as `tell` has them, and a good one after it.

    Returns:
        What came of it, for the figures, and the outcome.
    """
    source, before = versions_of(api.rows), in_table(project)
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
        elif after != source:
            came = AS_TOLD
            kept = project.query("SELECT record FROM incidents.quarantine")
            wrong = told_otherwise([*api.served], before, after, source, kept)
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
    with Pages(style, PAGE_ROWS) as api, in_project(api.base_url, KEY) as project:
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
    settings = {**shipped(style), "fetch_ahead": 1}
    if "limit" in settings["client"]["paginator"]:
        settings["client"]["paginator"] = {**settings["client"]["paginator"], "limit": PAGE_ROWS}
    return settings


def run(part: bool) -> Result:
    """2,000 cases, or 40."""
    numbers = range(2 if part else CASES // CASES_A_PROJECT)
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
