"""A page of a vendor's list: its records, its envelope, and what leads to the next one."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from fakes.messages import Asked, Reply
from fakes.vendor_rows import PLACEHOLDER, Incident, holds, rendered, reply


class Paging:
    """How a list comes in pages.

    Args:
        dialect: The vendor's.
        base_url: The API's address, for links.
        record: An incident as the API has it, for a request with such parameters.
    """

    def __init__(
        self,
        dialect: dict[str, Any],
        base_url: str,
        record: Callable[[Incident, dict[str, str]], Any],
    ) -> None:
        self._dialect, self._base_url, self._record = dialect, base_url, record

    def page(
        self,
        asked: Asked,
        query: list[tuple[str, str]],
        given: dict[str, str],
        rows: list[Incident],
    ) -> Reply:
        """The page of the `rows` that a request asks for."""
        pages = self._dialect["pages"]
        most = pages.get("most", len(rows) or 1)
        size = int(given.get(pages.get("size", ""), pages.get("default", most)))
        if size > most and "too_large" in pages:
            return reply(pages["too_large"])
        size = min(size, most)
        count, first = -(-len(rows) // size), pages.get("first", 1)
        place = given.get(pages.get("place", ""), "")
        kind, number = pages["kind"], first
        if kind == "page":
            number = int(place or first)
            if number < first and "below" in pages:
                if pages["below"] != "first":
                    return reply(pages["below"])
                number = first
            if number >= count + first and count and pages.get("past") == "last":
                number = count + first - 1
            at = (number - first) * size
        elif kind == "cursor":
            at = _cursor_at(place)
        else:
            at = int(place or 0) if kind == "offset" else 0
        if at + size > pages.get("ceiling", at + size):
            return reply(pages["beyond"])
        if at >= len(rows) and at and "beyond_end" in pages:
            return reply(pages["beyond_end"])
        page = [self._record(row, given) for row in rows[at : at + size]]
        after = at + (len(page) if pages.get("endless") else size)
        if chosen := self._dialect["list"].get("chosen"):  # fields come if they are asked for
            asked_for = given.get(chosen, "").split(",")
            for record in page:
                record[chosen] = {n: v for n, v in record[chosen].items() if n in asked_for}
        more = after < len(rows)
        named = more or pages.get("endless")  # even if there is nothing on it
        token = {"offset": after, "page": number + 1, "cursor": _cursor(after)}.get(kind)
        names = {pages["place"]} if "place" in pages else set()
        drops = {*pages.get("next_drops", [])}
        kept = [pair for pair in query if pair[0] not in names | drops]
        linked = self._base_url + pages.get("path", asked.path)
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
        total_hidden = (rule := self._dialect.get("total")) and not holds(rule["unless"], given)
        values = {
            "rows": page, "count": len(page), "size": size, "offset": at, "page": number,
            "total": None if total_hidden else len(rows), "pages": count, "more": more,
            "last": not more, "next": token if named else None, "token": token,
            "next_path": links["next"] and links["next"].removeprefix(self._base_url),
            "url": self._base_url + asked.target,
            **{f"{name}_url": link for name, link in links.items()},
        }  # fmt: skip
        return self._enveloped(values)

    def _enveloped(self, values: dict[str, Any]) -> Reply:
        where = self._dialect["list"]
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
        limits = self._dialect.get("limit", {}).get("headers", {})
        return Reply(body, headers={**limits, **headers})


def _is_told(template: str, values: dict[str, Any]) -> bool:
    return all(values.get(found[1]) is not None for found in PLACEHOLDER.finditer(template))


def _cursor(at: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"k": at * 7919}).encode()).decode().rstrip("=")


def _cursor_at(token: str) -> int:
    if not token:
        return 0
    padded = token + "=" * (-len(token) % 4)
    return int(json.loads(base64.urlsafe_b64decode(padded))["k"]) // 7919
