"""Syncs from a model, by its clock, and whether they say of themselves that they are proven."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from fakes.model import SECOND, Model
from faults.running.found import kept_changes
from faults.running.project import Project
from incidents_dagster.ingestion.reading import pages

EVERYTHING = "SELECT * FROM incidents.incident_data ORDER BY id"


@dataclass
class Synced:
    """How a sync ended.

    Attributes:
        message: Of a red one.
        proven: Whether a green one says that it is.
        why: Why it does not.
        beyond_window: How many rows it says are older than all that the API shows.
        waiting: How many it says wait for a second look.
    """

    message: str | None
    proven: bool = True
    why: str = ""
    beyond_window: int = 0
    waiting: int = 0

    @property
    def kind(self) -> str:
        """`red`, `green` or `unproven`."""
        if self.message is not None:
            return "red"
        return "green" if self.proven else "unproven"


def versions(project: Project) -> dict[str, tuple[Any, ...]]:
    """The table's rows that are not marked as deleted."""
    return project.versions("version", "status", "epoch_us(updated_at)")


def sync(project: Project, model: Model, **options: Any) -> Synced:
    """One sync of `project` from `model`."""
    # How long a walk takes is told by the clock that the API owns.
    clock = SimpleNamespace(monotonic=lambda: model.clock / SECOND)
    with kept_changes() as kept, patch.object(pages, "time", clock):
        message = project.sync(**options)
    if message is not None:
        return Synced(message)
    found = kept[-1]["incident_data"]
    doubts, beyond = "; ".join(found.proof.doubts), found.gone.beyond_window
    return Synced(None, found.proof.proven, doubts, beyond, found.waiting)
