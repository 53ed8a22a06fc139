"""How the list ends, what limits the API names, and what a full read takes."""

import math
from functools import cached_property
from typing import Any

from requests import Request

from incidents_dagster.ingestion.doctor.findings import Diagnosis, Level
from incidents_dagster.ingestion.doctor.probe import Probe, Walk
from incidents_dagster.ingestion.reading.page_size import Asked
from incidents_dagster.ingestion.rows.paths import values_at
from incidents_dagster.ingestion.settings import Settings


class Extent:
    """The extent of the main resource's list, as far as its first pages show it.

    Args:
        probe: What asked for them.
        walk: The pages.
        settings: What the user configured.
        found: Receives the findings.
    """

    def __init__(self, probe: Probe, walk: Walk, settings: Settings, found: Diagnosis) -> None:
        self._completeness, self._days = probe.api.own[probe.name].completeness, probe.days
        self._in_windows, self._walk = bool(probe.api.own[probe.name].windows), walk
        self._settings, self._found = settings, found

    def look_at_end(self) -> None:
        """Whether the API gives evidence that a list is complete."""
        pages = self._walk.pages
        if pages.complete:
            for doubt in pages.all_doubts:
                paginator = self._settings.where("client.paginator")
                cure = f"Check the paginator in {paginator}, and [completeness]."
                self._found.add(Level.FAIL, "end", f"{doubt[:1].upper()}{doubt[1:]}.", cure)
            if not pages.all_doubts:
                how = ", ".join(pages.hows)
                self._found.add(Level.OK, "end", f"The list ended here: {how}.")
            return
        for setting, path in self._completeness.named.items():
            if not self._at(path):
                self._found.add(
                    Level.FAIL,
                    "end",
                    f"No response has completeness.{setting} {path!r}{self._beside()}.",
                    f"Set it in {self._settings.where('completeness.' + setting)}.",
                )
                return
        self._found.add(
            Level.OK, "end", "The second page differs from the first, and another follows."
        )

    def _beside(self) -> str:
        first = self._bodies[0]
        fields = first.items() if isinstance(first, dict) else ()
        numbers = [name for name, value in fields if type(value) is int]
        return f", but {', '.join(numbers)}" if numbers else ""

    def look_at_limits(self) -> None:
        """What the API says about its limits, and what a full read takes."""
        first = self._walk.responses[0]
        told = [
            f"{name}: {value}"
            for name, value in first.headers.items()
            if "rate" in name.lower() and "limit" in name.lower()
        ]
        if told:
            self._found.add(Level.NOTE, "limits", f"The API says {'; '.join(told[:4])}.")
        size, rows = Asked.by(Request(url=first.url)).size, len(self._first_page())
        if size and rows and rows < size and not self._walk.pages.complete:
            self._found.add(
                Level.NOTE,
                "pages",
                f"The API sends {rows:,} records a page, not the {size:,} asked for.",
            )
        total = self._total()
        if total is None or not rows:
            self._found.add(
                Level.NOTE, "full read", "The API does not say how many records there are."
            )
            return
        twice = 2 if self._walk.pages.by_place and total > rows else 1
        requests = math.ceil(total / rows) * twice
        per_minute = self._settings.requests_per_minute
        seconds = max(one.elapsed.total_seconds() for one in self._walk.responses)
        minutes = requests / per_minute if per_minute else requests * seconds / 60
        part = f"in the last {self._days:g} days alone, " if self._days else ""
        takes = f"{part}{total:,} records, {requests:,} requests, {_minutes(minutes)}."
        self._found.add(Level.NOTE, "full read", f"{takes[0].upper()}{takes[1:]}")
        if minutes > self._settings.max_minutes and not self._in_windows:
            self._found.add(
                Level.FAIL,
                "full read",
                f"It takes longer than max_minutes = {self._settings.max_minutes}.",
                f"Raise that in {self._settings.where('max_minutes')}.",
            )

    def _total(self) -> int | None:
        values = [v for v in self._at(self._completeness.total_path) if type(v) is int]
        headers = self._walk.responses[0].headers
        counted = headers.get("X-Total-Count", headers.get("X-Total", ""))
        if values:
            return int(values[0])
        return int(counted) if counted.isdigit() else None

    def _at(self, path: str) -> list[Any]:
        if not path:
            return []
        return [value for body in self._bodies for value in values_at(path, body)]

    @cached_property
    def _bodies(self) -> list[Any]:
        return [response.json() for response in self._walk.responses]

    def _first_page(self) -> list[Any]:
        count = len(self._walk.responses)
        return self._walk.records[: math.ceil(len(self._walk.records) / count)]


def _minutes(minutes: float) -> str:
    return "less than a minute" if minutes < 1 else f"about {math.ceil(minutes):,} minutes"
