"""What surrounds the records in a response: errors, the list, the total, whether there are more.

One response at a time; `checked_paginator` compares several.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import requests
from dlt.common import jsonpath
from dlt.sources.helpers.rest_client.detector import find_response_page_data

from incidents_dagster.ingestion.errors import IncompleteError
from incidents_dagster.ingestion.http.error_text import FAULTS, said_in
from incidents_dagster.ingestion.reading.lists import field, lists_in
from incidents_dagster.ingestion.secrets.names import words_of

VERDICTS = ("ok", "success")
FAILED = ("error", "fail", "failed", "failure")
DEPTH = 4  # of the objects around the records
# Objects about the response; others, such as `stats` or `quota`, count something else.
ABOUT = {"meta", "metadata", "page", "pagination", "paging", "info", "response", "result"}
ABOUT |= {"results", "search", "query", "status", "shards", "hits", "data", "list", "summary", "x"}


class Envelope:
    """Checks each response of one endpoint, before its rows count.

    Args:
        selector: rest_api's `data_selector`; None to guess it.
        total_path: JSONPath to the number of all records; empty: there is none.
        more_path: JSONPath to whether there are more records; empty: there is none.

    Attributes:
        single: Whether the response may be one object instead of a list.
        where: The selector as text, as guessed from the first response if there is none.
    """

    single = False

    def __init__(self, selector: Any, total_path: str, more_path: str) -> None:
        self._choose(selector)
        self._guessed = selector is None
        self.total_path, self.more_path = total_path, more_path
        self._total, self._more = _finder(total_path), _finder(more_path)

    def check(self, response: requests.Response, rows: list[Any]) -> None:
        """Checks a response and the rows that rest_api took from it.

        Raises:
            IncompleteError: It reports an error, or has no list of records.
        """
        body = response.json()
        if self._guessed:
            self._guess(body)
        if isinstance(body, dict) and self.where != "$":
            fault = next((body[name] for name in self._faults if body.get(name)), None)
            if isinstance(fault, dict) and fault.get("code") in (0, "0") and rows:
                fault = None  # how some report success
            refused = any(body.get(name) is False for name in VERDICTS)
            refused |= not rows and str(body.get("status")).lower() in FAILED
            if fault is not None or refused:
                raise IncompleteError(
                    "The API reported an error in a response with status 200, so nothing was "
                    f"loaded: {said_in(fault or body) or 'no message'}"
                )
        # Several rows come from a list; dlt turns anything else into one row or none.
        if len(rows) <= 1:
            self._look(body)

    def total(self, response: requests.Response) -> int | None:
        """How many records the API says there are in all; None if it does not say."""
        found = self._total(response.json())
        if isinstance(found, str) and found.isdigit():
            return int(found)
        return found if type(found) is int and found >= 0 else None  # isinstance would take True

    def more(self, response: requests.Response) -> bool | None:
        """Whether the API says that there are more records; None if it does not say."""
        found = self._more(response.json())
        return found if isinstance(found, bool) else None

    def _choose(self, selector: Any) -> None:
        self._selector, self.where = selector, str(selector)
        own = self.where.split(".")  # an API that lists errors has its records there
        self._faults = [name for name in FAULTS if name not in own]

    def _guess(self, body: Any) -> None:
        if self._selector is None:
            path, _ = find_response_page_data(body)  # as dlt guesses
            if set(path) & {*FAULTS}:
                raise IncompleteError(
                    "No endpoint.data_selector is set, and the only list in the API's response is "
                    f"{'.'.join(path)!r}: set it to where the records are."
                )
            self._choose(jsonpath.compile_path(".".join(path)))

    def _look(self, body: Any) -> None:
        where = f"endpoint.data_selector {self.where!r}"
        if self._guessed:
            where += " (guessed, as none is set)"
        found = jsonpath.find_values(self._selector, body)
        several = re.search(r"\*|\.\.|\[", self.where)
        if not found and several:
            stem = self.where[: several.start()].rstrip(".")
            found = jsonpath.find_values(stem, body) if stem else [body]
        if not found:
            raise IncompleteError(
                f"The API's response has nothing at {where}, so nothing was loaded. "
                f"{self._there(body)}"
            )
        what = found[0]
        if not isinstance(what, list) and not (isinstance(what, dict) and (self.single or several)):
            raise IncompleteError(
                f"The API's response has {_kind(what)} at {where}, where a list of records is "
                f"expected, so nothing was loaded. {self._there(body)}"
            )

    def _there(self, body: Any) -> str:
        """What the response has instead, and what to set."""
        if lists := lists_in(body, self.where):
            several = "lists are" if len(lists) > 1 else "the only list is"
            paths = ", ".join(f'"{path}"' for path in lists)
            return f"Set data_selector to where the records are; {several} at {paths}."
        there = ", ".join(list(body)[:8]) if isinstance(body, dict) else _kind(body)
        return f"It has no list; it has: {there or 'no fields'}."


def _kind(value: Any) -> str:
    """What a value is, in JSON's words."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "null" if value is None else "a number")


def beside(body: Any, where: str) -> Iterator[tuple[str, Any]]:
    """The values around the records of a response, each with its path.

    Args:
        body: The response.
        where: JSONPath of the records. Nothing in them is included, as a record may have any field.

    Yields:
        Texts, numbers, true, false and null; of lists, only links such as `{"rel": "next"}`.
    """
    stem = re.split(r"\*|\.\.|\[", where)[0].removeprefix("$").strip(".").replace("'", "")
    if stem:
        yield from _beside(body, stem, "", DEPTH)


def is_about_response(path: str) -> bool:
    """Whether a value stands beside the records, or in an object that is about the response."""
    return ABOUT.issuperset(words_of(path.rpartition(".")[0]))


def _beside(body: Any, stem: str, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in body.items() if isinstance(body, dict) and depth else ():
        here = f"{path}.{field(name)}" if path else field(name)
        if re.sub(r"[\[\]']", "", here) == stem:
            continue
        if isinstance(value, dict):
            yield from _beside(value, stem, here, depth - 1)
        elif isinstance(value, list):
            for link in value:
                if isinstance(link, dict) and isinstance(link.get("rel"), str):
                    yield f"{here}.{link['rel']}", link.get("href") or link.get("url")
        else:
            yield here, value


def _finder(path: str) -> Callable[[Any], Any]:
    if not path:
        return lambda _: None
    compiled = jsonpath.compile_path(path)
    return lambda body: next(iter(jsonpath.find_values(compiled, body)), None)
