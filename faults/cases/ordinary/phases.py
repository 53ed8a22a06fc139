"""`phases`, `absent` and `times`: what statuses mean, and how times are written."""

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from faults.cases.ordinary.alerts import PHASES, SETTINGS, begin, change, in_column, since, want
from faults.cases.ordinary.case import BEGIN, LATER, Case, hours
from faults.judging.fields import Row
from faults.running.stories import Story, WrongError

UNNAMED = "statuses_have_a_phase.*snoozed"


def unnamed(story: Story) -> None:
    """A status without a phase is told for as long as there is none."""
    begin(story)
    story.quiet(story.run())
    change(story, 4, status={"state": "snoozed"})
    story.quiet(story.run(), UNNAMED)
    story.run(says=UNNAMED)
    want(story, phase=lambda row: {**LOWER, "snoozed": "open"}.get(row["status"]["state"]))
    story.configure(resource__phases={**PHASES, "SNOOZED": "open"})
    story.quiet(story.run())


LOWER = {name.lower(): phase for name, phase in PHASES.items()}


def changed(phases: Any, value: Callable[[Row], Any]) -> Callable[[Story], None]:
    """Other phases reach every row, also one that was marked and is back; then as before."""

    def story(story: Story) -> None:
        begin(story)
        story.sync()
        back = story.api.rows.pop(2)
        story.sync(mode="reconcile")
        story.api.rows.append({**back, "updatedAt": hours(LATER)})
        want(story, phase=value)
        story.configure(resource__phases=phases)
        story.sync()
        story.sync()
        want(story)
        story.configure(resource__phases=PHASES)
        change(story, 8, at=LATER + 1)
        story.sync()
        in_column(story, "phase")

    return story


def by_number(story: Story) -> None:
    """Statuses that are numbers and flags, and phases that depend on two fields."""
    begin(
        story,
        status=lambda row: row["code"],
        phase=lambda row: "closed" if row["code"] == 2 and row["done"] else "open",
    )
    for number, row in enumerate(story.api.rows):
        row |= {"code": number % 3, "done": number % 2 == 0}
    names = {f"{code}, {flag}": "open" for code in range(3) for flag in ("true", "false")}
    story.configure(
        resource__fields__status="code",
        resource__fields__phase=["code", "done"],
        resource__phases={**names, "2, TRUE": "closed"} | {"2, true": "closed"},
    )
    story.sync()
    change(story, 4, code=2, done=True)
    story.sync()


def gone(story: Story, *ids: str) -> None:
    """These rows are marked, and of the phase that absence means.

    Raises:
        WrongError: Others are, or some are not.
    """
    found = {row["id"]: row["phase"] for row in story.table("deleted_at IS NOT NULL")}
    if found != dict.fromkeys(ids, "closed"):
        raise WrongError(f"absent rows are {found}, not {ids} closed")


def absent(story: Story) -> None:
    """An API that lists what is open: rows go, come back, and all are closed at last."""
    begin(story)
    story.configure(resource__absent="closed", endpoint__incremental=None, allow_empty=True)
    story.sync()
    first, second = story.api.rows.pop(3), story.api.rows.pop(20)
    story.sync()
    gone(story, first["fingerprint"], second["fingerprint"])
    story.api.rows.insert(0, {**first, "updatedAt": hours(LATER)})
    story.sync()
    gone(story, second["fingerprint"])
    every = [row["fingerprint"] for row in story.api.rows]
    story.api.rows = []
    story.sync("loaded")  # more than a few wait for a second look
    story.sync()
    gone(story, second["fingerprint"], *every)


def absent_later(story: Story) -> None:
    """`absent` is configured after a row has gone, and is its phase nevertheless."""
    begin(story)
    story.configure(endpoint__incremental=None)
    story.sync()
    first = story.api.rows.pop(3)
    story.sync()
    story.configure(resource__absent="closed")
    second = story.api.rows.pop(7)
    story.sync()
    gone(story, first["fingerprint"], second["fingerprint"])


def spelled(row: Row, spelling: str, zone: str) -> str:
    """When a record began, as the API writes it."""
    return datetime.fromisoformat(row["startsAt"]).astimezone(ZoneInfo(zone)).strftime(spelling)


def read_as(text: str, spelling: str, zone: str) -> str:
    """What that means, if it is read in this zone."""
    local = datetime.strptime(text, spelling).replace(tzinfo=ZoneInfo(zone))
    return local.astimezone(timezone.utc).isoformat()


