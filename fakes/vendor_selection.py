"""Which incidents a vendor's list shows for a request, and in which order."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from fakes.messages import Reply
from fakes.vendor_rows import Incident, holds, reply, values_of

KEEPS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": lambda value, asked: bool(value >= asked),
    ">": lambda value, asked: bool(value > asked),
    "<=": lambda value, asked: bool(value <= asked),
    "<": lambda value, asked: bool(value < asked),
    "in": lambda value, asked: str(value) in asked.split(","),
    "=": lambda value, asked: str(value) == asked,
}


class Selection:
    """What a list shows.

    Args:
        dialect: The vendor's.
        now: The API's time.
        strangers: The numbers of records that are no incidents.
    """

    def __init__(self, dialect: dict[str, Any], now: datetime, strangers: set[int]) -> None:
        self._dialect, self._now, self._strangers = dialect, now, strangers
        self._zone = str(dialect.get("zone", "UTC"))

    def refusal(self, given: dict[str, str]) -> Reply | None:
        """The answer to a request that the list does not take; None if it takes it."""
        where = self._dialect["list"]
        known = where.get("params")
        if known and (other := sorted(given.keys() - {*known})):
            return reply(where["unknown"], param=other[0])
        for condition in where.get("requires", []):
            if not any(holds(one, given) for one in condition.split(" | ")):
                return reply(where["lacking"])
        return reply(self._dialect["range"]["beyond"]) if self._is_too_long(given) else None

    def of(
        self, rows: Iterable[Incident], given: dict[str, str], query: list[tuple[str, str]]
    ) -> list[Incident]:
        """Those of the `rows` that it shows, in its order."""
        return self._sorted(self._kept(self._shown(rows, given), query), query)

    def _is_too_long(self, given: dict[str, str]) -> bool:
        rule = self._dialect.get("range", {})
        if not rule or any(holds(condition, given) for condition in rule["unless"]):
            return False
        if not given.keys() >= {*rule["params"]}:
            return False
        begin, end = (self._moment(given[name], {}) for name in rule["params"])
        return not begin <= end <= begin + timedelta(days=rule["days"])

    def _shown(self, rows: Iterable[Incident], given: dict[str, str]) -> list[Incident]:
        rows = list(rows)
        shown = self._dialect.get("stranger", {}).get("unless")
        if shown is not None and not any(holds(condition, given) for condition in shown):
            rows = [row for row in rows if row.number not in self._strangers]
        for rule in self._dialect.get("hidden", []):
            if any(holds(condition, given) for condition in rule["unless"]):
                continue
            if every := rule.get("every"):
                rows = [row for row in rows if row.number % every]
            if days := rule.get("older_than_days"):
                since = self._now - timedelta(days=days)
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
        if name in ("created", "updated"):  # all values of a row cost too much for each filter
            return getattr(row, name)
        status = self._dialect["statuses"][row.status]
        return status[name] if name in status else values_of(row, self._dialect)[name]

    def _kept(self, rows: list[Incident], query: list[tuple[str, str]]) -> list[Incident]:
        for rule in self._dialect.get("filters", []):
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
        return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self._zone))

    def _sorted(self, rows: list[Incident], query: list[tuple[str, str]]) -> list[Incident]:
        rule = self._dialect.get("sort", {})
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
