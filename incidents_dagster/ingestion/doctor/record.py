"""A sample of an API's responses, to report a wrong preset: their shape, and nobody's incidents.

Names of fields, times, statuses, totals and headers stay; any other text becomes its length.
"""

from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from requests import Response

from incidents_dagster.ingestion.rows.filled import NAIVE
from incidents_dagster.ingestion.secrets.redaction import redact

ITEMS = 2  # of each list
HEADERS = ("content-type", "date", "link", "retry-after")
TOLD = ("rate", "total", "count", "page", "range")  # parts of headers' names


def sample(responses: list[Response], statuses: Collection[str]) -> list[dict[str, Any]]:
    """The responses as JSON.

    Args:
        responses: Of the list, in their order.
        statuses: The texts that stay: those of `phases`, and those that were seen.
    """
    return [
        {
            "path": urlsplit(response.url).path,
            "query": dict(parse_qsl(urlsplit(response.url).query)),
            "status": response.status_code,
            "headers": {
                name: redact(_shape(value) if name.lower() == "link" else value)
                for name, value in response.headers.items()
                if name.lower() in HEADERS or any(part in name.lower() for part in TOLD)
            },
            "body": _without_content(response.json(), {*statuses}),
        }
        for response in responses
    ]


def _without_content(value: Any, statuses: set[str]) -> Any:
    if isinstance(value, dict):
        return {redact(name): _without_content(one, statuses) for name, one in value.items()}
    if isinstance(value, list):
        shown = [_without_content(one, statuses) for one in value[:ITEMS]]
        left = len(value) - len(shown)
        return [*shown, f"({left:,} more)"] if left else shown
    if isinstance(value, str) and value not in statuses and not NAIVE.match(value):
        return f"(text of {len(value):,} characters)"
    return value


def _shape(link: str) -> str:
    """A header Link without the values in its addresses."""
    return ", ".join(part.partition(";")[2].strip() for part in link.split(","))
