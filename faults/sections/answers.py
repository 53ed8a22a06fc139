"""Answers that lie, and records that do not fit: each kind told to a real sync."""

import json
from typing import Any

from fakes.incident_pages import IncidentPages, Raw
from fakes.incidents import incident
from faults.cases.answers import SOURCE, Case, cases
from faults.cases.records import Kind, odd
from faults.cases.records import cases as odd_records
from faults.judging.outcome import Outcome, Result, clear, judged, versions_of
from faults.running.processes import in_processes
from faults.running.project import Project, in_project
from faults.running.syncs import LATER, later, older_rows, shipped, sync_bad_then_good

QUARANTINE = "SELECT record FROM incidents.quarantine"
TITLE = "Answers and records"
WHAT = (
    "Each case is a sync of 250 incidents, all changed since the last one, from an API that tells "
    "one thing otherwise: a shape, an error with status 200, a total, a page, a link, a record. "
    "Acceptable are the source's table or a clear red run that leaves the table as it was; for "
    "bad records, all good rows in the table and exactly the bad ones in quarantine. After each, "
    "a good sync must be green and end equal to the source. Rows are compared by id, status "
    "and updated_at."
)


def tried(case: Case) -> Outcome:
    """The outcome of a case."""
    with IncidentPages(case.style) as api, in_project(api.base_url) as project:
        project.configure({**shipped(case.style), **case.settings})
        if not case.first:
            project.stored.start_from(older_rows())
        api.rows, api.tell = case.rows, case.tell

        def judge(message: str | None, before: Any, after: Any) -> Outcome:
            outcome = judged(case.name, message, before, after, versions_of(case.rows))
            if case.must in (None, outcome.verdict):
                return outcome
            return Outcome(case.name, "wrong", f"{outcome.verdict}: {outcome.note}")

        return sync_bad_then_good(case.name, project, api, judge, later(case.rows))


def _fixed(kind: Kind) -> list[Any]:
    if kind.then is not None:
        return kind.then
    fixed = {}
    for record in kind.records:
        try:
            found = record.get("id")
        except AttributeError:
            found = None
        odd_id = found is None or isinstance(found, (bool, dict, list)) or not str(found).strip()
        name = "INC-0251" if odd_id or "\ud800" in str(found) else str(found)
        fixed[name] = incident(251, version=LATER, id=name)
    return list(fixed.values())


def _wanted(records: list[Any]) -> dict[str, tuple[Any, ...]]:
    return versions_of([odd() if isinstance(record, Raw) else record for record in records])


def _sorted(records: list[Any]) -> list[str]:
    return sorted(json.dumps(record, sort_keys=True) for record in records)


def _judged_record(
    kind: Kind, name: str, project: Project, message: str | None, after: Any
) -> Outcome:
    if message is not None:
        right = kind.rests in ("nowhere", "anywhere") and clear(message)
        return Outcome(name, "red" if right else "wrong", message)
    if kind.rests == "nowhere":
        return Outcome(name, "wrong", "green")
    good = versions_of(SOURCE)
    lost = [i for i, version in good.items() if after.get(i) != version]
    if lost:
        return Outcome(name, "wrong", f"green, with {len(lost)} good rows lost or changed")
    found = {i: version for i, version in after.items() if i not in good}
    kept = [json.loads(row[0]) for row in project.query(QUARANTINE)]
    if kind.rests in ("either", "anywhere"):
        together = len(found) + len(kept)
        ok = together == len(kind.records)
        said = f"{len(found)} in the table and {len(kept)} in quarantine, of {len(kind.records)}"
    elif kind.rests == "quarantine":
        ok = not found and _sorted(kept) == _sorted(kind.records)
        said = f"{len(found)} in the table, in quarantine {str(kept)[:200]}"
    else:
        wanted = kind.table if kind.table is not None else _wanted(kind.records)
        ok = found == wanted and not kept
        said = f"{len(kept)} in quarantine, in the table {str(found)[:200]}"
    return Outcome(name, "right" if ok else "wrong", "" if ok else said)


def tried_record(kind: Kind, first: bool) -> Outcome:
    """The outcome of a kind, in a first sync or in a later one."""
    name = f"{kind.name}: {'first' if first else 'later'} sync"
    with IncidentPages() as api, in_project(api.base_url) as project:
        if not first:
            project.stored.start_from(older_rows())
        half = len(SOURCE) // 2
        # The odd ones come in the middle of the walk, but for the demo API's own order.
        api.rows = [*SOURCE[:half], *kind.records, *SOURCE[half:]]

        def judge(message: str | None, before: Any, after: Any) -> Outcome:
            return _judged_record(kind, name, project, message, after)

        return sync_bad_then_good(name, project, api, judge, [*later(SOURCE), *_fixed(kind)])


def tried_number(number: int) -> Outcome:
    """The outcome of a case by its place among all, which another process can be told."""
    ours, theirs = list(cases()), odd_records()
    return tried(ours[number]) if number < len(ours) else tried_record(*theirs[number - len(ours)])


def run(part: bool) -> Result:
    """All cases, or every twenty-third."""
    numbers = range(0, len(list(cases())) + len(odd_records()), 23 if part else 1)
    outcomes = list(in_processes(tried_number, numbers))
    kinds = {outcome.case.split(":")[0] for outcome in outcomes} - {"good"}
    return Result(outcomes, {"kinds of bad answers and records": len(kinds)})
