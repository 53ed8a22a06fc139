"""The API's clock."""

from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from requests import Response


def date_of(response: Response) -> datetime:
    """The time of a response by the API's clock, else by ours."""
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(timezone.utc)
    except (KeyError, ValueError, TypeError):
        return datetime.now(timezone.utc)
