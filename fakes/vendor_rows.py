"""Incidents as a vendor's API has them: neutral ones, in the form that its data file describes.

Placeholders are `{id}`, `{number}`, `{title}`, `{severity}`, `{service}`, `{team}` and `{url}`; the
times `{created}`, `{updated}`, `{acknowledged}` and `{resolved}`, in a format of strftime, `epoch`
or `epoch_ms`; `{null}`; and whatever else an entry of `[[statuses]]` has. A text of one of them
alone becomes its value. A table with `_when` stands for `_then` in that phase, else for `_else`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from fakes.messages import Reply

PLACEHOLDER = re.compile(r"\{(\w+)(?::([^}]*))?\}")
BEGIN = datetime(2025, 6, 1, tzinfo=timezone.utc)
APART = timedelta(hours=5)
SEVERITIES = ("critical", "major", "minor")
SERVICES = ("Checkout", "Search", "Login", "Billing")
TEAMS = ("Payments", "Platform")


@dataclass(frozen=True)
class Incident:
    """An incident, whoever's it is.

    Attributes:
        number: From 1 on.
        status: Which of the vendor's statuses it has.
        created: When it began.
        updated: When it last changed.
    """

    number: int
    status: int
    created: datetime
    updated: datetime

    @classmethod
    def first(cls, number: int, statuses: int) -> "Incident":
        """The incident of a number before it ever changed."""
        created = BEGIN + APART * number + timedelta(seconds=number % 60)
        changed = created + timedelta(minutes=30 + number % 200)
        return cls(number, number % statuses, created, changed)

    def later(self, status: int, now: datetime) -> "Incident":
        """What becomes of it."""
        return replace(self, status=status, updated=now.replace(microsecond=0))


def key_of(incident: Incident, dialect: Mapping[str, Any]) -> Any:
    """The id that the vendor's API gives an incident."""
    parent = dialect.get("parent", "")
    pattern = dialect["ids"].get("pattern", "{number}").replace("{parent}", parent)
    return rendered(pattern, {"number": incident.number, "created": incident.created})


def values_of(incident: Incident, dialect: Mapping[str, Any], base_url: str = "") -> dict[str, Any]:
    """What the placeholders of a record stand for."""
    n, status = incident.number, dialect["statuses"][incident.status]
    phase = status["phase"]
    taken_on = incident.created + timedelta(minutes=5) if phase != "open" else None
    key = key_of(incident, dialect)
    return {
        "number": n,
        "id": key,
        "title": f"Incident {n}: latency",
        "severity": dialect.get("severities", SEVERITIES)[n % 3],
        "service": SERVICES[n % 4],
        "team": TEAMS[n % 2],
        "url": rendered(dialect["ids"].get("url", "https://app.example.com/i/{id}"), {"id": key}),
        "created": incident.created,
        "updated": incident.updated,
        "acknowledged": taken_on,
        "resolved": incident.updated if phase == "closed" else None,
        "base_url": base_url,
        "parent": dialect.get("parent", ""),
        **status,
    }


def rendered(template: Any, values: Mapping[str, Any], zone: str = "UTC") -> Any:
    """A template of a data file with the values in their places."""
    if isinstance(template, dict):
        if (phase := template.get("_when")) is not None:
            there = values["phase"] == phase
            return rendered(template["_then"] if there else template.get("_else"), values, zone)
        return {name: rendered(part, values, zone) for name, part in template.items()}
    if isinstance(template, list):
        return [rendered(part, values, zone) for part in template]
    if not isinstance(template, str):
        return template
    if whole := PLACEHOLDER.fullmatch(template):
        return _value(whole, values, zone)
    return PLACEHOLDER.sub(lambda found: _spelled(_value(found, values, zone)), template)


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(found: re.Match[str], values: Mapping[str, Any], zone: str) -> Any:
    name, spelled = found.groups()
    value = values.get(name)
    if isinstance(value, datetime):
        if spelled in ("epoch", "epoch_ms"):
            seconds = int(value.timestamp())
            return seconds * 1000 if spelled == "epoch_ms" else seconds
        return value.astimezone(ZoneInfo(zone)).strftime(spelled or "%Y-%m-%dT%H:%M:%SZ")
    return format(value, spelled) if spelled and value is not None else value


def reply(given: dict[str, Any], **values: Any) -> Reply:
    """An answer that a dialect describes, with `values` in its body."""
    body = rendered(given.get("body", {}), values)
    content = body.encode() if isinstance(body, str) else body
    return Reply(content, given.get("status", 200), dict(given.get("headers", {})))


def holds(condition: str, given: dict[str, str]) -> bool:
    """Whether a request has a parameter: `name=value`, `name=*`, or `name~pattern`."""
    name, sign, value = re.split(r"([=~])", condition, maxsplit=1)
    if name not in given:
        return False
    if sign == "~":
        return bool(re.search(value, given[name]))
    return value == "*" or given[name] == value
