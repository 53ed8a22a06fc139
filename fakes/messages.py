"""HTTP's messages: a request as it arrived, a reply as it is sent, and what may come instead."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it arrived; header names in lower case, the target with its query."""

    method: str
    target: str
    headers: dict[str, str]
    body: str

    @property
    def path(self) -> str:
        """Path without the query."""
        return urlsplit(self.target).path

    @cached_property
    def query(self) -> dict[str, str]:
        """Decoded; of a name that is there twice, the later value."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    """A whole answer.

    Attributes:
        body: A JSON value, or bytes to be sent as they are.
        status: Its code.
        headers: By name, or as pairs; `Content-Length` is the body's where they have none, and
            the connection ends with a body that is shorter.
        reason: After the code; default: HTTP's own.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] | tuple[tuple[str, str], ...] = field(default_factory=dict)
    reason: str = ""

    @cached_property
    def content(self) -> bytes:
        """The body as it is sent."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def lines(self) -> list[str]:
        """The headers as they are sent."""
        pairs = self.headers.items() if isinstance(self.headers, dict) else self.headers
        return [f"{name}: {value}" for name, value in pairs]

    def under(self, **more: str) -> "Reply":
        """The same answer with these headers, `_` for `-`, where it has none of the name."""
        own = dict(self.headers)
        added = {name.replace("_", "-"): value for name, value in more.items()}
        pairs = [(name, value) for name, value in added.items() if name not in own]
        given = self.headers.items() if isinstance(self.headers, dict) else self.headers
        return replace(self, headers=(*pairs, *given))

    @property
    def whole(self) -> bool:
        """The body is as long as is announced, so that another answer can follow it."""
        announced = dict(self.headers).get("Content-Length", len(self.content))
        bodiless = self.status in (204, 304)
        return int(announced) == len(self.content) and not (bodiless and self.content)

    def head(self, *lines: str) -> bytes:
        """The line of the status, and these headers alone."""
        with suppress(ValueError):
            return _head(self.status, self.reason or HTTPStatus(self.status).phrase, lines)
        return _head(self.status, "-", lines)

    def wire(self) -> bytes:
        """All of it as it is sent."""
        length = [f"Content-Length: {len(self.content)}"]
        if "Content-Length" in dict(self.headers):
            length = []
        return self.head(*self.lines, *length) + self.content


def _head(status: int, reason: str, lines: Iterable[str]) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} {reason}", *lines, "", ""]).encode("latin-1")


@dataclass(frozen=True)
class Fault:
    """What goes out in the place of the right answer.

    Attributes:
        name: What it is called in a log.
        sends: The pieces to send, made of the right answer.
        then: What becomes of the connection: it is kept for the next request, closed, reset, or
            held open in silence.
        every: Seconds after each piece.
    """

    name: str
    sends: Callable[[Reply], Iterable[bytes]]
    then: Literal["keep", "close", "reset", "hold"] = "close"
    every: float = 0
