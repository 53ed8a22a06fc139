"""Redacts secret values in texts, logs and responses, in all their spellings.

Knows only the values. `auth` finds them, `binding` decides where they go.

A long value is redacted everywhere. A short one may also be an ordinary word or number: redacted
everywhere, it would spoil texts and records, and the gaps would give it away. So it is redacted
only where a value is expected.
"""

import base64
import json
import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from threading import RLock
from urllib.parse import quote, quote_plus

import dlt
import requests

# Top-level names of dlt.secrets. A client_id is no secret by itself, and often an ordinary word.
SECRETS = ("api_key", "token", "password", "client_secret", "access_token")
GONE = "***"
LONG = 8  # if it has a letter: redacted anywhere
WORD = 4  # if it has a letter and a digit: redacted as a whole word
# A process that lives for months sees many access tokens; a body is searched for each value.
MOST_VALUES = 64

NO_WORD_BEFORE, NO_WORD_AFTER = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
# What comes before a short value in a link, and also in a message or a log.
IN_LINK = r"(?:(?<==)|(?<=%3D)|(?<=u003d))"
IN_TEXT = rf"(?:{IN_LINK}|(?<=[\"'])|(?<=: )|(?<=Bearer )|(?<=Basic )|(?<=Token ))"
# The end of base64: a character that also encodes what follows the value, and the padding.
PADDING = r"(?:[0-9A-Za-z+/_-]|%2[BF])?(?:=|%(?:25)*3D|\\+u003d){0,2}"
LOGGERS = ("dlt", "urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry")


@dataclass(frozen=True)
class _Known:
    """What to search for: one expression for texts and one for bodies.

    Attributes:
        signs: Groups of parts; a body without a complete group contains no value.
    """

    signs: tuple[tuple[bytes, ...], ...]
    in_text: re.Pattern[str]
    in_body: re.Pattern[bytes]


_values: dict[str, None] = {}  # the oldest first
_known: _Known | None = None  # made of the values when needed
_changing = RLock()


def remember(*values: object) -> None:
    """Registers values as secret, from now on and for the whole process."""
    global _known  # noqa: PLW0603
    with _changing:
        before = list(_values)
        for value in map(str, values):
            if value:
                _values.pop(value, None)
                _values[value] = None
        while len(_values) > MOST_VALUES:
            del _values[next(iter(_values))]
        if list(_values) != before:
            _known = None


def redact(text: str) -> str:
    """`text` with *** instead of every secret value.

    These are the current top-level values of `dlt.secrets`, and all remembered ones.
    """
    remember(*(dlt.secrets.get(name) or "" for name in SECRETS))
    return _without_known(text)


def redact_body(body: bytes) -> bytes:
    """A response's body with *** instead of every known value; the same object if it has none."""
    if not (known := _what_is_known()):
        return body
    if b"\0" in body[:4]:  # JSON with two or four bytes per character
        encoding = json.detect_encoding(body)
        with suppress(UnicodeError):
            text = body.decode(encoding)
            cleaned = redact_body(text.encode()).decode()
            return body if cleaned == text else cleaned.encode(encoding)
    for sign in known.signs:
        if all(part in body for part in sign):
            return known.in_body.sub(GONE.encode(), body)
    return body


def clean(response: requests.Response) -> None:
    """Redacts the known values in `response`: its body, its headers, its reason."""
    # Where requests keeps a body that has been read; there is no public way to replace it.
    response._content = redact_body(response.content)
    for name, value in list(response.headers.items()):
        if (cleaned := _without_known(value)) != value:
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


def _without_known(text: str) -> str:
    return known.in_text.sub(GONE, text) if (known := _what_is_known()) else text


def _what_is_known() -> _Known | None:
    global _known  # noqa: PLW0603
    if _known is None and _values:
        with _changing:
            values = sorted(_values, key=len, reverse=True)  # wholes before their parts
            in_body = "|".join(map(_in_body, values))
            _known = _Known(
                tuple(dict.fromkeys(sign for value in values for sign in _signs(value))),
                re.compile("|".join(map(_in_text, values)), re.IGNORECASE),
                re.compile(in_body.encode(), re.IGNORECASE),
            )
    return _known


def _is_long(value: str) -> bool:
    return len(value) >= LONG and any(c.isalpha() for c in value)


def _is_word(value: str) -> bool:
    letter, digit = any(c.isalpha() for c in value), any(c.isdigit() for c in value)
    return len(value) >= WORD and letter and digit


def _in_text(value: str) -> str:
    """The expression for `value` in texts, including its base64."""
    pattern, encoded = "".join(map(_character, value)), value.encode("utf-8", "surrogatepass")
    if _is_long(value):
        return "|".join([pattern, *map(_base64, _cores(encoded))])
    place = NO_WORD_BEFORE if _is_word(value) else IN_TEXT
    whole = base64.b64encode(encoded).decode().rstrip("=")
    coded = [NO_WORD_BEFORE + _base64(whole)] if len(whole) >= LONG else []
    return "|".join([place + pattern + NO_WORD_AFTER, *coded])


def _in_body(value: str) -> str:
    """The expression for `value` in JSON, where a bare quote belongs to the JSON itself."""
    pattern = "".join(map(_character, value)).replace(r'\\*"', r'\\+"')
    if _is_long(value):
        return pattern
    return (NO_WORD_BEFORE if _is_word(value) else IN_LINK) + pattern + NO_WORD_AFTER


def _signs(value: str) -> list[tuple[bytes, ...]]:
    """Parts that every body with `value` has; searching for them costs almost nothing."""
    runs = [run for run in re.findall(r"[0-9A-Za-z]+", value) if len(run) >= WORD]
    if runs and _is_long(value):
        return [tuple(run.encode() for run in dict.fromkeys(runs))]
    percent, escaped = quote(value, safe=""), json.dumps(value)[1:-1]
    spellings = [value, percent, percent.lower(), quote_plus(value), quote(value), escaped]
    spellings += [escaped.replace("/", "\\/"), json.dumps(value, ensure_ascii=False)[1:-1]]
    before = [""] if _is_long(value) or _is_word(value) else ["=", "%3D", "%3d", "u003d", "u003D"]
    signs = {(before_ + spelled).encode() for before_ in before for spelled in spellings}
    return [(sign,) for sign in sorted(signs)]


def _character(c: str) -> str:
    """`c` as itself, percent-encoded once or more, or escaped as in JSON or Python."""
    if c.isascii() and c.isalnum():
        return c
    percent = "".join(f"%(?:25)*{byte:02X}" for byte in c.encode("utf-8", "surrogatepass"))
    utf_16 = c.encode("utf-16-be", "surrogatepass")
    escaped = "".join(rf"\\+u{utf_16[i : i + 2].hex()}" for i in range(0, len(utf_16), 2))
    ways = [rf"\\*{re.escape(c)}" if c in "\"'/\\" else re.escape(c), percent, escaped]
    return f"(?:{'|'.join([*ways, '[+]'] if c == ' ' else ways)})"


def _cores(value: bytes) -> list[str]:
    """Base64 of `value` at each of the three offsets it can have in a longer text, such as
    `user:value`: the characters that depend on `value` alone."""
    return [
        base64.b64encode(bytes(before) + value).decode()[
            -(-before * 8 // 6) : (before + len(value)) * 8 // 6
        ]
        for before in range(3)
    ]


def _base64(core: str) -> str:
    other = {"+": "-", "/": "_"}  # of the URL-safe alphabet
    letters = [f"(?:{_character(c)}|{other[c]})" if c in other else c for c in core]
    return "".join(letters) + PADDING
