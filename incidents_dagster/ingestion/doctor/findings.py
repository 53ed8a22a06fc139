"""What the doctor has found: one line each, and whether a sync can be proven."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class Level(str, Enum):
    """How grave a finding is.

    Attributes:
        OK: As it should be.
        NOTE: Worth knowing.
        WARN: A sync works, and something is missing or may be wrong.
        FAIL: A sync fails, or cannot be proven.
    """

    OK = "ok"
    NOTE = "note"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """A line.

    Attributes:
        level: How grave it is.
        about: What was looked at, in a word or two.
        seen: What was seen; never a secret, never a record.
        cure: The one next step; empty if there is nothing to do.
    """

    level: Level
    about: str
    seen: str
    cure: str = ""

    def __str__(self) -> str:
        return (
            f"{self.level.value:<5} {self.about:<10} {self.seen}{f' {self.cure}' * bool(self.cure)}"
        )


@dataclass
class Diagnosis:
    """All that was found.

    Attributes:
        findings: In the order in which they were found.
        requests: How many requests were made.
        configured: Whether the settings are valid.
        sample: The shape of the list's responses, without their content; see `record`.
    """

    findings: list[Finding] = field(default_factory=list)
    requests: int = 0
    configured: bool = False
    sample: list[dict[str, Any]] = field(default_factory=list)

    def add(self, level: Level, about: str, seen: str, cure: str = "") -> None:
        """Adds a finding."""
        self.findings.append(Finding(level, about, seen, cure))

    @property
    def why_unproven(self) -> str:
        """Why a sync cannot be proven; empty if it can."""
        return next((one.seen for one in self.findings if one.level is Level.FAIL), "")

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        yield from map(str, self.findings)
        why = self.why_unproven
        verdict = f"no, because {why[:1].lower()}{why[1:]}" if why else "yes"
        yield f"A sync of this source can be proven: {verdict}"

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {
            "provable": not self.why_unproven,
            "why_not": self.why_unproven,
            "requests": self.requests,
            "findings": [asdict(one) | {"level": one.level.value} for one in self.findings],
        }
