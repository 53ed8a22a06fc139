"""What has been told, and what waits to be delivered: the sensor's memory, as text in its cursor.

It is bounded: an entry for each thing that is wrong now, and at most `MOST_WAITING` messages.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from incidents_dagster.alerts.conditions import Condition, Kind, Looked

VERSION = 1
MOST_WAITING = 100
KEPT_HOURS = 72  # a message that nobody has received by then is given up: a weekend and more


@dataclass(frozen=True)
class Told:
    """Something wrong that has been told.

    Attributes:
        kind: See `Condition`, as the next three.
        source: …
        subject: …
        level: …
        since: When it was told first, in seconds since 1970.
        members: A short hash of each id of what it consists of.
    """

    kind: str
    source: str
    subject: str
    level: int
    since: float
    members: tuple[str, ...] = ()


@dataclass
class Waiting:
    """A message that some receiver still has to get.

    Attributes:
        source: Whose receivers get it.
        level: `error`, `warning` or `well`.
        title: What is wrong, or well again.
        body: Why, and more.
        run_id: The run that showed it; empty if none did.
        at: When it came up, in seconds since 1970.
        done: The receivers that have it.
    """

    source: str
    level: str
    title: str
    body: str
    run_id: str
    at: float
    done: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it."""
        run = f" (run {self.run_id})" if self.run_id else ""
        return f"{self.title}{run}: {self.body}"


@dataclass(frozen=True)
class Change:
    """What is to be told now.

    Attributes:
        worse: What got worse; None if something is well again.
        new: The members of it that were not told before.
        told: What has been told of it.
        run_id: The run that shows that it is well again.
    """

    worse: Condition | None
    new: tuple[str, ...]
    told: Told
    run_id: str = ""


@dataclass
class Memory:
    """The sensor's memory.

    Attributes:
        told: Key of a condition → what has been told of it.
        waiting: Messages that are not delivered yet, the oldest first.
        retries: Receiver that failed → since when, and when to try again.
    """

    told: dict[str, Told] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    retries: dict[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: str | None) -> "Memory":
        """That of a cursor; an empty one for none, and for that of an earlier release."""
        try:
            given: dict[str, Any] = json.loads(cursor or "")
            assert given["version"] == VERSION
            told = {
                key: Told(**{**one, "members": tuple(one["members"])})
                for key, one in given["told"].items()
            }
            waiting = [Waiting(**one) for one in given["waiting"]]
            return cls(told, waiting, {n: (a, b) for n, (a, b) in given["retries"].items()})
        except (ValueError, TypeError, KeyError, AssertionError):
            return cls()

    def cursor(self) -> str:
        """As text."""
        return json.dumps({"version": VERSION, **asdict(self)}, separators=(",", ":"))

    def changes(self, looked: Looked, now: float) -> Iterator[Change]:
        """Takes in what a look has found; yields what is to be told of it, once."""
        for one in looked.wrong:
            before, hashes = self.told.get(one.key), {id: _short(id) for id in one.members}
            known = before.members if before else ()
            new = tuple(id for id, short in hashes.items() if short not in known)
            level, since = int(one.level), now
            if before:
                level, since = max(level, before.level), before.since
            told = Told(
                one.kind.value, one.source, one.subject, level, since, tuple(hashes.values())
            )
            self.told[one.key] = told
            if not before or level > before.level or new:
                yield Change(one, new, told)
        for key, run_id in looked.well.items():
            if was := self.told.pop(key, None):
                yield Change(None, (), was, run_id)
        self._forget(looked)

    def _forget(self, looked: Looked) -> None:
        """Forgets what no longer exists: a job, a check, a source, a setting."""
        there = {one.key for one in looked.wrong} | looked.unsure
        self.told = {
            key: told
            for key, told in self.told.items()
            if key in there or Kind(told.kind) in looked.unseen
        }

    def give_up(self, now: float) -> list[Waiting]:
        """Takes out messages that have waited for too long, or are too many, and returns them."""
        kept = [one for one in self.waiting if now - one.at < KEPT_HOURS * 3600][-MOST_WAITING:]
        gone = [one for one in self.waiting if not any(one is other for other in kept)]
        self.waiting = kept
        return gone


def _short(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
