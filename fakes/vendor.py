"""An API in a vendor's dialect, as a data file in `fakes/vendors` describes it.

Authentication, paging, filters, what the list hides, its envelope, errors and limits are data, each
written from the vendor's documentation. Nothing here is the project's.
"""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import tomlkit

from fakes.messages import Asked, Reply
from fakes.vendor_pages import Paging
from fakes.vendor_rows import Incident, holds, key_of, rendered, reply, values_of
from fakes.vendor_selection import Selection

FOLDER = Path(__file__).parent / "vendors"


def dialects() -> list[str]:
    """The names of the vendors that are described."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


class Vendor:
    """The answers of a `Web`, in a vendor's dialect.

    Args:
        name: The data file's.
        incidents: How many there are at first.

    Attributes:
        key: The key that requests need.
        token: What they need instead if the key has to be exchanged for it.
        incidents: Number → incident.
        now: The API's clock; the real one by default.
        throttled: So many of the next requests are refused as too many.
        may_read: Whether the key has the permission.
        base_url: Its own address, for links.
    """

    def __init__(self, name: str, incidents: int = 0, dialect: Any = None) -> None:
        self.name = name
        self.dialect: dict[str, Any] = dialect or _read(name)
        self.key = "kY7-emulated-Key-0123456789abcdef"
        self.token = "tN4-emulated-Token-0123456789abcdef"
        statuses = len(self.dialect["statuses"])
        self.incidents = {n: Incident.first(n, statuses) for n in range(1, incidents + 1)}
        self.now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
        self.throttled = 0
        self.may_read = True
        self.base_url = ""
        self.others = [_other(self, given) for given in self.dialect.get("others", [])]

    @property
    def zone(self) -> str:
        """The zone of times without one."""
        return str(self.dialect.get("zone", "UTC"))

    def __call__(self, asked: Asked) -> Any:
        """The answer to a request."""
        exchange = self.dialect["auth"].get("exchange", {})
        if asked.path == exchange.get("path"):
            return self._exchanged(asked, exchange)
        return self._answered(asked)

    def _answered(self, asked: Asked) -> Any:
        auth, path = self.dialect["auth"], self.dialect["list"]["path"]
        query = parse_qsl(urlsplit(asked.target).query, keep_blank_values=True)
        if not self._is_signed(asked, dict(query)):
            return reply(auth["wrong"])
        if self.throttled:
            self.throttled -= 1
            return reply(self.dialect.get("limit", {}).get("reply", {"status": 429}))
        verify = self.dialect.get("verify", {})
        if asked.path == verify.get("path"):
            return reply({"body": {}, **verify})
        if not self.may_read:
            return reply(auth.get("forbidden", {"status": 403, "body": {}}))
        if asked.path in (path, self.dialect["pages"].get("path")):
            return self.served(asked, query)
        return self._elsewhere(asked, query)

    def _elsewhere(self, asked: Asked, query: list[tuple[str, str]]) -> Reply:
        for other in self.others:
            if found := other.matched(asked.path):
                other.base_url, other.key = self.base_url, self.key
                return other.of(found).served(asked, query)
        return self._single(asked, self.dialect.get("single", {}))

    def served(self, asked: Asked, query: list[tuple[str, str]]) -> Reply:
        """The answer to a request for the list that carries the key."""
        signing = self.dialect["auth"].get("query", {})
        return self._list(asked, [pair for pair in query if pair[0] not in signing])

    def matched(self, path: str) -> re.Match[str] | None:
        """Whether a path is that of the list; `{id}` in it is a parent's."""
        pattern = re.escape(self.dialect["list"]["path"]).replace(r"\{id\}", "([^/]+)")
        return re.fullmatch(pattern, path)

    def of(self, found: re.Match[str]) -> "Vendor":
        """The list of the parent that the path names; this one if it names none."""
        if not found.groups():
            return self
        parent = unquote(found[1])
        child = Vendor(self.name, len(self.incidents), {**self.dialect, "parent": parent})
        child.base_url = self.base_url
        return child

    def record(self, incident: Incident, given: Mapping[str, str] | None = None) -> Any:
        """An incident as the API has it, for a request with the parameters `given`."""
        other = self.dialect.get("record_if", {})
        template = self.dialect["record"]
        if other and holds(other["if"], dict(given or {})):
            template = other["record"]
        for rule in (self.dialect.get("stranger", {}), *self.dialect.get("hidden", [])):
            if "record" in rule and incident.number % rule["every"] == 0:
                template = {**template, **rule["record"]}
        return rendered(template, values_of(incident, self.dialect, self.base_url), self.zone)

    def strangers(self) -> set[int]:
        """The numbers of records that are no incidents."""
        every = self.dialect.get("stranger", {}).get("every")
        return {n for n in self.incidents if every and n % every == 0}

    def _is_signed(self, asked: Asked, query: dict[str, str]) -> bool:
        auth = self.dialect["auth"]
        pair = base64.b64encode(f"{auth.get('user', '')}:{self.key}".encode()).decode()
        values = {"key": self.key, "basic": pair, "token": self.token}
        headers = {name.lower(): rendered(v, values) for name, v in auth.get("headers", {}).items()}
        params = {name: rendered(value, values) for name, value in auth.get("query", {}).items()}
        return headers.items() <= asked.headers.items() and params.items() <= query.items()

    def _exchanged(self, asked: Asked, exchange: dict[str, Any]) -> Reply:
        """A token for a key, as OAuth2 has it."""
        values = {"key": self.key, "token": self.token}
        wanted = rendered(exchange["form"], values)
        if asked.method != "POST" or not wanted.items() <= dict(parse_qsl(asked.body)).items():
            return reply(exchange["wrong"])
        return reply({"body": exchange["body"]}, **values)

    def _single(self, asked: Asked, single: dict[str, Any]) -> Reply:
        """The answer to a request for one incident, or for nothing that there is."""
        found = re.fullmatch(single.get("path", "").replace("{id}", "([^/]+)"), asked.path)
        key = unquote(found[1]) if found else None
        rows = [row for row in self.incidents.values() if str(key_of(row, self.dialect)) == key]
        if not rows:
            return reply(self.dialect.get("not_found", {"status": 404, "body": {}}))
        record = self.record(rows[0])
        return Reply({single["record"]: record} if single.get("record") else record)

    def _list(self, asked: Asked, query: list[tuple[str, str]]) -> Reply:
        given: dict[str, str] = {}
        for name, value in query:  # several values of a parameter as one
            given[name] = f"{given[name]},{value}" if name in given else value
        selection = Selection(self.dialect, self.now(), self.strangers())
        if refused := selection.refusal(given):
            return refused
        found = selection.of(self.incidents.values(), given, query)
        return Paging(self.dialect, self.base_url, self.record).page(asked, query, given, found)


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = tomlkit.parse((FOLDER / f"{name}.toml").read_text("utf-8")).unwrap()
    return found


def _other(vendor: Vendor, given: dict[str, Any]) -> Vendor:
    """Another list of the API, such as its teams, in the same dialect unless it says otherwise."""
    same = {name: vendor.dialect[name] for name in ("auth", "zone") if name in vendor.dialect}
    alone = {"statuses": [{"status": "", "phase": "other"}], "ids": {"pattern": "{number}"}}
    pages = {**vendor.dialect["pages"], **given.get("pages", {})}
    dialect = {**same, **alone, **given, "pages": pages}
    return Vendor(given["name"], given.get("count", 60), dialect)
