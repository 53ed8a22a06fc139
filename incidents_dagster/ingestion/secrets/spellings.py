"""How a secret value may be spelled in texts and in JSON, as regular expressions.

`redaction` searches for them; nothing here is remembered.

A long value is searched for everywhere. A short one, or a word, may also be ordinary text: taken
out everywhere, it would spoil texts and records, and the gaps would give it away. So it is taken
out of a text only where a value is expected, and of a record only beside the name of a credential.
"""

import base64
import json
import re
from itertools import pairwise
from urllib.parse import quote, quote_plus

LONG = 8  # if it has a letter: redacted anywhere in a text
WORD = 4  # if it has a letter and a digit: redacted as a whole word
NUMBER = 6  # likewise of digits; messages of ours have commas in such numbers
# In records: from here on also within a longer word, and a phrase is a secret.
VERY_LONG, PHRASE = 16, 20
ALTERNATING = 2  # changes from letters to digits and back; `sev1` and `eu-west-1` have one
ORDINARY = re.compile(
    r"[^\W\d_]?[^\W\d_A-Z]*(?:[-_. ]+[^\W\d_]?[^\W\d_A-Z]*)*|[A-Z]+(?:[-_. ]+[A-Z]+)*"
)

NO_WORD_BEFORE, NO_WORD_AFTER = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
# An encoded character ends in what looks like one of a word.
ESCAPED_BEFORE = r"(?:(?<=%[0-9A-Fa-f]{2})|(?<=u[0-9A-Fa-f]{4})|(?<=\\[nrtbf]))"
# What comes before a short value in a link, and also in a message or a log.
IN_LINK = r"(?:(?<==)|(?<=%3D)|(?<=u003d))"
IN_TEXT = rf"(?:{IN_LINK}|(?<=[\"'])|(?<=: )|(?<=Bearer )|(?<=Basic )|(?<=Token ))"
# The end of base64: a character that also encodes what follows the value, and the padding.
PADDING = r"(?:[0-9A-Za-z+/_-]|%2[BF])?(?:=|%(?:25)*3D|\\+u003d){0,2}"


def in_text(value: str) -> str:
    """The expression for `value` in texts, including its base64."""
    pattern, encoded = "".join(map(_character, value)), value.encode("utf-8", "surrogatepass")
    if _is_long(value):
        return "|".join([pattern, *map(_base64, _cores(encoded))])
    place = NO_WORD_BEFORE if _is_word(value) else IN_TEXT
    whole = base64.b64encode(encoded).decode().rstrip("=")
    coded = [NO_WORD_BEFORE + _base64(whole)] if len(whole) >= LONG else []
    return "|".join([place + pattern + NO_WORD_AFTER, *coded])


def in_records(value: str) -> str:
    """The expression for an unmistakable `value` in JSON."""
    if len(value) >= VERY_LONG:
        return _in_json(value)
    return f"(?:{NO_WORD_BEFORE}|{ESCAPED_BEFORE}){_in_json(value)}{NO_WORD_AFTER}"


def beside_name(value: str) -> str:
    """The expression for any other `value` in JSON; what stands before it decides."""
    return _in_json(value) + NO_WORD_AFTER


def is_unmistakable(value: str) -> bool:
    """Whether no record has `value` by chance: it is neither short, a number nor ordinary words."""
    if not any(c.isalpha() for c in value) or len(value) < WORD:
        return False
    if len(value) < PHRASE and ORDINARY.fullmatch(value):
        return False
    kinds = "".join("9" if c.isdigit() else "a" for c in value if c.isalnum())
    changes = sum(a != b for a, b in pairwise(kinds))
    return len(value) >= LONG or changes >= ALTERNATING


def signs(value: str) -> list[tuple[bytes, ...]]:
    """Parts that every body with `value` has; searching for them costs almost nothing."""
    runs = [run for run in re.findall(r"[0-9A-Za-z]+", value) if len(run) >= WORD]
    if runs and is_unmistakable(value):
        return [tuple(run.encode() for run in dict.fromkeys(runs))]
    percent, escaped = quote(value, safe=""), json.dumps(value)[1:-1]
    spellings = [value, percent, percent.lower(), quote_plus(value), quote(value), escaped]
    spellings += [escaped.replace("/", "\\/"), json.dumps(value, ensure_ascii=False)[1:-1]]
    spellings.append(quote(percent, safe=""))
    return [(sign.encode("utf-8", "surrogatepass"),) for sign in sorted({*spellings})]


def _in_json(value: str) -> str:
    # A bare quote belongs to the JSON itself.
    return "".join(map(_character, value)).replace(r'\\*"', r'\\+"')


def _is_long(value: str) -> bool:
    return len(value) >= LONG and any(c.isalpha() for c in value)


def _is_word(value: str) -> bool:
    letter, digit = any(c.isalpha() for c in value), any(c.isdigit() for c in value)
    return digit and len(value) >= (WORD if letter else NUMBER)


def _character(c: str) -> str:
    """`c` as itself, percent-encoded once or more, or escaped as in JSON or Python."""
    if c.isascii() and c.isalnum():
        return c
    percent = "".join(f"%(?:25)*{byte:02X}" for byte in c.encode("utf-8", "surrogatepass"))
    utf_16 = c.encode("utf-16-be", "surrogatepass")
    escaped = "".join(rf"\\+u{utf_16[i : i + 2].hex()}" for i in range(0, len(utf_16), 2))
    ways = [rf"\\*{re.escape(c)}" if c in "\"'/\\" else re.escape(c), f"(?i:{percent}|{escaped})"]
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
