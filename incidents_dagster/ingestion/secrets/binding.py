"""Where the API's secrets may go: each endpoint's to its own origin, over https unless allowed.

`auth` finds the secrets, `key_on_the_wire` adds them to requests.
"""

import base64
import ipaddress
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from dlt.sources.helpers.rest_client.auth import AuthConfigBase

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.secrets import redaction
from incidents_dagster.ingestion.secrets.auth import checked, resolve_auth
from incidents_dagster.ingestion.secrets.key_on_the_wire import KeyOnTheWire, host_of, origin_of

# Headers and parameters that hold a secret. `key` alone is one; `sort_key` is not.
SECRET_HEADER = re.compile("auth|key|token|secret|passw|pwd|cookie|credential|session|signature")
SECRET_PARAM = re.compile(
    r"(key|token|pwd|passw(or)?d|auth|authorization|.*secret|.*password"
    r"|.*(api|app|application|access|auth|subscription|private|license|account)[-_.]?(key|token))"
)
SCHEME = re.compile(r"(basic|bearer|token|apikey|geniekey|splunk|negotiate)\s+\S", re.IGNORECASE)


def bind_secrets(client: dict[str, Any], endpoints: list[dict[str, Any]], plain: bool) -> None:
    """Moves secrets from the settings of `client` and its endpoints into an auth for each endpoint.

    That auth signs requests to the endpoint's own origin and refuses all others. The secrets of
    `client` and the defaults are meant for `base_url`'s origin; an endpoint with an address
    elsewhere only gets its own. All headers are moved, as any of them may hold a secret, and the
    parameters whose name looks like a credential.

    Args:
        client: rest_api's `client`.
        endpoints: Every endpoint as a dict, that of `resource_defaults` last.
        plain: Whether secrets may go over plain http to a host that is not loopback.

    Raises:
        SettingsError: A secret is missing, or would go over plain http.
    """
    *own, defaults = endpoints
    base_url, own_headers = client["base_url"], [e.get("headers") for e in own]
    general = [_take(client, plain), _take(defaults, plain)]
    for endpoint, replaces_headers in zip(own, own_headers, strict=True):
        path, parts = str(endpoint.get("path", "")), [_take(endpoint, plain)]
        address = path if path.startswith(("http://", "https://")) else base_url
        if origin_of(address) == origin_of(base_url):
            parts = [*general, *parts]
            if replaces_headers:  # as in rest_api: they replace the defaults'
                parts[1] = replace(parts[1], headers={})
        auths = [part.auth for part in parts if part.auth]
        headers = {name: value for part in parts for name, value in part.headers.items()}
        params = {name: value for part in parts for name, value in part.params.items()}
        secret = auths or params or any(may_be_secret(*header) for header in headers.items())
        _refuse_plain("The API's address", address, plain or not secret)
        endpoint["auth"] = KeyOnTheWire(auths[-1] if auths else None, address, headers, params)


@dataclass(frozen=True)
class _Part:
    """What one table of the settings adds to a request when it is sent."""

    auth: AuthConfigBase | None
    headers: dict[str, str]
    params: dict[str, str]


def _take(holder: dict[str, Any], plain: bool) -> _Part:
    auth = holder.pop("auth", None)
    if isinstance(auth, dict) and (token_url := auth.get("access_token_url")):
        _refuse_plain("client.auth.access_token_url", str(token_url), plain)
    headers = _take_plain_texts(holder, "headers", lambda _: True)
    params = _take_plain_texts(holder, "params", SECRET_PARAM.fullmatch)
    for name, value in headers.items():
        if may_be_secret(name, value):
            redaction.remember(value, *_last_part(value))
    redaction.remember(*params.values())
    for part in ("json", "data"):  # sent to the origin only, like the whole request
        body = holder.get(part)
        for name, value in body.items() if isinstance(body, dict) else ():
            if isinstance(value, str) and SECRET_PARAM.fullmatch(name.lower()):
                redaction.remember(value)
    return _Part(None if auth is None else resolve_auth(auth), headers, params)


def _take_plain_texts(
    holder: dict[str, Any], table: str, wanted: Callable[[str], Any]
) -> dict[str, str]:
    """Removes entries from `holder[table]`, except those that contain rest_api's placeholders."""
    entries = holder.get(table)
    if not isinstance(entries, dict):
        return {}
    taken = {
        name: value
        for name, value in entries.items()
        if isinstance(value, (str, int)) and "{" not in str(value) and wanted(str(name).lower())
    }
    holder[table] = {name: value for name, value in entries.items() if name not in taken}
    return {str(name): checked(f"{table}.{name}", value) for name, value in taken.items()}


def is_credential(name: str) -> bool:
    """Whether a parameter's name looks like that of a credential."""
    return bool(SECRET_PARAM.fullmatch(name.lower()))


def may_be_secret(name: str, value: str) -> bool:
    """Whether a header may hold a secret."""
    return bool(SECRET_HEADER.search(name.lower()) or SCHEME.match(value))


def _last_part(value: str) -> list[str]:
    """The secret part of a header: `abc` of `Token token=abc`; of `Basic …`, the password too."""
    part = re.split(r"[\s=:;,\"]+", value.rstrip('=" '))[-1]
    if value.lower().startswith("basic "):
        with suppress(ValueError):
            pair = base64.b64decode(value.rsplit(maxsplit=1)[-1]).decode()
            return [part, *pair.split(":", 1)[1:]]
    return [part]


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
            "could read the key. Use https, or set allow_plain_http = true in [sources.incidents]."
        )
