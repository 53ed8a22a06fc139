"""The scenarios of section `two_keys`: which keys two sources have, and what goes wrong."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from fakes.messages import Asked, Reply
from faults.cases.leaks import LINKS, ROWS
from faults.sources import FIRST, SECOND

TAIL = "Q9ZXW4TR"
PAIRS: dict[str, Callable[[str], tuple[str, str]]] = {
    "of which the last character differs": lambda key: (f"{key}a", f"{key}b"),
    "of which the second begins with the first": lambda key: (key, key + TAIL),
    "of which the first begins with the second": lambda key: (key + TAIL, key),
}
# Kind → client.auth, the name of the secret, and where a request has it.
AUTHS: dict[str, tuple[dict[str, str], str, Callable[[Asked], str]]] = {
    "query": (
        {"type": "api_key", "name": "zugang", "location": "query"},
        "api_key",
        lambda asked: asked.query.get("zugang", ""),
    ),
    "header": (
        {"type": "api_key", "name": "X-Zugang", "location": "header"},
        "api_key",
        lambda asked: asked.headers.get("x-zugang", ""),
    ),
    "bearer": (
        {"type": "bearer"},
        "token",
        lambda asked: asked.headers.get("authorization", "").removeprefix("Bearer "),
    ),
}
# Where the keys are → of each source: in the environment, or in secrets.toml, there at the top
# level or in the source's section.
ENVIRONMENT, FILE, SECTION = "environment", "file", "section"
PLACES: dict[str, tuple[str, str]] = {
    "both in the environment": (ENVIRONMENT, ENVIRONMENT),
    "the second in secrets.toml": (ENVIRONMENT, FILE),
    "the first in secrets.toml": (FILE, ENVIRONMENT),
    "both in secrets.toml": (FILE, FILE),
    "each in its section of secrets.toml": (SECTION, SECTION),
}


class Side:
    """A source: its API, its key, and what its API says.

    Attributes:
        source: Its name.
        key: Its key; empty if it has none.
        api: The address of its API.
        nobody: An address that refuses connections.
        other: The other source's side.
    """

    def __init__(self, source: str, key: str, answer: "Answer") -> None:
        self.source, self.key, self._answer = source, key, answer
        self.api = self.nobody = ""
        self.other = self

    def answer(self, asked: Asked) -> Any:
        """What its API says; both serve the same path."""
        return self._answer(self, asked)


Answer = Callable[[Side, Asked], Any]


def good(_: Side, asked: Asked) -> Any:
    """The page that is asked for."""
    offset = int(asked.query.get("offset", 0))
    return {"data": ROWS[offset:], "total": len(ROWS)}


def _echo(side: Side, asked: Asked, key: str) -> dict[str, Any]:
    return {
        "headers": asked.headers,
        "query": asked.query,
        "self": f"{side.api}{asked.path}?zugang={quote(key)}&api_key={key}",
        "text": f"the key {key}, or Bearer {key}.",
        "both": f"{side.key} {side.other.key} {side.other.key}{side.key}",
    }


def records_with_both(side: Side, asked: Asked) -> Any:
    """Records repeat the request, and the other source's key."""
    page = good(side, asked)
    echo = _echo(side, asked, side.other.key)
    return {**page, "data": [{**row, "echo": echo} for row in page["data"]]}


def bad_records(side: Side, asked: Asked) -> Any:
    """One without an id, that repeats both keys, goes to quarantine."""
    rows = [{**ROWS[0], "id": f"INC-{n}"} for n in range(3, 23)]
    bad = {"status": "open", "echo": _echo(side, asked, side.other.key)}
    offset = int(asked.query.get("offset", 0))
    every = [*ROWS, *rows, bad]
    return {"data": every[offset:], "total": len(every)}


def refused(status: int) -> Answer:
    """This status, with both keys in body and header."""
    return lambda side, asked: Reply(
        _echo(side, asked, side.other.key),
        status,
        {"WWW-Authenticate": f'Key realm="{side.key}", other="{side.other.key}"'},
    )


def lying_list(side: Side, asked: Asked) -> Any:
    """Fewer records than it says, and both keys beside them."""
    return {**good(side, asked), "total": 999, "echo": _echo(side, asked, side.other.key)}


def no_list(side: Side, asked: Asked) -> Any:
    """No records, but both keys as the names of fields."""
    return {side.key: side.other.key, "echo": {side.other.key: {"data": []}}}


def error_with_200(side: Side, asked: Asked) -> Any:
    """An error that says both keys."""
    return {"error": f"neither {side.key} nor {side.other.key} is known"}


def redirect(side: Side, asked: Asked) -> Any:
    """To the other source's API, with both keys."""
    target = f"{side.other.api}/v1/incidents?zugang={side.key}&other={side.other.key}"
    return Reply(_echo(side, asked, side.other.key), 307, {"Location": target})


def next_link(side: Side, asked: Asked) -> Any:
    """A next page at the other source's API, with this source's key."""
    return {"data": ROWS, "next": f"{side.other.api}/v1/incidents?page=2&zugang={side.key}"}


