"""What syncs of a simulated day meet."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fakes.messages import Fault, Reply
from fakes.misbehaviour import HANG_UP

ONCE, FOR_GOOD = 1, 10_000


@dataclass(frozen=True)
class Trouble:
    """What a sync meets, from one of its requests on.

    Attributes:
        name: In the report.
        reply: Gets the answer, which it may change; returns what goes out in its place.
        times: How many requests it meets.
    """

    name: str
    reply: Callable[[dict[str, Any]], Reply | Fault | None]
    times: int = ONCE


def _short(answer: dict[str, Any]) -> None:
    answer["data"] = answer["data"][: len(answer["data"]) // 2]


def _status(status: int, *headers: tuple[str, str]) -> Callable[[dict[str, Any]], Reply]:
    return lambda _: Reply({"error": "not now"}, status, headers)


CUT_OFF = Reply(b'{"data": [', headers={"Content-Length": "5000"})
HALVED = Trouble("half of every page", _short, FOR_GOOD)
NOT_RETRIED = Trouble("404", _status(404))  # a process of its own really waits before it retries
FAULTS = (
    Trouble("500 once", _status(500)),
    Trouble("503 for good", _status(503), FOR_GOOD),
    Trouble("429 with Retry-After, once", _status(429, ("Retry-After", "7"))),
    NOT_RETRIED,
    Trouble("401", _status(401)),
    Trouble("connection closed without an answer, once", lambda _: HANG_UP),
    Trouble("connection closed without an answer, for good", lambda _: HANG_UP, FOR_GOOD),
    Trouble("answer cut off, once", lambda _: CUT_OFF),
    Trouble("answer cut off, for good", lambda _: CUT_OFF, FOR_GOOD),
    Trouble("a page of HTML", lambda _: Reply(b"<html>Please log in</html>")),
    Trouble("an error with status 200", lambda _: Reply(b'{"error": "overloaded"}')),
    Trouble("no data", lambda _: Reply(b'{"total": 150}')),
    Trouble("data is null", lambda _: Reply(b'{"data": null, "total": 150}')),
    Trouble("half of a page, once", _short),
    HALVED,
    Trouble("a redirect", _status(302, ("Location", "http://127.0.0.1:9/login"))),
    Trouble("502 twice", _status(502), 2),
)
MOVING = "rows that move"
