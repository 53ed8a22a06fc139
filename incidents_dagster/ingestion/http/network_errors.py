"""What went wrong on the way to the API, in one sentence, without the query and the key.

`explain` says what the API's statuses mean.
"""

import http.client
import ssl
from collections.abc import Callable, Iterator

import requests
from urllib3 import exceptions as urllib3_errors

NOT_HTTP = "check the scheme and the port of client.base_url, and any proxy in between"


def describe(
    error: requests.RequestException, request: requests.Request | requests.PreparedRequest
) -> str:
    """The sentence for `error`, which `request` raised."""
    address = str(request.url).split("?")[0]
    if error.response is not None:
        return f"{address} returned {error.response.status_code}."
    causes = list(_nested(error))
    for kind, say in SENTENCES.items():
        for cause in causes:
            if isinstance(cause, kind):
                return f"{address} {say(cause)}."
    # urllib3's messages end with the system's own text; the part before it names the address.
    innermost = next((cause for cause in causes[::-1] if str(cause)), error)
    said = str(innermost).rpartition(": ")[2].split("?")[0]
    return (
        f"{address} cannot be reached: {said or type(error).__name__} "
        f"({type(error).__name__}). Check client.base_url and that the API is up."
    )


def _nested(error: BaseException) -> Iterator[BaseException]:
    """`error` and its causes, outermost first: requests and urllib3 keep them in `args`."""
    found = [error]
    for cause in found:  # grows meanwhile
        yield cause
        inner = (*cause.args, getattr(cause, "reason", None))
        found += [e for e in inner if isinstance(e, BaseException) and e not in found]


def _certificate(error: BaseException) -> str:
    said = getattr(error, "verify_message", "") or "unknown reason"
    return (
        f"has a certificate that cannot be verified: {said.rstrip('.')}. Check client.base_url; "
        "for a private certificate authority, set REQUESTS_CA_BUNDLE to its certificate file"
    )


def _tls(error: BaseException) -> str:
    found = (getattr(cause, "reason", None) for cause in _nested(error))
    said = next((reason for reason in found if isinstance(reason, str)), "no TLS on this port")
    return f"failed the TLS handshake ({said}): {NOT_HTTP}"


def _proxy(error: BaseException) -> str:
    said = [str(cause) for cause in _nested(error)][-1].rpartition(": ")[2]
    return (
        f"cannot be reached through the proxy: {said.rstrip('.') or type(error).__name__}. Check "
        "HTTPS_PROXY, HTTP_PROXY and NO_PROXY in the environment"
    )


# In order of precedence; no sentence shows what the server sent.
SENTENCES: dict[type[BaseException], Callable[[BaseException], str]] = {
    requests.exceptions.ProxyError: _proxy,
    ssl.SSLCertVerificationError: _certificate,
    requests.exceptions.SSLError: _tls,
    requests.Timeout: lambda error: f"did not respond in time ({type(error).__name__})",
    urllib3_errors.ReadTimeoutError: lambda _: "stalled mid-response",
    requests.exceptions.ChunkedEncodingError: lambda _: "dropped the connection mid-response",
    requests.exceptions.ContentDecodingError: lambda _: (
        "sent a response that cannot be decoded: check any proxy in between"
    ),
    requests.exceptions.InvalidHeader: lambda _: (
        "sent contradictory headers: check any proxy in between"
    ),
    urllib3_errors.NameResolutionError: lambda _: (
        "cannot be reached: unknown host name. Check client.base_url and the network"
    ),
    http.client.RemoteDisconnected: lambda _: (
        "closed the connection without responding: check that the API is up, and any proxy in "
        "between"
    ),
    ConnectionResetError: lambda _: "reset the connection before the response was complete",
    http.client.HTTPException: lambda error: (
        f"sent something that is not HTTP ({type(error).__name__}): {NOT_HTTP}"
    ),
}
