"""What a case of ordinary life is, and the records that its API has."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from fakes.incident_pages import Page, Tell
from fakes.incidents import incident
from faults.running.stories import Story

BEGIN = datetime(2024, 3, 1, tzinfo=timezone.utc)  # long ago, so that no clock has a part in it
ROWS = 35
LATER = 1_000  # hours after BEGIN, when records change


@dataclass(frozen=True)
class Case:
    """An ordinary situation.

    Attributes:
        name: In the report.
        story: What happens; raises WrongError if a sync does what it must not.
        style: How the API pages, a name of `fakes.paginators.PAGINATORS`.
        total: Whether it says how many records there are.
        tell: How it tells its answers.
        settings: As for `Story.configure`, from the beginning on.
        rows: How many records it has.
        first_page: The number of its first page, if it counts them.
    """

    name: str
    story: Callable[[Story], None]
    style: str = "offset"
    total: bool = False
    tell: Tell | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    rows: int = ROWS
    first_page: int = 1


def hours(number: float) -> str:
    """A time so many hours after BEGIN."""
    return (BEGIN + timedelta(hours=number)).isoformat()


def record(number: int, changed: float | None = None, **fields: Any) -> dict[str, Any]:
    """An incident, opened at hour `number`, changed at another one."""
    changed = number if changed is None else changed
    return incident(number, created_at=hours(number), updated_at=hours(changed), **fields)


def records(count: int = ROWS, first: int = 1) -> list[dict[str, Any]]:
    """Incidents in the order of their numbers."""
    return [record(n) for n in range(first, first + count)]


def change(story: Story, *numbers: int, at: float = LATER, **fields: Any) -> None:
    """Incidents of the story change, by their place in the list."""
    for place in numbers:
        fields = {"status": f"changed at {at}", **fields}
        story.api.rows[place] = {**story.api.rows[place], "updated_at": hours(at), **fields}


def told(*changes: Callable[[dict[str, Any], Page], Any]) -> Tell:
    """Answers with changes to their body, and to the page's headers and status."""

    def tell(page: Page) -> Any:
        body = {**page.body}
        for one in changes:
            one(body, page)
        return body

    return tell


def moved(name: str, to: str) -> Callable[[dict[str, Any], Page], None]:
    """A field of the body goes to another path, if it is there."""

    def move(body: dict[str, Any], _: Page) -> None:
        if name in body:
            *parents, last = to.split(".")
            node, value = body, body.pop(name)
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = value

    return move


def omitted_last(name: str) -> Callable[[dict[str, Any], Page], None]:
    """A field of the body is not there on the last page."""
    return lambda body, page: body.pop(name, None) if page.last else None


def put(**fields: Any) -> Callable[[dict[str, Any], Page], None]:
    """Fields beside the records."""
    return lambda body, _: body.update(fields)
