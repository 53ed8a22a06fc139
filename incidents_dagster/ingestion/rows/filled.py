"""Columns that are filled from paths in the records, as `fields` of a resource says.

`reading.field_settings` makes the column's hint of the configuration; here are a record's values.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from incidents_dagster.ingestion.rows.paths import as_text, values_at
from incidents_dagster.ingestion.tables import FILLED, key_as_text

FAR_SECONDS = 1e11  # the year 5138: more can only be milliseconds or less
THOUSANDS = 3  # nanoseconds are the finest
NAIVE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(\.\d+)?)?")
TIME = "timestamp"
BETWEEN = ", "


@dataclass(frozen=True)
class Filled:
    """How a column is filled.

    Attributes:
        paths: JSONPaths in a record. The first one with a value counts, unless `together`.
        kind: The column's data_type in dlt.
        together: Whether all values make one text: `required`, or those that there are.
        time_format: Of times, in strptime's codes, for those that are not ISO 8601.
        zone: Of times without one; a name from the tz database.
        phases: Value, casefolded → what the column gets for it; empty: the value itself.
        spelled: Whether a value that is no text becomes its JSON.
    """

    paths: list[str]
    kind: str = "text"
    together: str = ""
    time_format: str = ""
    zone: str = ""
    phases: dict[str, str] = field(default_factory=dict)
    spelled: bool = False

    def is_in(self, record: Mapping[str, Any]) -> bool:
        """Whether a record has any of the paths, even if it is null there."""
        return any(values_at(path, record) for path in self.paths)

    def hint(self) -> dict[str, Any]:
        """The column's hint `FILLED`: without what has its default."""
        return {name: value for name, value in asdict(self).items() if value}

    def __call__(self, record: Mapping[str, Any]) -> Any:
        """The column's value for a record; one that does not fit as the API sent it."""
        found = [self._found(path, record) for path in self.paths]
        if self.together:
            value = self._together(found)
        else:
            value = next((one for one in found if one is not None), None)
        if value is None:
            return None
        if self.kind == TIME:
            return self._time(value)
        if self.phases:
            return self.phases.get(as_text(value).casefold())
        return as_text(value) if self.spelled else value

    def _found(self, path: str, record: Mapping[str, Any]) -> Any:
        """What a path finds: its value, the first of several times, several texts as one.

        None for nothing, null and "".
        """
        values = [one for one in values_at(path, record) if one is not None and one != ""]
        if len(values) > 1 and self.kind != TIME:
            return BETWEEN.join(dict.fromkeys(map(as_text, values)))
        return values[0] if values else None

    def _together(self, found: list[Any]) -> Any:
        there = [as_text(one) for one in found if one is not None]
        if self.together == "required" and len(there) < len(found):
            return None
        return key_as_text(there) if there else None

    def _time(self, value: Any) -> Any:
        try:
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return from_epoch(value).isoformat()
            if not isinstance(value, str) or not (self.time_format or self.zone):
                return value
            moment = self._with_format(value) or _naive(value)
            if moment is None:
                return value  # ISO 8601 with an offset, or a mistake
            zoned = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self.zone or "UTC"))
            return zoned.astimezone(timezone.utc).isoformat()
        except (ValueError, OverflowError, OSError):
            return value

    def _with_format(self, text: str) -> datetime | None:
        if not self.time_format:
            return None
        try:
            return datetime.strptime(text, self.time_format)
        except ValueError:
            return None


def filled_columns(columns: Mapping[str, Any]) -> dict[str, Filled]:
    """The columns that paths fill, of columns with dlt's hints."""
    return {name: Filled(**hints[FILLED]) for name, hints in columns.items() if FILLED in hints}


def from_epoch(value: float) -> datetime:
    """A time from seconds, milliseconds, microseconds or nanoseconds since 1970.

    Raises:
        ValueError, OverflowError, OSError: It is not a number, or before the year 1.
    """
    for _ in range(THOUSANDS):
        value = value / 1000 if math.isfinite(value) and abs(value) >= FAR_SECONDS else value
    return datetime.fromtimestamp(value, timezone.utc)


def _naive(text: str) -> datetime | None:
    """A time in ISO 8601 without an offset."""
    if not (parts := NAIVE.fullmatch(text)):
        return None
    day, clock, fraction = parts.groups()
    microseconds = f".{fraction[1:7]:0<6}" if fraction else ""
    return datetime.fromisoformat(f"{day}T{clock or '00:00'}{microseconds}")
