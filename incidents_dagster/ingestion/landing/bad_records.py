"""The bad records of a sync, and when there are too many to continue.

`rows.batches` rejects records, `quarantine` stores them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from incidents_dagster.ingestion.errors import RecordError
from incidents_dagster.ingestion.rows.batches import Batch, Rejected
from incidents_dagster.ingestion.secrets.names import is_credential
from incidents_dagster.ingestion.secrets.redaction import redact

# Fewer records count as that many: an incremental sync may read only a few bad ones, and would
# otherwise fail every time and keep the good ones out.
SMALLEST_READ = 100
MOST_IN_MEMORY = 50_000  # above this, their share is checked while pages arrive
REASONS = 3


@dataclass
class BadRecords:
    """The bad records of one resource in one sync.

    Attributes:
        resource: The resource's name.
        share: The setting `quarantine_share`.
        records: Those of the read so far.
        received: Records of the read so far, including the bad ones.
        kept: How many of either are kept whatever is read again.
    """

    resource: str
    share: float
    records: list[Rejected] = field(default_factory=list)
    received: int = 0
    kept: tuple[int, int] = (0, 0)

    def add(self, batch: Batch) -> None:
        """Adds a batch of records, good and bad.

        Raises:
            RecordError: There are too many bad ones to continue.
        """
        self.records += batch.rejected
        self.received += len(batch.rows) + len(batch.rejected)
        if len(self.records) > MOST_IN_MEMORY:
            self.check()

    def forget(self) -> None:
        """Forgets what was not kept, for a read that replaces it."""
        records, self.received = self.kept
        self.records = self.records[:records]

    def keep(self) -> None:
        """Keeps what has arrived so far, whatever is read again later."""
        self.kept = len(self.records), self.received

    @property
    def why_none(self) -> str:
        """Why a read has no rows, for messages."""
        if not self.records:
            return "the API returned no records"
        reasons = "; ".join(most_frequent(one.reason for one in self.records))
        return (
            f"none of {len(self.records):,} records could be loaded: {reasons}. An ordinary sync "
            "puts them into incidents.quarantine"
        )

    def check(self) -> None:
        """Fails a sync with so many bad records that the API or the settings must be wrong.

        Raises:
            RecordError: There are too many. The message names reasons, and shows no record.
        """
        bad = len(self.records)
        if bad / max(self.received, SMALLEST_READ) <= self.share:
            return
        found = "; ".join(most_frequent(one.reason for one in self.records))
        raise RecordError(
            f"{self.resource}: {bad:,} of {self.received:,} records cannot be loaded, so nothing "
            f"was loaded. quarantine_share = {self.share:g} allows at most that share of them, or "
            f"of {SMALLEST_READ} if fewer were read. {found}. Check endpoint.data_selector, "
            "primary_key and columns in .dlt/config.toml."
        )


def most_frequent(reasons: Iterable[str]) -> list[str]:
    """The most frequent reasons: `id is missing, null or empty (2)`.

    For a wrong value, with the first one: `at should be timestamp (12, such as 'soon')`.
    """
    counts: Counter[str] = Counter()
    samples: dict[str, str] = {}
    for reason in reasons:
        what, _, value = reason.removesuffix(".").partition(", not ")
        counts[what] += 1
        if what not in samples:
            secret = is_credential(what.partition(" ")[0].lower())
            samples[what] = "" if secret else redact(value)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        f"{what} ({count:,}{f', such as {samples[what]}' if samples[what] else ''})"
        for what, count in ordered[:REASONS]
    ]
