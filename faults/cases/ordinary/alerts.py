"""An API whose fields have other names and are deeper, and what the table has of them."""

from collections.abc import Callable
from typing import Any

from fakes.incidents import ALERT_FIELDS, moment
from faults.cases.ordinary.case import LATER, hours
from faults.judging.fields import Row, unequal
from faults.running.stories import Story, WrongError

Value = Callable[[Row], Any]

FIELDS = ALERT_FIELDS
PHASES = {"active": "open", "Suppressed": "acknowledged", "resolved": "closed"}
COLUMNS: dict[str, Value] = {
    "id": lambda row: row["fingerprint"],
    "status": lambda row: row["status"]["state"],
    "phase": lambda row: {n.lower(): p for n, p in PHASES.items()}.get(row["status"]["state"]),
    "created_at": lambda row: row["startsAt"],
    "updated_at": lambda row: row["updatedAt"],
    "severity": lambda row: row["labels"].get("severity"),
}
SETTINGS: dict[str, Any] = {"resource__fields": FIELDS, "resource__phases": PHASES}
STATES = ("active", "suppressed", "resolved")


def alert(number: int, changed: float | None = None, **more: Any) -> Row:
    """A record whose four fields have other names, and are deeper."""
    return {
        "fingerprint": f"f{number}",
        "id": number,
        "status": {"state": STATES[number % 3], "by": None},
        "startsAt": hours(number),
        "updatedAt": hours(number if changed is None else changed),
        "labels": {"severity": ("high", "low")[number % 2], "level": f"P{number % 4}"},
        "title": f"Alert {number}",
        **more,
    }


def since(field: str) -> Callable[[Any, dict[str, str]], bool]:
    """A filter `updated_since` by a field of this name."""

    def keeps(row: Any, query: dict[str, str]) -> bool:
        asked = query.get("updated_since")
        return asked is None or moment(row[field]) >= moment(asked.replace(" ", "+"))

    return keeps


def begin(story: Story, *without: str, left_out: Value = lambda _: False, **columns: Value) -> None:
    """The API has alerts, and the table has to have these columns of them, beside their own."""
    story.api.rows = [alert(n) for n in range(1, len(story.api.rows) + 1)]
    story.api.keeps = since("updatedAt")
    want(story, *without, left_out=left_out, **columns)


def want(story: Story, *without: str, left_out: Value = lambda _: False, **columns: Value) -> None:
    """What the table has to have from now on."""
    wanted = {n: value for n, value in {**COLUMNS, **columns}.items() if n not in without}

    def seen(row: Row) -> Row:
        own = {f"source_{n}" if n in wanted else n: value for n, value in row.items()}
        return {**own, **{n: value(row) for n, value in wanted.items()}}

    story.wants = lambda rows: [seen(row) for row in rows if not left_out(row)]


def change(story: Story, *places: int, at: float = LATER, **more: Any) -> None:
    """Alerts change, by their place in the list."""
    for place in places:
        row = story.api.rows[place]
        story.api.rows[place] = {**row, "title": f"at {at}", "updatedAt": hours(at), **more}


def in_column(story: Story, column: str) -> None:
    """The column itself has its values, and not one that a field of its name may be in.

    Raises:
        WrongError: It has not.
    """
    names = ("id", column)
    told = [{n: row.get(n) for n in names} for row in story.wants(story.api.rows)]
    table = [{n: row.get(n) for n in names} for row in story.table()]
    if wrong := unequal(told, table):
        raise WrongError(f"column {column}: {wrong}")
