"""The proof that a read is complete: as data, and as a sentence."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from incidents_dagster.ingestion.tables import Since


class Status(str, Enum):
    """Whether a read is complete.

    Attributes:
        PROVEN: The API's own evidence says that these are all records.
        UNPROVEN: There is no such evidence.
        ACCEPTED: There is no such evidence, and the setting `accept_unproven` does without.
    """

    PROVEN = "proven"
    UNPROVEN = "unproven"
    ACCEPTED = "accepted"


@dataclass(frozen=True)
class Proof:
    """The evidence that a read is complete.

    Attributes:
        since: What the API was asked for; None for everything.
        readings: How often pages were read from the beginning, without catching up.
        pages: Pages of all reads together.
        rows: Records of the last read from the beginning.
        expected: Records that the API reports; None if it does not.
        how: How the end was known.
        doubts: Why records may be missing; empty if it is proven.
        began: The API's time at its first response.
        ended: The API's time at its last response.
        distinct: Distinct primary keys among the records; None without a primary key.
        quarantined: Distinct records that cannot be loaded.
        accepted: Whether an unproven read is accepted.
        why_again: Why pages were read more than once; empty if they were not.
        left_out: Records of the last read that `drop_where` leaves out.
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
    accepted: bool = False
    why_again: str = ""
    left_out: int = 0
    ended: datetime | None = None

    @property
    def status(self) -> Status:
        """Proven unless there are doubts."""
        if not self.doubts:
            return Status.PROVEN
        return Status.ACCEPTED if self.accepted else Status.UNPROVEN

    @property
    def proven(self) -> bool:
        """Whether the API's own evidence says that these are all records."""
        return self.status is Status.PROVEN

    @property
    def counts(self) -> bool:
        """Whether freshness counts the sync."""
        return self.status is not Status.UNPROVEN

    def __str__(self) -> str:
        if self.doubts:
            accepted = ", accepted" if self.accepted else ""
            return f"unproven{accepted}: {'; '.join(self.doubts)}"
        again = f", read {times(self.readings)}" if self.readings > 1 else ""
        again += f" as {self.why_again}" if self.why_again else ""
        dropped = f", {self.left_out:,} of them left out by drop_where" if self.left_out else ""
        read = f"{self.rows:,} records in {self.pages:,} pages{dropped}{again}"
        return f"proven: {read}; {self.how}"


def times(count: int) -> str:
    """How often, in words."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
