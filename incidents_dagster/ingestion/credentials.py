"""The API's secrets: where they are looked for, and how they stay out of texts.

rest_api's `auth` says which kind; the secret itself is read here, when a sync starts,
and goes to `transport`, which puts it on the wire.
"""

import re
from typing import Any
from urllib.parse import quote, quote_plus

import dlt
from dlt.common.validation import validate_dict
from dlt.sources.helpers.requests import Session
from dlt.sources.helpers.rest_client.auth import AuthConfigBase, OAuth2ClientCredentials
from dlt.sources.rest_api.config_setup import create_auth
from dlt.sources.rest_api.typing import ClientConfig

from incidents_dagster.ingestion.errors import SettingsError

# rest_api's auth types and the fields of each that may come from dlt.secrets.
SECRET_FIELDS = {
    "api_key": ("api_key",),
    "bearer": ("token",),
    "http_basic": ("password",),
    "oauth2_client_credentials": ("client_id", "client_secret"),
}
# Never shown. A client_id is no secret by itself, and tends to be a word of other texts.
REDACTED_FIELDS = ("api_key", "token", "password", "client_secret", "access_token")
# Shorter values are left in texts: they would blot out parts of ordinary words.
SHORTEST_REDACTED = 6

_resolved: set[str] = set()


def check_auth(auth: Any) -> None:
    """Checks rest_api's `auth` as far as that goes without its secrets.

    Raises:
        DictValidationException, ValueError: rest_api does not take it.
    """
    if isinstance(auth, dict):
        fields = SECRET_FIELDS.get(auth.get("type", "bearer"), ())
        auth = {"type": "bearer", **dict.fromkeys(fields, ""), **auth}
        if auth.get("location") == "cookie":
            raise ValueError("client.auth: dlt has not implemented location 'cookie'")
    if auth is not None:
        validate_dict(ClientConfig, {"auth": auth}, path="./client")


def resolve_auth(auth: Any) -> AuthConfigBase:
    """Makes rest_api's `auth` complete with what is secret: `dlt.secrets["api_key"]` and its like.

    Raises:
        SettingsError: A secret is nowhere, or rest_api does not know such an auth.
    """
    config: Any = {"type": auth} if isinstance(auth, str) else {"type": "bearer", **auth}
    for field in SECRET_FIELDS.get(config["type"], ()):
        config[field] = _checked(field, config.get(field) or _secret(field, config["type"]))
    try:
        resolved = create_auth(config)
    except (ValueError, TypeError, KeyError) as error:
        first_line = redact(str(error).splitlines()[0])
        raise SettingsError(f"client.auth of [sources.incidents]: {first_line}") from None
    assert resolved  # None is only for no auth at all
    if isinstance(resolved, OAuth2ClientCredentials):
        # dlt's own session would retry within our retries, and take the secret along redirects.
        resolved.session = Session(raise_for_status=False)
        resolved.session.max_redirects = 0
    _resolved.update(str(config[field]) for field in REDACTED_FIELDS if config.get(field))
    return resolved


def redact(text: str) -> str:
    """`text` with every secret value that is known in it replaced by ***.

    Known is what `dlt.secrets` has at top level now, and what `resolve_auth` has made use of;
    plain and percent-encoded.
    """
    values = _resolved | {str(dlt.secrets.get(field) or "") for field in REDACTED_FIELDS}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= SHORTEST_REDACTED:
            forms = {value, quote(value, safe=""), quote_plus(value)}
            text = re.sub("|".join(map(re.escape, forms)), "***", text, flags=re.IGNORECASE)
    return text


def _checked(field: str, value: Any) -> str:
    # A key read from a file tends to end in a newline, and http's own error would show the key.
    text = str(value).strip()
    if not text.isprintable():
        raise SettingsError(f"{field} has characters in it that no key has, such as a newline.")
    return text


def _secret(field: str, auth_type: str) -> str:
    value = dlt.secrets.get(field, str)
    if not value:
        places = ", ".join(dlt.secrets.writable_provider.locations)
        raise SettingsError(
            f"{field} is missing: [sources.incidents.client.auth] of type {auth_type!r} needs it, "
            f"and it is neither in the environment ({field.upper()}) nor at the top level of "
            f"{places}. Set one of them."
        )
    return str(value)
