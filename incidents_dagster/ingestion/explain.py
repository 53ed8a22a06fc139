"""Turns any exception of a sync into one message that the reader can act on.

No message shows a key, a request's query, or more of a response than the API's own message about
an error.
"""

import re
from collections.abc import Callable

import duckdb
import pyarrow as pa
import requests
from dlt.common.schema.exceptions import CannotCoerceNullException

from incidents_dagster.ingestion.errors import IngestionError, causes
from incidents_dagster.ingestion.http.error_text import said_by
from incidents_dagster.ingestion.http.rate_limits import TOO_MANY, is_refused
from incidents_dagster.ingestion.http.retries import RETRIED_STATUSES, RETRIES
from incidents_dagster.ingestion.plain_text import plain

# dlt's messages when the paginator's total or has_more is missing or has the wrong type
NOT_IN_ANSWER = re.compile(
    r"Expected a response with a `(?P<missing>[^`]+)` key|'(?P<odd>[^']+)' is not an? `(int|bool)`"
)

FAILING = 500
LONGEST_QUOTED = 200  # of what the API sends
KEY_REFUSED = (401, 403)
LIMITED = (403, 420)  # what some vendors answer in the place of 429
STATUS_HINTS = {
    400: "it rejects a parameter: check endpoint.params and the paginator in .dlt/config.toml",
    401: "the key was refused: check the secret and client.auth",
    403: "the key lacks permission to read this: check its permissions (a few APIs answer a wrong "
    "key so, too)",
    404: "there is nothing at this address, or nothing that the key may see: check "
    "client.base_url, endpoint.path and the key's permissions",
    407: "the proxy in HTTP_PROXY requires a user and password: add them there, or set NO_PROXY",
    429: "too many requests: sync less often or ask for a higher limit",
    501: "the API does not support this: check endpoint.method and endpoint.path",
}


def explain(error: BaseException) -> str:
    """One message for `error`: about the first known cause in its chain, else its innermost one.

    dlt wraps errors in exceptions of its own; the one that a user can act on is inside.
    """
    return plain(_explain(list(causes(error))))


def _explain(chain: list[BaseException]) -> str:
    for kind, describe in DESCRIPTIONS.items():
        for cause in chain:
            if isinstance(cause, kind) and (text := describe(cause)):
                return text
    innermost = chain[-1]
    first_line = next(iter(str(innermost).splitlines()), "")
    return f"{type(innermost).__name__}: {first_line[:300]}"


def _http_error(error: BaseException) -> str | None:
    response = getattr(error, "response", None)
    if response is None:
        return None
    address = response.url.split("?")[0]
    hint = STATUS_HINTS.get(response.status_code)
    if response.status_code in KEY_REFUSED:
        hint = getattr(response.request, "withheld", "") or hint
    if is_refused(response, LIMITED):
        hint = STATUS_HINTS[TOO_MANY]
    if hint is None:
        hint = "the API is failing" if response.status_code >= FAILING else "request refused"
    if response.status_code in RETRIED_STATUSES:
        hint += f" (tried {1 + RETRIES} times)"
    status = f"{response.status_code} {(response.reason or '')[:LONGEST_QUOTED]}".strip()
    said = said_by(response) if response.status_code < FAILING else ""
    quoted = f' The API says: "{said}"' if said else ""
    return f"{address} returned {status}: {hint}.{quoted}"


def _redirect(error: BaseException) -> str | None:
    response = getattr(error, "response", None)
    target = "" if response is None else response.headers.get("Location", "").split("?")[0]
    target = target[:LONGEST_QUOTED]
    return (
        f"The API redirects to {target or 'another address'}. Redirects are not followed, because "
        "the key would be sent along: set client.base_url and endpoint.path to the final address."
    )


def _paginator(error: BaseException) -> str | None:
    # dlt's own message ends with the whole page.
    if not (match := NOT_IN_ANSWER.search(str(error))):
        return None
    return (
        f"The paginator finds no usable {match['missing'] or match['odd']!r} in the API's "
        'response: set its total_path or has_more_path in .dlt/config.toml, or unset it with "".'
    )


# In order of precedence: our own messages first, then the API's faults, then the file's.
DESCRIPTIONS: dict[type[BaseException], Callable[[BaseException], str | None]] = {
    IngestionError: str,
    requests.TooManyRedirects: _redirect,
    requests.HTTPError: _http_error,
    requests.JSONDecodeError: lambda _: (
        "The API's response is not JSON: check client.base_url and endpoint.path "
        "(it may be a login page or a proxy's error page)."
    ),
    requests.RequestException: str,
    pa.ArrowInvalid: lambda error: (
        f"A record does not fit the table, so nothing was loaded: {error}."
    ),
    ValueError: _paginator,
    CannotCoerceNullException: lambda error: (
        f"A record lacks a required value, so nothing was loaded: {error}"
    ),
    duckdb.ConstraintException: lambda error: (
        f"The table rejected a row, so nothing was loaded: {str(error).splitlines()[0]} Drop the "
        "index or constraint that was added to the table, then sync again."
    ),
}
