"""The scenarios of section `leaks`: which auth, what goes wrong, and what has to come of it."""

import base64
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import quote

from fakes.messages import Asked, Reply
from fakes.misbehaviour import HANG_UP, SILENCE

ROWS = [
    {
        "id": f"INC-{number}",
        "status": "open",
        "created_at": "2026-11-01T00:00:00Z",
        "updated_at": f"2026-11-01T00:0{number}:00Z",
    }
    for number in range(3)
]
USER = "reader"
LINKS = {"type": "json_link", "next_url_path": "next"}


@dataclass
class Case:
    """A scenario.

    Attributes:
        name: Auth and fault.
        auth: A key of `AUTHS`.
        answer: What the API says to a request that is not for a token; gets the place, too.
        expected: The outcome.
        told: Has to be in what the sync says.
        key: The secret; by default one of the scenario's own.
        arrives: Whether the secret reaches the API.
        rows: In the table, where the sync is to succeed.
        settings: Changes [sources.incidents].
        more: Further environment.
        child: Words for the process: `timeout`, `uncaught`.
        signal: Sent to the process after so many `requests`.
    """

    name: str
    auth: str
    answer: "Callable[[Place, Asked], Any]"
    expected: Literal["right", "red"] = "red"
    told: str = ""
    key: str = ""
    arrives: bool = True
    rows: int = len(ROWS)
    settings: "Callable[[Place, dict[str, Any]], None]" = lambda *_: None
    more: "Callable[[Place], dict[str, str]]" = lambda _: {}
    child: tuple[str, ...] = ()
    signal: int = 0
    requests: int = 1
    token: str = field(init=False)

    def __post_init__(self) -> None:
        digest = sha256(self.name.encode()).digest()
        self.key = self.key or "k3y" + base64.b32encode(digest).decode()[:20]
        self.token = "t0k" + base64.b32encode(digest).decode()[20:40]

    @property
    def secrets(self) -> list[str]:
        """The key, and the token that it brings."""
        return [self.key, self.token] if self.auth == "OAuth2" else [self.key]


class Place:
    """A scenario with its addresses: settings and environment of the process, answers of the API.

    Attributes:
        api: Address of the API.
        nobody: An address that refuses connections.
        other: Another host, as far as the sync can tell.
    """

    def __init__(self, case: Case, other: str) -> None:
        self.case, self.other = case, other
        self.api = self.nobody = ""

    def answer(self, asked: Asked) -> Any:
        """What the API says."""
        if asked.path == "/token" and self.case.answer is not token_refused:
            return {"access_token": self.case.token, "expires_in": 3600}
        return self.case.answer(self, asked)

    def configure(self, section: dict[str, Any]) -> None:
        """Makes `section`, which is [sources.incidents] as shipped, the scenario's."""
        client = section["client"]
        client["base_url"] = self.api
        del client["auth"]
        if auth := AUTHS[self.case.auth](self)[0]:
            client["auth"] = auth
        self.case.settings(self, section)

    def environment(self) -> dict[str, str]:
        """The secrets, where a user would put them."""
        return {**AUTHS[self.case.auth](self)[1], **self.case.more(self)}


def _api_key(name: str, location: str) -> Callable[[Place], tuple[dict[str, str], dict[str, str]]]:
    auth = {"type": "api_key", "name": name, "location": location}
    return lambda place: (auth, {"API_KEY": place.case.key})


# auth → client.auth and the environment
AUTHS: dict[str, Callable[[Place], tuple[dict[str, str], dict[str, str]]]] = {
    "query, known name": _api_key("api_key", "query"),
    "query, odd name": _api_key("zugang", "query"),
    "header": _api_key("X-Zugang", "header"),
    "bearer": lambda place: ({"type": "bearer"}, {"TOKEN": place.case.key}),
    "basic": lambda place: (
        {"type": "http_basic", "username": USER},
        {"PASSWORD": place.case.key},
    ),
    "OAuth2": lambda place: (
        {"type": "oauth2_client_credentials", "access_token_url": f"{place.api}/token"},
        {"CLIENT_ID": USER, "CLIENT_SECRET": place.case.key},
    ),
    "client.headers": lambda place: (
        {},
        {
            "SOURCES__INCIDENTS__CLIENT__HEADERS": json.dumps(
                {"Authorization": f"Token token={place.case.key}"}
            )
        },
    ),
    "endpoint.params": lambda place: (
        {},
        {
            "SOURCES__INCIDENTS__RESOURCE_DEFAULTS__ENDPOINT": json.dumps(
                {"params": {"app_key": place.case.key}}
            )
        },
    ),
}


