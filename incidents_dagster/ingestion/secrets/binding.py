"""Where the API's secrets may go: each endpoint's to its own origin, over https unless allowed.

`auth` finds the secrets, `key_on_the_wire` adds them to requests.
"""

import base64
import ipaddress
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dlt.sources.helpers.rest_client.auth import AuthConfigBase

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.secrets import redaction
from incidents_dagster.ingestion.secrets.auth import checked, resolve_auth
from incidents_dagster.ingestion.secrets.key_on_the_wire import KeyOnTheWire, host_of, origin_of
from incidents_dagster.ingestion.secrets.names import (
    credentials_in,
    is_credential,
    may_be_secret,
    parts_of_header,
)
from incidents_dagster.ingestion.secrets.placeholders import has_placeholder, undoubled
from incidents_dagster.ingestion.settings_files import SourceSection


def bind_secrets(
    client: dict[str, Any],
    endpoints: list[dict[str, Any]],
    plain: bool,
    section: SourceSection,
) -> None:
    """Moves secrets from the settings of `client` and its endpoints into an auth for each endpoint.

    That auth signs requests to the endpoint's own origin and refuses all others. The secrets of
    `client` and the defaults are meant for `base_url`'s origin; an endpoint with an address
    elsewhere only gets its own. All headers are moved, as any of them may hold a secret, and the
    parameters whose name looks like a credential.

    Args:
        client: rest_api's `client`.
        endpoints: Every endpoint as a dict, that of `resource_defaults` last.
        plain: Whether secrets may go over plain http to a host that is not loopback.
        section: The source that they are of.

    Raises:
        SettingsError: A secret is missing, or would go over plain http.
    """
    *own, defaults = endpoints
    base_url, own_headers = client["base_url"], [e.get("headers") for e in own]
    general = [_take(client, plain, section), _take(defaults, plain, section)]
    for endpoint, replaces_headers in zip(own, own_headers, strict=True):
        path, parts = str(endpoint.get("path", "")), [_take(endpoint, plain, section)]
        address = path if path.startswith(("http://", "https://")) else base_url
        withheld = ""
        if origin_of(address) == origin_of(base_url):
            parts = [*general, *parts]
            if replaces_headers:  # as in rest_api: they replace the defaults'
                parts[1] = replace(parts[1], headers={})
        elif any(part.secret for part in general) and not parts[0].secret:
            withheld = (
                "it got no key, because that of client.auth and the defaults is for another "
                f"address, {host_of(base_url)}: give the endpoint an auth of its own"
            )
        auths = [part.auth for part in parts if part.auth]
        headers = {name: value for part in parts for name, value in part.headers.items()}
        params = {name: value for part in parts for name, value in part.params.items()}
        secret = any(part.secret for part in parts)
        _refuse_plain("The API's address", address, plain or not secret)
        auth = auths[-1] if auths else None
        endpoint["auth"] = KeyOnTheWire(auth, address, headers, params, withheld)


@dataclass(frozen=True)
class _Part:
    """What one table of the settings adds to a request when it is sent.

    Attributes:
        secret: Whether it has any secret, also one that stays where it is.
    """

    auth: AuthConfigBase | None
    headers: dict[str, str]
    params: dict[str, str]
    secret: bool


def _take(holder: dict[str, Any], plain: bool, section: SourceSection) -> _Part:
    auth = holder.pop("auth", None)
    if isinstance(auth, dict) and (token_url := auth.get("access_token_url")):
        _refuse_plain("client.auth.access_token_url", str(token_url), plain)
    # A path's query and a body go to the origin only, like the whole request.
    query = dict(parse_qsl(urlsplit(str(holder.get("path", ""))).query))
    sent = [query, *(holder.get(part) for part in ("params", "json", "data"))]
    found = [credential for tree in sent for credential in credentials_in(tree)]
    for name, value in found:
        if not has_placeholder(value, holder.get("params")):
            redaction.remember(undoubled(value), sent_as=name)
    headers = _take_texts(holder, "headers", lambda _: True)
    params = _take_texts(holder, "params", is_credential)
    secret_headers = [header for header in headers.items() if may_be_secret(*header)]
    for name, value in secret_headers:
        for part, text, certain in parts_of_header(name, value):
            redaction.remember(text, in_records=certain, sent_as=part if certain else "")
        redaction.remember(*_password(value))
    resolved = None if auth is None else resolve_auth(auth, section)
    return _Part(resolved, headers, params, bool(auth or found or secret_headers))


def _take_texts(
    holder: dict[str, Any], table: str, wanted: Callable[[str], bool]
) -> dict[str, str]:
    """Removes entries from `holder[table]`, except those that contain rest_api's placeholders."""
    entries = holder.get(table)
    if not isinstance(entries, dict):
        return {}
    taken = {
        name: value
        for name, value in entries.items()
        if isinstance(value, (str, int))
        and not has_placeholder(str(value), holder.get("params"))
        and wanted(str(name))
    }
    holder[table] = {name: value for name, value in entries.items() if name not in taken}
    return {
        str(name): checked(
            f"{table}.{name}",
            undoubled(str(value)),
            header=table == "headers",
            blank=not is_credential(str(name)),
        )
        for name, value in taken.items()
    }


def _password(header: str) -> list[str]:
    """The password in the value of a header `Basic …`."""
    if header.lower().startswith("basic "):
        with suppress(ValueError):
            return base64.b64decode(header.rsplit(maxsplit=1)[-1]).decode().split(":", 1)[1:]
    return []


def _refuse_plain(what: str, address: str, allowed: bool) -> None:
    parts = urlsplit(address)
    shown = host_of(address)
    if parts.username or parts.password:
        raise SettingsError(
            f"{what} at {shown} contains a user or a password: put credentials in client.auth."
        )
    host = parts.hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost" or host.endswith(".localhost")
    if parts.scheme == "http" and not loopback and not allowed:
        raise SettingsError(
            f"{what}, {shown}, is plain http and not on this machine, so anyone in between "
            "could read the key. Use https, or set allow_plain_http = true in .dlt/config.toml."
        )
