"""Bounds: pages that are too large, records with too many different fields."""

import gzip
from collections.abc import Callable
from typing import Any

from fakes.incident_pages import Page
from faults.cases.ordinary.case import Case, change
from faults.running.stories import Story, WrongError

HUGE = 220_000_000  # bytes of a page
COLUMNS = 1_010  # max_columns as shipped, and the few that are dlt's and ours


def huge(packed: bool) -> Callable[[Story], None]:
    """A page of more bytes than any sensible one has."""

    def story(story: Story) -> None:
        story.api.rows = story.api.rows[:5]
        story.loaded()

        def tell(page: Page) -> Any:
            padded = b'{"data": []' + b" " * HUGE + b"}"
            if packed:
                page.headers["Content-Encoding"] = "gzip"
                return gzip.compress(padded, 1)
            return padded

        story.api.tell = tell
        message = story.project.sync(full_refresh=True)
        story.api.served.clear()
        if not message or "MB" not in message:
            raise WrongError(f"a page of {HUGE:,} bytes is read: {message or 'green'}")
        story.said, story.came = message, "red"

    return story


def fields(each: int, again: bool) -> Callable[[Story], None]:
    """Records of which each has fields of its own, and more in later syncs."""

    def story(story: Story) -> None:
        for number, row in enumerate(story.api.rows):
            row |= {f"field_{number}_{n}": f"{number}.{n}" for n in range(each)}
        story.sync()
        if again:
            change(story, 3, **{f"later_{n}": n for n in range(each * 8)})
            story.sync()
        if (count := len(story.table()[0])) > COLUMNS:
            raise WrongError(f"{count:,} columns")

    return story


CASES = [
    Case("a page of 220 MB", huge(packed=False)),
    Case("a page of 220 MB, compressed to 1 MB", huge(packed=True)),
    Case("1,500 field names", fields(150, again=False), rows=10),
    Case("1,280 field names in two syncs: cursor", fields(80, again=True), "cursor", rows=8),
    Case("1,300 field names of one record: link", fields(1_300, again=False), "link", rows=1),
]
