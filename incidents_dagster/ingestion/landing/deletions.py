"""Deleted incidents: rows of the table that a full, proven reading lacks get `deleted_at`.

Such a row is loaded again as it is; one that is back loses the mark, as any other change: see
`landing`.
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timezone

import pyarrow as pa

from incidents_dagster.ingestion.errors import IncompleteError
from incidents_dagster.ingestion.landing.bad_records import BadRecords
from incidents_dagster.ingestion.landing.landing import Landing
from incidents_dagster.ingestion.reading.reader import Reader, Reading
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable


@dataclass(frozen=True)
class Deletions:
    """Looks for deleted rows after a reading of everything.

    Attributes:
        stored: The table as it is before the sync.
        bad: The bad records of the reading, which are not gone.
        share: The setting `deleted_share`.
        insist: Whether a reading that does not tell what is gone is an error.
    """

    stored: StoredTable
    bad: BadRecords
    share: float
    insist: bool

    def mark(
        self, reading: Reading, reader: Reader, landing: Landing
    ) -> Generator[pa.Table, None, Reading]:
        """Rows of the table that are gone, marked as deleted.

        Returns:
            `reading`, with what was read in addition.

        Raises:
            IncompleteError: The reading does not tell what is gone, and `insist` is set.
        """
        if not (self.stored.table.takes_changes_alone and self.stored.exists()):
            return reading
        if not (why := self._no_ground(reading)):
            missing = self._missing(reading)
            if len(missing):
                # They may have changed while pages were read, and moved to where it was read
                # already.
                reading = yield from reader.meanwhile(reading, landing.take)
                yield from landing.rest()
                missing = self._missing(reading)
            if not (why := self._too_many(missing)):
                if len(missing):
                    yield from landing.mark(missing, datetime.now(timezone.utc))
                return reading
        reader.report(f"no row was marked as deleted: {why}.")
        if self.insist:
            raise IncompleteError(
                f"{self.bad.resource} cannot be reconciled, nothing was loaded: {why}."
            )
        return reading

    def _no_ground(self, reading: Reading) -> str:
        """Why the reading does not tell what is gone; empty where it does."""
        if not reading.proof.proven:
            return str(reading.proof)
        if not len(reading.keys):
            return "the API returned no records"
        if nameless := sum(bad.record_id is None for bad in self.bad.records):
            return (
                f"{nameless:,} records have no usable id, so it is unknown which rows are missing"
            )
        if self.bad.records and len(self.stored.table.primary_key) > 1:
            # Joined to one text, the values of a key cannot be taken apart again.
            return f"{len(self.bad.records):,} records with a composite key cannot be loaded"
        return ""

    def _missing(self, reading: Reading) -> pa.Table:
        """The rows that are in the table and not among those read."""
        keys, ids = reading.keys, [bad.record_id for bad in self.bad.records]
        if ids:
            column = pa.array(ids).cast(keys.schema.types[0])
            keys = pa.concat_tables([keys, pa.table([column], keys.schema)])
        return self.stored.missing_from(keys, reading.proof.since)

    def _too_many(self, missing: pa.Table) -> str:
        """Why so many rows cannot be gone; empty where they can."""
        there = self.stored.count()
        if len(missing) <= self.share * there:
            return ""
        return (
            f"{len(missing):,} of the table's {there:,} rows are missing from the API, more than "
            "deleted_share allows. Is this a different API? If not, raise deleted_share in "
            ".dlt/config.toml, or delete the database to start over"
        )
