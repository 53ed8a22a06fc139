"""One small question to the API: is there anything newer than what was seen before?

Asks for the first page of the main resource alone; nothing is loaded.
"""

import hashlib
import json
from typing import Any, TypedDict

from dlt.common import jsonpath
from dlt.common.time import ensure_pendulum_datetime

from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.source import open_source


class Seen(TypedDict):
    """What the last question found.

    `newest` is the newest cursor value, as the API spells it; `records` are hashes of the records
    that have this value, or none, because for those only the content tells what is new.
    """

    newest: Any
    records: list[str]


NOTHING_SEEN = Seen(newest=None, records=[])


def ask(settings: Settings, seen: Seen) -> tuple[int, Seen]:
    """Asks for changes since `seen`, with one request (and its retries).

    Returns:
        How many records of the page are new or changed, and what is seen now.

    Raises:
        Exception: The API could not be asked; `errors.explain` puts it into one message.
    """
    question = settings.own["change_sensor"]
    params = dict(question["params"])
    if question["start_param"] and seen["newest"] is not None:
        params[question["start_param"]] = seen["newest"]
    with open_source(settings, report=lambda _: None, params=params) as opened:
        page = list(opened.source.resources[settings.resource_names[0]].add_limit(1))

    found = [(_cursor_value(record, question["cursor_path"]), _hash(record)) for record in page]
    known = seen["newest"]
    unseen = [
        content
        for value, content in found
        if content not in seen["records"] and (value is None or not _newer(known, value))
    ]
    newest = known
    for value, _ in found:
        if _newer(value, newest):
            newest = value
    at_newest = [content for value, content in found if value is None or value == newest]
    return len(unseen), Seen(newest=newest, records=at_newest or seen["records"])


def _cursor_value(record: Any, path: str) -> Any:
    return next(iter(jsonpath.find_values(path, record)), None)


def _hash(record: Any) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def _newer(value: Any, other: Any) -> bool:
    """Whether `value` is newer than `other`; None is older than everything."""
    if value is None or other is None:
        return other is None and value is not None
    if isinstance(value, (int, float)) and isinstance(other, (int, float)):
        return value > other
    try:
        return ensure_pendulum_datetime(value) > ensure_pendulum_datetime(other)
    except (ValueError, TypeError):
        return str(value) > str(other)
