"""Responses that call themselves partial: by their status, in a header, or beside the records.

Search engines and proxies do so when a search timed out or an index was not available. The rest of
the response looks complete.
"""

import re
from typing import Any

from requests import Response

from incidents_dagster.ingestion.reading.counts import in_range
from incidents_dagster.ingestion.reading.envelope import beside, is_about_response

PARTIAL_CONTENT = 206
# True or above zero, in any response. Elasticsearch and GitHub, among others. A number only beside
# the records, or in an object about the response: elsewhere it counts something by its state.
IN_ANY_PAGE = (".timedout", ".incompleteresults", "shards.failed")
# In the last one: before that, they only say that another page follows.
IN_THE_LAST: tuple[str, ...] = (
    ".partial",
    ".partialresults",
    ".ispartial",
    ".incomplete",
    ".truncated",
)
IN_THE_LAST += (".istruncated", ".resultstruncated", ".terminatedearly", ".exceededtransferlimit")


def why_partial(response: Response, where: str, last: bool) -> str:
    """How `response` says that it has not all of its records; empty if it does not.

    Args:
        response: A page.
        where: JSONPath of the records, whose own fields say nothing about the response.
        last: Whether the list ends here.
    """
    names = (*IN_ANY_PAGE, *IN_THE_LAST) if last else IN_ANY_PAGE
    for path, value in beside(response.json(), where):
        if _is_set(path, value) and f".{re.sub(r'[^a-z.]', '', path.lower())}".endswith(names):
            return f"{path} is {str(value).lower()}"
    if last and response.status_code == PARTIAL_CONTENT and in_range(response) is None:
        return f"its status is {PARTIAL_CONTENT}"
    return ""


def _is_set(path: str, value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return value is True or value == "true"
    return value > 0 and is_about_response(path)
