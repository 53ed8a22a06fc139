"""Windows over time: changes and errors while they are read, reads that are stopped, settings."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from fakes.incident_pages import Page
from faults.cases.ordinary.case import LATER, Case, change, hours, record
from faults.cases.ordinary.sources import until_equal
from faults.cases.ordinary.time import NOW, SECOND, clock
from faults.cases.ordinary.windows import CURSOR, MOST, SETTINGS, begin
from faults.judging.fields import unequal
from faults.judging.outcome import clear
from faults.running.stories import Story, WrongError
from incidents_dagster.ingestion.landing import backfill


def at_request(story: Story, number: int, then: Callable[[Story, Page], Any]) -> None:
    """Something happens before an answer; a `Page` whose status it changes is refused."""
    tell, asked = story.api.tell, [0]

    def told(page: Page) -> Any:
        asked[0] += 1
        if asked[0] >= number:
            then(story, page)
        return tell(page) if page.status < 400 else {"error": "not now"}

    story.api.tell = told


def meanwhile(number: int, mode: str) -> Callable[[Story], None]:
    """Records change, come and go while windows are read."""

    def happens(story: Story, _: Page) -> None:
        if not done:
            done.append(True)
            change(story, 2, 28, at=NOW + SECOND)
            story.api.rows.append(record(50, NOW + 2 * SECOND))
            del story.api.rows[15]

    done: list[bool] = []

    def story(story: Story) -> None:
        begin(story)
        clock(story, NOW)
        if mode != "incremental":
            story.sync()
        at_request(story, number, happens)
        story.sync("loaded|unproven", mode=mode)
        if not done:
            raise WrongError("it happened after the sync")
        clock(story, NOW + 1)
        story.wants = lambda rows: [*rows, *gone]
        gone = [r for r in [record(16)] if r["id"] in {row["id"] for row in story.table()}]
        story.sync()
        story.wants = list
        story.sync(mode="reconcile")

    return story


def refusing(times: int) -> Callable[[Story, Page], None]:
    """So many answers are errors."""
    left = [times]

    def refuse(_: Story, page: Page) -> None:
        page.status = 500 if left[0] > 0 else page.status
        left[0] -= 1

    return refuse


def fails(times: int, must: str) -> Callable[[Story], None]:
    """A window fails so many times; what follows is well."""

    def story(story: Story) -> None:
        begin(story)
        at_request(story, 9, refusing(times))
        story.sync(must)
        begin(story)
        story.sync()
        change(story, 3)
        at_request(story, 1, refusing(times))
        story.sync(must)
        begin(story)
        story.sync()

    return story


def not_later(_: Story, page: Page) -> None:
    """Windows from some hour on are refused."""
    if page.rows and page.rows[0]["updated_at"] > hours(12):
        page.status = 400


def stopped(*then: Callable[[Story], None], mode: str = "incremental") -> Callable[[Story], None]:
    """A first read that is stopped, whose rows stay; then something happens, and it goes on."""

    def story(story: Story) -> None:
        begin(story)
        whole = story.api.tell
        at_request(story, 1, not_later)
        with patch.object(backfill, "ENOUGH", 1):
            message = story.project.sync()
            there = {row["id"] for row in story.table()}
            if not message or not clear(message) or not 0 < len(there) < len(story.api.rows):
                raise WrongError(f"not stopped in the middle, {len(there)} rows: {message}")
            if wrong := unequal([r for r in story.api.rows if r["id"] in there], story.table()):
                raise WrongError(f"the rows that stay: {wrong}")
            story.api.tell = whole
            for one in then:
                one(story)
            until_equal(story) if mode == "incremental" else story.sync(mode=mode)
        change(story, 5, at=LATER + 9)
        story.sync()
        story.sync(mode="reconcile")

    return story


def half(story: Story) -> None:
    """A filter leaves every second record."""
    story.api.rows = story.api.rows[::2]
    story.configure(endpoint__params={"tenant": "a"})


def deleted(story: Story) -> None:
    """One that is loaded is deleted: that is seen by the next full read alone."""
    gone = story.api.rows.pop(1)
    story.wants = lambda rows: [gone, *rows]
    story.sync()
    story.wants = list
    story.sync(mode="reconcile")


def teams(story: Story) -> None:
    """A column is filled by a path from now on."""
    story.configure(resource__fields={"team": "service.name"})
    story.wants = lambda rows: [{**row, "team": row["service"]["name"]} for row in rows]


def added(value: Any, initial: str | None) -> Callable[[Story], None]:
    """Windows come, go, and come; one record has a time that no window asks for."""

    def story(story: Story) -> None:
        begin(story, most=1_000)
        story.api.rows[4]["updated_at"] = value
        wanted = {**CURSOR, **({"initial_value": initial} if initial else {})}
        story.configure(endpoint__incremental=CURSOR, resource__windows=None)
        story.sync()
        for windows in ({"most": MOST}, None, {"most": MOST, "days": 300}):
            story.configure(
                endpoint__incremental=wanted if windows else CURSOR, resource__windows=windows
            )
            begin(story, most=MOST if windows else 1_000)
            change(story, 9, at=LATER + len(story.api.asked))
            story.sync()
            story.sync()

    return story


def taken_away(story: Story) -> None:
    """Without windows, a list that is cut off with a total is red, and marks nothing."""
    begin(story)
    story.sync()
    story.configure(resource__windows=None)
    story.sync("red", "reports")
    story.configure(**SETTINGS)
    story.sync()


CASES = [
    *(
        Case(
            f"changes while windows are read, {mode}", meanwhile(n, mode), style, settings=SETTINGS
        )
        for n, mode, style in (
            (9, "incremental", "cursor"),
            (12, "reconcile", "offset"),
            (9, "full_refresh", "cursor"),
        )
    ),
    Case("a window fails once", fails(1, "proven"), settings=SETTINGS),
    Case("a window fails", fails(9, "red"), "cursor", settings=SETTINGS),
    *(
        Case(f"windows come and go{name}", added(value, initial), style)
        for name, value, initial, style in (
            ("", hours(3), "2024-01-01", "offset"),
            (", a record is older", "2019-05-01T00:00:00Z", "2024-01-01", "cursor"),
            (", a record has no time", None, "2024-01-01", "cursor"),
            (", a record has no time, no initial value", None, None, "cursor"),
        )
    ),
    Case("windows are taken away too early", taken_away, "cursor", True, settings=SETTINGS),
    *(
        Case(f"a first read is stopped{name}", stopped(*then, mode=mode), style, settings=SETTINGS)
        for name, then, mode, style in (
            ("", (), "incremental", "offset"),
            (", records change", (lambda s: change(s, 1, 33),), "incremental", "cursor"),
            (", one is deleted", (deleted,), "incremental", "cursor"),
            (", a filter comes", (half,), "incremental", "cursor"),
            (
                ", other windows",
                (lambda s: s.configure(resource__windows={"most": MOST, "days": 20}),),
                "incremental",
                "cursor",
            ),
            (
                ", a path comes",
                (teams,),
                "incremental",
                "cursor",
            ),
            (", a reconcile follows", (), "reconcile", "cursor"),
        )
    ),
]
