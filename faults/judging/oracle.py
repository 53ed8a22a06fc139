"""What served answers say, read independently of the sync: is a green table what they told?

Knows JSON and the API's own fields alone; nothing of dlt, paginators' classes or the product. A
version is what status and time of change say; `fields_lost` looks at all other fields.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from fakes.incident_pages import Page
from fakes.incidents import moment
from faults.judging.fields import Row, lost_field

Version = tuple[Any, ...]  # status, updated_at
ANY = object()  # a value that no column of its type can hold: the table may have what it likes


class Answer:
    """One answer as the reader has it; raises ValueError where it is none.

    Attributes:
        records: What it holds.
        total: What it says there is, None where it is no whole number.
        next: Whether it names a next page.
    """

    def __init__(self, page: Page, sent: bytes) -> None:
        body = json.loads(sent.decode())
        if not isinstance(body, dict) or not isinstance(body.get("data"), list):
            raise ValueError("no list of records")
        self.page = page
        self.records: list[Any] = body["data"]
        total = body.get("total")
        whole = isinstance(total, int) and not isinstance(total, bool) and total >= 0
        self.total: int | None = total if whole else None
        self.next = bool(body.get("next"))


def told_otherwise(
    served: list[tuple[Page, bytes]],
    before: dict[str, Version],
    after: dict[str, Version],
    source: dict[str, Version],
    kept: list[tuple[Any, ...]],
) -> str:
    """What in a green table is not as the answers told; nothing where all of it is.

    Args:
        served: The answers in their order; of two to the same request, the later one counts.
        before: id → version in the table before the sync.
        after: The same after it.
        source: The same at the API.
        kept: The records in quarantine, as JSON.
    """
    latest = {tuple(sorted(page.query.items())): (page, sent) for page, sent in served}
    try:
        answers = [Answer(page, sent) for page, sent in latest.values()]
    except ValueError as error:
        return f"green, though an answer is not what it has to be ({error})"
    quarantined = [_parsed(text) for (text,) in kept]
    last = answers[-1].page.query.get("updated_since")
    for answer in answers:
        for record in answer.records:
            # One that could not be read matters where it comes in the reading that counts.
            counts = answer.page.query.get("updated_since") == last
            if counts and _id(record) is None and record not in quarantined:
                return (
                    f"green, though a record is neither in the table nor kept: {str(record)[:80]}"
                )
    told: dict[str, list[Version]] = {}
    for answer in _readable(served):
        for record in answer.records:
            if (name := _id(record)) is not None and record not in quarantined:
                told.setdefault(name, []).append(_version(record))
    hidden = []
    for name in sorted({*after, *source}):
        if after.get(name) == source.get(name):
            continue
        if name not in told:
            if after.get(name) not in (before.get(name), None):  # marked as deleted, perhaps
                return f"green, with {name} in a version from nowhere"
            hidden.append(name)
        elif not any(_is(after.get(name), v) for v in _newest(told[name], before.get(name))):
            return f"green, with {name} told {told[name]} and {after.get(name)} in the table"
    sign = _signs_of_more(answers) if hidden else ""
    return f"green, with {len(hidden)} rows missing, though {sign}" if sign else ""


def fields_lost(
    served: list[tuple[Page, bytes]],
    before: dict[str, Row],
    after: dict[str, Row],
    kept: list[tuple[Any, ...]],
) -> str:
    """What green rows lack of the records that were told; nothing if they have all fields.

    Args:
        served: The answers.
        before: id → row in the table before the sync.
        after: The same after it.
        kept: The records in quarantine, as JSON.
    """
    quarantined = [_parsed(text) for (text,) in kept]
    told: dict[str, list[Row]] = {}
    for answer in _readable(served):
        for record in answer.records:
            if (name := _id(record)) is not None and record not in quarantined:
                told.setdefault(name, []).append(record)
    for name, row in after.items():
        records = told.get(name, [])
        if not records or row == before.get(name):
            continue  # not told, or older than what was there
        lost = [lost_field(record, row) for record in records]
        if all(lost):
            return f"green, and {lost[-1]!r} of {name} is lost, or has no column of its own"
    return ""


def _readable(served: list[tuple[Page, bytes]]) -> Iterator[Answer]:
    """Those of readings that were given up, too: the newest version stays, whichever it came in."""
    for page, sent in served:
        with suppress(ValueError):
            yield Answer(page, sent)


def _signs_of_more(answers: list[Answer]) -> str:
    """What gives away that more records are there than the answers held."""
    for since in {answer.page.query.get("updated_since") for answer in answers}:
        walk = [a for a in answers if a.page.query.get("updated_since") == since]
        held = {json.dumps(record, sort_keys=True) for answer in walk for record in answer.records}
        totals = [answer.total for answer in walk if answer.total is not None]
        if totals and max(totals) > len(held):
            return f"total says {max(totals)} and {len(held)} were told"
        by_place = sorted((a for a in walk if "offset" in a.page.query), key=_offset)
        end = 0
        for answer in by_place:
            if _offset(answer) > end and answer.records:
                return "a page was short while others follow"
            end = max(end, _offset(answer) + len(answer.records))
        if not by_place and walk[-1].next:
            return "the last answer names a next page"
    return ""


def _offset(answer: Answer) -> int:
    return int(answer.page.query["offset"])


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _id(record: Any) -> str | None:
    found = record.get("id") if isinstance(record, dict) else None
    if isinstance(found, bool) or not isinstance(found, (int, str)) or found == "":
        return None
    return str(found)


def _version(record: Any) -> Version:
    status, updated = record.get("status"), record.get("updated_at")
    time: Any = updated
    if updated is not None:
        try:
            time = moment(updated)
        except (ValueError, AttributeError, OverflowError):
            time = ANY
    return (status if status is None or isinstance(status, str) else ANY, time)


def _newest(versions: list[Version], before: Version | None) -> list[Version]:
    """Those of which none is newer, where they can be compared."""
    every = [*versions, *([before] if before else [])]
    times = [time for _, time in every if isinstance(time, datetime)]
    newest = max(times, default=None)
    return [v for v in every if not isinstance(v[1], datetime) or v[1] == newest]


def _is(found: Version | None, told: Version) -> bool:
    return found is not None and all(t is ANY or t == f for f, t in zip(found, told, strict=True))
