"""What the pages of one read have shown; only `checked_paginator` writes it, page by page.

`reader` draws the conclusions.
"""

import time
from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Any

from incidents_dagster.ingestion.rows.filled import filled_columns
from incidents_dagster.ingestion.tables import Table


class Marks:
    """Identifies a record: by primary key and time of change, if it has them.

    Not by all fields: an API may change some with every response, such as signed links.

    Attributes:
        table: The table that the records are loaded into.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        filled = filled_columns(table.declared)
        columns = [*table.primary_key, *filter(None, [table.newest_first])]
        columns = columns if table.primary_key else []
        self._by_column = {name: filled[name] for name in columns if name in filled}
        self._filled = [*self._by_column.values()]
        self._columns = [name for name in columns if name not in filled]
        self._fields: list[str] | None = None

    def key(self, record: Any) -> dict[str, Any]:
        """A record's primary key, column → value."""
        found = {n: value(record) for n, value in self._by_column.items()}
        for column in self.table.primary_key:
            if column not in found:
                (field,) = self.table.fields_of([column], record) or [column]
                found[column] = record.get(field)
        return {column: found[column] for column in self.table.primary_key}

    def __call__(self, record: Any) -> Hashable:
        """A value that only the same record has."""
        if not isinstance(record, dict):
            return repr(record)
        if self._fields is None:
            self._fields = self.table.fields_of(self._columns, record)
        values = tuple(record.get(field) for field in self._fields)
        values += tuple(value_of(record) for value_of in self._filled)
        return values if any(values) and _hashable(values) else repr(record)


class Pages:
    """What one read of a resource has shown.

    A read walks one list, or one for each record of a parent resource.

    Attributes:
        count: Pages so far, including empty ones.
        rows: Records on them.
        lists: Lists started.
        ended: Lists read to their end.
        expected: Records that the API reports; None if it does not for every list.
        at_least: The smallest number of records that it reported.
        hows: How the ends were known.
        doubts: Why these may not be all records.
        by_place: Whether pages were requested by their place in a list that may move.
        began: The API's time at its first response.
        latest: The API's time at its latest response.
        fingerprint: Equal for two reads that returned the same records in the same order.
        parents: The pages of the resources that the requests took values from.
        full: Whether everything is read.
        most: How many records the API shows of a list; 0: all.
        known: Path that the configuration names and a response has had, now or in an earlier sync →
            how many records were on that page.
        left_out: Hashes of the records that `drop_where` leaves out.
        left_out_keys: Their primary keys, column → value.
        left_out_again: How many of them arrived again in the same version.
        unseen: Such a path → why these may not be all records as long as no response has it.
    """

    def __init__(
        self, resource: str = "", known: dict[str, int] | None = None, full: bool = True
    ) -> None:
        """`known` are the paths of earlier syncs; this read adds its own, with its `resource`."""
        self._resource = resource
        self.full = full
        self.most = 0
        self.known = {} if known is None else known
        self._seen: set[str] = set()
        self.unseen: dict[str, str] = {}
        self.left_out: set[int] = set()
        self.left_out_again = 0
        self.left_out_keys: list[dict[str, Any]] = []
        self.count = self.rows = self.lists = self.ended = 0
        self.expected: int | None = 0
        self.at_least = 0
        self.hows: dict[str, None] = {}
        self.doubts: dict[str, None] = {}
        self.by_place = False
        self.began: datetime | None = None
        self.latest: datetime | None = None
        self.fingerprint = 0
        self.parents: list[Pages] = []
        self._started = time.monotonic()

    def has_seen(self, path: object) -> bool:
        """Whether a response of this read has had a path that the configuration names."""
        return str(path) in self._seen

    def may_lack(self, path: object) -> bool:
        """Whether this read need not have such a path: it is incremental, and a sync had it."""
        return not self.full and self._key(path) in self.known

    def most_with(self, path: object) -> int:
        """How many records were on a page with such a path, in any sync; 0 if there was none."""
        return self.known.get(self._key(path), 0)

    def saw(self, path: object, rows: int) -> None:
        """Notes that a page with so many records has such a path."""
        self._seen.add(str(path))
        self.known[self._key(path)] = max(rows, self.most_with(path))

    def leave_out(self, mark: Hashable, key: dict[str, Any]) -> None:
        """Notes a record that `drop_where` leaves out, by its `Marks`."""
        self.left_out_again += hash(mark) in self.left_out
        self.left_out.add(hash(mark))
        self.left_out_keys.append(key)

    def _key(self, path: object) -> str:
        return f"{self._resource}: {path}"

    @property
    def kept(self) -> int:
        """Records on the pages that `drop_where` does not leave out."""
        return self.rows - len(self.left_out_keys)

    @property
    def seconds(self) -> float:
        """Since the read began, by our clock or the API's, whichever shows more."""
        by_the_api = self.latest - self.began if self.latest and self.began else timedelta(0)
        return max(time.monotonic() - self._started, by_the_api.total_seconds())

    @property
    def complete(self) -> bool:
        """Whether every list that was started was read to its end."""
        return all(one.ended >= one.lists for one in (self, *self.parents))

    @property
    def one_moment(self) -> bool:
        """Whether no list has a second page, so that nothing can move between pages."""
        return self.count <= self.lists

    @property
    def may_have_moved(self) -> bool:
        """Whether records may have moved from one page to another unnoticed."""
        return any(one.by_place and not one.one_moment for one in (self, *self.parents))

    @property
    def childless(self) -> bool:
        """Whether a parent resource had no records, so that there was no list to read."""
        return any(parent.lists and not parent.kept for parent in self.parents)

    @property
    def unanswered(self) -> bool:
        """Whether there is a parent record without a list, as its response was ignored."""
        return bool(self.parents) and self.lists < max(parent.kept for parent in self.parents)

    @property
    def all_doubts(self) -> list[str]:
        """The `doubts` of each resource that was read."""
        every = (self, *self.parents)
        found = [doubt for one in every for doubt in one.doubts]
        found += [w for one in every for path, w in one.unseen.items() if not one.has_seen(path)]
        if not self.lists and not self.childless:  # endpoint.response_actions may ignore all
            found.append("the API sent no response with records")
        return found

    @property
    def fingerprints(self) -> list[int]:
        """The `fingerprint` of each resource that was read."""
        return [one.fingerprint for one in (self, *self.parents)]


def _hashable(values: tuple[Any, ...]) -> bool:
    return not any(isinstance(value, (dict, list)) for value in values)