def written(
    spelling: str, zone: str, first: dict[str, str], says: str = "", then: str = ""
) -> Callable[[Story], None]:
    """Times that are written in another way, and settings that do not fit at first, if any.

    Args:
        spelling: How the API writes times, in strptime's codes.
        zone: The API's.
        first: `times` of the first sync.
        says: What that says, if it is red; empty if it is not.
        then: The zone of which the times are until `times` are right.
    """

    def story(story: Story) -> None:
        begin(story, created_at=lambda row: read_as(row["opened"], spelling, then or zone))
        for row in story.api.rows:
            row["opened"] = spelled(row, spelling, zone)
        story.configure(resource__fields__created_at="opened", resource__times=first)
        if says:
            story.sync("red", says)
            if story.table("true"):
                raise WrongError("red, and rows are loaded")
        else:
            story.sync()
        want(story, created_at=lambda row: read_as(row["opened"], spelling, zone))
        story.configure(resource__times={"format": spelling, "zone": zone})
        change(story, 4)
        story.sync()
        story.sync()
        change(story, 5, at=LATER + 1)
        if says:
            story.configure(resource__times={"format": "%Y week %W"})
            story.sync("red", says)
        story.configure(resource__times={"format": spelling, "zone": zone})
        story.sync()

    return story


def cursor_in_zone(story: Story) -> None:
    """The cursor has no zone, and the filter wants times as the API writes them."""
    zone, spelling = "America/New_York", "%Y-%m-%d %H:%M:%S"

    def local(row: Row) -> str:
        moment = datetime.fromisoformat(row["updatedAt"])
        return moment.astimezone(ZoneInfo(zone)).strftime(spelling)

    begin(story)
    story.api.keeps = lambda row, query: local(row) >= query.get("from", "")
    real = story.api.tell
    story.api.tell = lambda page: {
        **real(page),
        "data": [{**row, "updatedAt": local(row)} for row in page.body["data"]],
    }
    wants = story.wants
    story.wants = lambda rows: [
        {**row, "updatedAt": local({"updatedAt": row["updatedAt"]})} for row in wants(rows)
    ]
    story.configure(
        resource__times={"zone": zone},
        endpoint__params={"from": "{incremental.start_value:%Y-%m-%d %H:%M:%S}"},
        endpoint__incremental={"cursor_path": "updated_at", "initial_value": "2020-01-01"},
    )
    story.sync()
    for at in (LATER, LATER + 1):
        change(story, 5, at=at)
        story.sync()
    asked = [page.query["from"] for page, _ in story.api.served]
    begun = BEGIN.astimezone(ZoneInfo(zone))
    if not any(begun.strftime("%Y-%m-%d") <= one for one in asked[1:]):
        raise WrongError(f"asked from {asked}")


def numbers(story: Story) -> None:
    """Seconds, milliseconds and texts in one list, as a field and as the cursor."""
    units = (1, 1_000, 1_000_000)

    def number(row: Row) -> Any:
        stamp = int(datetime.fromisoformat(row["updatedAt"]).timestamp())
        unit = units[row["id"] % 3]
        return str(row["updatedAt"]) if row["id"] % 5 == 0 else stamp * unit

    begin(story, updated_at=lambda row: row["updatedAt"])
    for row in story.api.rows:
        row["ts"] = number(row)
    story.api.keeps = since("updatedAt")
    story.configure(resource__fields__updated_at="ts")
    story.sync()
    for place in (3, 4, 5):
        change(story, place)
        story.api.rows[place]["ts"] = number(story.api.rows[place])
    story.sync()
    story.sync(mode="reconcile")


NAMED = {"active": "open", "suppressed": "closed", "resolved": "other"}
GERMAN = "%d.%m.%Y %H:%M"
CASES = [
    Case("a status that no phase is named for", unnamed, settings=SETTINGS),
    Case(
        "other phases",
        changed(NAMED, lambda row: NAMED[row["status"]["state"]]),
        settings=SETTINGS,
    ),
    Case("no phases any more", changed(None, lambda _: None), "cursor", settings=SETTINGS),
    Case("statuses that are numbers, and two fields for a phase", by_number, settings=SETTINGS),
    Case("absent", absent, settings=SETTINGS),
    Case("absent, configured later", absent_later, settings=SETTINGS),
    *(
        Case(f"times: {name}", written(*how), style, settings=SETTINGS)
        for name, how, style in (
            ("a format, and none is set", (GERMAN, "UTC", {"zone": "UTC"}, "created_at"), "offset"),
            (
                "another format than is set",
                (GERMAN, "Europe/Berlin", {"format": "%Y/%m/%d"}, "created_at"),
                "cursor",
            ),
            (
                "another zone than is set",
                (
                    "%Y-%m-%dT%H:%M:%S",
                    "Asia/Tokyo",
                    {"zone": "America/New_York"},
                    "",
                    "America/New_York",
                ),
                "offset",
            ),
        )
    ),
    Case("times: a cursor in a zone of its own", cursor_in_zone, settings=SETTINGS),
    Case("times: seconds, milliseconds, microseconds and texts", numbers, settings=SETTINGS),
]
