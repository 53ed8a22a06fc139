"""Deletions need more than one look: rows that are missing for an hour, windows, real deletions."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fakes.incident_pages import Page
from faults.cases.ordinary.case import Case, change, record, told
from faults.running.stories import Story, WrongError

WAITS = r"second look|again|next sync|wait"


def hidden_for_an_hour(mode: str) -> Callable[[Story], None]:
    """A permission is missing during one sync: twelve records are in no list and no total."""

    def story(story: Story) -> None:
        story.configure(deleted_share=0.9)
        story.loaded()
        everything = story.api.rows
        story.api.rows = everything[:8] + everything[20:]
        story.sync("loaded|unproven|red", mode=mode)
        story.api.rows = everything
        if wrong := story.unequal():
            raise WrongError(f"marked at the first look: {wrong}")
        story.quiet(story.run())

    return story


def hidden_without_incremental(story: Story) -> None:
    """Every sync is a full reading, and one of them lacks records."""
    story.configure(endpoint__incremental=None)
    hidden_for_an_hour("incremental")(story)


def total_falls(story: Story) -> None:
    """From the second page on, once, the API has lost a third of its records."""
    story.configure(deleted_share=0.9)
    story.loaded()
    everything = story.api.rows

    def fall(_: dict[str, Any], page: Page) -> None:
        story.api.rows = everything[:22]

    story.api.tell = told(fall)
    with suppress(WrongError):
        story.sync("loaded|unproven|red", mode="full_refresh")
    story.api.tell, story.api.rows = told(), everything
    if wrong := story.unequal():
        raise WrongError(f"marked at the first look: {wrong}")
    story.sync()


def deleted(count: int, mode: str = "reconcile") -> Callable[[Story], None]:
    """So many are really deleted, in the middle: marked at the second look, without a chain."""

    def story(story: Story) -> None:
        story.loaded()
        del story.api.rows[10 : 10 + count]
        run = story.run("loaded", WAITS, mode)
        if not run.warned:
            raise WrongError("no check says that deletions wait for a second look")
        story.sync()
        asked(story, full=False)

    return story


def asked(story: Story, full: bool) -> None:
    """The next sync asks for everything, or not."""
    story.api.served.clear()
    story.sync()
    if full is not any("updated_since" not in page.query for page, _ in story.api.served):
        raise WrongError("a chain of full readings" if not full else "no full reading follows")


def few(story: Story) -> None:
    """One record is deleted, which the first look marks."""
    story.loaded()
    del story.api.rows[17]
    story.quiet(story.run(mode="reconcile"))
    asked(story, full=False)


def two_of_three(story: Story) -> None:
    """Two of three incidents are deleted, which deleted_share can accept."""
    story.loaded()
    del story.api.rows[1:]
    story.sync("red|loaded|unproven", mode="reconcile")
    story.configure(deleted_share=1.0)
    with suppress(WrongError):
        story.sync("loaded", mode="reconcile")
    story.sync(mode="reconcile")
    story.sync()


def empty(allowed: bool, incremental: bool = True) -> Callable[[Story], None]:
    """The list is empty, as an alert API's on a good day."""

    def story(story: Story) -> None:
        if not incremental:
            story.configure(endpoint__incremental=None)
        story.loaded()
        everything, story.api.rows = story.api.rows, []
        if not allowed:
            story.sync("red|loaded|unproven", mode="reconcile")
            story.sync("red|loaded|unproven", mode="full_refresh")
            story.api.rows = everything
            if wrong := story.unequal():
                raise WrongError(f"an empty list is believed: {wrong}")
        else:
            story.configure(allow_empty=True, deleted_share=1.0)
            with suppress(WrongError):
                story.sync("loaded", mode="reconcile")
            story.sync(mode="reconcile")
            story.quiet(story.run())
            story.api.rows = everything
            change(story, *range(len(everything)))
        story.sync()

    return story


def bad_records(count: int, **fields: Any) -> Callable[[Story], None]:
    """A record that cannot be loaded does not stop the detection for the others."""

    def story(story: Story) -> None:
        story.loaded()
        good = story.api.rows
        del good[17]
        bad = [{**record(90 + n), **fields} for n in range(count)]
        story.api.rows = [*good, *({k: v for k, v in b.items() if v != "gone"} for b in bad)]
        story.sync("loaded", mode="full_refresh")
        story.api.rows = good
        if wrong := story.unequal():
            raise WrongError(f"a bad record stops the detection: {wrong}")

    return story