@dataclass(frozen=True)
class Fault:
    """What one source's API does, while the other one is as it should be.

    Attributes:
        answer: What it says.
        red: Whether its sync fails.
        told: What that says.
        links: Whether its pages are linked.
        nobody: Whether nobody listens at its address.
        rows: In its table, if its sync succeeds.
    """

    answer: Answer
    red: bool = True
    told: str = ""
    links: bool = False
    nobody: bool = False
    rows: int = len(ROWS)


FAULTS = {
    "records that repeat both keys": Fault(records_with_both, red=False),
    "a bad record that repeats both keys": Fault(bad_records, red=False, rows=23),
    "401": Fault(refused(401), told="returned 401"),
    "500, after retries": Fault(refused(500), told="returned 500"),
    "a refused connection": Fault(good, told="cannot be reached", nobody=True),
    "a lying list": Fault(lying_list, told="could not be read completely"),
    "no list": Fault(no_list),
    "an error with status 200": Fault(error_with_200),
    "a redirect to the other source's API": Fault(redirect, told="redirects to"),
    "a next link to the other source's API": Fault(next_link, told="host", links=True),
}


@dataclass(frozen=True)
class Case:
    """A scenario.

    Attributes:
        name: In the report.
        keys: Of the first source and the second; empty for none.
        auth: A key of `AUTHS`.
        place: A key of `PLACES`.
        fault: Of one source; None for two good ones.
        at: The source that has it.
    """

    name: str
    keys: tuple[str, str]
    auth: str
    place: str = "both in the environment"
    fault: Fault | None = None
    at: str = SECOND

    @property
    def secrets(self) -> list[str]:
        """What may be nowhere: the keys, what they share, and what one has on top of the other."""
        whole = [key for key in self.keys if key]
        stem = min(whole, key=len)
        stem = stem if len({*map(len, whole)}) > 1 else stem[:-1]
        return list(dict.fromkeys([*whole, stem, *([TAIL] if TAIL in "".join(whole) else [])]))

    def sides(self) -> tuple[Side, Side]:
        """Both sources."""
        answers = {self.at: self.fault.answer} if self.fault else {}
        first = Side(FIRST, self.keys[0], answers.get(FIRST, good))
        second = Side(SECOND, self.keys[1], answers.get(SECOND, good))
        first.other, second.other = second, first
        return first, second

    def fault_of(self, source: str) -> Fault | None:
        """What is wrong with a source."""
        return self.fault if source == self.at else None

    def section(self, side: Side, shipped: dict[str, Any]) -> dict[str, Any]:
        """The settings of a source, made of `[sources.incidents]` as shipped, without its key."""
        fault = self.fault_of(side.source)
        address = side.nobody if fault and fault.nobody else side.api
        client = {**shipped["client"], "base_url": address, "auth": AUTHS[self.auth][0]}
        if fault and fault.links:
            client["paginator"] = LINKS
        return {**shipped, "client": client}

    def placed(self, sides: tuple[Side, Side]) -> tuple[dict[str, str], dict[str, Any]]:
        """The keys: as environment, and as secrets.toml."""
        environment: dict[str, str] = {}
        file: dict[str, Any] = {}
        field = AUTHS[self.auth][1]
        for side, place in zip(sides, PLACES[self.place], strict=True):
            first = side.source == FIRST
            if not side.key:
                continue
            if place == ENVIRONMENT:
                name = field if first else f"sources__{side.source}__{field}"
                environment[name.upper()] = side.key
            elif place == FILE and first:
                file[field] = side.key
            else:
                file.setdefault("sources", {})[side.source] = {field: side.key}
        return environment, file


def _case(number: int, what: str, fault: Fault | None, at: str, auth: str) -> Case:
    pair = [*PAIRS][number % len(PAIRS)]
    place = [*PLACES][number % len(PLACES)]
    name = f"{auth}, {place}, keys {pair}: {what}"
    digest = base64.b32encode(sha256(f"{name} {at}".encode()).digest()).decode()
    return Case(name, PAIRS[pair](f"k3y{digest[:20]}"), auth, place, fault, at)


def _cases() -> list[Case]:
    kinds = [*AUTHS]
    wanted: list[tuple[str, Fault | None, str, str]] = [
        ("two good APIs", None, SECOND, kinds[number % len(kinds)])
        for number in range(len(PAIRS) * len(PLACES))
    ]
    for number, auth in enumerate(kinds):
        for place, (what, fault) in enumerate(FAULTS.items()):
            at = (FIRST, SECOND)[(number + place) % 2]
            wanted.append((f"{what}, from {at}", fault, at, auth))
    found = [_case(number, *one) for number, one in enumerate(wanted)]
    for auth in kinds:
        one = _case(0, "the second has none", None, SECOND, auth)
        found.append(replace(one, keys=(one.keys[0], "")))
    return found


CASES = _cases()
EVERY = 17  # of a part
