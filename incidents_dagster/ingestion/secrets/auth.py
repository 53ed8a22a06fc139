"""Where the API's secrets are found.

rest_api's `auth` says which kind; the secret itself is read here, when a sync starts. `binding`
decides where it may go, `transport` sends it, `redaction` removes it from texts.
"""

import base64
import re
from typing import Any

from dlt.common.configuration import configspec
from dlt.common.validation import validate_dict
from dlt.sources.helpers.requests import Session
from dlt.sources.helpers.rest_client.auth import AuthConfigBase, OAuth2ClientCredentials
from dlt.sources.rest_api.config_setup import create_auth
from dlt.sources.rest_api.typing import ClientConfig

from incidents_dagster.ingestion.errors import IngestionError, SettingsError
from incidents_dagster.ingestion.secrets import redaction
from incidents_dagster.ingestion.secrets.names import credentials_in
from incidents_dagster.ingestion.secrets.spellings import is_unmistakable
from incidents_dagster.ingestion.settings_files import SourceSection

# A header whose key is missing.
SCHEME_ALONE = re.compile("basic|bearer|token|apikey|geniekey|splunk", re.IGNORECASE)
# rest_api's auth types and the fields of each that may come from dlt.secrets.
SECRET_FIELDS = {
    "api_key": ("api_key",),
    "bearer": ("token",),
    "http_basic": ("password",),
    "oauth2_client_credentials": ("client_id", "client_secret"),
}

# What stands before the key of an `api_key`, such as "Token token="; no key of rest_api's.
PREFIX = "prefix"


def check_auth(auth: Any) -> None:
    """Checks rest_api's `auth` as far as possible without its secrets.

    Raises:
        DictValidationException, ValueError: rest_api rejects it.
    """
    if isinstance(auth, dict):
        # Before any message is made of it.
        _remember_all(auth)
        kind = str(auth.get("type", "bearer"))
        fields = SECRET_FIELDS.get(kind, ())
        auth = {"type": "bearer", **dict.fromkeys(fields, ""), **auth}
        prefix = auth.pop(PREFIX, "") if kind == "api_key" else ""
        if not isinstance(prefix, str):
            raise ValueError(f"client.auth.{PREFIX} must be a text, such as 'Token token='")
        if auth.get("location") == "cookie":
            raise ValueError("client.auth: dlt has not implemented location 'cookie'")
    if auth is not None:
        validate_dict(ClientConfig, {"auth": auth}, path="./client")


def resolve_auth(auth: Any, section: SourceSection) -> AuthConfigBase:
    """Completes rest_api's `auth` with its secrets, such as `dlt.secrets["api_key"]`.

    Args:
        auth: As configured.
        section: Whose it is; no secret of another source is looked at.

    Raises:
        SettingsError: A secret is missing, or rest_api does not know this auth.
    """
    config: Any = {"type": auth} if isinstance(auth, str) else {"type": "bearer", **auth}
    prefix = config.pop(PREFIX, "") if config["type"] == "api_key" else ""
    for field in SECRET_FIELDS.get(config["type"], ()):
        given = str(config.get(field) or "")
        config[field] = checked(
            field,
            given if given.strip() else _secret(field, config["type"], section),
            header=config["type"] == "bearer" or config.get("location", "header") == "header",
        )
    _remember_all(config)
    if prefix:
        config["api_key"] = f"{prefix}{config['api_key']}"
    if config["type"] == "http_basic":
        if not config.get("username"):
            raise SettingsError(
                f"client.auth.username is missing in {section.where()}: whose password it is."
            )
        pair = f"{config.get('username')}:{config['password']}".encode()
        redaction.remember(base64.b64encode(pair).decode().rstrip("="))  # even if both are short
        if not is_unmistakable(config["password"]):  # `x`: some APIs take the key as the user
            redaction.remember(config.get("username") or "")
    try:
        resolved = create_auth(config)
    except (ValueError, TypeError, KeyError) as error:
        first_line = redaction.redact(str(error).splitlines()[0])
        raise SettingsError(f"client.auth of [{section.name}]: {first_line}") from None
    assert resolved  # None only without any auth
    if isinstance(resolved, OAuth2ClientCredentials):
        resolved.__class__ = _ClientCredentials
        resolved.session = _token_session()
    return resolved


@configspec
class _ClientCredentials(OAuth2ClientCredentials):
    """dlt's own, but remembers each access token as a secret."""

    def parse_access_token(self, response_json: Any) -> str:
        token = response_json.get("access_token") if isinstance(response_json, dict) else None
        if not token:
            raise IngestionError(
                f"{self.access_token_url.split('?')[0]} returned no access_token: check "
                "access_token_url and access_token_request_data of client.auth."
            )
        redaction.remember(token)
        return str(token)


def _token_session() -> Session:
    # dlt's own would retry within our retries, and send the secret along redirects.
    session = Session(raise_for_status=False)
    session.max_redirects = 0
    # A no-op instead of requests' default, which would take a password from ~/.netrc.
    session.auth = lambda request: request
    # A good response holds the token that is needed; a bad one ends up in the exception.
    session.hooks["response"] = [lambda r, **_: None if r.ok else redaction.clean(r)]
    return session


def _remember_all(auth: dict[str, Any]) -> None:
    for field, value in credentials_in(auth):
        redaction.remember(value.strip(), sent_as=str(auth.get("name") or field))


def checked(field: str, value: Any, header: bool = False, blank: bool = False) -> str:
    """A secret as text, without surrounding white space.

    Args:
        field: What a message calls it.
        value: The secret.
        header: Whether it goes into a header.
        blank: Whether it may be blank.

    Raises:
        SettingsError: It is blank, or cannot be sent.
    """
    # A key read from a file often ends in a newline, and http's own error would show the key.
    text = str(value).strip()
    if not text.isprintable():
        raise SettingsError(f"{field} contains characters that no key can have, such as a newline.")
    if not blank and (not text or SCHEME_ALONE.fullmatch(text)):
        raise SettingsError(f"{field} is blank: set it to the key, or remove it.")
    if header and not text.isascii():
        try:
            text.encode("latin-1")
        except UnicodeEncodeError as error:
            raise SettingsError(
                f"{field} has a character at position {error.start + 1} that no header can hold: "
                "copy the key again, without dashes or quotes that a text editor has changed."
            ) from None
    return text


def _secret(field: str, auth_type: str, section: SourceSection) -> str:
    value = section.secret(field)
    if not value.strip():
        raise SettingsError(
            f"{field} is missing: [{section.name}.client.auth] of type {auth_type!r} needs it, "
            f"and it is neither in {section.places_of(field)}. Set one of them."
        )
    return value
