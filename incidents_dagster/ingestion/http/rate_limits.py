"""What an API says about its rate limit: whether a request was refused for it, and for how long.

`Retry-After` is dlt's; these are the headers that vendors send beside it, or in its place.
"""

import re
from collections.abc import Collection

from requests import Response

from incidents_dagster.ingestion.http.dates import date_of

TOO_MANY = 429
FORBIDDEN = 403
# RateLimit-Reset, X-Rate-Limit-Reset, X-RateLimit-Reset-After, X-Sentry-Rate-Limit-Reset
RESET = re.compile(r"(x-)?(\w+-)?rate-?limit-reset(-after)?", re.IGNORECASE)
REMAINING = re.compile(r"(x-)?(\w+-)?rate-?limit-remaining", re.IGNORECASE)
NUMBER = re.compile(r"\s*\d+(\.\d+)?\s*")
MOMENT = 1e8  # seconds; a larger number is a moment since 1970, not a time to wait
MILLISECONDS = 1e11


def is_refused(response: Response, also: Collection[int]) -> bool:
    """Whether a request was refused for the rate limit.

    Args:
        response: The API's.
        also: The statuses besides 429 that say so; 403 only if a header does, too.
    """
    status = response.status_code
    if status == FORBIDDEN and status in also:
        used_up = any(REMAINING.fullmatch(n) and v == "0" for n, v in response.headers.items())
        return used_up or "Retry-After" in response.headers
    return status == TOO_MANY or status in also


def seconds_to_wait(response: Response) -> float | None:
    """How long until the limit is reset, by the API's clock; None if no header says it."""
    for name, value in response.headers.items():
        if not RESET.fullmatch(name) or not NUMBER.fullmatch(value):
            continue
        seconds = float(value)
        if seconds >= MOMENT:
            moment = seconds / 1000 if seconds >= MILLISECONDS else seconds
            # Both are whole seconds, so the limit may be reset up to one later.
            seconds = moment - date_of(response).timestamp() + 1
        return seconds if seconds > 0 else None
    return None
