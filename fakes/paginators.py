"""How one page leads to the next, by name, and rest_api's settings for it."""

from copy import deepcopy
from typing import Any

# Offsets need a limit of their own: see `paginator`.
PAGINATORS: dict[str, dict[str, Any] | str] = {
    "offset": {"type": "offset", "total_path": ""},  # as the project ships it; there is a total
    "offset and total": {"type": "offset", "total_path": "total"},
    "offset, no total": {"type": "offset", "total_path": ""},
    "offset and more": {"type": "offset", "total_path": "", "has_more_path": "more"},
    "page number": {"type": "page_number", "base_page": 1, "total_path": ""},
    "page number and pages": {"type": "page_number", "base_page": 1, "total_path": "pages"},
    "cursor": {"type": "cursor", "cursor_path": "next", "cursor_param": "after"},
    "cursor in a header": {"type": "header_cursor", "cursor_key": "next", "cursor_param": "after"},
    "link": {"type": "json_link", "next_url_path": "next"},
    "link in a header": {"type": "header_link"},
    "single page": {"type": "single_page"},
    "auto": "auto",
}


def paginator(style: str, limit: int) -> Any:
    """The setting for a style, of which offsets ask for `limit` rows a page."""
    setting = deepcopy(PAGINATORS[style])
    if style.startswith("offset"):
        assert isinstance(setting, dict)
        setting["limit"] = limit
    return setting
