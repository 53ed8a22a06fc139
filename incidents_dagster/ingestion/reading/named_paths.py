"""The paths in the responses that the configuration names, such as `paginator.cursor_path`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from dlt.common import jsonpath
from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    HeaderCursorPaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
)
from jsonpath_ng import Root
from requests import Response


@dataclass(frozen=True)
class NamedPath:
    """A path in the responses that the configuration names.

    Attributes:
        setting: The setting, such as `paginator.cursor_path`.
        path: What it is set to.
        is_in: Whether a response has the path; null counts.
        parent_is_in: Whether a response has the object that the path is in, other than the whole.
        in_body: Whether it is a JSONPath in the body, rather than in a header.
    """

    setting: str
    path: str
    is_in: Callable[[Response], bool]
    parent_is_in: Callable[[Response], bool]
    in_body: bool = False

    def __str__(self) -> str:
        return f"{self.setting} {self.path!r}"

    @classmethod
    def of_body(cls, setting: str, path: Any) -> "NamedPath":
        """A JSONPath in the body."""
        parent = getattr(jsonpath.compile_path(path), "left", None)
        inside = parent is not None and not isinstance(parent, Root)
        return cls(setting, str(path), _finds(path), _finds(parent) if inside else _never, True)


def _finds(path: Any) -> Callable[[Response], bool]:
    compiled = jsonpath.compile_path(path)
    return lambda response: bool(jsonpath.find_values(compiled, response.json()))


def _never(_: Response) -> bool:
    return False


@singledispatch
def path_of(paginator: BasePaginator) -> NamedPath | None:
    """Where `paginator` finds the next page; None if it does without."""
    return None


@path_of.register
def _(paginator: JSONLinkPaginator) -> NamedPath:
    return NamedPath.of_body("next_url_path", paginator.next_url_path)


@path_of.register
def _(paginator: JSONResponseCursorPaginator) -> NamedPath:
    return NamedPath.of_body("cursor_path", paginator.cursor_path)


@path_of.register
def _(paginator: HeaderLinkPaginator) -> NamedPath:
    key = paginator.links_next_key
    return NamedPath("links_next_key", key, lambda r: key in r.links, lambda r: bool(r.links))


@path_of.register
def _(paginator: HeaderCursorPaginator) -> NamedPath:
    key = paginator.cursor_key
    return NamedPath("cursor_key", key, lambda r: key in r.headers, _never)
