"""Redacts secret values in texts, logs, responses and records.

Knows only the values and what they are sent as: `auth` and `binding` find them and decide where
they go, `spellings` says how they may be written.

Texts are cleaned of every value. Records are data: they lose a whole secret that the API repeats,
never a mere part of one, and a short or ordinary one only beside the name of a credential.
"""

import json
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from threading import RLock

import dlt
import requests

from incidents_dagster.ingestion.secrets.names import is_credential
from incidents_dagster.ingestion.secrets.spellings import (
    beside_name,
    in_records,
    in_text,
    is_unmistakable,
    signs,
)

# Top-level names of dlt.secrets. A client_id is no secret by itself, and often an ordinary word.
SECRETS = ("api_key", "token", "password", "client_secret", "access_token")
GONE = "***"
# A process that lives for months sees many access tokens; a body is searched for each value.
MOST_VALUES = 64
LOGGERS = ("dlt", "urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry")

# What stands before the value of a name, in a link or in JSON, and how far it may reach.
NAMED = re.compile(
    rb"(?:%(?:25)*(?:26|3F)|u0026|u003f|^|[^\w.\[\]-])(?P<name>[\w.\[\]-]+)"
    rb"(?:(?P<link>=|%(?:25)*3D|\\+u003d)"
    rb"|\\*\"\s*:\s*(?:(?P<quote>\\*\")(?:(?:bearer|basic|token|apikey|geniekey|splunk)\s+)?)?)$",
    re.IGNORECASE,
)
REACH = 120
BEFORE = (b"=", b'"', b":", b" ", b"D", b"d")
FIELDS = re.compile(
    rb"(?<![\w.\[\]-])([\w.\[\]-]{1,64})(?:=|%(?:25)*3D|\\+u003d|\\*\"\s*:)", re.IGNORECASE
)
ENCODED = re.compile(rb"(?:25)*(?:26|3F)|u0026|u003f", re.IGNORECASE)
NUMBER_ENDS = re.compile(rb"\s*[,}\]]")


@dataclass(frozen=True)
class _Known:
    """What to search for.

    Attributes:
        in_text: Every value, in texts.
        in_records: Values that no record has by chance.
        beside_name: The other ones.
        signs: Groups of parts; a body without a complete group contains no value.
    """

    in_text: re.Pattern[str]
    in_records: re.Pattern[bytes] | None
    beside_name: re.Pattern[bytes] | None
    signs: tuple[tuple[bytes, ...], ...]


_values: dict[str, bool] = {}  # value → whether records are searched for it; the oldest first
_names: set[str] = set()  # further names that a secret is sent as
_known: _Known | None = None  # made of the values when needed
_changing = RLock()


def remember(*values: object, in_records: bool = True, sent_as: str = "") -> None:
    """Registers values as secret, from now on and for the whole process.

    Args:
        values: The values; empty ones are left out.
        in_records: False for what is only a part of a secret, or only may be one.
        sent_as: Name of the parameter or header that holds them.
    """
    global _known  # noqa: PLW0603
    with _changing:
        before = list(_values.items())
        for value in map(str, values):
            if value:
                _values[value] = _values.pop(value, False) or in_records
        while len(_values) > MOST_VALUES:
            del _values[next(iter(_values))]
        if list(_values.items()) != before:
            _known = None
        if sent_as and sent_as.lower() not in _names:
            _names.add(sent_as.lower())
            _is_secrets_name.cache_clear()


def redact(text: str) -> str:
    """`text` with *** instead of every secret value.

    These are the current top-level values of `dlt.secrets`, and all remembered ones.
    """
    _remember_top_level()
    return _without_known(text)


def redact_record(text: str) -> str:
    """A record as JSON with *** instead of every whole secret; the same text if it has none."""
    _remember_top_level()
    return _record_without_known(text)


