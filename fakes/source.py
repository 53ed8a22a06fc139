"""Rows of an incident API that change by a seed, with a clock of their own."""

import random
from datetime import datetime, timedelta, timezone
from typing import Any

from fakes.incidents import STATUSES, incident

BEGIN = datetime(2025, 3, 1, tzinfo=timezone.utc)
VERSION = ("status", "updated_at")  # the columns that `versions` has


class Source:
    """The rows; `change` makes others of them.

    Args:
        seed: Of all choices.
        rows: How many there are at first.
        live: Whether times are real, for changes while a sync reads; else they are long past.
    """

    def __init__(self, seed: int, rows: int, live: bool = False) -> None:
        self._random = random.Random(seed)
        self._clock = BEGIN
        self._live = live
        self._rows: dict[str, dict[str, Any]] = {}
        self._add(rows)

    def _tick(self, seconds: int = 1) -> str:
        self._clock += timedelta(seconds=seconds)
        return (datetime.now(timezone.utc) if self._live else self._clock).isoformat()

    def _add(self, count: int) -> None:
        for number in range(len(self._rows) + 1, len(self._rows) + count + 1):
            at = self._tick()
            row = incident(number, created_at=at, updated_at=at)
            self._rows[row["id"]] = row

    def change(self, *shares: float) -> None:
        """A share of the rows changes, one of those given, and a few are new."""
        self._tick(300)
        share = self._random.choice(shares or (0.01, 0.3, 1.0))
        for row_id in self._random.sample(sorted(self._rows), int(share * len(self._rows))):
            row = self._rows[row_id]
            status = STATUSES[(STATUSES.index(row["status"]) + 1) % len(STATUSES)]
            changed = {"status": status, "updated_at": self._tick()}
            self._rows[row_id] = {**row, **changed}
        self._add(self._random.randrange(1, 20))

    def records(self) -> list[dict[str, Any]]:
        """The rows as they are now, for a server."""
        return list(self._rows.values())

    def versions(self) -> dict[str, tuple[Any, ...]]:
        """id → what the table must hold of it."""
        return {
            row_id: (row["status"], datetime.fromisoformat(row["updated_at"]))
            for row_id, row in self._rows.items()
        }
