"""`windows`: lists that are cut off, filters that do not do as asked, reads that are stopped."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from fakes.incident_pages import Page, Tell
from fakes.incidents import moment
from faults.cases.ordinary.case import LATER, Case, change, record
from faults.judging.fields import Row
from faults.running.stories import Story

MOST = 20  # records of a list that the API shows
CURSOR = {
    "cursor_path": "updated_at",
    "start_param": "since",
    "end_param": "until",
    "lag": 900,
}
INCREMENTAL: dict[str, Any] = {"endpoint__incremental": {**CURSOR, "initial_value": "2024-01-01"}}
SETTINGS: dict[str, Any] = {**INCREMENTAL, "resource__windows": {"most": MOST}}
IN_DAYS: dict[str, Any] = {**INCREMENTAL, "resource__windows": {"most": MOST, "unit": "day"}}
IN_HOURS: dict[str, Any] = {**INCREMENTAL, "resource__windows": {"most": MOST, "unit": "hour"}}


def shows(how: str = "silently", most: int = MOST) -> Tell:
    """Answers of an API that shows so many records of a list, and is `silently` at its end then.

    Or the rest is `refused`, or an `empty` page follows.
    """

    def tell(page: Page) -> Any:
        body, query = {**page.body}, page.query
        at = int(query.get("offset", query.get("after", "c0").removeprefix("c")))
        end = at + int(query.get("limit", 10))
        if how == "refused" and end > most:
            page.status = 400
            return {"error": f"offset and limit must be below {most}"}
        body["data"] = page.rows[at : max(at, min(end, most))]
        if "next" in body and ((end >= most and how == "silently") or at >= most):
            body["next"] = None
        return body

    return tell


def within(*odd: str) -> Callable[[Any, dict[str, str]], bool]:
    """A filter from `since` to `until`: `no begin`, `no end`, `exclusive`, or `days`."""

    def keeps(row: Any, query: dict[str, str]) -> bool:
        bounds = [None if name in odd else query.get(name) for name in ("since", "until")]
        if not row["updated_at"]:
            return bounds == [None, None]
        at, since, until = (
            one and moment(one.replace(" ", "+")) for one in (row["updated_at"], *bounds)
        )
        if "days" in odd:
            at, since, until = (one and one.date() for one in (at, since, until))
        if "exclusive" in odd and at in (since, until):
            return False
        return (since is None or since <= at) and (until is None or at <= until)

    return keeps


def begin(story: Story, *odd: str, how: str = "silently", most: int = MOST) -> None:
    """The API shows so much, and filters like this."""
    story.api.keeps, story.api.tell = within(*odd), shows(how, most)


def cut_off(how: str = "silently", *odd: str) -> Callable[[Story], None]:
    """All is there nevertheless, at first, after changes, and in a reconcile."""

    def story(story: Story) -> None:
        begin(story, *odd, how=how)
        story.sync()
        change(story, 2, 30)
        story.api.rows += [record(100 + n, LATER + n / 60) for n in range(25)]
        story.sync()
        del story.api.rows[4], story.api.rows[33]
        story.sync("loaded")
        story.sync(mode="reconcile")

    return story


def crowd(count: int, must: str, *odd: str, apart: float = 0) -> Callable[[Story], None]:
    """So many records within the shortest time that can be asked for."""

    def story(story: Story) -> None:
        begin(story, *odd)
        if "days" in odd:
            story.api.rows = [record(n, 24 * n) for n in range(35)]
        story.api.rows += [record(100 + n, 240 + n * apart) for n in range(count)]
        story.sync(must, "records around" if must == "red" else "")
        if must == "red":
            story.api.rows = story.api.rows[:35]
            story.sync()

    return story


def filters(must: str, *odd: str, most: int = MOST, says: str = "") -> Callable[[Story], None]:
    """A filter that does not do as asked; an API that shows `most` records."""

    def story(story: Story) -> None:
        begin(story, *odd, most=most)
        story.sync(must, says)
        begin(story, most=most)
        change(story, 3)
        story.sync()

    return story


def lower(story: Story) -> None:
    """The API shows fewer records than is configured, and its total tells."""
    story.configure(resource__windows={"most": 1_000})
    begin(story, most=12)
    story.sync("red", "reports")


def in_zone(story: Story) -> None:
    """The filter, and the times, are in a zone of their own, without saying so."""
    zone, spelling = ZoneInfo("America/New_York"), "%Y-%m-%d %H:%M:%S"

    def local(row: Row) -> str:
        return moment(row["updated_at"]).astimezone(zone).strftime(spelling)

    def keeps(row: Row, query: dict[str, str]) -> bool:
        return query.get("from", "") <= local(row) <= query.get("to", "9")

    story.api.keeps, tell = keeps, shows()

    def told(page: Page) -> Any:
        body = tell(page)
        return {**body, "data": [{**row, "updated_at": local(row)} for row in body["data"]]}

    story.api.tell = told
    story.configure(
        resource__fields={"updated_at": "updated_at"},
        resource__times={"zone": zone.key},
        endpoint__params={
            "from": f"{{incremental.start_value:{spelling}}}",
            "to": f"{{incremental.end_value:{spelling}}}",
        },
        endpoint__incremental={
            "cursor_path": "updated_at",
            "initial_value": "2024-01-01",
            "lag": 900,
        },
    )
    # The API's own field of the time has another name in the table, and is as it was sent.
    story.wants = lambda rows: [{**row, "source_updated_at": local(row)} for row in rows]
    story.sync()
    change(story, 3)
    story.sync()
    story.sync(mode="reconcile")


DAY = 1 / 24 / 60
CASES = [
    *(
        Case(f"cut off {name}: {style}", cut_off(how), style, total, settings=SETTINGS)
        for name, how, style, total in (
            ("silently, with a total", "silently", "offset", True),
            ("silently", "silently", "cursor", False),
            ("by a status 400", "refused", "offset", False),
            ("by an empty page", "empty", "cursor", False),
        )
    ),
    Case("both ends left out", cut_off("silently", "exclusive"), total=True, settings=SETTINGS),
    *(
        Case(f"{name} in a {unit}", crowd(count, must, *odd, apart=apart), style, total, settings=s)
        for name, unit, count, must, odd, apart, style, total, s in (
            ("more than are shown", "second", 25, "red", (), 0, "offset", True, SETTINGS),
            (
                "more than are shown, silently",
                "second",
                25,
                "red",
                (),
                0,
                "cursor",
                False,
                SETTINGS,
            ),
            ("as many as are shown", "second", MOST, "proven", (), 0, "offset", True, SETTINGS),
            ("more than are shown", "day", 25, "red", ("days",), DAY, "cursor", True, IN_DAYS),
        )
    ),
    Case(
        "a filter cuts times to days",
        filters("red", "days", says="records around"),
        settings=IN_HOURS,
    ),
    Case("the end is ignored", filters("red", "until", says="ignore"), "cursor", settings=IN_HOURS),
    Case("the beginning is ignored", filters("red", "since", says="ignore"), settings=IN_HOURS),
    Case(
        "both are ignored, and all is shown",
        filters("proven", "since", "until", most=1_000),
        settings={**INCREMENTAL, "resource__windows": {"days": 90}},
    ),
    Case("fewer are shown than configured", lower, "cursor", True, settings=SETTINGS),
    Case("times and a filter in another zone", in_zone, "cursor", settings=SETTINGS),
]
