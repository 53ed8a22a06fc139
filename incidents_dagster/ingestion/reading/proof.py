"""What a reading of a resource has shown, and the proof that is made of it.

Gathered by `checked_paginator`, page by page, and weighed in `reader`.
"""

import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from dlt.common.normalizers.naming import NamingConvention
from requests import Response

from incidents_dagster.ingestion.errors import MovedError, causes
from incidents_dagster.ingestion.tables import Since


class Marks:
    """Tells whether two records are the same: by primary key and time of change where they are.

    Not by all fields: an API may render some anew for every answer, such as signed links.
    """

    def __init__(
        self, primary_key: list[str], newest_first: str | None, naming: NamingConvention
    ) -> None:
        self._columns = [*primary_key, *filter(None, [newest_first])] if primary_key else []
        self._naming = naming
        self._fields: list[str] | None = None

    def __call__(self, record: Any) -> Hashable:
        """Something that only the same record has."""
        if not isinstance(record, dict):
            return repr(record)
        if self._fields is None:  # the fields that dlt makes these columns of
            names = {self._naming.normalize_path(field): field for field in reversed([*record])}
            self._fields = [names[c] for c in self._columns if c in names]
        values = tuple(record.get(field) for field in self._fields)
        return values if any(values) and _hashable(values) else repr(record)


class Evidence:
    """What one reading of a resource has shown.

    Attributes:
        pages: Answers with rows or without.
        rows: Records taken from them.
        walks: Walks begun; one for each record of a parent resource.
        expected: Records that the API says there are, where all walks said so.
        at_least: Records that it said there are, when there were fewest.
        hows: How the ends were known.
        unproven: Why it cannot be told whether these are all records.
        positional: Whether pages were told apart by their place in a list that may move.
        began: The API's time at its first answer.
        last_answer: What it has answered last.
        fingerprint: The same for two readings that brought the same records in the same order.
        parents: The same of the resources that values for the requests came from.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forgets everything, for another reading in the place of this one."""
        self.pages = self.rows = self.walks = self.ended = 0
        self.expected: int | None = 0
        self.at_least = 0
        self.hows: dict[str, None] = {}
        self.unproven: dict[str, None] = {}
        self.positional = False
        self.began: datetime | None = None
        self.last_answer: Response | None = None
        self.fingerprint = 0
        self.parents: list[Evidence] = []
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the reading began, by our clock or the API's, whichever has gone further."""
        by_the_api = timedelta(0)
        if self.began and self.last_answer is not None:
            by_the_api = date_of(self.last_answer) - self.began
        return max(time.monotonic() - self._started, by_the_api.total_seconds())

    @property
    def complete(self) -> bool:
        """Whether every walk that brought something came to its end."""
        return all(one.ended >= one.walks for one in (self, *self.parents))

    @property
    def may_have_moved(self) -> bool:
        """Whether records may have moved from one page to another unnoticed."""
        return any(one.positional and one.pages > one.walks for one in (self, *self.parents))

    @property
    def fingerprints(self) -> list[int]:
        """The `fingerprint` of each resource that was read."""
        return [one.fingerprint for one in (self, *self.parents)]


@dataclass
class Proof:
    """What tells that a reading is complete.

    Attributes:
        since: What the API was asked for; None for everything.
        readings: How often pages were read from the beginning, catching up left out.
        pages: Answers, of all readings together.
        rows: Records of the reading that counts.
        walks: Lists in it: one, or one for each record of a parent resource.
        expected: Records that the API says there are; None where it does not say.
        at_least: Records that it said there are, when there were fewest; 0 where it does not say.
        how: How the end was known.
        unproven: Why it cannot be told that it is all; empty where it is proven.
        began: The API's time when it first answered.
        distinct: Different primary keys among the records; None without a primary key.
        quarantined: Records that could not be loaded.
    """

    since: Since | None = None
    readings: int = 0
    pages: int = 0
    rows: int = 0
    walks: int = 0
    expected: int | None = None
    at_least: int = 0
    how: str = ""
    unproven: list[str] = field(default_factory=list)
    began: datetime | None = None
    distinct: int | None = None
    quarantined: int = 0

    @property
    def proven(self) -> bool:
        """Whether the API's own evidence says that this is all."""
        return bool(self.readings) and not self.unproven

    def __str__(self) -> str:
        if self.unproven:
            return f"unproven: {'; '.join(self.unproven)}"
        again = f", read {self.readings} times" if self.readings > 1 else ""
        return f"proven: {self.rows:,} records in {self.pages:,} pages{again}; {self.how}"


def moved(error: BaseException | None) -> str:
    """Why reading again may help, where that is what dlt wraps in `error`; else nothing."""
    return next((str(cause) for cause in causes(error) if isinstance(cause, MovedError)), "")


def _hashable(values: tuple[Any, ...]) -> bool:
    return not any(isinstance(value, (dict, list)) for value in values)


def date_of(response: Response) -> datetime:
    """The API's clock at an answer, which goes before ours."""
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(timezone.utc)
    except (KeyError, ValueError, TypeError):
        return datetime.now(timezone.utc)
