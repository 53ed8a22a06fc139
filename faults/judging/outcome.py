"""The outcome of a case and of a section, and what makes a sync right, red or wrong."""

import json
import re
from dataclasses import dataclass, field
from tempfile import gettempdir
from typing import Any, Literal

from fakes.incidents import moment

UNEXPLAINED = re.compile(r"\w*(Error|Exception|Interrupt)\b|Traceback")
# What is another one in each run: ports, processes, and folders that are gone by now.
PORT = re.compile(r"(?<=//)(127\.0\.0\.1|localhost):\d+")
PROCESS = re.compile(r"\bPID \d+")
FOLDER = re.compile(re.escape(gettempdir()) + r"/\w+/")


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        case: What was done to the sync.
        verdict: `right`: the sync was green and the table equals the source. `red`: it failed
            with a clear message, and the table is as it was. `wrong`: anything else. `left out`:
            it says nothing of the store that is tried.
        note: The message of a red sync, or what is wrong.
    """

    case: str
    verdict: Literal["right", "red", "wrong", "left out"]
    note: str = ""


@dataclass
class Result:
    """What came of a section.

    Attributes:
        outcomes: Of every case, or of those worth a line where there are thousands.
        figures: What the summary says, a name and a number each, such as `kills survived`.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    figures: dict[str, int | float] = field(default_factory=dict)


def judged(
    case: str,
    message: str | None,
    before: dict[str, Any],
    after: dict[str, Any],
    source: dict[str, Any],
) -> Outcome:
    """The outcome of one sync, from the versions in the table before and after, and the API's.

    Args:
        case: What was done.
        message: What the sync said when it failed; None for a green one.
        before: id → version in the table before the sync.
        after: The same after it.
        source: The same at the API.
    """
    if message is None:
        if after == source:
            return Outcome(case, "right")
        lost, extra = source.keys() - after.keys(), after.keys() - source.keys()
        other = [i for i in source.keys() & after.keys() if source[i] != after[i]]
        return Outcome(
            case,
            "wrong",
            f"green, with {len(lost)} rows lost, {len(extra)} too many, {len(other)} in another "
            f"version, such as {json.dumps(sorted(map(str, [*lost, *extra, *other]))[:3])}",
        )
    if after != before:
        return Outcome(case, "wrong", f"red, and the table changed: {message}")
    return Outcome(case, "red" if clear(message) else "wrong", message)


def clear(message: str) -> bool:
    """Whether that is one message of ours: one line, and no exception that nobody has explained."""
    return bool(message) and "\n" not in message and not UNEXPLAINED.match(message)


def versions_of(rows: list[Any]) -> dict[str, tuple[Any, ...]]:
    """id → what a table that equals `rows` has: status and updated_at, of the newest version."""
    oldest_first = sorted(rows, key=lambda row: moment(row["updated_at"]))
    return {str(row["id"]): (row["status"], moment(row["updated_at"])) for row in oldest_first}


def steady(text: str) -> str:
    """`text` without what is another one in each run."""
    return FOLDER.sub("", PROCESS.sub("PID …", PORT.sub(r"\1", text)))
