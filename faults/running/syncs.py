"""The syncs that the sections try an API with that tells things otherwise, and how they are judged.

One bad sync, then a good one: that must heal whatever the first has left.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fakes import configuration
from fakes.incident_pages import MOST_REQUESTS, PAGE_ROWS, IncidentPages, truth
from fakes.incidents import incident
from fakes.paginators import paginator
from faults.judging.outcome import Outcome, judged, versions_of
from faults.running.processes import HungError, limited
from faults.running.project import Project, in_project

CASE_SECONDS = 300
LATER = 9  # the version of what changes after a case
BEFORE = [incident(n) for n in range(1, 201)]


def shipped(style: str = "offset", limit: int = PAGE_ROWS) -> dict[str, Any]:
    """`[sources.incidents]` as the project ships it, with the paginator for a style."""
    section = configuration.section()
    section["client"]["paginator"] = paginator(style, limit)
    return section


def later(rows: list[Any]) -> list[Any]:
    """The source a week later: fifty of its incidents have changed."""
    return [incident(n, version=LATER) for n in range(1, 51)] + rows[50:]


def in_table(project: Project) -> dict[str, tuple[Any, ...]]:
    """id → status and updated_at, of the rows that are not marked as deleted."""
    return project.versions("status", "updated_at")


def older_rows() -> str:
    """What a sync of `BEFORE` leaves, for `Rows.start_from`."""
    return _kept()[1]


@cache
def _kept() -> tuple[TemporaryDirectory[str], str]:
    folder = TemporaryDirectory()
    with IncidentPages() as api, in_project(api.base_url) as project:
        api.rows = BEFORE
        assert project.sync() is None
        return folder, project.stored.keep(Path(folder.name))


def sync_bad_then_good(
    name: str,
    project: Project,
    api: IncidentPages,
    judge: Callable[[str | None, dict[str, Any], dict[str, Any]], Outcome],
    repaired: list[Any],
) -> Outcome:
    """One sync as the API tells it, and one of the truth after it.

    Args:
        name: The case.
        project: Configured for `api`.
        api: Tells the case.
        judge: Gets the first sync's message, and the table before and after it.
        repaired: What the API has for the good sync.
    """
    before = in_table(project)
    try:
        with limited(CASE_SECONDS):
            message = project.sync()
        outcome = judge(message, before, in_table(project))
        if len(api.served) >= MOST_REQUESTS:
            return Outcome(name, "wrong", f"no end after {len(api.served):,} requests: {message}")
        api.tell, api.rows = truth, repaired
        with limited(CASE_SECONDS):
            message = project.sync()
        good = judged(name, message, in_table(project), in_table(project), versions_of(repaired))
        if good.verdict != "right":
            said = f"{outcome.verdict} ({outcome.note}), then " if outcome.note else ""
            return Outcome(name, "wrong", f"{said}the next good sync: {good.note}")
    except HungError:
        return Outcome(name, "wrong", f"no end within {CASE_SECONDS} s")
    except Exception as error:  # a case must not end the others
        return Outcome(name, "wrong", f"{type(error).__name__}: {str(error)[:200]}")
    return outcome
