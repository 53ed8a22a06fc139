"""Which names are certainly those of a credential, in whatever style they are written.

A name that only may be one (`page_token`, `sort_key`, `public_key`, `project_key`) is none here:
such values decide which records come, and taking them for secrets would break paging.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from incidents_dagster.ingestion.secrets.spellings import is_unmistakable

WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# A credential by itself, and as the last word of a name.
ALWAYS = re.compile(
    "apikey|authorization|auth|bearer|credentials?|geniekey|hmac|jwt|passcode|passphrase|passw|"
    "passw(or)?d|pwd|secret|sig|signature"
)
# A key is a credential if it is one of these: `sort_key` and `key_id` are none.
KEY_OF = re.compile(
    "access|account|admin|api|app|application|auth|authentication|authorization|bot|client|"
    "consumer|deploy|dev|developer|encryption|functions|genie|hmac|ingest|insert|integration|jwt|"
    "licen[cs]e|login|management|master|oauth|partner|personal|private|rapidapi|read|rest|routing|"
    "secret|security|server|service|session|shared|sign|signature|signed|signing|ssh|subscription|"
    "user|webhook|write"
)
# A token is a credential unless it is one of these.
PAGING = re.compile(
    "after|batch|before|bookmark|cancel|cancellation|changes?|checkpoint|chunk|consistency|cont|"
    "continuation|continue|correlation|cursor|delta|end|events?|export|feed|filter|first|history|"
    "idempotency|item|iterator|last|list|lock|marker|max|min|more|next|offset|order|pages?|"
    "pagination|paging|partition|poll|position|prev|previous|query|record|report|request|results?|"
    "resume|resumption|revision|row|scroll|search|seek|shard|since|skip|snapshot|sort|start|"
    "starting|state|stream|sync|tracking|trace|version|view|watermark|window"
)
# A name in one word.
GLUED = re.compile(
    rf"({KEY_OF.pattern})+(key|token|secret|passw(or)?d|signature)|refreshtoken|idtoken|"
    "(j|php)?sess(ion)?id"
)
# How a cookie may be called that holds a login.
LOGIN = re.compile("sess|session|sid")
# A header may hold one if its name has such a word, or its value such a beginning.
SECRET_HEADER = re.compile("auth|key|token|secret|passw|pwd|cookie|credential|session|signature")
SCHEME = re.compile(r"(basic|bearer|token|apikey|geniekey|splunk|negotiate)\s+\S", re.IGNORECASE)
BRACKETS = "{}[]()<>\"'"


def words_of(name: str) -> list[str]:
    """The words of a field's name, in lower case: `nextPage_token` has three."""
    return [word.lower() for word in WORDS.findall(name)]


def is_credential(name: str) -> bool:
    """Whether a parameter, header or field called `name` certainly holds a credential."""
    words = words_of(name)
    *before, last = [word for word in words if word != "x"] or [""]
    if ALWAYS.fullmatch(last) or GLUED.fullmatch(last):
        return True
    if last in ("key", "pass"):
        return not before or any(map(KEY_OF.fullmatch, before))
    if last == "token":
        return not any(map(PAGING.fullmatch, before))
    return last == "id" and before[-1:] in (["session"], ["secret"])


def is_login(name: str) -> bool:
    """Whether a cookie called `name` holds a credential or a session."""
    words = words_of(name)
    return is_credential(name) or any(map(LOGIN.fullmatch, words[-1:]))


def may_be_secret(header: str, value: str) -> bool:
    """Whether a header may hold a credential; some that do not, such as `X-Auth-Region`, count."""
    found = SECRET_HEADER.search(header.lower()) or SCHEME.match(value)
    return bool(found) or is_credential(header)


def credentials_in(tree: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Name and value of each credential in a request's body, or in any part of the settings.

    Args:
        tree: Tables and lists; or a text, which may be JSON or a form.
        name: What `tree` is called.
    """
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from credentials_in(value, str(key))
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from credentials_in(value, name)
    elif name:
        if isinstance(tree, (str, int)) and not isinstance(tree, bool) and is_credential(name):
            yield name, str(tree)
    elif isinstance(tree, str):
        with suppress(ValueError, RecursionError):
            if isinstance(body := json.loads(tree), (dict, list)):
                yield from credentials_in(body)
                return
        yield from credentials_in(dict(parse_qsl(tree)))


def parts_of_header(name: str, value: str) -> Iterator[tuple[str, str, bool]]:
    """What of a header may be a secret by itself: its name, its value, and whether it is certain.

    These are the header, what follows its scheme (`Bearer …`), and its pairs (`session=…`).
    """
    certain, scheme = is_credential(name), bool(SCHEME.match(value))
    if value.startswith("{") and (found := list(credentials_in(value))):  # JSON
        yield name, value, certain
        yield from ((key, held, True) for key, held in found)
        return
    *before, rest = value.split(maxsplit=1) or [""]
    if "cookie" in name.lower():
        before, rest = [], value
    else:
        yield name, value, certain or scheme
    split = [pair.partition("=") for pair in re.split(r"[;,\s]+", rest)]
    pairs = [(key, held.strip('"')) for key, _, held in split if held.strip('="')]
    for key, held in pairs:
        if is_login(key) or is_unmistakable(held):
            yield key, held, is_login(key)
    if before and not any(is_login(key) for key, _ in pairs):
        yield name, rest, certain or scheme
    if (inner := rest.strip(BRACKETS)) != rest and not pairs:
        yield name, inner, certain or scheme
    # A header of another form may end in the secret.
    yield name, re.split(r"[\s=:;,\"]+", value.rstrip('=" '))[-1], False
