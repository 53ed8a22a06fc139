"""`drop_where`: records that are no incidents, that become none, and totals that count them."""

from collections.abc import Callable
from typing import Any

from fakes.incident_pages import Page
from faults.cases.ordinary.case import LATER, Case, change, hours, record, told
from faults.cases.ordinary.sources import until_equal
from faults.judging.fields import Row
from faults.running.stories import Story, WrongError

TEST, MERGED = {"drop_where": {"labels.kind": "test"}}, {"status": ["merged", "spam"]}
DROPS: dict[str, Any] = {"resource__drop_where": TEST["drop_where"]}


def is_test(row: Row) -> bool:
    """Whether a record is left out."""
    return bool((row.get("labels") or {}).get("kind") == "test")


def begin(story: Story, every: int = 3) -> None:
    """Some of the records are tests."""
    for number, row in enumerate(story.api.rows):
        row["labels"] = {"kind": "test" if number % every == 1 else "real"}
    story.wants = lambda rows: [row for row in rows if not is_test(row)]


def kind(story: Story, *places: int, to: str, at: float) -> None:
    """Records become, or stop being, what is left out."""
    change(story, *places, at=at, labels={"kind": to})


def plain(story: Story) -> None:
    """As many as are left out, they cost no full read once the table is there."""
    begin(story)
    story.sync()
    change(story, 2, 4, at=LATER)  # 4 is left out, and is as new as the newest
    story.sync()
    story.api.served.clear()
    story.sync()
    if any("updated_since" not in page.query for page, _ in story.api.served):
        raise WrongError("everything is read again")
    story.sync(mode="reconcile")


def turns(story: Story) -> None:
    """Records become what is left out, the newest of the table among them, and come back."""
    begin(story)
    story.sync()
    kind(story, 5, 34, to="test", at=LATER)
    story.sync()
    story.sync()
    kind(story, 1, 5, to="real", at=LATER + 1)
    story.sync()
    kind(story, 5, to="test", at=LATER + 2)
    story.sync(mode="full_refresh")
    kind(story, 5, to="real", at=LATER + 3)
    story.sync(mode="reconcile")


def setting_changes(
    before: Any, after: Any, left_out: Callable[[Row], bool]
) -> Callable[[Story], None]:
    """Another setting between two syncs; what it leaves out is marked, once that is sure."""

    def story(story: Story) -> None:
        begin(story, every=7)
        for place in (3, 9, 12):
            story.api.rows[place]["status"] = ("merged", "spam")[place % 2]
        first, wants = story.wants, left_out
        story.configure(resource__drop_where=before)
        story.wants = first if before else list
        until_equal(story)
        story.configure(resource__drop_where=after)
        story.wants = lambda rows: [row for row in rows if not wants(row)]
        change(story, 20)
        until_equal(story)
        change(story, 21, at=LATER + 1)
        story.sync()

    return story


def repeated(story: Story) -> None:
    """A record that is left out arrives twice, so that another one may be missing."""
    begin(story)
    story.sync()
    rows, again = story.api.rows, story.api.rows[7]

    def repeats(body: Row, page: Page) -> None:
        # Page 2 begins with one of page 1, and lacks its own first one.
        if page.number == 2 and "updated_since" not in page.query:
            body["data"] = [again, *body["data"][1:]]

    story.api.tell = told(repeats)
    story.sync("unproven", "twice", mode="full_refresh")
    story.api.tell = told()
    change(story, 3)
    story.api.rows = rows
    story.sync()


def twins(story: Story) -> None:
    """They become no incidents while pages are read, so that both versions arrive."""
    begin(story)
    story.sync()
    rows = story.api.rows
    for place, order in ((5, 1), (8, -1)):
        old = {**rows[place], "updated_at": hours(LATER), "status": "seen last"}
        new = {**old, "updated_at": hours(LATER + 1), "labels": {"kind": "test"}}
        rows += [old, new][::order]
    story.sync("loaded|unproven")
    story.api.rows = [row for row in rows if row["status"] != "seen last" or is_test(row)]
    for place in (8, 5):
        del story.api.rows[place]
    story.sync()


def counts(without: bool) -> Callable[[Story], None]:
    """The total counts what is left out, or does not."""

    def story(story: Story) -> None:
        begin(story)

        def total(body: Row, page: Page) -> None:
            body["total"] = len([r for r in page.rows if not (without and is_test(r))])

        story.api.tell = told(total)
        story.sync("proven|red|unproven" if without else "proven")
        change(story, 2, 4)
        story.sync("proven|red|unproven" if without else "proven")
        if without:
            return
        # One is missing, and the total shows it.
        story.api.tell = told(total, lambda body, page: body.update(total=body["total"] + 1))
        story.sync("red", mode="full_refresh")

    return story


def nothing_left(story: Story) -> None:
    """All records are left out: that is as an empty list, which is not believed at once."""
    begin(story)
    story.sync()
    kind(story, *range(35), to="test", at=LATER)
    story.wants = list
    story.sync("loaded|red")
    if len(story.table()) not in (0, len([n for n in range(35) if n % 3 != 1])):
        raise WrongError(f"{len(story.table())} rows are left")


def odd_values(story: Story) -> None:
    """Numbers, flags, null and any value at the path."""
    story.configure(resource__drop_where={"kind": [7, True], "pull.request": "*"})
    odd: list[Row] = [
        {"kind": 7},
        {"kind": "7"},
        {"kind": True},
        {"pull": {"request": {}}},
        {"pull": {"request": 0}},
    ]
    kept: list[Row] = [
        {"kind": 8},
        {"kind": None},
        {"kind": False},
        {"pull": {"request": None}},
        {"pull": None},
        {},
    ]
    fields = [*odd, *kept]
    story.api.rows = [record(n, **fields[n % len(fields)]) for n in range(1, 36)]
    out = {f"INC-{n:04}" for n in range(1, 36) if n % len(fields) < len(odd)}
    story.wants = lambda rows: [row for row in rows if row["id"] not in out]
    story.sync()
    story.sync(mode="reconcile")


CASES = [
    *(
        Case(f"drop_where: {style}", plain, style, total, settings=DROPS)
        for style, total in (("offset", True), ("cursor", False), ("page number", False))
    ),
    *(
        Case(f"become, and stop being, what is left out: {style}", turns, style, settings=DROPS)
        for style in ("offset", "cursor")
    ),
    *(
        Case(f"drop_where is {name}", setting_changes(before, after, left_out), style)
        for name, before, after, left_out, style in (
            ("added", None, TEST["drop_where"], is_test, "offset"),
            ("taken away", TEST["drop_where"], None, lambda _: False, "cursor"),
            (
                "another one",
                TEST["drop_where"],
                MERGED,
                lambda row: row["status"] in MERGED["status"],
                "offset",
            ),
        )
    ),
    Case("one that is left out arrives twice", repeated, "cursor", settings=DROPS),
    Case("no incident any more, in one list", twins, "cursor", settings=DROPS),
    *(
        Case(f"a total {name}: {style}", counts(without), style, settings=DROPS)
        for name, without in (("that counts them", False), ("without them", True))
        for style in ("offset", "cursor")
    ),
    Case("all are left out", nothing_left, settings=DROPS),
    Case("numbers, flags, and any value", odd_values),
]
