"""Which secrets a request gets when it is sent, and to which server it may go.

rest_api prepares requests without a key; `http.transport` sends a signed copy of each.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus, urlsplit, urlunsplit

import requests
from dlt.sources.helpers.rest_client.auth import APIKeyAuth, AuthConfigBase

DEFAULT_PORTS = {"http": 80, "https": 443}


class KeyOnTheWire(AuthConfigBase):
    """Stands in for the real auth while rest_api prepares a request, so that it holds no key.

    Marks requests to the endpoint's own origin; `http.transport.ApiAdapter` signs them when they
    are sent. Any other origin is refused: a response may not send the sync to another server.

    Args:
        auth: The real auth, if there is any.
        address: The endpoint's address, or the API's.
        headers: Sent with each request; `auth` overrides them.
        params: Query parameters sent with each request.
        withheld: Why the endpoint gets no key, if there is one that is meant for another origin.
    """

    def __init__(
        self,
        auth: AuthConfigBase | None,
        address: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        withheld: str = "",
    ) -> None:
        super().__init__()
        self._auth, self._headers, self._params = auth, dict(headers or {}), dict(params or {})
        self._names = set(self._params)
        if isinstance(auth, APIKeyAuth) and auth.location in ("query", "param"):
            self._names.add(auth.name)
        self._address, self._withheld = address, withheld
        self.resolve()

    def __deepcopy__(self, memo: dict[int, Any]) -> "KeyOnTheWire":
        return self  # rest_api copies its configuration, and one token serves all

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        url = str(request.url)
        if origin_of(url) != origin_of(self._address):
            raise requests.exceptions.InvalidURL(
                f"The API's response leads to {host_of(url)}, a different host from "
                f"{host_of(self._address)}. It is not contacted, because the key is not meant for "
                "it: check client.base_url and the paginator."
            )
        request.url = self._without_key(url)
        request.sign = self._sign  # type: ignore[attr-defined]
        request.withheld = self._withheld  # type: ignore[attr-defined]
        return request

    def _without_key(self, url: str) -> str:
        """`url` without the key, which a next link may repeat, and which is added when sending."""
        parts = urlsplit(url)
        query = parts.query.split("&")
        kept = [p for p in query if unquote_plus(p.partition("=")[0]) not in self._names]
        return url if kept == query else urlunsplit(parts._replace(query="&".join(kept)))

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        if self._params:
            request.prepare_url(request.url, self._params)
        return self._auth(request) if self._auth else request


def origin_of(url: str) -> tuple[str, str, int | None]:
    """What is equal for two addresses of the same server."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)


def host_of(url: str) -> str:
    """Scheme, host and port of `url` as a message may show them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
