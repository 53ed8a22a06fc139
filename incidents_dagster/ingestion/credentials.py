"""The API's secrets: where they are looked for, and how they stay out of texts.

rest_api's `auth` says which kind; the secret itself is read here, when a sync starts,
and goes to `transport`, which puts it on the wire.
"""

from typing import Any
from urllib.parse import quote, quote_plus

import dlt
from dlt.sources.helpers.rest_client.auth import AuthConfigBase
from dlt.sources.rest_api.config_setup import create_auth

from incidents_dagster.ingestion.errors import SettingsError

# rest_api's auth types and the fields of each that may come from dlt.secrets.
SECRET_FIELDS = {
    "api_key": ("api_key",),
    "bearer": ("token",),
    "http_basic": ("username", "password"),
    "oauth2_client_credentials": ("client_id", "client_secret"),
}


def resolve_auth(auth: Any) -> AuthConfigBase:
    """Makes rest_api's `auth` complete with what is secret: `dlt.secrets["api_key"]` and its like.

    Raises:
        SettingsError: A secret is nowhere, or rest_api does not know such an auth.
    """
    config: Any = {"type": auth} if isinstance(auth, str) else {"type": "bearer", **auth}
    for field in SECRET_FIELDS.get(config["type"], ()):
        if not config.get(field):
            config[field] = _secret(field, config["type"])
    try:
        resolved = create_auth(config)
    except (ValueError, TypeError, KeyError) as error:
        raise SettingsError(f"client.auth of [sources.incidents]: {redact(str(error))}") from None
    assert resolved  # None is only for no auth at all
    return resolved


def redact(text: str, auth: AuthConfigBase | None = None) -> str:
    """`text` with every secret value in it replaced by ***, percent-encoded ones too."""
    fields = {field for names in SECRET_FIELDS.values() for field in names} - {"username"}
    values = {str(dlt.secrets.get(field) or "") for field in fields}
    values |= {str(getattr(auth, field, None) or "") for field in fields}
    for value in sorted(values - {""}, key=len, reverse=True):
        for form in (value, quote(value, safe=""), quote_plus(value)):
            text = text.replace(form, "***")
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
