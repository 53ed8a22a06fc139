"""What is new at the API: the rows of a sync, and the change sensor's one small question.

Data flow: where the table ends → all records from there on, proven → Arrow, in batches → less
what the table has already → with what is gone from the API, where everything was read.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion import quarantine
from incidents_dagster.ingestion.batches import Rejected, chunks, to_arrow
from incidents_dagster.ingestion.completeness import Reader
from incidents_dagster.ingestion.database import alone_on, reading
from incidents_dagster.ingestion.errors import IncompleteError
from incidents_dagster.ingestion.evidence import Proof
from incidents_dagster.ingestion.incremental import Start
from incidents_dagster.ingestion.settings import Settings, database_path
from incidents_dagster.ingestion.source import OpenApi, open_api
from incidents_dagster.ingestion.table import DELETED_AT, Table

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
        self.known = self.table.types(connection)
        self.rejected: list[Rejected] = []
        self.arrived = False  # the table's newest row
        self.last: pa.Table | None = None  # of what is to be loaded, without its rows
        self._again = False
        self._waiting = quarantine.waiting(connection, name, self.table)
        self._read: list[pa.Table] = []  # primary key and time of change of all that was read
        self._unasked = 0  # what the API brought on top
        self._loaded: list[pa.Table] = []
        self._fresh: list[pa.Table] = []
        self._new_columns: TTableSchemaColumns = {}

    def read(self, start: Start | None) -> Iterator[Any]:
        """What a reading brings, but for the rows that may be read again: `rest` has those.

        Raises:
            IncompleteError: The API's answers are not all that it has.
            RecordError: Too many records cannot be loaded.
        """
        yield from self._reading(start)
        if lacking := self._lacking():
            self.api.report(f"{self.name}: {lacking}; once more.")
            yield from self._reading(start)
            if lacking := self._lacking():
                raise IncompleteError(
                    f"{self.name}: {lacking}: as many others may be missing, so nothing was "
                    "loaded. Have the API sort them by something unique in endpoint.params; where "
                    'it does list some twice, set completeness.total_path = "".'
                )
        quarantine.check(self.name, self.rejected, self._received, self.api.own["quarantine_share"])

    def _reading(self, start: Start | None) -> Iterator[Any]:
        self._again = self.name in self.api.proofs
        proof = self.api.proofs[self.name] = Proof()
        if incremental := self.api.incremental.get(self.name):
            proof.asked_for = incremental.condition(start.value if start else None)
        self._read, self.rejected = [], []
        self._received = self._unasked = 0
        reader = Reader(self.api, self.name, self.known)
        share = self.api.own["quarantine_share"]
        for records in chunks(reader.everything(start.value if start else None, proof)):
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
                quarantine.check(self.name, self.rejected, self._received, share)
            self.known.update(batch.new_columns)
            self._new_columns.update(batch.new_columns)
            rows = batch.rows
            self.arrived = self.arrived or (start is not None and start.seen_in(rows))
            if self.table.keyed and len(rows):
                asked = self._asked(rows, start)
                self._unasked += len(rows) - len(asked)
                self._read.append(asked.select(self.table.version_of(asked)))
            yield from self._load(self._without_fresh(rows, proof.began))
        if self.table.keyed:
            proof.distinct = len(self.keys) if self._read else 0
            pa.default_memory_pool().release_unused()  # the load has better use for it
        # Pages that are read twice bring bad records twice.
        proof.quarantined = len({repr(bad) for bad in self.rejected})

    def _lacking(self) -> str:
        """What is wrong where the API counts a record twice, so that another one may be missing.

        Two versions of a record are two. Several lists, as parents have, may share records.
        """
        proof = self.api.proofs[self.name]
        if proof.expected is None or proof.distinct is None or proof.walks != 1:
            return ""
        others = self._unasked + len(self.rejected)
        if proof.distinct + others >= proof.expected:
            return ""
        once = (len(_different(self._read)) if self._read else 0) + others
        if once >= proof.expected:
            return ""
        return (
            f"of the {proof.expected:,} records that the API says there are, "
            f"{proof.expected - once:,} came twice in the same version"
        )

    def rest(self) -> Iterator[Any]:
        """What may be read twice in versions of the same time: of those, the last that was read."""
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
        table, connection = self.table, self.connection
        if not (table.takes_changes_alone and table.exists(connection)):
            return
        proof, why = self.api.proofs[self.name], ""
        missing = None
        if not proof.proven:
            why = str(proof)
        elif not self._read:
            why = "the API returned no records"
        elif nameless := sum(bad.record_id is None for bad in self.rejected):
            why = (
                f"{nameless:,} records have no usable id, so there is no telling which are missing"
            )
        else:
            missing = table.missing_from(connection, self._keys_and_rejected(), proof.asked_for)
            there = table.row_count(connection) - table.deleted_count(connection)
            if len(missing) > self.api.own["deleted_share"] * there:
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

    @property
    def keys(self) -> pa.Table:
        """The different primary keys of all records that were read."""
        return _different([read.select(self.table.primary_key) for read in self._read])

    @property
    def unique(self) -> bool:
        """Whether no row is loaded twice."""
        if self.api.proofs[self.name].distinct == sum(map(len, self._read)) and not self._again:
            return True
        once = len(_different(self._loaded)) == sum(map(len, self._loaded))
        pa.default_memory_pool().release_unused()  # the load has better use for it
        return once

    def _load(self, rows: pa.Table, compare: bool = True) -> Iterator[Any]:
        if compare:
            # Loaded again, a good version that is known is newer than the bad one.
            rows = self.table.without_what_it_has(self.connection, rows, self._waiting)
        if not len(rows):
            return
        if self.table.takes_changes_alone and DELETED_AT not in rows.column_names:
            # Where a file lacks a column of the table, dlt writes it anew.
            nothing = pa.nulls(len(rows), pa.timestamp("us", "UTC"))
            rows = rows.append_column(DELETED_AT, nothing)
        self.last = rows.slice(0, 0)
        if self.table.takes_changes_alone:
            self._loaded.append(rows.select(self.table.primary_key))
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
        ids = [bad.record_id for bad in self.rejected]
        if not ids:
            return self.keys
        if len(self.table.primary_key) > 1:
            # Joined to one text, they cannot be taken apart again.
            raise IncompleteError(
                f"{self.name} cannot be reconciled: {len(ids):,} records cannot be loaded."
            )
        keys = self.keys
        column = pa.array(ids).cast(keys.schema.types[0])
        return pa.concat_tables([keys, pa.table([column], keys.schema)])


def _different(rows: list[pa.Table]) -> pa.Table:
    together = pa.concat_tables(rows, promote_options="default")
    return together.group_by(together.column_names, use_threads=False).aggregate([])


def changed_rows(
    api: OpenApi,
    name: str,
    database: Path,
    full_refresh: bool = False,
    reconcile: bool = False,
) -> Iterator[Any]:
    """What a sync of resource `name` has to load, for dlt to extract.

    Reads incrementally where the endpoint is configured so and the table has something to start
    from. Where the answer lacks the table's newest row, that row is gone, the API is another one
    or has gone back in time: everything is read then. Rows of the table that a full reading lacks
    are marked as deleted.

    Args:
        api: The open API.
        name: The resource.
        database: The DuckDB file, open for reading while pages come in.
        full_refresh: Reads everything, whatever the table has.
        reconcile: The same, and fails where it is no ground for marking rows as deleted.

    Yields:
        Arrow tables; one without rows where the table or its columns have to be made.

    Raises:
        Exception: The API's answers are no ground for a load; `errors.explain` says why.
    """
    with reading(database, report=api.report) as connection:
        landing = Landing(api, name, connection)
        if "_dlt_id" in landing.known:  # made by dlt's plain path, which numbers the rows
            dlt.config["normalize.parquet_normalizer.add_dlt_id"] = True
        everything = full_refresh or reconcile
        start = None if everything else _start(api, name, landing.table, connection)
        yield from landing.read(start)
        if start and not landing.arrived:
            newest = ", ".join(map(str, start.newest.values()))
            api.report(
                f"{name}: the API does not return {newest}, the newest in the table. It is gone "
                "there, or the API is another one: everything is read again."
            )
            start = None
            yield from landing.read(None)
        yield from landing.rest()
        if start is None:
            yield from landing.gone(insist=reconcile)
        if landing.last is not None and landing.table.takes_changes_alone:
            # Where no row comes twice, dlt need not look for the newest, which takes a quarter of
            # a large load's memory. In rest_api's words, `deduplicated`, a False would be ignored.
            hint: dict[str, Any] = {"x-stage-data-deduplicated": landing.unique}
            yield dlt.mark.with_hints(
                landing.last, dlt.mark.make_hints(additional_table_hints=hint)
            )
        if landing.last is None and not landing.table.has_every_declared_column(connection):
            # dlt makes no table and no columns for a sync of no rows unless told so; its own
            # marker would make a column of identifiers, too, that may not be null.
            yield landing.table.no_rows()
        if landing.rejected:
            yield from quarantine.load(connection, name, landing.rejected, landing.table)


def first_changes(settings: Settings) -> tuple[pa.Table, str | None]:
    """Asks the API for the first page of the main resource that a sync would read.

    Returns:
        The rows on it that the table has not, and the last dlt load that the table has.

    Raises:
        Exception: The API could not be asked, or a sync is running; `errors.explain` puts it into
            one message.
    """
    name, database = settings.resource_names[0], database_path()
    params = settings.own["change_sensor"]["params"]
    with open_api(settings, lambda _: None, fetch_ahead=1) as api:
        table = Table.of(api.declared, name)
        # Not while the API answers: a sync that wants to write would find the file held.
        with alone_on(database, seconds=0), reading(database, seconds=0) as connection:
            start = _start(api, name, table, connection)
        page = list(api.records(name, start.value if start else None, params).add_limit(1))
        with alone_on(database, seconds=0), reading(database, seconds=0) as connection:
            known, naming = table.types(connection), api.declared.schema.naming
            batch = to_arrow(page, known, naming, table.primary_key, table.typed)
            return table.without_what_it_has(connection, batch.rows), table.last_load(connection)


def _start(
    api: OpenApi, name: str, table: Table, connection: duckdb.DuckDBPyConnection
) -> Start | None:
    # A declared column that is not there yet, or no more, has to be filled in all rows.
    if name not in api.incremental or not table.has_every_declared_column(connection):
        return None
    return api.incremental[name].start(table, connection)
