"""Records that do not fit, or are merely odd: one or a few of each kind among 250 good ones."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from fakes.incident_pages import Raw
from fakes.incidents import incident
from faults.judging.outcome import versions_of
from faults.running.syncs import LATER


@dataclass(frozen=True)
class Kind:
    """Odd records.

    Attributes:
        name: What is odd.
        records: As the API has them.
        rests: Where they have to come to rest: in the `table`, with the status and time that they
            name, in `quarantine`, in `either`; `anywhere` where red will do, too; `nowhere` where
            the sync has to be red.
        table: The ids that they have in the table; default: their own, as text.
        then: What the API has in their place for the good syncs; default: good records of the
            same ids, changed a week later.
        first: Tried in a first sync, too, where there is no table yet that knows better.
        later: Tried in a later sync, which asks only for what has changed since.
    """

    name: str
    records: list[Any]
    rests: str = "table"
    table: dict[str, tuple[Any, ...]] | None = None
    then: list[Any] | None = None
    first: bool = True
    later: bool = True


def odd(**fields: Any) -> dict[str, Any]:
    """Incident 251, with `fields` on top."""
    return incident(251, version=2, **fields)


def raw(value: str, name: str = "detail") -> Raw:
    """Incident 251, with a field in the words of its JSON."""
    return Raw(json.dumps(odd(**{name: "@"})).replace('"@"', value))


def lacking(*names: str) -> dict[str, Any]:
    """Incident 251, less some of its fields."""
    return {name: value for name, value in odd().items() if name not in names}


WANTED = versions_of([odd()])
AT = datetime(2026, 11, 3, 10, 30, tzinfo=timezone.utc)


def _timed(spelled: Any, at: datetime | None = AT) -> dict[str, Any]:
    return {"records": [odd(updated_at=spelled)], "table": {"INC-0251": ("version 2", at)}}


BAD: dict[str, Any] = {
    "no id": lacking("id"),
    "id null": odd(id=None),
    "id true": odd(id=True),
    "id false": odd(id=False),
    "id a fraction": odd(id=1.5),
    "id an object": odd(id={"value": "INC-0251"}),
    "id a list": odd(id=["INC-0251"]),
    "id an empty text": odd(id=""),
    "id an empty object": odd(id={}),
    "record null": None,
    "record a text": "INC-0251",
    "record a number": 251,
    "record true": True,
    "record a list": [odd()],
    "record an empty list": [],
    "record an empty object": {},
    "status an object": odd(status={"name": "open"}),
    "status a list": odd(status=["open"]),
    "updated_at a word": odd(updated_at="yesterday"),
    "updated_at of month 13": odd(updated_at="2026-13-45T00:00:00Z"),
    "updated_at of 30 February": odd(updated_at="2026-02-30T00:00:00Z"),
    "updated_at of hour 25": odd(updated_at="2026-11-03T25:00:00Z"),
    "updated_at true": odd(updated_at=True),
    "updated_at an object": odd(updated_at={"at": "2026-11-03T10:30:00Z"}),
    "updated_at a list": odd(updated_at=["2026-11-03T10:30:00Z"]),
    "updated_at in a zone of 99 hours": odd(updated_at="2026-11-03T10:30:00+99:00"),
    "created_at a word": odd(created_at="yesterday"),
    "created_at an object": odd(created_at={}),
}
EITHER: dict[str, Any] = {
    "id blank": odd(id="   "),
    "updated_at an empty text": odd(updated_at=""),
    "created_at an empty text": odd(created_at=""),
    "id with NUL": odd(id="INC\x000251"),
    "id half a surrogate pair": odd(id="INC-\ud800"),
    "id a whole fraction": odd(id=251.0),
    "status a number": odd(status=5),
    "status true": odd(status=True),
    "status half a surrogate pair": odd(status="\udfff"),
    "updated_at in seconds": odd(updated_at=1793701800),
    "updated_at in milliseconds": odd(updated_at=1793701800000),
    "updated_at in seconds, as text": odd(updated_at="1793701800"),
    "updated_at a fraction of seconds": odd(updated_at=1793701800.5),
    "updated_at negative": odd(updated_at=-1),
    "updated_at of a leap second": odd(updated_at="2015-06-30T23:59:60Z"),
    "updated_at of hour 24": odd(updated_at="2026-11-03T24:00:00Z"),
    "updated_at of the year 0": odd(updated_at="0000-01-01T00:00:00Z"),
    "updated_at of the year 10000": odd(updated_at="10000-01-01T00:00:00Z"),
    "updated_at a year": odd(updated_at="2026"),
    "updated_at in the American order": odd(updated_at="11/03/2026 10:30"),
    "updated_at of HTTP": odd(updated_at="Tue, 03 Nov 2026 10:30:00 GMT"),
    "updated_at in a zone by name": odd(updated_at="2026-11-03T10:30:00[Europe/Berlin]"),
    "updated_at a time without a day": odd(updated_at="10:30:00"),
    "created_at of a week": odd(created_at="2026-W45-2"),
}
TABLE: dict[str, Any] = {
    "updated_at missing": {
        "records": [lacking("updated_at")],
        "table": {"INC-0251": ("version 2", None)},
    },
    "updated_at null": _timed(None, None),
    "updated_at without a zone": _timed("2026-11-03T10:30:00"),
    "updated_at with a blank": _timed("2026-11-03 10:30:00"),
    "updated_at 14 hours ahead": _timed("2026-11-04T00:30:00+14:00"),
    "updated_at 12 hours behind": _timed("2026-11-02T22:30:00-12:00"),
    "updated_at in a zone without a colon": _timed("2026-11-03T11:30:00+0100"),
    "updated_at with nine digits": _timed("2026-11-03T10:30:00.000000000Z"),
    "updated_at in seven digits": _timed("2026-11-03T10:30:00.0000000+00:00"),
    "updated_at a day": _timed("2026-11-03", AT.replace(hour=0, minute=0)),
    "updated_at of the year 1": {
        **_timed("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=timezone.utc)),
        "later": False,
    },
    "status null": {"records": [odd(status=None)]},
    "status missing": {
        "records": [lacking("status")],
        "table": {"INC-0251": (None, WANTED["INC-0251"][1])},
    },
    "id a number": {"records": [odd(id=7)]},
    "id a negative number": {"records": [odd(id=-7)]},
    "id beyond 64 bit": {"records": [odd(id=2**70)]},
    "id 7 and id 007": {"records": [odd(id=7), odd(id="007")]},
    "id 1 and id 1 as text": {
        "records": [odd(id=1), incident(251, version=3, id="1")],
        "table": {"1": tuple(versions_of([incident(251, version=3)])["INC-0251"])},
        "then": [incident(251, version=LATER, id=1)],
    },
    "id with blanks around": {"records": [odd(id=" INC-0251 "), odd()]},
    "id in two Unicode forms": {"records": [odd(id="caf\u00e9"), odd(id="cafe\u0301")]},
    "ids that differ in case": {"records": [odd(id="inc-0251"), odd()]},
    "id of 10,000 characters": {"records": [odd(id="x" * 10_000)]},
    "id like SQL": {"records": [odd(id="'; DROP TABLE incidents.incident_data; --")]},
    "a number of 2^63": {"records": [odd(detail=2**63)]},
    "a number of 2^64": {"records": [odd(detail=-(2**64))]},
    "a number of 400 digits": {"records": [raw("9" * 400)]},
    "1e999": {"records": [raw("1e999")]},
    "minus zero": {"records": [raw("-0.0")]},
    "a NUL in a text": {"records": [odd(title="a\x00b")]},
    "half a surrogate pair in a text": {"records": [odd(title="\ud800")]},
    "half a surrogate pair in an object": {"records": [odd(service={"name": "\ud800"})]},
    "half a surrogate pair in a field's name": {"records": [odd(**{"\ud800": 1})]},
    "100 levels deep": {"records": [raw('{"a":' * 100 + "1" + "}" * 100)]},
    "900 levels deep": {"records": [raw("[" * 900 + "]" * 900)]},
    "a text of 10 MB": {"records": [odd(detail="x" * 10_000_000)]},
    "2,000 fields": {"records": [odd(**{f"field_{n}": n for n in range(2_000)})]},
    "fields of dlt's own": {"records": [odd(_dlt_id="mine", _dlt_load_id="1", _dlt_root_id="r")]},
    "a field deleted_at": {"records": [odd(deleted_at="2026-11-03T10:30:00Z")]},
    "a field deleted_at of another type": {"records": [odd(deleted_at=True)]},
    "a field without a name": {"records": [odd(**{"": "nothing"})]},
    "a field of one blank": {"records": [odd(**{" ": "nothing"})]},
    "a field's name of 5,000 characters": {"records": [odd(**{"n" * 5_000: 1})]},
    "a field's name with quotes": {"records": [odd(**{'a"b; --': 1, "a'b": 2})]},
    "a field's name of SQL": {"records": [odd(select=1, order="by", table=None)]},
    "a field's name of an emoji": {"records": [odd(**{"🔥": 1})]},
    "fields of one name": {"records": [odd(detailName=1, detail_name=2, DetailName=3)]},
    "a field Status beside status": {"records": [odd(Status="another")]},
    "a field ID beside id": {"records": [odd(ID="another")]},
    "a field updatedAt beside updated_at": {"records": [odd(updatedAt="yesterday")]},
    "a field like a variant column": {
        "records": [odd(title=5, title__v_bigint="x", status__v_text="y")]
    },
    "types that change from page to page": {
        "records": [odd(id=f"odd-{n}", title=v) for n, v in enumerate((5, 0.5, True, [], {}, "x"))]
    },
}


def _kinds() -> Iterator[Kind]:
    for name, record in BAD.items():
        yield Kind(name, [record], "quarantine", {}, first=False)
    for name, record in EITHER.items():
        yield Kind(name, [record], "either")
    for name, kept in TABLE.items():
        yield Kind(name, **kept)
    # Parsers of JSON may refuse the whole answer for these, so red is acceptable, too.
    yield Kind("5,000 levels deep", [raw("[" * 5_000 + "]" * 5_000)], "anywhere", {})
    yield Kind("a number of 5,000 digits", [raw("9" * 5_000)], "anywhere", {})
    yield Kind("NaN", [raw("NaN")], "anywhere", {})
    future = odd(updated_at="2999-01-01T00:00:00Z")
    yield Kind("updated_at of the year 2999, and so it stays", [future], "either", then=[future])
    yield Kind("updated_at of the year 2999, corrected later", [future], "either")
    yield Kind("ten bad records of ten kinds", list(BAD.values())[:10], "quarantine", {})
    yield Kind("bad records above the share", [odd(id=None, n=n) for n in range(40)], "nowhere", {})


def cases() -> list[tuple[Kind, bool]]:
    """Every kind, each in a first and in a later sync where it says so."""
    return [
        (k, first) for k in _kinds() for first in (True, False) if (k.first if first else k.later)
    ]
