"""A full, proven reading is the truth: backups that are restored, clocks that are put right."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from faults.cases.ordinary.case import BEGIN, Case, change, hours, record
from faults.cases.ordinary.time import NOW, SECOND, clock
from faults.running.stories import Story, WrongError


def older(story: Story, *places: int) -> list[Any]:
    """Records of the list as a backup has them: in an older version, with an older time."""
    return [record(n + 1, n, status="restored", title=f"As of {n}") for n in places]


def restored(mode: str, shown: bool = False) -> Callable[[Story], None]:
    """Ten records go back to what they were; then a full reading."""

    def story(story: Story) -> None:
        change(story, *range(5, 15))
        story.loaded()
        story.api.rows[5:15] = older(story, *range(5, 15))
        if shown:
            run = story.run(mode=mode)
            if run.shown.get("rows_reverted") != 10:
                raise WrongError(f"rows_reverted is {run.shown.get('rows_reverted')}, not 10")
            again = story.run(mode=mode)
            if again.shown.get("rows_reverted", 0) != 0:
                raise WrongError("the same rows are reverted again")
        else:
            story.sync(mode=mode)
        change(story, 6, at=1_500)
        story.sync()

    return story


def without_incremental(story: Story) -> None:
    """Every sync is a full reading."""
    story.configure(endpoint__incremental=None)
    restored("incremental")(story)


def fast_clock(mode: str) -> Callable[[Story], None]:
    """Records were a day, or years, ahead, and are put right, with other contents."""

    def story(story: Story) -> None:
        clock(story, NOW)
        change(story, 3, at=NOW + 24, status="fast")
        change(story, 4, at=NOW + 90_000, status="fast")
        change(story, 5, at=NOW + 2, status="fast")
        story.loaded()
        clock(story, NOW + 1)
        change(story, 3, 4, 5, at=NOW + 0.5, status="put right")
        story.sync(mode=mode)
        story.sync()

    return story


def shown_as(story: Story, before: dict[str, Any]) -> None:
    """A full read, ten seconds later, of a replica that shows record 7 as it was `before`."""
    newest = story.api.rows[7]
    clock(story, NOW + 10 * SECOND)
    story.api.rows[7] = before
    story.sync("loaded", mode="full_refresh")
    story.api.rows[7] = newest
    if wrong := story.unequal():
        raise WrongError(f"the older version of a replica replaces a newer one: {wrong}")


def replica_behind(story: Story) -> None:
    """A record changed seconds ago, and a replica still shows its version before that."""
    clock(story, NOW)
    before = dict(story.api.rows[7])
    change(story, 7, at=NOW - 20 * SECOND)
    story.loaded()
    shown_as(story, before)
    clock(story, NOW + 3)
    story.sync(mode="full_refresh")


def versions_of(
    data_type: str, tell: Callable[[float], Any], lag: float
) -> Callable[[Story], None]:
    """The same of a column `ts`, which holds times in another form; `lag` is in its unit."""

    def put(story: Story, at: float) -> None:
        change(story, 7, at=at, ts=tell(at))

    def story(story: Story) -> None:
        for number, row in enumerate(story.api.rows):
            row["ts"] = tell(number)
        story.api.keeps = lambda row, query: str(row["ts"]) >= query.get("since", "")
        incremental = {"cursor_path": "ts", "start_param": "since", "lag": lag}
        story.configure(
            endpoint__incremental=incremental,
            columns__ts={"data_type": data_type, "dedup_sort": "desc"},
            columns__updated_at__dedup_sort=None,
        )
        clock(story, NOW)
        put(story, NOW - 1_900)
        story.loaded()
        before = dict(story.api.rows[7])
        put(story, NOW - 20 * SECOND)
        story.sync()
        shown_as(story, before)
        # Long after, the older version is what a restored backup has.
        clock(story, NOW + 60)
        story.api.rows[7] = before
        story.sync(mode="reconcile")

    return story


def epoch(unit: int) -> Callable[[float], int]:
    """Numbers, so many a second."""
    return lambda at: int((BEGIN + timedelta(hours=at)).timestamp()) * unit


def older_in_incremental(story: Story) -> None:
    """An incremental reading that brings an older version too, before and after the newer one."""
    story.loaded()
    change(story, 30, 31, at=40)
    rows = story.api.rows
    rows += [{**rows[30], "updated_at": record(36)["updated_at"], "status": "older"}]
    rows.insert(0, {**rows[31], "updated_at": record(36)["updated_at"], "status": "older"})
    story.sync("proven|unproven")


CASES = [
    *(
        Case(f"a backup is restored, {mode}: {style}", restored(mode), style, total)
        for mode, style, total in (
            ("full_refresh", "offset", False),
            ("reconcile", "cursor", False),
            ("full_refresh", "page number", True),
            ("reconcile", "link", True),
        )
    ),
    Case("a backup is restored, and said once", restored("reconcile", shown=True)),
    Case("a backup is restored, and said once: cursor", restored("full_refresh", True), "cursor"),
    Case("a backup is restored: no incremental", without_incremental),
    Case("a backup is restored: no incremental, single page", without_incremental, "single page"),
    Case("a fast clock is put right, full_refresh", fast_clock("full_refresh")),
    Case("a fast clock is put right, reconcile: cursor", fast_clock("reconcile"), "cursor"),
    *(
        Case(f"a replica is seconds behind: {style}", replica_behind, style)
        for style in ("offset", "cursor", "link")
    ),
    *(
        Case(f"a replica is seconds behind, {name}", versions_of(data_type, tell, lag), "cursor")
        for name, data_type, tell, lag in (
            ("versions are seconds", "bigint", epoch(1), 60),
            ("versions are milliseconds", "bigint", epoch(1_000), 60_000),
            ("versions are decimals", "decimal", epoch(1), 60),
            ("versions are texts", "text", hours, 0),
        )
    ),
    Case("older versions in an incremental reading", older_in_incremental),
    Case("older versions in an incremental reading: cursor", older_in_incremental, "cursor"),
]
