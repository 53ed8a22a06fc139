"""Deleted incidents: rows of the table that a full, proven read lacks get `deleted_at`.

Such a row is loaded again with the mark; a row that is back loses it, like any other change: see
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
    """Looks for deleted rows after a full read.

    Attributes:
        stored: The table as it is before the sync.
        bad: The bad records of the read, which are not deleted.
        share: The setting `deleted_share`.
        insist: Whether to fail if the read cannot show which rows were deleted.
    """

    stored: StoredTable
    bad: BadRecords
    share: float
    insist: bool

    def mark(
        self, reading: Reading, reader: Reader, landing: Landing
    ) -> Generator[pa.Table, None, Reading]:
        """Yields the rows that are gone from the API, marked as deleted.

        Returns:
            `reading`, with what was read in addition.

        Raises:
            IncompleteError: The read cannot show which rows were deleted, and `insist` is set.
        """
        if not (self.stored.table.takes_changes_alone and self.stored.exists()):
            return reading
        if not (why := self._no_ground(reading)):
            missing = self._missing(reading)
            if len(missing):
                # They may have changed while pages were read, and moved to a page already read.
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
        """Why the read cannot show which rows were deleted; empty if it can."""
        if not reading.proof.proven:
            return str(reading.proof)
        if not len(reading.keys):
            return "the API returned no records"
        if without_id := sum(bad.record_id is None for bad in self.bad.records):
            return (
                f"{without_id:,} records have no usable id, so it is unknown which rows are missing"
            )
        if self.bad.records and len(self.stored.table.primary_key) > 1:
            # Their keys are joined into one text, which cannot be split again.
            return f"{len(self.bad.records):,} records with a composite key cannot be loaded"
        return ""

    def _missing(self, reading: Reading) -> pa.Table:
        """The table's rows that were not read."""
        keys, ids = reading.keys, [bad.record_id for bad in self.bad.records]
        if ids:
            column = pa.array(ids).cast(keys.schema.types[0])
            keys = pa.concat_tables([keys, pa.table([column], keys.schema)])
        return self.stored.missing_from(keys, reading.proof.since)

    def _too_many(self, missing: pa.Table) -> str:
        """Why so many rows cannot have been deleted; empty if they can."""
        there = self.stored.count()
        if len(missing) <= self.share * there:
            return ""
        return (
            f"{len(missing):,} of the table's {there:,} rows are missing from the API, more than "
            "deleted_share allows. Is this a different API? If not, raise deleted_share in "
            ".dlt/config.toml, or delete the database to start over"
        )
