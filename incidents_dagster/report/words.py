"""Numbers, times and texts as the report writes them; what is not known is said, never 0.

Texts from an API lose control characters and secrets here; the template and `svg` escape them.
"""

from collections.abc import Collection
from datetime import datetime
from urllib.parse import urlsplit

from incidents_dagster.ingestion.plain_text import plain
from incidents_dagster.ingestion.secrets.redaction import redact_record

LONGEST = 120  # of a text from the API
NOT_REACHED = "not reached"
NBSP = "\u00a0"  # between a number and its unit
HOUR, DAY = 60.0, 1440.0  # minutes
MIN_SHOWN = 10  # below, a number has one decimal


def clean(text: object) -> str:
    """A text from the API, on one line, without secrets and control characters."""
    line = " ".join(plain(redact_record(str(text))).split())
    return fits(line, LONGEST)


def link(url: object) -> str:
    """`url` if it is one of http or https, with a host and without a secret; else ""."""
    text = str(url or "").strip()
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return ""
    return text if fine and not parts.username and redact_record(text) == text else ""


def duration(minutes: float | None, missing: str = NOT_REACHED) -> str:
    """Minutes in the unit that suits them, such as `45 min`, `3.5 h` or `12 d`."""
    if minutes is None:
        return missing
    for unit, length in (("d", 2 * DAY), ("h", 2 * HOUR), ("min", 1.0)):
        if minutes >= length:
            of_unit = minutes / {"d": DAY, "h": HOUR, "min": 1.0}[unit]
            return f"{number(of_unit)}{NBSP}{unit}"
    return f"under 1{NBSP}min"


def number(value: float) -> str:
    """With one decimal if it is small and has one."""
    text = f"{value:,.1f}" if value < MIN_SHOWN else f"{value:,.0f}"
    return text.removesuffix(".0")


def count(value: int, noun: str) -> str:
    """Such as `1 incident` or `1,043 incidents`."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def share(part: float | None, missing: str = "unknown") -> str:
    """A part of 1 in per cent; rounded, but neither to 0 nor to 100 if it is not."""
    if part is None:
        return missing
    percent = round(part * 100)
    if percent == 0 and part > 0:
        return f"under 1{NBSP}%"
    if percent == 100 and part < 1 - 1e-9:  # noqa: PLR2004
        return f"over 99{NBSP}%"
    return f"{percent}{NBSP}%"


def fits(name: str, most: int) -> str:
    """A name where there is only so much room for it."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def limits(low: float | None, high: float | None) -> str:
    """The limits of 95 % of a quantile."""
    return f"{duration(low, 'unknown')} to {duration(high)}"


def moment(at: datetime | None) -> str:
    """A time in UTC, to the minute."""
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "never"


def listed(names: Collection[str], most: int = 4) -> str:
    """`a, b and 3 more`."""
    shown = list(names)[:most]
    more = len(names) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
