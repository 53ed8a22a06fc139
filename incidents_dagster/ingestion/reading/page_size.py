"""How many records a page may have: what the first request of a list asks for, and what comes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from requests import Request

from incidents_dagster.ingestion.secrets.names import words_of

SIZE = re.compile(
    r"(?:max|page|results?|items?|records?|sysparm|num|\$)?[\W_]*"
    r"(?:size|limit|per[\W_]?page|results?|records?|len|top|first|count|take|rows)\W?",
    re.IGNORECASE,
)
# How a response calls it; its `size` or `count` may be that of this page.
SAID = [{"limit"}, {"per", "page"}, {"page", "size"}, {"page", "limit"}, {"max", "results"}]
# The most that many APIs send, whatever is asked for.
CAPS = (25, 50, 100, 200, 250, 500, 1_000)


@dataclass(frozen=True)
class Asked:
    """What the first request of a list asks for.

    Attributes:
        values: The values of its parameters as text, which a response may repeat.
        size: How many records a page may have; None if the request does not say.
    """

    values: frozenset[str]
    size: int | None

    @classmethod
    def by(cls, request: Request) -> "Asked":
        """What `request` asks for, in its query or its JSON body."""
        given = [*parse_qsl(urlsplit(str(request.url)).query), *(request.params or {}).items()]
        given += request.json.items() if isinstance(request.json, dict) else []
        values = [(str(name), str(value)) for name, value in given]
        sizes = [int(v) for name, v in values if is_size(name) and v.isdigit() and int(v)]
        return cls(frozenset(value for _, value in values), min(sizes, default=None))

    def is_full(self, rows: int, around: Mapping[str, Any]) -> bool:
        """Whether a page of so many records is as full as it may be.

        Args:
            rows: How many it has.
            around: Path → value beside the records. APIs that send less than was asked for often
                say how much that is.
        """
        return rows == self.size or any(
            str(value) == str(rows) and set(words_of(path.rpartition(".")[2])) in SAID
            for path, value in around.items()
        )

    def may_be_full(self, rows: int) -> bool:
        """Whether a page of so many records may be so, as far as their number tells."""
        return rows == self.size or rows in CAPS


def is_size(parameter: str) -> bool:
    """Whether a parameter says how many records a page may have, such as `per_page`."""
    return bool(SIZE.fullmatch(parameter))


def is_size_alone(parameter: str) -> bool:
    """Whether a parameter can be nothing else; `records` or `last` may be a window of the list."""
    return any(size.issubset(words_of(parameter)) for size in [*SAID, {"size"}])
