"""The doctor's requests, at most five: is the key accepted, two pages, does the filter work."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from requests import Response

from incidents_dagster.ingestion.reading.incremental import Moment
from incidents_dagster.ingestion.reading.pages import Pages
from incidents_dagster.ingestion.reading.source import OpenApi, open_api
from incidents_dagster.ingestion.settings import Settings

MOST_PAGES = 2


@dataclass
class Walk:
    """A list that was begun.

    Attributes:
        records: What came.
        responses: As they came.
        pages: What they have shown.
    """

    records: list[Any] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    pages: Pages = field(default_factory=Pages)


@contextmanager
def open_probe(settings: Settings) -> Iterator["Probe"]:
    """Opens the API for the doctor.

    Raises:
        SettingsError: As `open_api`.
    """
    with open_api(settings, lambda _: None, 1) as api, api.once():
        yield Probe(api, settings.main)


class Probe:
    """Asks for parts of the main resource.

    Attributes:
        api: The open API.
        name: The resource.
    """

    def __init__(self, api: OpenApi, name: str) -> None:
        self.api, self.name = api, name

    @property
    def requests(self) -> int:
        """How many requests were made."""
        return self.api.adapter.requests_made

    @property
    def days(self) -> float:
        """The longest range of time that the list takes, in days; 0: any."""
        windows = self.api.own[self.name].windows
        return windows.days if windows else 0

    def verify(self, path: str) -> None:
        """Requests a path that only shows whether the key is accepted.

        Raises:
            Exception: The API refuses it.
        """
        self.api.get(self.name, path).raise_for_status()

    def walk(self, since: Any = None, pages: int = 1) -> Walk:
        """Requests the first pages of the list.

        Args:
            since: Asks for what changed at or after this cursor value; None for everything, or for
                the newest window of a list that takes only so long a range of time.
            pages: How many.

        Raises:
            Exception: The API refuses it, or a response is not valid.
        """
        walk = Walk(pages=Pages(self.name))
        self.api.adapter.watch = walk.responses.append
        if since is None and self.days:
            now = datetime.now(timezone.utc).replace(microsecond=0)
            since = Moment.of(now - timedelta(days=self.days))
        found = self.api.records(self.name, since, pages=walk.pages).add_limit(pages)
        walk.records = list(found)
        return walk
