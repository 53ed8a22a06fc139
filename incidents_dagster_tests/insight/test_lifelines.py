"""`time_to_resolve` and `time_to_acknowledge` of random histories, beside what lifelines says.

The durations are those of the histories, not of the tables. lifelines has an environment of its
own, as dlt would import its pandas into every test; `lifelines_curves` has the known differences.
"""

import json
import random
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from incidents_dagster.ingestion.settings import PROJECT_ROOT
from incidents_dagster_tests.insight.seen import Seen, amiss, at, built

LIFELINES = PROJECT_ROOT / ".venv-survival" / "bin" / "python"
INCIDENTS, END, EVERY = 300, 1440, 96  # hours, until the last sync and between two
SEVERITIES, TEAMS = ("low", "high", None), ("red", "blue", "green")
FIGURES = "p50, p75, p90, p50_low, p50_high, ended, still_open"
Cell = tuple[str, str, str]


@dataclass(frozen=True)
class Life:
    """An incident, its times in hours; None: not before the end.

    Attributes:
        unseen: When the last sync saw it, if it was deleted before the next one.
    """

    id: str
    severity: str | None
    team: str
    opened: float
    acknowledged: float | None
    closed: float | None
    unseen: float | None

    @classmethod
    def random(cls, number: int, rng: random.Random) -> "Life":
        """One whose times are on quarters of hours, so that many are equal."""
        opened = rng.randrange(END * 4) / 4
        slow = rng.choice((1, 1, 8))
        taken = opened + round(rng.expovariate(1 / 3) * 4) / 4 * slow
        closed = taken + round(rng.expovariate(1 / 20) * 4) / 4 * slow
        unseen = (opened // EVERY + rng.randint(1, 2)) * EVERY
        is_deleted = rng.random() < 0.15 and unseen < min(closed, END)
        end = unseen if is_deleted else END
        skipped = rng.random() < 0.2
        return cls(
            str(number),
            rng.choice(SEVERITIES),
            rng.choice(TEAMS),
            opened,
            None if skipped or taken > min(end, closed) else taken,
            None if is_deleted or closed > end else closed,
            unseen if is_deleted else None,
        )

    def at(self, hours: float) -> dict[str, Any]:
        """Its record at that moment."""
        taken = self.acknowledged is not None and self.acknowledged <= hours
        done = self.closed is not None and self.closed <= hours
        times = [self.opened, *([self.acknowledged] * taken), *([self.closed] * done)]
        return {
            "id": self.id,
            "severity": self.severity,
            "team": self.team,
            "status": "done" if done else "working" if taken else "new",
            "created_at": at(self.opened),
            "acknowledged_at": at(self.acknowledged) if taken else None,
            "resolved_at": at(self.closed) if done else None,
            "updated_at": at(max(times)),
            "deleted": self.unseen is not None and self.unseen < hours,
        }

    def lasted(self, ended: float | None) -> tuple[float, bool, bool]:
        """Minutes until it ended, or was last known not to have; whether it has; if it is open."""
        known = [moment for moment in (self.closed, self.unseen) if moment is not None]
        until = ended if ended is not None else min(known, default=END)
        is_open = self.closed is None and self.unseen is None
        return (until - self.opened) * 60, ended is not None, is_open

    def cells(self) -> Iterator[Cell]:
        """The cohort, severity and team of each figure that it counts in."""
        moment = at(self.opened)
        cohorts = ("all", f"{moment:%Y-%m}", f"{moment:%G-W%V}")
        severities = ("all", self.severity) if self.severity else ("all",)
        yield from product(cohorts, severities, ("all", self.team))


def lived(seen: Seen) -> list[Life]:
    """Random incidents, and what syncs every few days saw of them."""
    rng = random.Random("lifelines")
    lives = [Life.random(number, rng) for number in range(INCIDENTS)]
    known: dict[str, dict[str, Any]] = {}
    for hours in range(0, END + 1, EVERY):
        records = [one.at(hours) for one in lives if one.opened <= hours]
        seen.sync(hours, *(one for one in records if known.get(one["id"]) != one))
        known = {one["id"]: one for one in records}
    return lives


def by_lifelines(curves: list[Any]) -> list[list[float | None]]:
    """What `lifelines_curves` says about each."""
    assert LIFELINES.exists(), "lifelines is not installed: make .venv-survival/dev"
    script = Path(__file__).with_name("lifelines_curves.py")
    done = subprocess.run(
        [LIFELINES, "-W", "ignore", script],
        input=json.dumps(curves),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.thorough
@pytest.mark.rest
def test_every_figure_is_that_of_lifelines(seen: Seen, answers: Callable[[str], list[Any]]) -> None:
    lives = lived(seen)
    assert amiss(built(seen)) == []
    asked: dict[tuple[str, Cell], list[tuple[float, bool, bool]]] = defaultdict(list)
    for one in lives:
        for cell in one.cells():
            asked["time_to_resolve", cell].append(one.lasted(one.closed))
            asked["time_to_acknowledge", cell].append(one.lasted(one.acknowledged))
    curves = [[[m for m, _, _ in of], [ended for _, ended, _ in of]] for of in asked.values()]
    expected = {
        name: _rounded([*told, sum(e for _, e, _ in of), sum(o and not e for _, e, o in of)])
        for (name, of), told in zip(asked.items(), by_lifelines(curves), strict=True)
    }
    found = {}
    for table, ended in (("time_to_resolve", "closed"), ("time_to_acknowledge", "acknowledged")):
        for cohort, severity, team, *figures in answers(
            "SELECT cohort, severity, team, p50_minutes, p75_minutes, p90_minutes, p50_low, "
            f"p50_high, {ended}, still_open FROM insight.{table}"
        ):
            found[table, (cohort, severity, team)] = _rounded(figures)
    assert found.keys() == expected.keys()
    differ = {name: (found[name], of) for name, of in expected.items() if found[name] != of}
    assert differ == {}, f"{FIGURES}: insight, lifelines"
    # Of every kind, there are many, and some that are not reached, or none.
    for column in zip(*expected.values(), strict=True):
        assert len({*column}) > 5, column
        assert None in column or 0 in column


def _rounded(figures: list[Any]) -> list[Any]:
    return [None if one is None else round(one, 6) for one in figures]
