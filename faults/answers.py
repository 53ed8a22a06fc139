"""Answers that lie, and records that do not fit: each kind told to a real sync."""

import shutil
from typing import Any

from faults import records
from faults.answers_cases import Case, cases
from faults.harness import Outcome, Result, in_processes, in_project, judged
from faults.pages import Pages
from faults.syncs import (
    KEY,
    later,
    older_database,
    shipped,
    sync_bad_then_good,
    versions_of,
)

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
    with Pages(case.style) as api, in_project(api.base_url, KEY) as project:
        project.configure({**shipped(case.style), **case.settings})
        if not case.first:
            shutil.copy(older_database(), project.database)
        api.rows, api.tell = case.rows, case.tell

        def judge(message: str | None, before: Any, after: Any) -> Outcome:
            outcome = judged(case.name, message, before, after, versions_of(case.rows))
            if case.must in (None, outcome.verdict):
                return outcome
            return Outcome(case.name, "wrong", f"{outcome.verdict}: {outcome.note}")

        return sync_bad_then_good(case.name, project, api, judge, later(case.rows))


def tried_number(number: int) -> Outcome:
    """The outcome of a case by its place among all, which another process can be told."""
    ours, theirs = list(cases()), records.cases()
    return tried(ours[number]) if number < len(ours) else records.tried(*theirs[number - len(ours)])


def run(part: bool) -> Result:
    """All cases, or every twenty-third."""
    numbers = range(0, len(list(cases())) + len(records.cases()), 23 if part else 1)
    outcomes = list(in_processes(tried_number, numbers))
    kinds = {outcome.case.split(":")[0] for outcome in outcomes} - {"good"}
    return Result(outcomes, {"kinds of bad answers and records": len(kinds)})