def bad_alone(story: Story) -> None:
    """No record can be loaded, though a list may be empty: nothing is gone."""
    story.loaded()
    story.configure(allow_empty=True, quarantine_share=0.5)
    good, story.api.rows = story.api.rows, [{**row, "id": None} for row in story.api.rows[:4]]
    for _ in range(2):
        story.sync("loaded", "none of 4 records could be loaded", mode="full_refresh")
    if len(story.table()) != len(good):
        raise WrongError("rows that are there are marked as deleted")
    story.api.rows = good
    story.sync(mode="reconcile")


def window(rows: int) -> Callable[[Story], None]:
    """The list ends at a month; the oldest records leave it, and are not deleted."""

    def story(story: Story) -> None:
        story.configure(deleted_share=0.9)
        story.loaded()
        everything = story.api.rows
        story.api.rows = everything[rows:]
        for mode in ("reconcile", "full_refresh"):
            story.run("loaded", mode=mode)
        run = story.run("loaded", mode="reconcile")
        story.quiet(run, "oldest", "window")
        if run.shown.get("rows_beyond_window") != rows:
            found = run.shown.get("rows_beyond_window")
            raise WrongError(f"rows_beyond_window is {found}, not {rows}")
        change(story, 4)
        story.sync("loaded")
        story.api.rows = [*everything[:rows], *story.api.rows]
        if wrong := story.unequal():
            raise WrongError(f"a window is taken for deletions: {wrong}")

    return story


def sliding(step: int, incremental: bool, also: int = 0) -> Callable[[Story], None]:
    """The list always begins some rows later; `also` is deleted in the middle, now and then.

    The first ones look like deletions, until there are twenty.
    """

    def story(story: Story) -> None:
        if not incremental:
            story.configure(endpoint__incremental=None)
        story.loaded()
        everything, gone = [*story.api.rows], set[str]()
        mode = "reconcile" if incremental else "incremental"
        for start in range(step, 30 + step, step):
            if also and start <= 2 * step:
                gone.add(everything[also + start]["id"])
            story.api.rows = [row for row in everything[start:] if row["id"] not in gone]
            story.sync("loaded", mode=mode)
        run = story.run("loaded", mode="reconcile")
        story.quiet(run, "oldest", "window")
        if run.shown.get("rows_beyond_window") != start:
            found = run.shown.get("rows_beyond_window")
            raise WrongError(f"rows_beyond_window is {found}, not {start}")
        story.api.rows = [row for row in everything if row["id"] not in gone]
        if wrong := story.unequal():
            raise WrongError(f"a window is taken for deletions: {wrong}")

    return story


def oldest(count: int, mode: str = "reconcile") -> Callable[[Story], None]:
    """The oldest are really deleted."""

    def story(story: Story) -> None:
        story.loaded()
        del story.api.rows[:count]
        story.sync(mode=mode)
        story.sync()
        story.quiet(story.run(mode="reconcile"))

    return story


def other_account(story: Story) -> None:
    """The key is of another account now: nothing of it is in the table."""
    story.loaded()
    mine = [*story.api.rows]
    story.api.rows = [{**row, "id": f"other-{row['id']}"} for row in mine]
    for mode in ("full_refresh", "reconcile"):
        story.sync("red", "another source", mode=mode)
    story.api.rows = mine
    story.sync()


def moved_in_a_walk(story: Story) -> None:
    """The newest come first; a record changes while pages are read, and moves to one read."""
    story.configure(endpoint__incremental=None)
    story.api.rows.reverse()
    story.loaded()
    left = [1]

    def move(_: dict[str, Any], page: Page) -> None:
        if page.number == 1 and left:
            left.pop()
            change(story, 25)
            story.api.rows.insert(0, story.api.rows.pop(25))

    def keyset(body: dict[str, Any], page: Page) -> None:
        # What a cursor of the last row finds next does not depend on what came before it.
        if page.number > 1 and not left and page.query["after"] == "c10":
            body["data"] = story.api.rows[11:21]
        move(body, page)

    story.api.tell = told(keyset)
    story.sync("loaded|unproven|red")
    story.api.tell = told()
    story.sync()


