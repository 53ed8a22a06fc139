"""The proof that a reading is complete: data, and the sentence that tells it."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from incidents_dagster.ingestion.tables import Since


class Status(str, Enum):
    """Whether a reading is complete.

    Attributes:
        PROVEN: The API's own evidence says that these are all records.
        UNPROVEN: Nothing tells that they are.
    """

    PROVEN = "proven"
    UNPROVEN = "unproven"


@dataclass(frozen=True)
class Proof:
    """What tells that a reading is complete.

    Attributes:
        since: What the API was asked for; None for everything.
        readings: How often pages were read from the beginning, catching up left out.
        pages: Pages of all readings together.
        rows: Records of the reading that counts.
        expected: Records that the API says there are; None where it does not say.
        how: How the end was known.
        doubts: Why it cannot be told that it is all; empty where it is proven.
        began: The API's time at its first response.
        distinct: Different primary keys among the records; None without a primary key.
        quarantined: Different records that cannot be loaded.
    """

    since: Since | None
    readings: int
    pages: int
    rows: int
    expected: int | None
    how: str
    doubts: tuple[str, ...]
    began: datetime | None
    distinct: int | None
    quarantined: int

    @property
    def status(self) -> Status:
        """Proven unless there are doubts."""
        return Status.UNPROVEN if self.doubts else Status.PROVEN

    @property
    def proven(self) -> bool:
        """Whether the API's own evidence says that this is all."""
        return self.status is Status.PROVEN

    def __str__(self) -> str:
        if self.doubts:
            return f"unproven: {'; '.join(self.doubts)}"
        again = f", read {self.readings} times" if self.readings > 1 else ""
        return f"proven: {self.rows:,} records in {self.pages:,} pages{again}; {self.how}"
