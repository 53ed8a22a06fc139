"""An API in a vendor's dialect, as a data file in `fakes/vendors` describes it.

Authentication, paging, filters, what the list hides, its envelope, errors and limits are data, each
written from the vendor's documentation. Nothing here is the project's.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit
from zoneinfo import ZoneInfo

import tomlkit

from fakes.messages import Asked, Reply
from fakes.vendor_rows import PLACEHOLDER, Incident, rendered, values_of

FOLDER = Path(__file__).parent / "vendors"
KEEPS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": lambda value, asked: bool(value >= asked),
    ">": lambda value, asked: bool(value > asked),
    "<=": lambda value, asked: bool(value <= asked),
    "<": lambda value, asked: bool(value < asked),
    "in": lambda value, asked: str(value) in asked.split(","),
    "=": lambda value, asked: str(value) == asked,
}


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
            return _reply(auth["wrong"])
        if self.throttled:
            self.throttled -= 1
            return _reply(self.dialect.get("limit", {}).get("reply", {"status": 429}))
        verify = self.dialect.get("verify", {})
        if asked.path == verify.get("path"):
            return _reply({"body": {}, **verify})
        if not self.may_read:
            return _reply(auth.get("forbidden", {"status": 403, "body": {}}))
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
        if other and _holds(other["if"], dict(given or {})):
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
            return _reply(exchange["wrong"])
        return _reply({"body": exchange["body"]}, **values)

    def _single(self, asked: Asked, single: dict[str, Any]) -> Reply:
        """The answer to a request for one incident, or for nothing that there is."""
        found = re.fullmatch(single.get("path", "").replace("{id}", "([^/]+)"), asked.path)
        key = unquote(found[1]) if found else None
        rows = [row for row in self.incidents.values() if str(self._value(row, "id")) == key]
        if not rows:
            return _reply(self.dialect.get("not_found", {"status": 404, "body": {}}))
        record = self.record(rows[0])
        return Reply({single["record"]: record} if single.get("record") else record)

    def _list(self, asked: Asked, query: list[tuple[str, str]]) -> Reply:
        given: dict[str, str] = {}
        for name, value in query:  # several values of a parameter as one
            given[name] = f"{given[name]},{value}" if name in given else value
        known = self.dialect["list"].get("params")
        if known and (other := sorted(given.keys() - {*known})):
            return _reply(self.dialect["list"]["unknown"], param=other[0])
        for condition in self.dialect["list"].get("requires", []):
            if not any(_holds(one, given) for one in condition.split(" | ")):
                return _reply(self.dialect["list"]["lacking"])
        if self._is_too_long(given):
            return _reply(self.dialect["range"]["beyond"])
        found = self._sorted(self._kept(self._shown(self.incidents.values(), given), query), query)
        return self._page(asked, query, given, found)

    def _is_too_long(self, given: dict[str, str]) -> bool:
        rule = self.dialect.get("range", {})
        if not rule or any(_holds(condition, given) for condition in rule["unless"]):
            return False
        if not given.keys() >= {*rule["params"]}:
            return False
        begin, end = (self._moment(given[name], {}) for name in rule["params"])
        return not begin <= end <= begin + timedelta(days=rule["days"])

    def _shown(self, rows: Iterable[Incident], given: dict[str, str]) -> list[Incident]:
        rows = list(rows)
        shown = self.dialect.get("stranger", {}).get("unless")
        if shown is not None and not any(_holds(condition, given) for condition in shown):
            hidden = self.strangers()
            rows = [row for row in rows if row.number not in hidden]
        for rule in self.dialect.get("hidden", []):
            if any(_holds(condition, given) for condition in rule["unless"]):
                continue
            if every := rule.get("every"):
                rows = [row for row in rows if row.number % every]
            if days := rule.get("older_than_days"):
                since = self.now() - timedelta(days=days)
                rows = [row for row in rows if row.created >= since]
            if (later := rule.get("later_than")) and later["param"] in given:
                end = self._moment(given[later["param"]], {}) + timedelta(days=later["days"])
                rows = [row for row in rows if row.created < end]
            if statuses := rule.get("statuses"):
                rows = [row for row in rows if self._value(row, "status") not in statuses]
            if phases := rule.get("phases"):
                rows = [row for row in rows if self._value(row, "phase") not in phases]
        return rows

    def _value(self, row: Incident, name: str) -> Any:
        return values_of(row, self.dialect)[name]

    def _kept(self, rows: list[Incident], query: list[tuple[str, str]]) -> list[Incident]:
        for rule in self.dialect.get("filters", []):
            asked = [value for name, value in query if name == rule["param"]]
            if pattern := rule.get("pattern"):
                matches = [re.search(pattern, value) for value in asked]
                asked = [match[1] for match in matches if match]
            if not asked:
                continue
            value: Any = ",".join(asked)
            if rule["field"] in ("created", "updated"):
                try:
                    value = self._moment(value, rule)
                except ValueError:
                    continue  # as a wrong filter is ignored
            keeps = KEEPS[rule["keeps"]]
            rows = [row for row in rows if keeps(self._filtered_by(row, rule), value)]
        return rows

    def _filtered_by(self, row: Incident, rule: dict[str, Any]) -> Any:
        value = self._value(row, rule["field"])
        return value.replace(second=0) if rule.get("by_minute") else value

    def _moment(self, text: str, rule: dict[str, Any]) -> datetime:
        spelled = rule.get("format", "iso")
        if spelled in ("epoch", "epoch_ms"):
            return datetime.fromtimestamp(
                float(text) / (1000 if spelled == "epoch_ms" else 1), timezone.utc
            )
        if spelled == "iso":
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        else:
            moment = datetime.strptime(text, spelled)
        return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self.zone))

    def _sorted(self, rows: list[Incident], query: list[tuple[str, str]]) -> list[Incident]:
        rule = self.dialect.get("sort", {})
        params = rule.get("params", [])
        asked = ":".join(value for name in params for given, value in query if given == name)
        if pattern := rule.get("pattern"):
            match = re.search(pattern, asked)
            asked = match[1] if match else ""
        order = rule.get("orders", {}).get(asked, rule.get("default", "created"))
        field = order.removeprefix("-")
        names = {"created": "created", "updated": "updated", "id": "number"}
        rows = sorted(rows, key=lambda row: (getattr(row, names[field]), row.number))
        return rows[::-1] if order.startswith("-") else rows

    def _page(
        self,
        asked: Asked,
        query: list[tuple[str, str]],
        given: dict[str, str],
        rows: list[Incident],
    ) -> Reply:
        pages = self.dialect["pages"]
        most = pages.get("most", len(rows) or 1)
        size = int(given.get(pages.get("size", ""), pages.get("default", most)))
        if size > most and "too_large" in pages:
            return _reply(pages["too_large"])
        size = min(size, most)
        count, first = -(-len(rows) // size), pages.get("first", 1)
        place = given.get(pages.get("place", ""), "")
        kind, number = pages["kind"], first
        if kind == "page":
            number = int(place or first)
            if number < first and "below" in pages:
                if pages["below"] != "first":
                    return _reply(pages["below"])
                number = first
            if number >= count + first and count and pages.get("past") == "last":
                number = count + first - 1
            at = (number - first) * size
        elif kind == "cursor":
            at = _cursor_at(place)
        else:
            at = int(place or 0) if kind == "offset" else 0
        if at + size > pages.get("ceiling", at + size):
            return _reply(pages["beyond"])
        if at >= len(rows) and at and "beyond_end" in pages:
            return _reply(pages["beyond_end"])
        page = [self.record(row, given) for row in rows[at : at + size]]
        after = at + (len(page) if pages.get("endless") else size)
        if chosen := self.dialect["list"].get("chosen"):  # fields come if they are asked for
            asked_for = given.get(chosen, "").split(",")
            for record in page:
                record[chosen] = {n: v for n, v in record[chosen].items() if n in asked_for}
        more = after < len(rows)
        named = more or pages.get("endless")  # even if there is nothing on it
        token = {"offset": after, "page": number + 1, "cursor": _cursor(after)}.get(kind)
        names = {pages["place"]} if "place" in pages else set()
        drops = {*pages.get("next_drops", [])}
        kept = [pair for pair in query if pair[0] not in names | drops]
        linked = self.base_url + pages.get("path", asked.path)
        start, step = (first, 1) if kind == "page" else (0, size)
        here = number if kind == "page" else at
        places = {"next": token if named else None, "first": start}
        places["last"] = start + (count - 1) * step if count > 1 else None
        places["prev"] = here - step if here > start else None
        links = {
            name: None
            if place is None
            else f"{linked}?{urlencode([*kept, (pages.get('place', ''), place)])}"
            for name, place in places.items()
        }
        total_hidden = (rule := self.dialect.get("total")) and not _holds(rule["unless"], given)
        values = {
            "rows": page, "count": len(page), "size": size, "offset": at, "page": number,
            "total": None if total_hidden else len(rows), "pages": count, "more": more,
            "last": not more, "next": token if named else None, "token": token,
            "next_path": links["next"] and links["next"].removeprefix(self.base_url),
            "url": self.base_url + asked.target,
            **{f"{name}_url": link for name, link in links.items()},
        }  # fmt: skip
        return self._enveloped(values)

    def _enveloped(self, values: dict[str, Any]) -> Reply:
        where = self.dialect["list"]
        body: Any = rendered(where.get("envelope", {}), values)
        for path in where.get("omitted", []):  # rather than null
            *outer, name = path.split(".")
            holder = body
            for part in outer:
                holder = holder[part]
            if holder.get(name) is None:
                holder.pop(name, None)
        if where["records"]:
            holder = body
            *outer, last = where["records"].split(".")
            for name in outer:
                holder = holder.setdefault(name, {})
            holder[last] = values["rows"]
        else:
            body = values["rows"]
        headers = {}
        for name, template in where.get("headers", {}).items():
            parts = template if isinstance(template, list) else [template]
            there = [str(rendered(part, values)) for part in parts if _is_told(part, values)]
            if there:
                headers[name] = ", ".join(there)
        limits = self.dialect.get("limit", {}).get("headers", {})
        return Reply(body, headers={**limits, **headers})


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


def _reply(given: dict[str, Any], **values: Any) -> Reply:
    body = rendered(given.get("body", {}), values)
    content = body.encode() if isinstance(body, str) else body
    return Reply(content, given.get("status", 200), dict(given.get("headers", {})))


def _is_told(template: str, values: dict[str, Any]) -> bool:
    return all(values.get(found[1]) is not None for found in PLACEHOLDER.finditer(template))


def _holds(condition: str, given: dict[str, str]) -> bool:
    """Whether a request has a parameter: `name=value`, `name=*`, or `name~pattern`."""
    name, sign, value = re.split(r"([=~])", condition, maxsplit=1)
    if name not in given:
        return False
    if sign == "~":
        return bool(re.search(value, given[name]))
    return value == "*" or given[name] == value


def _cursor(at: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"k": at * 7919}).encode()).decode().rstrip("=")


def _cursor_at(token: str) -> int:
    if not token:
        return 0
    padded = token + "=" * (-len(token) % 4)
    return int(json.loads(base64.urlsafe_b64decode(padded))["k"]) // 7919
