"""Times in a column of the table, which may hold them as timestamps, dates, numbers or texts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from incidents_dagster.ingestion.tables import quoted

UNITS = (1, 1_000, 1_000_000, 1_000_000_000)  # per second, of numbers that are times
# A number is a time if it is one between these shares of the present one: 1981 to 2082.
SHARES = (0.2, 2.0)
NUMBERS: dict[str, Callable[[float], Any]] = {
    "BIGINT": int,
    "INTEGER": int,
    "HUGEINT": int,
    "DOUBLE": float,
    "DECIMAL": lambda number: Decimal(int(number)),
}
# `2026-11-24.14:08:21` as DuckDB takes it.
SPELLING = r"'^(\d{4})\D(\d\d)\D(\d\d)\D(\d\d)\D(\d\d)', '\1-\2-\3 \4:\5'"


@dataclass(frozen=True)
class Times:
    """How a column holds times.

    Attributes:
        column: Its name.
        kind: Its type in DuckDB, without parameters.
        unit: How many are a second, of numbers; else 1.
    """

    column: str
    kind: str
    unit: int = 1

    @classmethod
    def of(cls, column: str, kind: str, median: Callable[[str], float]) -> "Times | None":
        """How a column of a type holds times; None if most of its values are not times.

        Args:
            column: Its name.
            kind: Its type in DuckDB.
            median: Returns the median of an SQL expression in the table, 0 if there is none.
        """
        found = cls(column, kind.partition("(")[0])
        if kind == "DATE" or kind.startswith("TIMESTAMP"):
            return found
        if found.are_texts:
            name = quoted(column)
            is_none = f"CASE WHEN {name} <> '' THEN ({found.sql()} IS NULL)::INT END"
            return None if median(is_none) else found
        if found.kind in NUMBERS:
            typical, now = median(quoted(column)), datetime.now(timezone.utc).timestamp()
            for unit in UNITS:
                if SHARES[0] < typical / (now * unit) < SHARES[1]:
                    return cls(column, found.kind, unit)
        return None

    @property
    def are_texts(self) -> bool:
        """Whether they are texts, so that only the API knows how to spell another one."""
        return self.kind == "VARCHAR"

    def sql(self, alias: str = "") -> str:
        """SQL for the column, which compares with `at`; null for a text that is not a time."""
        name = f"{alias}.{quoted(self.column)}" if alias else quoted(self.column)
        if not self.are_texts:
            return name
        spelled = f"regexp_replace({name}, {SPELLING})"
        return f"coalesce({', '.join(f'try_cast({t} AS TIMESTAMPTZ)' for t in (name, spelled))})"

    def at(self, moment: datetime) -> Any:
        """A moment, with its time zone, as the column holds it; for texts, the moment itself."""
        if self.kind in NUMBERS:
            return NUMBERS[self.kind](moment.timestamp() * self.unit)
        if self.kind == "DATE":
            return moment.date()
        zoned = self.are_texts or self.kind.endswith("TIME ZONE")
        return moment if zoned else moment.replace(tzinfo=None)

    def seconds(self, lag: float) -> float:
        """A lag in days of dates, or in the column's unit."""
        return lag * 86_400 if self.kind == "DATE" else lag / self.unit
