"""One resource's sync: takes the API's records, gives the rows that have to be loaded.

What is no news to the table is left out, what may be read twice is held back until it was, and
what a full reading lacks is marked as deleted.
"""

from collections.abc import Generator, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.errors import IncompleteError
from incidents_dagster.ingestion.landing import quarantine
from incidents_dagster.ingestion.reading.incremental import Start
from incidents_dagster.ingestion.reading.proof import Proof
from incidents_dagster.ingestion.reading.reader import MOST_READINGS, Reader
from incidents_dagster.ingestion.reading.source import OpenApi
from incidents_dagster.ingestion.rows.batches import Rejected, to_arrow
from incidents_dagster.ingestion.tables import DELETED_AT, Table
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

# Rows that changed so shortly before they were read may be read again in another version that
# has the same time of change.
FRESH = timedelta(seconds=60)
MOST_REJECTED = 50_000  # from there on, their share is looked at while pages come in


class Landing:
    """One resource's sync: takes records, gives what has to be loaded.

    Args:
        api: The open API.
        name: The resource.
        connection: Reads the table as it is before the sync.
    """

    def __init__(self, api: OpenApi, name: str, connection: duckdb.DuckDBPyConnection) -> None:
        self.api, self.name, self.connection = api, name, connection
        self.table = Table.of(api.declared, name)
        self.stored = StoredTable(self.table, connection)
        self.known = self.stored.types()
        self._reader = Reader(api, name, self.known)
        self.rejected: list[Rejected] = []
        self._received = 0
        self.arrived = False  # the table's newest row
        self.last: pa.Table | None = None  # of what is to be loaded, without its rows
        self._again = False
        self._waiting = quarantine.waiting(connection, name, self.table)
        self._read: list[pa.Table] = []  # primary key and time of change of all that was read
        self._unasked = False  # whether the API brought others on top
        self._before = 0  # tables in `_read` that an earlier reading has brought
        self._others = 0  # records of this reading that are not in `_read`
        self._held: list[pa.Table] = []  # where rows of two readings cannot be told apart
        self._loaded: list[pa.Table] = []
        self._fresh: list[pa.Table] = []
        self._new_columns: TTableSchemaColumns = {}

    def read(self, start: Start | None) -> Iterator[Any]:
        """What a reading brings, but for the rows that may be read again: `rest` has those.

        Raises:
            IncompleteError: The API's answers are not all that it has.
            RecordError: Too many records cannot be loaded.
        """
        for attempt in range(1, MOST_READINGS + 1):
            yield from self._reading(start)
            if not (lacking := self._lacking()):
                break
            if attempt == MOST_READINGS:
                raise IncompleteError(
                    f"{self.name}: {lacking}, so nothing was loaded. Have the API sort them by "
                    "something unique in endpoint.params; where it lists some twice, or counts "
                    'more than it shows, set completeness.total_path = "".'
                )
            self.api.report(f"{self.name}: {lacking}; once more.")
        self._check_rejected()

    def _reading(self, start: Start | None) -> Iterator[Any]:
        self._again = self.name in self.api.proofs
        proof = self.api.proofs[self.name] = Proof()
        if incremental := self.api.incremental.get(self.name):
            proof.since = incremental.since(start.value if start else None)
        self._read, self.rejected, self._received = [], [], 0
        self._begin()
        for records in self._reader.everything(start.value if start else None, proof):
            if records is None:
                self._begin()
            else:
                yield from self._take(records, start)
        self._count()

    def _begin(self) -> None:
        self._before, self._others, self._held = len(self._read), 0, []

    def _take(self, records: list[Any], start: Start | None) -> Iterator[Any]:
        batch = to_arrow(
            records,
            self.known,
            self.api.declared.schema.naming,
            self.table.primary_key,
            self.table.typed,
        )
        self.rejected += batch.rejected
        self._received += len(records)
        if len(self.rejected) > MOST_REJECTED:  # they are in memory
            self._check_rejected()
        self.known.update(batch.new_columns)
        self._new_columns.update(batch.new_columns)
        self._others += len(batch.rejected)
        rows = batch.rows
        self.arrived = self.arrived or (start is not None and start.seen_in(rows))
        if self.table.keyed and len(rows):
            asked = self._asked(rows, start)
            self._unasked |= len(asked) < len(rows)
            self._others += len(rows) - len(asked)
            self._read.append(asked.select(self.table.version_of(asked)))
        yield from self._load(self._without_fresh(rows, self.api.proofs[self.name].began))

    def _check_rejected(self) -> None:
        share = self.api.settings.quarantine_share
        quarantine.check(self.name, self.rejected, self._received, share)

    def _count(self) -> None:
        proof = self.api.proofs[self.name]
        if self.table.keyed:
            proof.distinct = len(self.keys) if self._read else 0
        # Pages that are read twice bring bad records twice.
        proof.quarantined = len({repr(bad) for bad in self.rejected})

    def _lacking(self) -> str:
        """What is wrong where the API counts a record twice, so that another one may be missing.

        Two versions of a record are two. Several lists, as parents have, may share records.
        """
        proof = self.api.proofs[self.name]
        if proof.distinct is None or proof.walks != 1:
            return ""
        here = self._read[self._before :]
        if not self._before and proof.distinct + self._others >= proof.at_least:
            return ""
        once = (len(_different(here)) if here else 0) + self._others
        if once >= proof.at_least:
            return ""
        return f"of {proof.at_least:,} records, as the API says, {once:,} different ones came"

    def rest(self) -> Iterator[Any]:
        """What was held back.

        Of rows that may be read twice in versions of the same time, the last one; all rows of the
        reading that counts, where there is nothing to tell those of an earlier one by.
        """
        for rows in self._held:
            yield from self._hinted(rows)
        if self._fresh:
            fresh = pa.concat_tables(self._fresh, promote_options="default")
            self._fresh = []
            yield from self._load(self._newest(fresh))

    def gone(self, insist: bool) -> Iterator[Any]:
        """The table's rows that a full, proven reading lacks, marked as deleted.

        Args:
            insist: Whether a reading that is no ground for that is an error.

        Raises:
            IncompleteError: It is.
        """
        if not (self.table.takes_changes_alone and self.stored.exists()):
            return
        missing, why = None, self._no_ground()
        if not why:
            missing = yield from self._missing()
            there = self.stored.count()
            if len(missing) > self.api.settings.deleted_share * there:
                why = (
                    f"{len(missing):,} of the table's {there:,} rows are not at the API, more than "
                    "deleted_share allows. Is it another API? Else raise deleted_share in "
                    ".dlt/config.toml, or delete the database to start anew"
                )
        if why:
            self.api.report(f"{self.name}: no row was marked as deleted: {why}.")
            if insist:
                raise IncompleteError(
                    f"{self.name} cannot be reconciled, nothing was loaded: {why}."
                )
        elif missing is not None and len(missing):
            now = pa.scalar(datetime.now(timezone.utc), pa.timestamp("us", "UTC"))
            if DELETED_AT in missing.column_names:
                missing = missing.drop_columns([DELETED_AT])
            yield from self._load(
                missing.append_column(DELETED_AT, pa.repeat(now, len(missing))), compare=False
            )

    def _no_ground(self) -> str:
        """Why the reading does not tell what is gone; empty where it does."""
        proof = self.api.proofs[self.name]
        if not proof.proven:
            return str(proof)
        if not self._read:
            return "the API returned no records"
        if nameless := sum(bad.record_id is None for bad in self.rejected):
            return (
                f"{nameless:,} records have no usable id, so there is no telling which are missing"
            )
        if self.rejected and len(self.table.primary_key) > 1:
            # Joined to one text, the values of a key cannot be taken apart again.
            return f"{len(self.rejected):,} records of a key of several columns cannot be loaded"
        return ""

    def _missing(self) -> Generator[Any, None, pa.Table]:
        """The table's rows that are neither among those read, nor among what changed meanwhile."""
        proof = self.api.proofs[self.name]
        missing = self.stored.missing_from(self._keys_and_rejected(), proof.since)
        if not len(missing):
            return missing
        # They may have changed while pages were read, and moved to where it had been read already.
        for records in self._reader.meanwhile(proof):
            yield from self._take(records, None)
        self._count()
        yield from self.rest()
        return self.stored.missing_from(self._keys_and_rejected(), proof.since)

    @property
    def keys(self) -> pa.Table:
        """The different primary keys of all records that were read."""
        return _different([read.select(self.table.primary_key) for read in self._read])

    @property
    def unique(self) -> bool:
        """Whether no row is loaded twice."""
        all_read = not self._unasked and not self._again
        if all_read and self.api.proofs[self.name].distinct == sum(map(len, self._read)):
            return True
        return len(_different(self._loaded)) == sum(map(len, self._loaded))

    def release(self) -> None:
        """Lets go of the keys that were read and loaded: the load has better use for the memory."""
        # dlt keeps the frames of who asks first what DuckDB can do, and with them this object.
        self._read, self._loaded = [], []
        pa.default_memory_pool().release_unused()

    def _load(self, rows: pa.Table, compare: bool = True) -> Iterator[Any]:
        if compare:
            # Loaded again, a good version that is known is newer than the bad one.
            rows = self.stored.without_what_it_has(rows, self._waiting)
        if not len(rows):
            return
        if not self.table.takes_changes_alone:
            self._held.append(rows)
            return
        if DELETED_AT not in rows.column_names:
            # Where a file lacks a column of the table, dlt writes it anew.
            nothing = pa.nulls(len(rows), pa.timestamp("us", "UTC"))
            rows = rows.append_column(DELETED_AT, nothing)
        self._loaded.append(rows.select(self.table.primary_key))
        yield from self._hinted(rows)

    def _hinted(self, rows: pa.Table) -> Iterator[Any]:
        self.last = rows.slice(0, 0)
        if self._new_columns:
            hints = dlt.mark.make_hints(columns=self._new_columns)
            self._new_columns = {}
            yield dlt.mark.with_hints(rows, hints)
        else:  # hints of no columns would take away those that are there
            yield rows

    def _asked(self, rows: pa.Table, start: Start | None) -> pa.Table:
        """Those of `rows` that the API was asked for; some bring others, too."""
        column = self.api.incremental[self.name].column if start else ""
        if start is None or column not in rows.column_names:
            return rows
        since = pa.scalar(start.value, rows.schema.field(column).type)
        return rows.filter(pc.greater_equal(rows[column], since))

    def _without_fresh(self, rows: pa.Table, began: datetime | None) -> pa.Table:
        """`rows` less those that are kept for `rest`."""
        newest = self.table.newest_first
        if (
            not (self.table.takes_changes_alone and newest in rows.column_names and began)
            or not newest
            or not pa.types.is_timestamp(rows.schema.field(newest).type)
        ):
            return rows
        fresh = pc.fill_null(pc.greater_equal(rows[newest], began - FRESH), False)
        if not pc.any(fresh).as_py():
            return rows
        self._fresh.append(rows.filter(fresh))
        return rows.filter(pc.invert(fresh))

    def _newest(self, rows: pa.Table) -> pa.Table:
        keys = zip(*(rows[name].to_pylist() for name in self.table.primary_key), strict=True)
        times = rows[self.table.newest_first].to_pylist()
        last: dict[Any, int] = {}
        for place, key in enumerate(keys):
            if key not in last or times[place] >= times[last[key]]:
                last[key] = place
        return rows if len(last) == len(rows) else rows.take(sorted(last.values()))

    def _keys_and_rejected(self) -> pa.Table:
        keys, ids = self.keys, [bad.record_id for bad in self.rejected]
        if not ids:
            return keys
        column = pa.array(ids).cast(keys.schema.types[0])
        return pa.concat_tables([keys, pa.table([column], keys.schema)])


def _different(rows: list[pa.Table]) -> pa.Table:
    together = pa.concat_tables(rows, promote_options="default")
    return together.group_by(together.column_names, use_threads=False).aggregate([])
