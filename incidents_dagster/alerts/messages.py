"""The words of an alert: what is wrong and why, or that it is well again; redacted and plain."""

from collections.abc import Iterator, Sequence

from incidents_dagster.alerts.conditions import WELL_AGAIN, Condition, Kind, Level, span
from incidents_dagster.alerts.told import Change, Waiting
from incidents_dagster.ingestion.plain_text import plain
from incidents_dagster.ingestion.secrets.redaction import redact

WELL = "well"
LEVELS = {Level.WARN: "warning", Level.ERROR: "error"}
FIRST = 5  # of the incidents that are new, as lines
LONGEST_LINE, LONGEST_TITLE, LONGEST_MEMBER = 600, 200, 200


def message(change: Change, ui_url: str, now: float) -> Waiting:
    """The message for a change.

    Args:
        change: What is to be told.
        ui_url: Where the UI is; empty: unknown.
        now: Seconds since 1970.
    """
    told, one = change.told, change.worse
    if one is None:
        state, run_id, level = WELL_AGAIN[Kind(told.kind)], change.run_id, WELL
        lines = [f"after {span(now - told.since)}."]
    else:
        state, run_id, level = one.state, one.run_id, LEVELS[one.level]
        lines = [_line(one.cause), *map(_line, one.details), *_members(one, change.new)]
    if run_id and ui_url:
        lines.append(f"{ui_url}/runs/{run_id}")
    title = _line(f"{told.subject} {state}", LONGEST_TITLE)
    return Waiting(told.source, level, title, "\n".join(lines), run_id, now)


def _members(one: Condition, new: Sequence[str]) -> Iterator[str]:
    for id in new[:FIRST]:
        yield f"- {_line(one.members[id], LONGEST_MEMBER)}"
    if more := len(new) - len(new[:FIRST]):
        yield f"- and {more:,} more"


def _line(text: str, most: int = LONGEST_LINE) -> str:
    """A text from elsewhere in one line, without secrets."""
    line = " ".join(plain(redact(text)).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
