"""What is retried, how often, and after how long, for all requests.

`pace` decides when an attempt may start beside others.
"""

import requests
from dlt.sources.helpers.requests.retry import retry_if_status, wait_exponential_retry_after
from requests.exceptions import ChunkedEncodingError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_any,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

RETRIED_STATUSES = (429, 500, 502, 503, 504)
RETRIED_ERRORS = (requests.ConnectionError, requests.Timeout, ChunkedEncodingError)
RETRIES = 3
BACKOFF_FACTOR = 2  # waits of 2, 4 and 8 seconds, unless Retry-After says otherwise
MOST_SECONDS = 86_400.0  # a longer Retry-After counts as this, which is longer than any sync


class _Wait(wait_exponential_retry_after):
    def __call__(self, retry_state: RetryCallState) -> float:
        try:
            return super().__call__(retry_state)
        except (ValueError, OverflowError):  # a Retry-After of the year 99999, or of 5,000 digits
            return wait_exponential.__call__(self, retry_state)


def may_pass(error: BaseException) -> bool:
    """Whether an error is one of those that are retried."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(error, RETRIED_ERRORS) or status in RETRIED_STATUSES


def retrying() -> Retrying:
    """Tenacity's loop for one request: `copy(sleep=…)` it and call it with the attempt.

    The last response or error is passed on unchanged.
    """
    return Retrying(
        retry=retry_any(retry_if_status(RETRIED_STATUSES), retry_if_exception_type(RETRIED_ERRORS)),
        wait=_Wait(multiplier=BACKOFF_FACTOR, max=MOST_SECONDS),
        stop=stop_after_attempt(1 + RETRIES),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
