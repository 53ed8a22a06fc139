"""Time: records ahead of it, two clocks that differ, the first and the last year, a lag."""

from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

from fakes.incident_pages import changed_since
from faults.cases.ordinary.case import BEGIN, Case, change
from faults.running.stories import Story

SECOND = 1 / 3600
NOW = 2_000  # hours after BEGIN, when the syncs begin
YEAR_1, YEAR_9999 = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"


def clock(story: Story, at: float) -> None:
    """The API's own clock shows this."""
    date = format_datetime(BEGIN + timedelta(hours=at), usegmt=True)
    story.api.date = lambda: date


def ahead(seconds: float) -> Callable[[Story], None]:
    """A record is ahead of its time; others change in the seconds after that."""

    def story(story: Story) -> None:
        clock(story, NOW)
        change(story, 7, at=NOW + seconds * SECOND)
        story.loaded()
        for step in range(1, 4):
            clock(story, NOW + step * 10 * SECOND)
            change(story, 10 + step, at=NOW + (step * 10 - 2) * SECOND)
            story.sync()

    return story


def behind(story: Story) -> None:
    """The API's clock is ten minutes behind that of those who write its records."""
    clock(story, NOW)
    change(story, 7, at=NOW + 1 / 6)
    story.loaded()
    clock(story, NOW + 30 * SECOND)
    change(story, 8, at=NOW + 20 * SECOND)
    story.sync()


def late(minutes: float) -> Callable[[Story], None]:
    """The API shows a change some minutes after the time that it says it was made."""

    def story(story: Story) -> None:
        clock(story, NOW)
        change(story, 7, at=NOW - SECOND)
        story.loaded()
        clock(story, NOW + minutes / 60)
        change(story, 8, at=NOW - minutes / 60 + 5 * SECOND)
        story.sync()

    return story


def odd_time(value: str, *places: int) -> Callable[[Story], None]:
    """Records whose time is out of this world; then others change."""

    def story(story: Story) -> None:
        for place in places or range(len(story.api.rows)):
            story.api.rows[place]["updated_at"] = value
        clock(story, NOW)
        story.sync()
        story.sync()
        change(story, 11, at=NOW + 1)
        clock(story, NOW + 1)
        story.sync()
        story.sync(mode="reconcile")

    return story


def by_number(row: Any, query: dict[str, str]) -> bool:
    """A filter on a number."""
    return "since" not in query or row["ts"] >= float(query["since"])


def numbered(
    unit: int, odd: Callable[[int], int], data_type: str = "bigint", **cursor: Any
) -> Callable[[Story], None]:
    """A numeric cursor, of which one value is odd."""

    def story(story: Story) -> None:
        start = int(BEGIN.timestamp())
        for number, row in enumerate(story.api.rows):
            row["ts"] = (start + number * 60) * unit
        story.api.rows[5]["ts"] = odd(start)
        story.api.keeps = by_number
        clock(story, 10)
        incremental = {"cursor_path": "ts", "start_param": "since", "lag": 60, **cursor}
        story.configure(
            endpoint__incremental=incremental,
            columns__ts={"data_type": data_type},
            columns__updated_at__dedup_sort=None,
        )
        story.sync()
        for step in range(1, 3):
            clock(story, 10 + step)
            ts = (start + (10 * 3600 + step * 60)) * unit
            change(story, 10 + step, ts=ts)
            story.sync()

    return story


def as_text(spelling: str, odd: str, data_type: str | None = "text") -> Callable[[Story], None]:
    """A cursor that is text, of which one value is odd; others change after that."""

    def spelled(seconds: float) -> str:
        return (BEGIN + timedelta(hours=NOW, seconds=seconds)).strftime(spelling)

    def story(story: Story) -> None:
        for number, row in enumerate(story.api.rows):
            row["ts"] = spelled(number - 3_600)
        story.api.rows[5]["ts"] = odd or spelled(100)
        story.api.keeps = lambda row, query: row["ts"] >= query.get("since", "")
        clock(story, NOW)
        story.configure(
            endpoint__incremental={"cursor_path": "ts", "start_param": "since"},
            columns__ts={"data_type": data_type} if data_type else None,
            columns__updated_at__dedup_sort=None,
        )
        story.sync()
        for step in range(1, 4):
            clock(story, NOW + step * 10 * SECOND)
            change(story, 10 + step, ts=spelled(step * 10 - 2))
            story.sync()

    return story


