"""Tells rest_api's placeholders from braces that are part of a secret.

rest_api fills `{resources.…}` and `{incremental.…}` into an endpoint's settings with `str.format`,
and takes any other brace for a mistake, which its message then shows.
"""

import re
from collections.abc import Callable, Iterator
from string import Formatter
from typing import Any

from incidents_dagster.ingestion.secrets.names import is_credential, may_be_secret

PLACEHOLDER = re.compile(r"[\w.\[\]'*-]+")
CONTEXTS = ("resources.", "incremental.")


def has_placeholder(text: str, params: Any = None) -> bool:
    """Whether rest_api would fill something into `text`.

    Args:
        text: A value of an endpoint.
        params: The endpoint's `params`; those that are tables name placeholders, too.
    """
    resolved = [n for n, v in params.items() if isinstance(v, dict)] if params else []
    return any(f.startswith(CONTEXTS) or f in resolved for f in _fields(text) or ())


def stray_brace(endpoint: dict[str, Any]) -> str:
    """The first part of `endpoint` with braces that rest_api cannot format; empty if none has.

    rest_api takes any brace for a placeholder, such as those of a GraphQL query.
    """
    for part in ("path", "params", "headers", "json", "data"):
        for fields in map(_fields, _texts(endpoint.get(part))):
            if fields is None or not all(map(PLACEHOLDER.fullmatch, fields)):
                return part
    return ""


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, (dict, list)):
        for value in node.values() if isinstance(node, dict) else node:
            yield from _texts(value)


def double_braces(endpoint: dict[str, Any], formatted: bool = True) -> None:
    """Doubles the braces in the secrets of `endpoint`, in place, so that rest_api keeps them.

    Args:
        endpoint: rest_api's, or its `client`.
        formatted: Whether rest_api fills in placeholders there; not in `client`.
    """
    params = endpoint.get("params") if isinstance(endpoint.get("params"), dict) else {}

    def doubled(text: str) -> str:
        if "{" not in text and "}" not in text:
            return text
        if formatted and (has_placeholder(text, params) or _fields(text) == []):
            return text  # the latter is doubled already
        return text.replace("{", "{{").replace("}", "}}")

    headers = endpoint.get("headers")
    if isinstance(headers, dict):
        _in_place(headers, doubled, may_be_secret)
    for part in ("params", "json", "data"):
        _in_place(endpoint.get(part), doubled, lambda name, _: is_credential(name))


def undoubled(text: str) -> str:
    """What rest_api would send for a `text` without placeholders."""
    return text.format() if _fields(text) == [] else text


def _fields(text: str) -> list[str] | None:
    """The fields of a format string; None if it is not one."""
    try:
        return [field for _, field, _, _ in Formatter().parse(text) if field is not None]
    except ValueError:
        return None


def _in_place(
    node: Any, change: Callable[[str], str], wanted: Callable[[str, str], bool], name: str = ""
) -> None:
    if not isinstance(node, (dict, list)):
        return
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        named = str(key) if isinstance(node, dict) else name
        if isinstance(value, str) and wanted(named, value):
            node[key] = change(value)
        else:
            _in_place(value, change, wanted, named)
