"""The values at a JSONPath in a record, and which records such values leave out."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from dlt.common import jsonpath

PLAIN_PATH = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*", re.ASCII)
ANY = "*"


@dataclass(frozen=True)
class DropWhere:
    """`drop_where` of a resource: records that are no incidents.

    Attributes:
        values: JSONPath → the values, as text, of records to leave out; `*` for any but null.
    """

    values: Mapping[str, list[str]]

    def __call__(self, record: Any) -> bool:
        """Whether a record is left out."""
        if not isinstance(record, dict):
            return False
        for path, dropped in self.values.items():
            found = [as_text(one) for one in values_at(path, record) if one is not None]
            if any(ANY in dropped or one in dropped for one in found):
                return True
        return False


def values_at(path: str, record: Any) -> list[Any]:
    """What a JSONPath finds in a record; nothing if it is not there."""
    return _finder(path)(record)


@cache
def _finder(path: str) -> Callable[[Any], list[Any]]:
    """Finds the values at a JSONPath in a record."""
    if not PLAIN_PATH.fullmatch(path):
        compiled = jsonpath.compile_path(path)

        def found(record: Any) -> list[Any]:
            try:
                return [one.value for one in compiled.find(record)]
            except TypeError:  # sorting what is null, or no list
                return []

        return found
    names = path.split(".")

    def find(value: Any) -> list[Any]:  # a twentieth of the time that the library takes
        for name in names:
            if not isinstance(value, dict) or name not in value:
                return []
            value = value[name]
        return [value]

    return find


def as_text(value: Any) -> str:
    """A text itself, any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
