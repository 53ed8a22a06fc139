"""Ordinary life: mistakes that people make, and what APIs do on ordinary days."""

from collections.abc import Sequence

from fakes.incident_pages import IncidentPages, truth
from faults.cases.ordinary import (
    bounds,
    deletions,
    evidence,
    fields,
    honest,
    keys,
    left_out,
    mistakes,
    next_pages,
    not_ours,
    partial,
    paths,
    phases,
    quiet,
    reconcile,
    redaction,
    secrets,
    sources,
    still_open,
    time,
    truths,
    values,
    vanished,
    windows,
    windows_over_time,
)
from faults.cases.ordinary.case import Case, records
from faults.judging.outcome import Outcome, Result
from faults.running.processes import HungError, in_own_processes, limited, no_waits
from faults.running.project import in_project
from faults.running.stores import OnAFileError
from faults.running.stories import LIMIT, Story, WrongError
from faults.sources import FIRST, ON_A_SECOND_SOURCE, SECOND, counted, name_on

TITLE = "Ordinary life"
WHAT = (
    "Mistakes that people make in a configuration, and what APIs do on ordinary days: a next-page "
    "path that is mistyped, a filter that is removed, a clock that is fast, a backup that is "
    "restored, a permission that is missing for an hour. Each case is a story of several syncs, "
    "most of them runs of Dagster with their checks. A proven sync has to equal the source, every "
    "field of every record; a red one has to leave the table as it was, with one clear message, "
    "which names what the case wants named. A sync that says of itself that it is unproven is "
    "right in the cases that leave no evidence, if it marks nothing as deleted. In the quiet weeks "
    "of a healthy API, any warning that is not true is wrong. " + ON_A_SECOND_SOURCE
)
CASE_SECONDS = 60
POINTS: dict[str, Sequence[Case]] = {
    "evidence": [
        *next_pages.CASES,
        *honest.CASES,
        *partial.CASES,
        *vanished.CASES,
        *evidence.CASES,
    ],
    "sources": sources.CASES,
    "time": time.CASES,
    "truth": truths.CASES,
    "reconcile": reconcile.CASES,
    "deletions": deletions.CASES,
    "keys and names": keys.CASES,
    "values": values.CASES,
    "fields": [*fields.CASES, *paths.CASES, *phases.CASES, *left_out.CASES],
    "windows": [*windows.CASES, *windows_over_time.CASES],
    "what is open": still_open.CASES,
    "mistakes": mistakes.CASES,
    "redaction": redaction.CASES,
    "secrets": secrets.CASES,
    "not ours": not_ours.CASES,
    "bounds": bounds.CASES,
    "false alarms": quiet.CASES,
}
# A code location loads the rest anew.
IMPORTED = ["faults.sections.ordinary", "incidents_dagster.embedded_elt", "dagster_duckdb"]
# Source → which case of a point is in a sample, and whether that is so of even or of odd points.
SAMPLES = {FIRST: (2, 0), SECOND: (3, 1)}


def tried(point: str, case: Case, source: str = FIRST) -> Outcome:
    """The outcome of a case."""
    name = name_on(source, f"{point}: {case.name}")
    with (
        IncidentPages(case.style, LIMIT) as api,
        in_project(api.base_url, source=source) as project,
        no_waits(),
    ):
        api.total, api.rows, api.tell = case.total, records(case.rows), case.tell or truth
        api.first_page = case.first_page
        story = Story(api, project, case.style)
        try:
            with limited(CASE_SECONDS):
                story.configure(**case.settings)
                case.story(story)
            if wrong := project.disturbed():
                return Outcome(name, "wrong", wrong)
        except HungError:
            return Outcome(name, "wrong", f"no end within {CASE_SECONDS} s")
        except WrongError as wrong:
            return Outcome(name, "wrong", " ".join(str(wrong).split()))
        except OnAFileError:
            return Outcome(name, "left out", str(OnAFileError.__doc__))
        except Exception as error:  # a case must not end the others
            return Outcome(name, "wrong", f"{type(error).__name__}: {str(error)[:200]}")
        finally:
            story.close()
    said = "" if story.came == "proven" else story.said
    return Outcome(name, "red" if story.came == "red" else "right", said)


def tried_number(case: tuple[str, int]) -> Outcome:
    """The outcome of a case by its source and its place, which another process can be told."""
    source, number = case
    return tried(*numbered()[number], source)


def numbered() -> list[tuple[str, Case]]:
    """All cases in their order."""
    return [(point, case) for point, cases in POINTS.items() for case in cases]


def run(part: bool) -> Result:
    """All cases on either source, or one of each point, on one source or the other."""
    wanted = [
        (source, number)
        for source, sample in SAMPLES.items()
        for number, (point, case) in enumerate(numbered())
        # Not the first ones, of which some start commands.
        if not part or (POINTS[point].index(case), [*POINTS].index(point) % 2) == sample
    ]
    outcomes = in_own_processes(tried_number, wanted, IMPORTED)
    figures = counted("ordinary situations", outcomes)
    return Result(outcomes, {**figures, "points": len(POINTS)})
