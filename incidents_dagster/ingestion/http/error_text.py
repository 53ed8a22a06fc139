"""What an API itself says about an error, short enough for a message of ours.

`envelope` and `explain` decide when a response is one.
"""

import json
from typing import Any

import requests

from incidents_dagster.ingestion.plain_text import plain
from incidents_dagster.ingestion.secrets.redaction import redact

# What an API sends with its data, or instead of it, when something went wrong after all.
FAULTS = ("error", "errors")
SAYING = ("message", "detail", "title", "error_description", "error", "code", "reason", "msg")
EXTRACT_CHARACTERS = 100
MOST_CHARACTERS = 1_000  # of a body that is no JSON; more would only be redacted and cut
OPENINGS = ("<", "{", "[")  # of a page, or of JSON that is broken
DEPTH = 3  # of an error in an error, or in a list of them


def said_in(fault: Any) -> str:
    """The message in an API's error, redacted, on one line; empty if it has none.

    Args:
        fault: The error, or the parsed body with it. Of a table, only fields that hold a message;
            or the first of a table of parameters and what is wrong with each.
    """
    said = _message(fault, DEPTH)
    text = " ".join(plain(redact(said)).split())
    return text[:EXTRACT_CHARACTERS] + ("…" if len(text) > EXTRACT_CHARACTERS else "")


def said_by(response: requests.Response) -> str:
    """The message in the body of a response with an error, if that is JSON or plain text."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        kind = response.headers.get("Content-Type", "")
        text = response.text[:MOST_CHARACTERS].strip()
        return "" if "html" in kind or text.startswith(OPENINGS) else said_in(text)
    if not isinstance(body, dict):
        return ""
    fault = next((body[name] for name in FAULTS if body.get(name)), None)
    described = body.get("error_description")  # of a refused exchange for a token
    return said_in(described) or said_in(fault) or said_in(body)


def _message(fault: Any, depth: int) -> str:
    if isinstance(fault, list):
        fault = fault[0] if fault else None
    if isinstance(fault, dict) and depth:
        found = [_message(fault.get(name), depth - 1) for name in SAYING]
        found += [f"{name}: {texts[0]}" for name, texts in fault.items() if _are_texts(texts)]
        return next(filter(None, found), "")
    known = isinstance(fault, (str, int)) and not isinstance(fault, bool)
    return str(fault) if known else ""


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)
