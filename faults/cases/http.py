"""The cases of section `http`: a fault each, and what has to come of it."""

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Literal

from fakes.messages import Fault
from fakes.misbehaviour import (
    BAD_CHUNK,
    BROKEN_GZIP,
    HALF,
    HANG_UP,
    RESET,
    SILENCE,
    changed,
    chunked,
    cut,
    dripping,
    endless,
    headed,
    raw,
    status,
)

TLS = Path(__file__).with_name("tls")
MOST_BYTES = 2**20  # of an answer, in the place of what is meant for real ones
SOON = 0.03  # minutes, in the place of the 25
HERE = "http://127.0.0.1:{port}"
SECURE = "https://127.0.0.1:{port}"
RETRIED = (2.0, 4.0, 8.0)
PATIENT = 60.0


@dataclass(frozen=True)
class Case:
    """A fault, and what has to come of it.

    Attributes:
        name: What goes wrong.
        script: What becomes of the first requests; all others are answered rightly.
        verdict: Of the sync that meets it.
        requests: That are sent.
        waits: Seconds between them where they are retries.
        says: Part of the message.
        pages: That there are to read; more than one: everything is read anew.
        always: Every request meets the first of `script`.
        address: Of the API, as configured.
        environment: Variables of the environment.
        tls: The server speaks TLS, with this certificate of faults/tls.
        arrived: Requests that reach the server, where these are not all that are sent.
        minutes: In the place of the setting `max_minutes`.
        read_seconds: In the place of the 60 that a part of an answer is waited for.
    """

    name: str
    script: tuple[Fault | None, ...]
    verdict: Literal["right", "red"]
    requests: int
    waits: tuple[float, ...] = ()
    says: str = ""
    pages: int = 1
    always: bool = False
    address: str = HERE
    environment: Mapping[str, str] = field(default_factory=dict)
    tls: str = ""
    arrived: int | None = None
    minutes: float = 25
    read_seconds: float = PATIENT

    def fault(self, number: int) -> Fault | None:
        """What request `number`, from 1 on, meets."""
        if self.always:
            return self.script[0]
        return self.script[number - 1] if number <= len(self.script) else None


def passes(name: str, fault: Fault, wait: float = 2, **more: object) -> Case:
    """A fault that one more request recovers from."""
    return Case(name, (fault,), "right", 2, (wait,), **more)  # type: ignore[arg-type]


def lasts(name: str, fault: Fault | None, says: str, **more: object) -> Case:
    """A fault that is still there after three retries."""
    return Case(name, (fault,), "red", 4, RETRIED, says, always=True, **more)  # type: ignore[arg-type]


def final(name: str, fault: Fault | None, says: str, **more: object) -> Case:
    """A fault that is not worth a retry."""
    return Case(name, (fault,), "red", 1, (), says, always=True, **more)  # type: ignore[arg-type]


def harmless(name: str, fault: Fault | None, **more: object) -> Case:
    """An odd answer that is right."""
    return Case(name, (fault,), "right", 1, **more)  # type: ignore[arg-type]


def moved(code: int, *headers: str) -> Fault:
    """A redirect."""
    return status(code, *headers, body=b"")


def retry_after(value: str, code: int = 429) -> Fault:
    """Too early, with this Retry-After."""
    return status(code, f"Retry-After: {value}")


_later = format_datetime(datetime.now(timezone.utc) + timedelta(days=2), usegmt=True)
_redirects = "are not followed"
_not_http = "that is not HTTP"
_plain = b"HTTP/1.1 200 OK\r\n"
_bomb = b"".join(b"X-%d: %s\r\n" % (n, b"x" * 60) for n in range(2000))