def redact_body(body: bytes) -> bytes:
    """A response's body with *** instead of every whole secret; the same object if it has none."""
    if not (known := _what_is_known()):
        return body
    if b"\0" in body[:4]:  # JSON with two or four bytes per character
        encoding = json.detect_encoding(body)
        with suppress(UnicodeError):
            text = body.decode(encoding)
            cleaned = redact_body(text.encode()).decode()
            return body if cleaned == text else cleaned.encode(encoding)
    if not any(all(part in body for part in sign) for sign in known.signs):
        return body
    cleaned_body = body
    if known.in_records:
        cleaned_body = known.in_records.sub(GONE.encode(), cleaned_body)
    if known.beside_name and _names_a_secret(cleaned_body):
        cleaned_body = known.beside_name.sub(_gone_beside_name, cleaned_body)
    return body if cleaned_body == body else cleaned_body


def clean(response: requests.Response) -> None:
    """Redacts the known values in `response`: its body, its headers, its reason."""
    # Where requests keeps a body that has been read; there is no public way to replace it.
    response._content = redact_body(response.content)
    for name, value in list(response.headers.items()):
        # As in records: a key `2` may not cost `Link: </x?page=2>` its page.
        if (cleaned := _record_without_known(value)) != value:
            response.headers[name] = cleaned
    if isinstance(response.reason, str):
        response.reason = _without_known(response.reason)


def watch_logs() -> None:
    """Redacts known values and queries in the logs of dlt and urllib3; idempotent."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_clean_record)


def _clean_record(record: logging.LogRecord) -> bool:
    if record.name != "dlt" and isinstance(record.args, tuple):  # urllib3 logs whole addresses
        record.args = tuple(a.split("?")[0] if isinstance(a, str) else a for a in record.args)
    text = record.getMessage()
    if (cleaned := _without_known(text)) != text:
        record.msg, record.args = cleaned, ()
    return True


def _remember_top_level() -> None:
    for name in SECRETS:
        remember(dlt.secrets.get(name) or "")


def _without_known(text: str) -> str:
    return known.in_text.sub(GONE, text) if (known := _what_is_known()) else text


def _record_without_known(text: str) -> str:
    body = text.encode("utf-8", "surrogatepass")
    cleaned = redact_body(body)
    return text if cleaned is body else cleaned.decode("utf-8", "surrogatepass")


def _what_is_known() -> _Known | None:
    global _known  # noqa: PLW0603
    if _known is None and _values:
        with _changing:
            values = sorted(_values, key=len, reverse=True)  # wholes before their parts
            searched = [value for value in values if _values[value]]
            certain = [value for value in searched if is_unmistakable(value)]
            others = [value for value in searched if value not in certain]
            _known = _Known(
                re.compile("|".join(map(in_text, values)), re.IGNORECASE),
                _any_of(certain, spelled=in_records),
                _any_of(others),
                tuple(dict.fromkeys(sign for value in searched for sign in signs(value))),
            )
    return _known


def _any_of(
    values: list[str], spelled: Callable[[str], str] = beside_name
) -> re.Pattern[bytes] | None:
    return re.compile("|".join(map(spelled, values)).encode()) if values else None


@lru_cache(maxsize=4096)
def _is_secrets_name(name: bytes) -> bool:
    text = name.decode()
    return is_credential(text) or text.lower() in _names


def _names_a_secret(body: bytes) -> bool:
    """Whether any field or parameter in `body` is called like a credential; most bodies have none,
    and looking for names costs less than looking at every short value."""
    names = {*FIELDS.findall(body)}
    return any(map(_is_secrets_name, names | {ENCODED.sub(b"", name) for name in names}))


def _gone_beside_name(found: re.Match[bytes]) -> bytes:
    """What replaces a short or ordinary value: itself, unless a credential's name is before it."""
    body, start, end = found.string, found.start(), found.end()
    if body[start - 1 : start] not in BEFORE:
        return found[0]
    named = NAMED.search(body, max(0, start - REACH), start)
    if not named or not _is_secrets_name(named["name"]):
        return found[0]
    if named["link"]:
        return GONE.encode()
    if named["quote"]:
        return GONE.encode() if body.startswith(named["quote"], end) else found[0]
    return b'"' + GONE.encode() + b'"' if NUMBER_ENDS.match(body, end) else found[0]
