"""What `web` can do in the place of a right answer: bytes, their pace, and the end.

Each fault is made of the right answer, so that what is missing or broken is the fault alone.
"""

import gzip
import itertools
from collections.abc import Callable, Iterator
from typing import Literal

from fakes.messages import Fault, Reply


def status(code: int, *headers: str, body: bytes = b"{}", reason: str = "X") -> Fault:
    """Another status, with these lines among the headers."""
    line = f"HTTP/1.1 {code} {reason}"
    lines = [line, *headers, f"Content-Length: {len(body)}", "", ""]
    sent = "\r\n".join(lines).encode("latin-1") + body
    return Fault(" ".join([str(code), *headers]), lambda _: [sent], "keep")


def raw(name: str, sent: bytes, then: Literal["keep", "close", "reset", "hold"] = "close") -> Fault:
    """These bytes, whatever the right answer is."""
    return Fault(name, lambda _: [sent] if sent else [], then)


def changed(name: str, change: Callable[[Reply], bytes], *headers: str) -> Fault:
    """The right answer with another body and these lines among the headers."""

    def sends(answer: Reply) -> list[bytes]:
        body = change(answer)
        return [answer.head(*headers, f"Content-Length: {len(body)}") + body]

    return Fault(name, sends, "keep")


def headed(name: str, *headers: str) -> Fault:
    """The right body under these headers alone; no `Content-Length` but theirs."""
    return Fault(name, lambda a: [a.head(*headers) + a.content])


def dripping(name: str, every: float, start: Callable[[Reply], int]) -> Fault:
    """The right answer, from the byte that `start` gives on one at a time."""

    def sends(answer: Reply) -> Iterator[bytes]:
        wire, begin = answer.wire(), start(answer)
        yield wire[:begin]
        yield from (wire[i : i + 1] for i in range(begin, len(wire)))

    return Fault(name, sends, "keep", every)


def cut(name: str, share: float, then: Literal["close", "reset", "hold"] = "close") -> Fault:
    """So much of the right answer's body, announced in full."""

    def sends(answer: Reply) -> list[bytes]:
        wire = answer.wire()
        return [wire[: len(wire) - len(answer.content) + int(len(answer.content) * share)]]

    return Fault(name, sends, then)


def chunked(name: str, *chunks: bytes, whole: bool = False) -> Fault:
    """Chunked encoding: the whole right body first where asked for, then these bytes."""

    def sends(answer: Reply) -> list[bytes]:
        first = b"%x\r\n%b\r\n" % (len(answer.content), answer.content) if whole else b""
        return [answer.head(*answer.lines, "Transfer-Encoding: chunked") + first, *chunks]

    return Fault(name, sends, "keep" if whole and chunks[-1:] == (b"0\r\n\r\n",) else "close")


def endless(name: str, head: bytes, piece: bytes, every: float = 0) -> Fault:
    """`head`, then `piece` again and again."""
    return Fault(name, lambda _: itertools.chain([head], itertools.repeat(piece)), "close", every)


HANG_UP = raw("hang up", b"")
RESET = raw("reset", b"", "reset")
SILENCE = raw("silence", b"", "hold")
HALF = cut("half an answer", 0.5)
BAD_CHUNK = chunked("bad chunk", b"zz\r\nxx\r\n0\r\n\r\n")
BROKEN_GZIP = changed(
    "broken gzip", lambda a: gzip.compress(a.content)[:-20], "Content-Encoding: gzip"
)

# A sync that meets one of these asks again and goes on.
RECOVERABLE = [
    status(500),
    status(502, "Content-Type: text/html", body=b"<h1>Bad gateway</h1>"),
    status(503),
    status(429, "Retry-After: 1"),
    HANG_UP,
    RESET,
    HALF,
    cut("reset in the body", 0.9, "reset"),
    BAD_CHUNK,
]
