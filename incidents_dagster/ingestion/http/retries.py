"""What is retried, how often, and after how long, for all requests.

`rate_limits` reads what the API says about its limit; `pace` decides when an attempt may start
beside others.
"""

from collections.abc import Collection

import requests
from dlt.sources.helpers.requests.retry import wait_exponential_retry_after
from requests.exceptions import ChunkedEncodingError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_any,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

from incidents_dagster.ingestion.http import rate_limits

FAILING = (500, 502, 503, 504)
RETRIED_STATUSES = (rate_limits.TOO_MANY, *FAILING)
RETRIED_ERRORS = (requests.ConnectionError, requests.Timeout, ChunkedEncodingError)
RETRIES = 3
BACKOFF_FACTOR = 2  # waits of 2, 4 and 8 seconds, unless Retry-After says otherwise
MOST_SECONDS = 86_400.0  # a longer Retry-After counts as this, which is longer than any sync


class _Wait(wait_exponential_retry_after):
    def __call__(self, retry_state: RetryCallState) -> float:
        response = _response(retry_state)
        try:
            limited = response is not None and response.status_code not in FAILING
            if response is not None and limited and "Retry-After" not in response.headers:
                seconds = rate_limits.seconds_to_wait(response)
                if seconds is not None:
                    return min(self.max, seconds)
            return super().__call__(retry_state)
        except (ValueError, OverflowError):  # a Retry-After of the year 99999, or of 5,000 digits
            return wait_exponential.__call__(self, retry_state)


def _response(state: RetryCallState) -> requests.Response | None:
    if not state.outcome:
        return None
    if error := state.outcome.exception():
        return getattr(error, "response", None)
    result = state.outcome.result()
    return result if isinstance(result, requests.Response) else None


def may_pass(error: BaseException, also: Collection[int] = ()) -> bool:
    """Whether an error is one of those that are retried; `also` as in `retrying`."""
    response = getattr(error, "response", None)
    return isinstance(error, RETRIED_ERRORS) or (response is not None and _may(response, also))


def _may(response: requests.Response, also: Collection[int]) -> bool:
    return response.status_code in FAILING or rate_limits.is_refused(response, also)


def retrying(also: Collection[int] = ()) -> Retrying:
    """Tenacity's loop for one request: `copy(sleep=…)` it and call it with the attempt.

    The last response or error is passed on unchanged.

    Args:
        also: Further statuses that mean what 429 does.
    """

    def is_retried(state: RetryCallState) -> bool:
        response = _response(state)
        return response is not None and _may(response, also)

    return Retrying(
        retry=retry_any(is_retried, retry_if_exception_type(RETRIED_ERRORS)),
        wait=_Wait(multiplier=BACKOFF_FACTOR, max=MOST_SECONDS),
        stop=stop_after_attempt(1 + RETRIES),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
