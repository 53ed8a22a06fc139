"""`windows` of a resource: windows of time, for an API that returns only a part of a long list.

`window_reader` reads them one after another.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from pydantic import Field

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.incremental import Incremental, Moment
from incidents_dagster.ingestion.reading.own_tables import take_table, validated
from incidents_dagster.ingestion.rows.filled import from_epoch
from incidents_dagster.ingestion.secrets.shown import shown
from incidents_dagster.ingestion.settings import Section
from incidents_dagster.ingestion.settings_files import Place

KEY = "windows"
UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
BEGIN = datetime(2000, 1, 1, tzinfo=timezone.utc)  # without an initial_value
MOST_WINDOWS = 10_000
EARLIEST = 86_400.0  # seconds since 1970: a request begins up to a day earlier


class Windows(Section):
    """`windows` of a resource.

    Attributes:
        most: How many records of one list the API returns at most; 0: all.
        days: How long a window may be; 0: any length.
        unit: The shortest time that the API's filter tells apart: second, minute, hour or day.
    """

    most: int = Field(default=0, ge=0)
    days: float = Field(default=0.0, ge=0)
    unit: Literal["second", "minute", "hour", "day"] = "second"

    def plan(self, begin: datetime) -> list["Window"]:
        """Windows from `begin` to now, the first one first; the last one has no end."""
        # No pendulum, whose differences cannot be divided by a timedelta.
        begin = datetime.fromtimestamp(begin.timestamp(), timezone.utc)
        longest = timedelta(days=self.days) if self.days else None
        now, windows = datetime.now(timezone.utc), []
        if longest and (now - begin) / longest > MOST_WINDOWS:
            raise SettingsError(
                f"windows.days = {self.days:g} in .dlt/config.toml makes more than "
                f"{MOST_WINDOWS:,} windows since {begin:%Y-%m-%d}: raise it, or "
                "incremental.initial_value."
            )
        while longest and begin + longest < now:
            windows.append(Window(begin, begin + longest))
            begin += longest
        return [*windows, Window(begin, None)]

    @property
    def shortest(self) -> timedelta:
        """How long a window is at least."""
        return timedelta(seconds=UNITS[self.unit])


@dataclass(frozen=True)
class Window:
    """A window of time.

    Attributes:
        begin: Its first moment.
        end: The first moment after it; None: as far as there is anything.
    """

    begin: datetime
    end: datetime | None

    def __str__(self) -> str:
        """For a log: `2026-01-01 to 2026-02-01`, with times if it is that short."""
        spelled = "%Y-%m-%d %H:%M:%S"
        if not self.end:
            return f"since {self.begin:{spelled}}"
        days = self.begin.time() == self.end.time() == datetime.min.time()
        spelled = "%Y-%m-%d" if days else spelled
        return f"{self.begin:{spelled}} to {self.end:{spelled}}"

    def asked(self, unit: timedelta) -> tuple[datetime, datetime | None]:
        """What to ask for: a unit more on either side, as APIs may exclude either bound."""
        return Moment.of(self.begin - unit), Moment.of(self.end and self.end + unit)

    def halves(self, now: datetime, unit: timedelta) -> list["Window"] | None:
        """Two shorter windows; None if it is as short as can be."""
        units = ((self.end or max(now, self.begin)) - self.begin) // unit
        if units <= 1:
            return None
        middle = self.begin + (units // 2) * unit
        return [Window(self.begin, middle), Window(middle, self.end)]


def take_windows(resource: dict[str, Any], place: Place) -> Windows | None:
    """Removes `windows` from a resource; None if it has none.

    Raises:
        SettingsError: It has a wrong name or value.
    """
    given = take_table(resource, KEY, place)
    return None if given is None else validated(Windows, given, place / KEY)


def begin_of(incremental: Incremental) -> datetime:
    """Where the first window begins if everything is read.

    Raises:
        SettingsError: The initial value is no time.
    """
    given = incremental.initial_value
    if given is None:
        return BEGIN
    try:
        found = from_epoch(given) if isinstance(given, (int, float)) else Moment.of(given)
    except (ValueError, OverflowError, OSError):
        raise SettingsError(
            f"incremental.initial_value in .dlt/config.toml must be a time, as the resource is "
            f"read in windows, {shown(given)}."
        ) from None
    return datetime.fromtimestamp(max(found.timestamp(), EARLIEST), timezone.utc)