def formatted(story: Story) -> None:
    """Year 1 in all records, and a start that is spelled as a date."""
    for row in story.api.rows:
        row["updated_at"] = YEAR_1
    story.configure(
        endpoint__params={"updated_since": "{incremental.start_value:%Y-%m-%d}"},
        endpoint__incremental={
            "cursor_path": "updated_at",
            "initial_value": "2020-01-01",
            "lag": 86_400,
        },
    )
    story.api.keeps = lambda row, query: row["updated_at"] == YEAR_1 or changed_since(row, query)
    story.sync()
    story.sync()
    change(story, 11)
    story.sync()


def zero(story: Story) -> None:
    """`initial_value = 0` for a time."""
    story.configure(
        endpoint__incremental={
            "cursor_path": "updated_at",
            "start_param": "updated_since",
            "initial_value": 0,
            "lag": 60,
        },
    )
    story.api.keeps = lambda row, query: (
        query.get("updated_since") in ("0", None) or (changed_since(row, query))
    )
    story.sync("proven|red")
    story.sync("proven|red")


CASES = [
    *(
        Case(f"a record {name} ahead: {style}", ahead(seconds), style)
        for name, seconds, style in (
            ("100 s", 100, "offset"),
            ("100 s", 100, "cursor"),
            ("2 h", 7_200, "offset"),
            ("2 h", 7_200, "page number"),
            ("10 years", 315_360_000, "cursor"),
        )
    ),
    Case("two clocks that differ", behind),
    Case("two clocks that differ: link", behind, "link", True),
    *(
        Case(f"shown {minutes} minutes late: {style}", late(minutes), style)
        for minutes, style in ((2, "offset"), (4, "cursor"), (4, "offset"))
    ),
    *(
        Case(f"{name}: {style}", odd_time(value, *places), style)
        for name, value, places, style in (
            ("year 1 in one record", YEAR_1, (3,), "offset"),
            ("year 1 in all records", YEAR_1, (), "offset"),
            ("year 1 in all records", YEAR_1, (), "cursor"),
            ("year 9999 in one record", YEAR_9999, (3,), "offset"),
            ("year 9999 in one record", YEAR_9999, (3,), "cursor"),
            ("year 9999 in all records", YEAR_9999, (), "offset"),
        )
    ),
    Case("year 1, and a start that is formatted", formatted),
    Case("initial_value 0", zero),
    Case(
        "initial_value 0 of a number", numbered(1, lambda start: start, initial_value=0), "cursor"
    ),
    Case("milliseconds among seconds", numbered(1, lambda start: start * 1000)),
    Case("milliseconds among seconds: link", numbered(1, lambda start: start * 1000), "link"),
    Case("a number far ahead", numbered(1, lambda start: start + 10 * 86_400), "cursor"),
    Case(
        "a decimal far ahead",
        numbered(1, lambda start: start + 10 * 86_400, data_type="decimal"),
        "cursor",
    ),
    *(
        Case(f"a cursor of text, {name}: {style}", as_text(spelling, odd, data_type), style)
        for name, spelling, odd, data_type, style in (
            ("one 100 s ahead", "%Y-%m-%dT%H:%M:%SZ", "", "text", "cursor"),
            ("one a word", "%Y-%m-%dT%H:%M:%SZ", "zzz", None, "cursor"),
            ("one a word", "%Y-%m-%dT%H:%M:%S+00:00", "tomorrow", None, "link"),
            ("one in the year 9999", "%Y-%m-%d %H:%M:%S", "9999-12-31 23:59:59", "text", "offset"),
            ("Roundup's, one ahead", "%Y-%m-%d.%H:%M:%S", "", "text", "cursor"),
            ("Roundup's, one far ahead", "%Y-%m-%d.%H:%M:%S", "9999-12-31.00:00:00", None, "link"),
        )
    ),
]
