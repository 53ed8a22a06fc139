"""The bad records of a sync, and when there are too many of them to go on.

Who rejects a record is `rows.batches`' business, where they are kept `quarantine`'s.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from incidents_dagster.ingestion.errors import RecordError
from incidents_dagster.ingestion.rows.batches import Batch, Rejected

SMALLEST_READ = 100
MOST_IN_MEMORY = 50_000  # from there on, their share is looked at while pages come in
REASONS = 3


class BadRecords:
    """The bad records of one resource in one sync.

    Args:
        resource: The resource's name.
        share: The setting `quarantine_share`.

    Attributes:
        records: Those so far; pages that are read twice bring them twice.
    """

    def __init__(self, resource: str, share: float) -> None:
        self.resource, self._share = resource, share
        self.records: list[Rejected] = []
        self._received = 0

    def add(self, batch: Batch) -> None:
        """Some records more, good and bad.

        Raises:
            RecordError: There are too many bad ones to go on.
        """
        self.records += batch.rejected
        self._received += len(batch.rows) + len(batch.rejected)
        if len(self.records) > MOST_IN_MEMORY:
            self.check()

    def forget(self) -> None:
        """Another reading takes the place of this one."""
        self.records, self._received = [], 0

    def check(self) -> None:
        """Stops a sync with so many bad records that the API or the settings must be wrong.

        Raises:
            RecordError: There are too many.
        """
        check(self.resource, self.records, self._received, self._share)


def check(resource: str, rejected: Sequence[Rejected], read: int, share: float) -> None:
    """Stops a sync of which so many records are bad that the API or the settings must be wrong.

    Args:
        resource: The resource that was read.
        rejected: All that were rejected.
        read: Records read, the rejected ones among them.
        share: The setting `quarantine_share`.

    Raises:
        RecordError: There are `too_many`. It names reasons, and shows nothing of the records.
    """
    if too_many(len(rejected), read, share):
        found = "; ".join(most_frequent(one.reason for one in rejected))
        raise RecordError(
            f"{resource}: {len(rejected):,} of {read:,} records cannot be loaded, so nothing was "
            f"loaded. quarantine_share = {share:g} allows no more than that share of them, or of "
            f"{SMALLEST_READ} where fewer were read. {found}. Check endpoint.data_selector and "
            "columns in .dlt/config.toml."
        )


def too_many(bad: int, read: int, share: float) -> bool:
    """Whether more than `share` of the records are bad.

    Fewer than `SMALLEST_READ` records count as so many: an incremental sync may read nothing but
    the few bad ones, and would otherwise fail again and again, and keep the good ones out.

    Args:
        bad: Rejected records.
        read: Records read, the rejected ones among them.
        share: From 0, none may be bad, to 1, all may.
    """
    return bad / max(read, SMALLEST_READ) > share


def most_frequent(reasons: Iterable[str]) -> list[str]:
    """The most frequent reasons: `id is missing, null or empty (2)`."""
    # Without the value that a reason ends with.
    counts = Counter(reason.partition(", not ")[0].removesuffix(".") for reason in reasons)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"{reason} ({count:,})" for reason, count in ordered[:REASONS]]
