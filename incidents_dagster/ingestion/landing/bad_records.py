"""The bad records of a sync, and when there are too many to continue.

`rows.batches` rejects records, `quarantine` stores them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from incidents_dagster.ingestion.errors import RecordError
from incidents_dagster.ingestion.rows.batches import Batch, Rejected

SMALLEST_READ = 100
MOST_IN_MEMORY = 50_000  # above this, their share is checked while pages arrive
REASONS = 3


class BadRecords:
    """The bad records of one resource in one sync.

    Args:
        resource: The resource's name.
        share: The setting `quarantine_share`.

    Attributes:
        records: Those so far; pages that are read twice add theirs twice.
    """

    def __init__(self, resource: str, share: float) -> None:
        self.resource, self._share = resource, share
        self.records: list[Rejected] = []
        self._received = 0

    def add(self, batch: Batch) -> None:
        """Adds a batch of records, good and bad.

        Raises:
            RecordError: There are too many bad ones to continue.
        """
        self.records += batch.rejected
        self._received += len(batch.rows) + len(batch.rejected)
        if len(self.records) > MOST_IN_MEMORY:
            self.check()

    def forget(self) -> None:
        """Starts over, for a read that replaces this one."""
        self.records, self._received = [], 0

    def check(self) -> None:
        """Fails a sync with so many bad records that the API or the settings must be wrong.

        Raises:
            RecordError: There are too many.
        """
        check(self.resource, self.records, self._received, self._share)


def check(resource: str, rejected: Sequence[Rejected], read: int, share: float) -> None:
    """Fails a sync with so many bad records that the API or the settings must be wrong.

    Args:
        resource: The resource that was read.
        rejected: All rejected records.
        read: Records read, including the rejected ones.
        share: The setting `quarantine_share`.

    Raises:
        RecordError: There are `too_many`. The message names reasons, and shows no record.
    """
    if too_many(len(rejected), read, share):
        found = "; ".join(most_frequent(one.reason for one in rejected))
        raise RecordError(
            f"{resource}: {len(rejected):,} of {read:,} records cannot be loaded, so nothing was "
            f"loaded. quarantine_share = {share:g} allows at most that share of them, or of "
            f"{SMALLEST_READ} if fewer were read. {found}. Check endpoint.data_selector and "
            "columns in .dlt/config.toml."
        )


def too_many(bad: int, read: int, share: float) -> bool:
    """Whether more than `share` of the records are bad.

    Fewer than `SMALLEST_READ` records count as that many: an incremental sync may read only a few
    bad ones, and would otherwise fail every time and keep the good ones out.

    Args:
        bad: Number of rejected records.
        read: Records read, including the rejected ones.
        share: From 0 (none may be bad) to 1 (all may).
    """
    return bad / max(read, SMALLEST_READ) > share


def most_frequent(reasons: Iterable[str]) -> list[str]:
    """The most frequent reasons: `id is missing, null or empty (2)`."""
    # Without the value at the end of a reason.
    counts = Counter(reason.partition(", not ")[0].removesuffix(".") for reason in reasons)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"{reason} ({count:,})" for reason, count in ordered[:REASONS]]