CASES = [
    # Statuses.
    *(passes(f"{code}, once", status(code)) for code in (429, 500, 502, 503, 504)),
    Case("503, 503, 503, then right", (status(503),) * 3, "right", 4, RETRIED),
    lasts("503 for ever", status(503), "(tried 4 times)"),
    lasts("429 for ever", status(429), "too many requests"),
    *(final(f"{code}", status(code), f"returned {code}") for code in (400, 401, 403, 404, 408)),
    *(final(f"{code}", status(code), f"returned {code}") for code in (407, 420, 422, 501, 505)),
    final("a status that nobody knows", status(799), "returned 799"),
    final("103 and nothing else", raw("103", b"HTTP/1.1 103 X\r\n\r\n"), "(Early Hints)"),
    Case(
        "100 before the right answer",
        (Fault("100", lambda a: [b"HTTP/1.1 100 Continue\r\n\r\n", a.wire()], "keep"),),
        "right",
        1,
    ),
    final("204 without a body", status(204, body=b""), "(No Content)"),
    final("202 with an empty list", status(202, body=b'{"data": [], "total": 0}'), "(Accepted)"),
    final("304", status(304, body=b""), "(Not Modified)"),
    # Retry-After.
    passes("Retry-After: 7", retry_after("7"), 7),
    passes("Retry-After: 7 with a 503", retry_after("7", 503), 7),
    passes("Retry-After: 900", retry_after("900"), 900),
    *(passes(f"Retry-After: {v}", retry_after(v)) for v in ("0", "1.5", "-5", "soon", "")),
    passes("Retry-After: a date in the past", retry_after("Thu, 01 Jan 1970 00:00:00 GMT")),
    passes("Retry-After: the year 99999", retry_after("Thu, 31 Dec 99999 00:00:00 GMT")),
    passes("Retry-After: 5,000 digits", retry_after("9" * 5000)),
    final("Retry-After: 3600", retry_after("3600"), "asks to wait 3,600 seconds before"),
    final("Retry-After: in two days", retry_after(_later), "max_minutes"),
    final("Retry-After: 400 digits", retry_after("9" * 400), "max_minutes"),
    # Connections.
    passes("hang up, once", HANG_UP),
    lasts("hang up for ever", HANG_UP, "closed the connection without responding"),
    passes("reset before the answer", RESET),
    lasts("reset before the answer, for ever", RESET, "reset the connection"),
    passes("reset in the middle of the body", cut("reset", 0.5, "reset")),
    Case(
        "right, then closed without saying so",
        (Fault("closed", lambda a: [a.wire()]),),
        "right",
        3,
        pages=3,
    ),
    Case("closed between two pages", (None, HANG_UP), "right", 4, (2,), pages=3),
    lasts("refused", None, "refused", address="http://127.0.0.1:{nobody}", arrived=0),
    lasts("unknown host", None, "unknown", address="https://nowhere.invalid", arrived=0),
    passes("silence, once", SILENCE, read_seconds=0.5),
    lasts("silence for ever", SILENCE, "did not respond in time", read_seconds=0.3),
    passes("silence in the body", cut("half", 0.5, "hold"), read_seconds=0.5),
    lasts(
        "silence in the body, for ever",
        cut("half", 0.5, "hold"),
        "stalled mid-response",
        read_seconds=0.3,
    ),
    # Slow and without an end.
    final("drips its headers", dripping("drip", 0.05, lambda _: 9), "was stopped", minutes=SOON),
    final(
        "drips its body",
        dripping("drip", 0.05, lambda a: len(a.wire()) - len(a.body)),
        "max_minutes",
        minutes=SOON,
    ),
    final(
        "drips a body without a length that seems whole",
        endless("drip", _plain + b'\r\n{"data": [], "total": 0}', b" ", 0.05),
        "max_minutes",
        minutes=SOON,
    ),
    final(
        "100 Continue without an end",
        endless("100", b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
        "max_minutes",
        minutes=SOON,
    ),
    final(
        "a body without an end",
        endless("body", _plain + b"\r\n", b" " * 65536),
        "MB: ask for smaller pages",
    ),
    final(
        "a gzip bomb",
        changed("bomb", lambda _: gzip.compress(bytes(2**23)), "Content-Encoding: gzip"),
        "MB: ask for smaller pages",
    ),
    # Bodies.
    passes("half an answer", HALF),
    lasts("half an answer, for ever", HALF, "mid-response"),
    lasts("a length of twice the body", headed("x", "Content-Length: 99999"), "mid-response"),
    final("a length of less than the body", headed("x", "Content-Length: 40"), "not JSON"),
    final("two lengths", headed("x", "Content-Length: 4", "Content-Length: 5"), "contradict"),
    harmless("no length", headed("x", "Content-Type: application/json")),
    harmless("a length that is no number", headed("x", "Content-Length: many")),
    passes("a chunk whose length is no number", BAD_CHUNK),
    lasts("such a chunk for ever", BAD_CHUNK, "mid-response"),
    passes("no last chunk", chunked("no end", whole=True)),
    harmless("chunks", chunked("chunks", b"0\r\n\r\n", whole=True)),
    harmless("gzip", changed("gzip", lambda a: gzip.compress(a.body), "Content-Encoding: gzip")),
    harmless("deflate", changed("z", lambda a: zlib.compress(a.body), "Content-Encoding: deflate")),
    final("half a gzip", BROKEN_GZIP, ""),
    final("gzip that is none", headed("x", "Content-Encoding: gzip"), "cannot be decoded"),
    final("an empty body", changed("empty", lambda _: b""), "not JSON"),
    final("HTML", raw("html", _plain + b"\r\n<html>Sign in</html>"), "not JSON"),
    harmless("JSON with a byte order mark", changed("bom", lambda a: b"\xef\xbb\xbf" + a.body)),
    harmless(
        "a byte order mark, and charset=utf-8",
        changed(
            "bom",
            lambda a: b"\xef\xbb\xbf" + a.body,
            "Content-Type: application/json; charset=utf-8",
        ),
    ),
    harmless(
        "UTF-16",
        changed(
            "utf-16",
            lambda a: _characters(a.body).encode("utf-16"),
            "Content-Type: application/json; charset=utf-16",
        ),
    ),
    harmless(
        "UTF-8 as text/plain",
        changed("text", lambda a: _characters(a.body).encode(), "Content-Type: text/plain"),
    ),
    harmless(
        "windows-1252",
        changed(
            "1252",
            lambda a: _characters(a.body).encode("cp1252"),
            "Content-Type: application/json; charset=windows-1252",
        ),
    ),
    # What is not HTTP.
    lasts("no status line", raw("x", b'{"data": []}\r\n'), _not_http),
    lasts("another protocol", raw("x", b"220 mail.example.com ESMTP\r\n"), _not_http),
    lasts("a status of letters", raw("x", b"HTTP/1.1 abc OK\r\n\r\n"), _not_http),
    lasts("2,000 headers", raw("x", _plain + _bomb + b"\r\n{}"), _not_http),
    lasts("a header of a megabyte", raw("x", _plain + b"X: " + b"x" * 2**20), _not_http),
    harmless("a header without a colon", headed("x", "Content-Type: application/json", "odd one")),
    # Redirects, none of which is followed.
    *(
        final(
            f"{code} to another host", moved(code, "Location: https://evil.example/x"), _redirects
        )
        for code in (301, 302, 303, 307, 308)
    ),
    final("302 to another path", moved(302, "Location: /login?next=1"), "redirects to /login."),
    final("302 to itself", moved(302, "Location: /v1/incidents"), _redirects),
    final("302 without Location", moved(302), "(Found)"),
    final("301 without Location, but with a list", status(301, body=b'{"data": []}'), "(Moved"),
    final("302 to an address of odd bytes", moved(302, "Location: /\xff\xfe"), _redirects),
    # TLS.
    lasts("TLS where there is none", None, "failed the TLS handshake", address=SECURE, arrived=0),
    lasts("no TLS where there is", None, "", tls="good", arrived=0),
    lasts("self-signed", None, "REQUESTS_CA_BUNDLE", tls="good", address=SECURE, arrived=0),
    # Another address than before, so that everything is read.
    Case(
        "a certificate that is trusted",
        (None,),
        "right",
        3,
        tls="good",
        address=SECURE,
        environment={"REQUESTS_CA_BUNDLE": str(TLS / "good.pem")},
    ),
    *(
        lasts(
            f"a certificate that is {what}",
            None,
            says,
            tls=name,
            address=SECURE,
            arrived=0,
            environment={"REQUESTS_CA_BUNDLE": str(TLS / f"{name}.pem")},
        )
        for what, name, says in (
            ("for another host", "other", "cannot be verified: "),
            ("of the past", "expired", "has expired"),
        )
    ),
    # Proxies.
    lasts(
        "a proxy that refuses connections",
        None,
        "HTTPS_PROXY",
        address="https://api.example.com",
        environment={"HTTPS_PROXY": "http://127.0.0.1:{nobody}"},
        arrived=0,
    ),
    lasts(
        "a proxy that wants a password",
        status(407, "Proxy-Authenticate: Basic", body=b""),
        "HTTPS_PROXY",
        address="https://api.example.com",
        environment={"HTTPS_PROXY": HERE},
    ),
    lasts(
        "a proxy that hangs up",
        HANG_UP,
        "any proxy in between",
        address="https://api.example.com",
        environment={"HTTPS_PROXY": HERE},
    ),
    # Several pages.
    Case("503 on the second of three pages", (None, status(503)), "right", 4, (2,), pages=3),
    Case(
        "a fault on each of three pages",
        (status(503), None, HANG_UP, HALF, None, BAD_CHUNK),
        "right",
        7,
        (2, 2, 4, 2),
        pages=3,
    ),
    Case("404 on the third page", (None, None, status(404)), "red", 3, (), "404", pages=3),
    Case(
        "503 for ever from the second page on",
        (None, *[status(503)] * 9),
        "red",
        5,
        RETRIED,
        "(tried 4 times)",
        pages=3,
    ),
]


def _characters(body: bytes) -> str:
    """The same JSON with its characters as they are, not as escapes."""
    return str(body.decode().encode().decode("unicode_escape"))