def echo(place: Place, asked: Asked) -> dict[str, Any]:
    """All of a request, and its key in several spellings."""
    key = place.case.key
    return {
        "headers": asked.headers,
        "query": asked.query,
        "body": asked.body,
        "self": f"{place.api}{asked.path}?zugang={quote(key, safe='')}&api_key={quote(key)}",
        "text": f"the key {key} and the token {place.case.token}",
    }


def good(place: Place, asked: Asked) -> Any:
    """The page that is asked for."""
    offset = int(asked.query.get("offset", 0))
    return {"data": ROWS[offset:], "total": len(ROWS)}


def records_with_the_key(place: Place, asked: Asked) -> Any:
    page = good(place, asked)
    return {**page, "data": [{**row, "echo": echo(place, asked)} for row in page["data"]]}


def next_links_with_the_key(place: Place, asked: Asked) -> Any:
    number = int(asked.query.get("page", 0))
    key = quote(place.case.key, safe="")
    link = f"{place.api}/v1/incidents?api_key={key}&zugang={key}&page={number + 1}"
    return {"data": [ROWS[number]], "next": link if number < 2 else None}


def next_link_elsewhere(place: Place, asked: Asked) -> Any:
    key = quote(place.case.key, safe="")
    return {"data": ROWS, "next": f"{place.other}/v1/incidents?page=2&zugang={key}"}


def redirect(place: Place, asked: Asked) -> Any:
    key = quote(place.case.key, safe="")
    target = f"{place.other}/v1/incidents?zugang={key}#{key}"
    return Reply(echo(place, asked), 307, {"Location": target})


def refused(status: int) -> Callable[[Place, Asked], Any]:
    return lambda place, asked: Reply(
        echo(place, asked), status, {"WWW-Authenticate": f'Key realm="{place.case.token}"'}
    )


def token_refused(place: Place, asked: Asked) -> Any:
    return Reply(echo(place, asked), 401)


def not_json(place: Place, asked: Asked) -> Any:
    return Reply(f"<html>{echo(place, asked)}</html>".encode(), 200, {"Content-Type": "text/html"})


def error_with_200(place: Place, asked: Asked) -> Any:
    return {"error": echo(place, asked), "message": place.case.key}


def then_silent(place: Place, asked: Asked) -> Any:
    if asked.query.get("offset", "0") == "0":
        page = records_with_the_key(place, asked)
        return {**page, "data": page["data"][:1], "total": 3}
    return SILENCE


def _base_url(address: Callable[[Place], str]) -> Callable[[Place, dict[str, Any]], None]:
    return lambda place, section: section["client"].update(base_url=address(place))


def _links(_: Place, section: dict[str, Any]) -> None:
    section["client"]["paginator"] = LINKS


def _one_a_page(_: Place, section: dict[str, Any]) -> None:
    section["client"]["paginator"]["limit"] = 1


def _token_over_plain_http(_: Place, section: dict[str, Any]) -> None:
    section["client"]["auth"]["access_token_url"] = "http://login.leaks.invalid/token"


KINDS = ("query, known name", "query, odd name", "header", "bearer", "basic", "OAuth2")
# Fault → what comes of it, and the kinds of auth that meet it: the other kinds take the same way.
FAULTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "401 that repeats the request": (KINDS, {"answer": refused(401), "told": "returned 401"}),
    "records that repeat the request": (
        KINDS,
        {"answer": records_with_the_key, "expected": "right"},
    ),
    "redirect to another host": (
        ("query, odd name", "header", "OAuth2"),
        {"answer": redirect, "told": "redirects to"},
    ),
    "next link to another host": (
        ("query, odd name", "bearer", "basic"),
        {"answer": next_link_elsewhere, "settings": _links, "told": "host"},
    ),
    "body that is not JSON": (
        ("query, known name", "header"),
        {"answer": not_json, "told": "not JSON"},
    ),
}
ODD = "a b+c/%&=?#k3y\"'é"
UNREACHED: dict[str, Any] = {"answer": good, "arrives": False}

