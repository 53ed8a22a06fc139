"""A model of an incident API: filters, sort orders, paginators, a clock of its own, and rows that
change between two requests. `model_server` serves it.

It remembers every version of every row and which of them it has served, for a judge to compare a
table with. Which changes come when is for its user to say. Nothing here is the project's.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from random import Random
from typing import Any
from urllib.parse import urlencode

from fakes.incidents import STATUSES

SECOND = 1_000_000  # the clock counts microseconds
DAY = 86_400 * SECOND
# Long past, as a sync takes no time after the real now for a cursor.
BEGIN = int(datetime(2024, 3, 1, tzinfo=timezone.utc).timestamp()) * SECOND
SORTS = ("created_at", "-created_at", "updated_at", "-updated_at", "id")
MOST_REQUESTS = 1_000  # of one sync; beyond, it is taken for endless

# The paginators that it serves.
OFFSETS = ["offset", "offset and total", "offset, no total"]
OTHERS = ["page number and pages", "page number", "cursor", "link"]


@dataclass(frozen=True)
class Row:
    """One version of an incident; times in microseconds since 1970."""

    id: str
    version: int  # counts through all rows of the model: a later version has a greater number
    created_at: int
    updated_at: int

    @property
    def status(self) -> str:
        return STATUSES[self.version % len(STATUSES)]


@dataclass(frozen=True)
class Change:
    """Something that happens at the API.

    Attributes:
        request: Happens before the answer to this request of the sync is made; the first is 1,
            and 0 is before the sync.
        seconds: The clock goes on by this, first.
        kind: One of `CHANGES`.
        pick: Seeds which rows it concerns.
    """

    request: int
    seconds: float
    kind: str
    pick: int


class Model:
    """The API's rows and clock.

    Attributes:
        rows: id → what is there now.
        gone: id → the last version of what was deleted.
        versions: All versions ever, by number.
        served: Numbers of the versions that any answer has held.
        requests: Requests of this sync; `begin` starts to count anew, as for all that follow.
        at_begin: `rows` before the first request.
        touched: ids of rows that were changed, deleted or made since.
        absent: ids of rows that were not there at some time since.
        served_now: Versions served since.
        walks: The `updated_since` of each request for a first page.
    """

    def __init__(self, rows: int, kind: str = "offset", whole_seconds: bool = True) -> None:
        self.kind, self.whole_seconds = kind, whole_seconds
        self.clock = BEGIN
        self.rows: dict[str, Row] = {}
        self.gone: dict[str, Row] = {}
        self.versions: list[Row] = []
        self.served: set[int] = set()
        self.touched: set[str] = set()
        self.absent: set[str] = set()
        random = self._ids = Random(rows)  # so that rows come anywhere where ids are the order
        for at in sorted(random.randrange(30 * DAY) for _ in range(rows)):
            created_at = BEGIN - 31 * DAY + at
            self._insert(created_at, updated_at=created_at + random.randrange(DAY // 2))
        self.begin()

    def begin(self, changes: Iterable[Change] = ()) -> None:
        """A sync begins; those `changes` that are due before it happen now."""
        self._due = sorted(changes, key=lambda change: change.request)
        self.requests = 0
        self._happen()
        self.at_begin = dict(self.rows)
        self.touched.clear()
        self.absent = set(self.gone)
        self.served_now: set[int] = set()
        self.walks: list[str | None] = []

    def end(self) -> None:
        """The sync is over; changes that were due at requests it did not make happen now."""
        self.requests = MOST_REQUESTS
        self._happen()

    def tick(self, seconds: float) -> None:
        """The clock goes on."""
        self.clock += int(seconds * SECOND)

    def change(self, kind: str, pick: int) -> None:
        """One of `CHANGES` happens now."""
        CHANGES[kind](self, Random(pick))

    def answer(self, query: dict[str, str], url: str) -> dict[str, Any]:
        """The answer to a request, after whatever is due before it."""
        self.requests += 1
        self._happen()
        self.tick(0.5)
        since = _parsed(query.get("updated_since"))
        sort = query.get("sort", "created_at")
        field, descending = sort.lstrip("-"), sort.startswith("-")

        def key(row: Row) -> tuple[Any, str]:
            return getattr(row, field), row.id

        found = [row for row in self.rows.values() if row.updated_at >= since]
        found.sort(key=key, reverse=descending)
        limit, total = int(query.get("limit", 10)), len(found)
        begin = int(query.get("offset", 0))
        if self.kind.startswith("page"):
            begin = limit * (int(query.get("page", 1)) - 1)
        if cursor := query.get("after"):
            last = tuple(json.loads(cursor))
            found = [row for row in found if (key(row) < last if descending else key(row) > last)]
        elif not begin:
            self.walks.append(query.get("updated_since"))
        page, more = found[begin : begin + limit], begin + limit < len(found)
        answer: dict[str, Any] = {"data": [self._record(row) for row in page]}
        if self.kind in ("offset", "offset and total"):
            answer["total"] = total
        elif self.kind == "page number and pages":
            answer["pages"] = math.ceil(total / limit)
        elif self.kind == "cursor":
            answer["next"] = json.dumps(key(page[-1])) if more else None
        elif self.kind == "link":
            following = urlencode({**query, "offset": begin + limit})
            answer["next"] = f"{url}?{following}" if more else None
        return answer

    def serve(self, answer: dict[str, Any]) -> None:
        """Takes note of what an answer that goes out holds."""
        numbers = [record["version"] for record in answer.get("data") or []]
        self.served.update(numbers)
        self.served_now.update(numbers)

    def _happen(self) -> None:
        while self._due and self._due[0].request <= self.requests:
            change = self._due.pop(0)
            self.tick(change.seconds)
            self.change(change.kind, change.pick)

    def _record(self, row: Row) -> dict[str, Any]:
        times = {name: _spelled(getattr(row, name)) for name in ("created_at", "updated_at")}
        return {"id": row.id, "status": row.status, **times, "version": row.version}

    def _time(self, at: int) -> int:
        return at - at % SECOND if self.whole_seconds else at

    def _put(self, row: Row, updated_at: int | None = None) -> None:
        at = self._time(self.clock if updated_at is None else updated_at)
        row = replace(row, version=len(self.versions), updated_at=at)
        self.versions.append(row)
        self.rows[row.id] = row
        self.touched.add(row.id)

    def _insert(self, created_at: int, updated_at: int | None = None) -> None:
        id = f"INC-{self._ids.randrange(16**8):08x}"
        self._put(Row(id, 0, self._time(created_at), 0), updated_at)

    # What may happen; each takes a Random to choose rows by.

    def _inserted(self, random: Random, most: int = 1) -> None:
        for _ in range(random.randint(min(most, 2), most)):
            self._insert(self.clock)

    def _inserted_backdated(self, random: Random) -> None:
        self._insert(self.clock - random.randrange(40 * DAY))

    def _updated(self, random: Random, times: int = 1) -> None:
        for row in self._chosen(random, 1) * times:
            self._put(row)

    def _updated_many(self, random: Random) -> None:
        for row in self._chosen(random, random.randint(2, max(2, len(self.rows)))):
            self._put(row)

    def _deleted(self, random: Random, most: int = 1) -> None:
        for row in self._chosen(random, random.randint(min(most, 2), most)):
            self.gone[row.id] = self.rows.pop(row.id)
            self.touched.add(row.id)
            self.absent.add(row.id)

    def _swapped(self, random: Random) -> None:
        self._deleted(random)
        self._inserted(random)

    def _returned(self, random: Random) -> None:
        if self.gone:
            self._put(self.gone.pop(random.choice(sorted(self.gone))))

    def _chosen(self, random: Random, many: int) -> list[Row]:
        ids = sorted(self.rows)
        return [self.rows[id] for id in random.sample(ids, min(many, len(ids)))]


CHANGES: dict[str, Callable[[Model, Random], None]] = {
    "insert": Model._inserted,
    "insert many": lambda model, random: model._inserted(random, 12),
    "insert backdated": Model._inserted_backdated,
    "update": Model._updated,
    "update twice in a second": lambda model, random: model._updated(random, 2),
    "update many": Model._updated_many,
    "delete": Model._deleted,
    "delete many": lambda model, random: model._deleted(random, 12),
    "delete and insert": Model._swapped,
    "return": Model._returned,
}


def _parsed(time: str | None) -> int:
    if not time:
        return -(2**62)
    at = datetime.fromisoformat(time.replace("Z", "+00:00"))
    since_1970 = at - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return since_1970.days * DAY + since_1970.seconds * SECOND + since_1970.microseconds


def _spelled(time: int) -> str:
    at = datetime.fromtimestamp(time // SECOND, timezone.utc).replace(microsecond=time % SECOND)
    return at.isoformat().replace("+00:00", "Z")
