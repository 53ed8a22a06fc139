"""What the first request of a list asks for: how many records a page may have, and the rest."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from requests import Request

SIZE = re.compile(
    r"(?:max|page|results?|items?|records?|sysparm|num|\$)?[\W_]*"
    r"(?:size|limit|per[\W_]?page|results?|records?|len|top|first|count|take|rows)\W?",
    re.IGNORECASE,
)


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


def is_size(parameter: str) -> bool:
    """Whether a parameter says how many records a page may have, such as `per_page`."""
    return bool(SIZE.fullmatch(parameter))
