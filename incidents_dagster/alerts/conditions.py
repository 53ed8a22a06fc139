"""What can be wrong, as data: kinds, levels, and what was found at a look.

`failed_runs`, `failed_checks`, `late_syncs` and `open_incidents` look; `told` compares that with
what was told before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

import dagster as dg

from incidents_dagster.ingestion.settings import Alerts
from incidents_dagster.ingestion.tables import FIRST
from incidents_dagster.names import reconcile_job, sync_job


class Kind(Enum):
    """What an alert is about."""

    RUN = "run"
    CHECK = "check"
    FRESHNESS = "freshness"
    PROOF = "proof"
    OPEN = "open"


# What is said after the subject once it is well.
WELL_AGAIN = {
    Kind.RUN: "succeeds again",
    Kind.CHECK: "passes again",
    Kind.FRESHNESS: "passes again",
    Kind.PROOF: "is proven again",
    Kind.OPEN: "are no longer open for too long",
}


class Level(IntEnum):
    """How bad it is. A condition is told again if it gets worse."""

    WARN = 1
    ERROR = 2


UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


@dataclass(frozen=True)
class Condition:
    """Something that is wrong now.

    Attributes:
        key: The same at each look, such as `check/incident_data/ids_are_unique`.
        kind: What it is about.
        level: How bad it is.
        source: Whose receivers are told.
        subject: What is wrong, such as `incidents_sync`.
        state: What it does, after the subject: `failed`.
        cause: The root cause, in a line.
        details: Further lines: assets, what a check expects.
        run_id: The run that showed it; empty if none did.
        members: What it consists of, by id, each as a line. A new one is told.
    """

    key: str
    kind: Kind
    level: Level
    source: str
    subject: str
    state: str
    cause: str
    details: tuple[str, ...] = ()
    run_id: str = ""
    members: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Looked:
    """What a look has found. What it names nowhere is no longer there.

    Attributes:
        wrong: What is wrong.
        well: Keys of what is not, each with the run that shows it, or "".
        unsure: Keys of what cannot be judged now.
        unseen: Kinds that could not be looked at.
    """

    wrong: list[Condition] = field(default_factory=list)
    well: dict[str, str] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    unseen: set[Kind] = field(default_factory=set)

    def add(self, other: "Looked") -> None:
        """Adds what another look has found."""
        self.wrong += other.wrong
        self.well |= other.well
        self.unsure |= other.unsure
        self.unseen |= other.unseen


@dataclass(frozen=True)
class Place:
    """Where to look.

    Attributes:
        instance: Whose history.
        repository: The definitions.
        alerts: Source → its settings.
        now: Seconds since 1970.
    """

    instance: dg.DagsterInstance
    repository: dg.RepositoryDefinition
    alerts: Mapping[str, Alerts]
    now: float

    def source_of_job(self, name: str) -> str:
        """The source that a job is of; the first one, if it is of none."""
        jobs = {job(source): source for source in self.alerts for job in (sync_job, reconcile_job)}
        return jobs.get(name, FIRST)

    def source_of_asset(self, key: dg.AssetKey) -> str:
        """The source that an asset is of; the first one, if it is of none."""
        return key.path[0] if len(key.path) > 1 and key.path[0] in self.alerts else FIRST


def span(seconds: float) -> str:
    """A time in words: `43 minutes`."""
    unit, size = next((one for one in UNITS if seconds >= 2 * one[1]), UNITS[-1])
    count = max(1, round(seconds / size))
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