def parent_gone(story: Story) -> None:
    """The children of one of three parents answer 404, once, which is configured to be ignored."""
    api, rows = story.api, story.api.rows
    api.lists["/v1/services"] = [{"id": name} for name in "abc"]
    for number, name in enumerate("abc"):
        api.lists[f"/v1/services/{name}/incidents"] = rows[number::3]
    story.configure(
        endpoint__path="/v1/services/{resources.services.id}/incidents",
        endpoint__incremental=None,
        endpoint__response_actions=[{"status_code": 404, "action": "ignore"}],
        deleted_share=0.9,
    )
    services = {
        "name": "services",
        "endpoint": {"path": "/v1/services", "data_selector": "data"},
        "columns": {"id": {"data_type": "text"}},
    }
    story.section["resources"].append(services)
    story.configure()
    story.loaded()

    def refuse(body: dict[str, Any], page: Page) -> None:
        if page.rows == rows[1::3]:
            page.status = 404
            body.clear()
            body["data"] = []

    api.tell = told(refuse)
    with suppress(WrongError):
        story.sync("loaded|unproven|red", mode="full_refresh")
    api.tell = told()
    if wrong := story.unequal():
        raise WrongError(f"marked as deleted: {wrong}")
    story.sync()


def replaced(how: str) -> Callable[[Story], None]:
    """`replace`: a reading that is empty or unproven does not silently become the table."""

    def story(story: Story) -> None:
        story.configure(resource_defaults__write_disposition="replace", endpoint__incremental=None)
        story.project.sync()
        before = story.table("true")
        if how == "empty":
            story.api.rows = []
        elif how == "unproven":
            story.configure(client__paginator__maximum_offset=20)
        else:
            story.api.tell = told(lambda body, page: body.update(partial=True))
        said = story.project.sync() or "\n".join(story.project.said)
        if story.table("true") != before and "replace" not in said and "proven" not in said:
            raise WrongError(f"the table is swapped without a word: {said or 'silence'}")

    return story


CASES = [
    *(
        Case(f"hidden for an hour, {mode}: {style}", hidden_for_an_hour(mode), style, total)
        for mode, style, total in (
            ("reconcile", "offset", True),
            ("full_refresh", "cursor", False),
            ("reconcile", "page number", False),
            ("full_refresh", "single page", True),
        )
    ),
    Case("hidden for an hour: no incremental", hidden_without_incremental, "link"),
    *(
        Case(f"a total that falls in the middle: {style}", total_falls, style, True)
        for style in ("offset", "cursor", "page number")
    ),
    Case("a child whose parent answers 404", parent_gone, "single page"),
    Case("a child whose parent answers 404: offset", parent_gone),
    Case("a child whose parent answers 404: cursor", parent_gone, "cursor"),
    *(
        Case(f"{count} deletions: {style}", deleted(count), style, total)
        for count, style, total in (
            (12, "offset", False),
            (10, "cursor", False),
            (15, "page number", True),
        )
    ),
    *(Case(f"one deletion: {style}", few, style) for style in ("offset", "cursor", "link")),
    *(
        Case(f"two of three: {style}", two_of_three, style, rows=3)
        for style in ("offset", "cursor", "single page")
    ),
    *(
        Case(
            f"an empty list, {'allowed' if allowed else 'not allowed'}: {style}",
            empty(allowed, incremental),
            style,
        )
        for allowed, style, incremental in (
            (True, "offset", True),
            (True, "single page", False),
            (True, "cursor", False),
            (False, "offset", True),
            (False, "single page", False),
        )
    ),
    *(
        Case(f"a deletion beside {name}", bad_records(count, **fields))
        for name, count, fields in (
            ("a record without an id", 1, {"id": "gone"}),
            ("three records with a null id", 3, {"id": None}),
            ("a record in quarantine", 1, {"updated_at": "yesterday"}),
        )
    ),
    *(Case(f"bad records alone: {style}", bad_alone, style) for style in ("offset", "cursor")),
    *(
        Case(f"a window: {style}", window(rows), style, total, rows=60)
        for style, total, rows in (
            ("offset", True, 25),
            ("cursor", False, 20),
            ("single page", False, 30),
        )
    ),
    *(
        Case(f"a window that slides by {step}: {style}", sliding(step, by, also), style, rows=60)
        for step, style, by, also in (
            (2, "single page", False, 0),
            (3, "offset", True, 0),
            (5, "cursor", False, 0),
            (5, "link", True, 30),
            (9, "page number", False, 40),
        )
    ),
    *(
        Case(f"the oldest {count} are deleted, {mode}: {style}", oldest(count, mode), style)
        for count, mode, style in (
            (3, "reconcile", "offset"),
            (1, "full_refresh", "cursor"),
            (6, "reconcile", "link"),
        )
    ),
    *(Case(f"another account: {style}", other_account, style) for style in ("offset", "cursor")),
    Case("a record moves in a walk without filter", moved_in_a_walk, "cursor"),
    *(Case(f"replace by what is {how}", replaced(how)) for how in ("empty", "unproven", "partial")),
]