CASES = [
    *(
        Case(f"{kind}: {fault}", kind, **how)
        for fault, (kinds, how) in FAULTS.items()
        for kind in kinds
    ),
    Case("query: 404", "query, odd name", refused(404), told="returned 404"),
    Case("query: 500, after retries", "query, odd name", refused(500), told="returned 500"),
    Case("basic: 429, after retries", "basic", refused(429), told="returned 429"),
    Case("query: error with status 200", "query, odd name", error_with_200),
    Case("query: closed connections", "query, odd name", lambda *_: HANG_UP),
    Case(
        "query: half an answer",
        "query, odd name",
        lambda *_: Reply(b'{"data": [', headers={"Content-Length": "99"}),
    ),
    Case(
        "query: no answer in time",
        "query, odd name",
        lambda *_: SILENCE,
        child=("timeout",),
        told="in time",
    ),
    Case(
        "query: refused connections",
        "query, odd name",
        settings=_base_url(lambda place: place.nobody),
        told="cannot be reached",
        **UNREACHED,
    ),
    Case(
        "query: unknown host",
        "query, odd name",
        settings=_base_url(lambda _: "https://api.leaks.invalid"),
        told="cannot be reached",
        **UNREACHED,
    ),
    Case(
        "query: no TLS there",
        "query, odd name",
        settings=_base_url(lambda place: place.api.replace("http:", "https:")),
        told="TLS",
        **UNREACHED,
    ),
    Case(
        "query: dead proxy",
        "query, odd name",
        more=lambda place: {"http_proxy": place.nobody},
        told="proxy",
        **UNREACHED,
    ),
    Case(
        "bearer: plain http to another host",
        "bearer",
        settings=_base_url(lambda _: "http://api.leaks.invalid"),
        told="allow_plain_http",
        **UNREACHED,
    ),
    Case(
        "OAuth2: plain http to the token's host",
        "OAuth2",
        settings=_token_over_plain_http,
        told="allow_plain_http",
        **UNREACHED,
    ),
    Case("OAuth2: the token is refused", "OAuth2", token_refused, told="returned 401"),
    Case(
        "query: next links with the key",
        "query, odd name",
        next_links_with_the_key,
        "right",
        settings=_links,
    ),
    Case("client.headers: 401", "client.headers", refused(401), told="returned 401"),
    Case("client.headers: records", "client.headers", records_with_the_key, "right"),
    Case(
        "client.headers: next link to another host",
        "client.headers",
        next_link_elsewhere,
        settings=_links,
        told="host",
    ),
    Case("endpoint.params: 401", "endpoint.params", refused(401), told="returned 401"),
    Case("endpoint.params: records", "endpoint.params", records_with_the_key, "right"),
    Case("query: odd characters, 401", "query, odd name", refused(401), key=ODD + "1"),
    Case(
        "query: odd characters, records", "query, odd name", records_with_the_key, "right", key=ODD
    ),
    Case("basic: odd characters, records", "basic", records_with_the_key, "right", key=ODD + "2"),
    Case("query: short key, 401", "query, odd name", refused(401), key="zQ7-x9"),
    Case("bearer: short key, records", "bearer", records_with_the_key, "right", key="xQ8-z7"),
    Case(
        "query: killed by SIGABRT, with a dump of all threads",
        "query, odd name",
        then_silent,
        settings=_one_a_page,
        told="Fatal Python error: Aborted",
        signal=signal.SIGABRT,
        requests=2,
    ),
    Case(
        "basic: killed by SIGKILL, with its working folder left",
        "basic",
        then_silent,
        settings=_one_a_page,
        signal=signal.SIGKILL,
        requests=2,
    ),
    Case(
        "bearer: an error that nobody expects", "bearer", good, child=("uncaught",), arrives=False
    ),
]
PART = (
    "query, odd name: 401 that repeats the request",
    "header: redirect to another host",
    "bearer: next link to another host",
    "basic: records that repeat the request",
    "OAuth2: records that repeat the request",
    "client.headers: 401",
)
