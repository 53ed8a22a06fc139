"""Asset checks that are more than a rule of SQL: they look at what the last sync read, into
quarantine, and at what the configuration says about statuses.

They run with those of `checks`, and only warn.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg
import duckdb

from incidents_dagster.ingestion.landing import quarantine
from incidents_dagster.ingestion.reading.proof import Status
from incidents_dagster.ingestion.tables import Since, Table, quoted
from incidents_dagster.ingestion.warehouse.comparison import Miss
from incidents_dagster.ingestion.warehouse.store import Store
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable
from incidents_dagster.sources import Source

SYNCS = 200
STATUSES = 8  # shown of those without a phase
# Why incremental syncs have missed a row.
CAUSES = {
    Miss.NEW.value: "new records appear with an old cursor_path: raise incremental.lag, or check "
    "that the API's filter is on that field",
    Miss.BLIND.value: "their cursor_path did not change with them: use another one, or read "
    "everything more often (schedules.reconcile_cron)",
    Miss.FILTERED.value: "their cursor_path has changed, but the API's filter did not return them: "
    "it may be on another field, such as the creation",
}
Finding = tuple[str, dict[str, Any]]  # what is wrong (empty if nothing is), and the metadata


@dataclass(frozen=True)
class Subject:
    """What a check looks at.

    Attributes:
        source: The source.
        resource: The resource, whose table is checked.
        connection: Reads the store.
        store: The store.
        instance: Has the syncs.
        looked_at: The columns that rules look at.
    """

    source: Source
    resource: str
    connection: duckdb.DuckDBPyConnection
    store: Store
    instance: dg.DagsterInstance
    looked_at: Sequence[str]

    @property
    def key(self) -> dg.AssetKey:
        """The asset."""
        return self.source.key(self.resource)

    @property
    def table(self) -> Table:
        """What the configuration says about the table."""
        return self.source.tables[self.resource]

    @property
    def stored(self) -> StoredTable:
        """The table in the store."""
        return StoredTable(self.table, self.connection)

    @cached_property
    def rows(self) -> str:
        """SQL for the rows that are not marked as deleted, with those columns of them."""
        names = [one.name for one in self.stored.columns() if one.name in self.looked_at]
        rows = f"SELECT {', '.join(map(quoted, names))} FROM {self.stored.present()}"
        return self.store.kept(self.connection, rows)


@dataclass(frozen=True)
class SourceCheck:
    """A check.

    Attributes:
        name: The check's name.
        description: What is true when it passes.
        find: Looks at a table.
        column: The column of `fields` that a table needs for it; empty: any table has it.
        blocking: A failure fails the run; otherwise it warns.
    """

    name: str
    description: str
    find: Callable[[Subject], Finding]
    column: str = ""
    blocking: bool = False


def _last_sync(subject: Subject) -> dict[str, Any]:
    """The metadata of the last sync into this store, among the last `SYNCS` of any store."""
    for limit in (1, SYNCS):  # mostly there is one store
        for _, metadata in syncs(subject.instance, subject.key, limit):
            if metadata.get("database") == subject.store.name:
                return metadata
    return {}


def syncs(
    instance: dg.DagsterInstance, key: dg.AssetKey, limit: int = SYNCS
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run id and metadata of the last syncs of an asset, the newest first.

    A sync is a materialization or, if unproven, an observation: `limit` of either.
    """
    records = [
        *instance.fetch_materializations(key, limit=limit).records,
        *instance.fetch_observations(key, limit=limit).records,
    ]
    for record in sorted(records, key=lambda record: record.storage_id, reverse=True):
        event = record.asset_materialization or record.event_log_entry.asset_observation
        metadata = {name: entry.value for name, entry in event.metadata.items()} if event else {}
        yield record.run_id, metadata


def _other_than_read(subject: Subject) -> Finding:
    said = _last_sync(subject)
    if "distinct_ids" not in said or "proof" not in said:
        none = f"No sync of {subject.resource} into {subject.store.name} is on record."
        return f"{none} Materialize {subject.resource} first.", {}
    proof = {"proof": said["proof"], "completeness": said["completeness"]}
    if said["proof"] == Status.UNPROVEN.value:
        return f"The last sync is {said['completeness']}.", proof
    read, bad, since = said["distinct_ids"], said["quarantined"], None
    if "changed_since" in said:
        since = Since(said["cursor_column"], said["changed_since"])
    stored = subject.stored
    rows, sql = stored.count(since), stored.counting(since)
    rows -= said.get("rows_beyond_window", 0)  # the API no longer shows these
    # A full read may bring more than it asks for: rows of before the initial value, or without a
    # cursor.
    most = stored.count() if since and said.get("full_read") else rows
    metadata = {"rows": rows, "ids_read": read, "sql": sql, **proof}
    where = f" with {since.column} at or after {since.value}" if since else ""
    cure = "incidents_reconcile marks what is gone from the API." if rows > read else "Sync again."
    if waiting := said.get("rows_waiting"):
        cure = (
            f"{waiting:,} rows wait for a second look: they are marked as deleted if the next full "
            "read lacks them, too."
        )
    elif why := said.get("not_marked"):
        cure = f"No row was marked as deleted: {why}."
    # A quarantined record may have an earlier, good version in the table.
    bad += said.get("open_ids_besides", 0)  # some may be newer than the list of what changed
    if not waiting and read <= most and rows <= read + bad:
        return "", metadata
    return f"{rows:,} rows in the table{where}, {read:,} read from the API. {cure}", metadata


def _missed(subject: Subject) -> Finding:
    said = _last_sync(subject)
    if "missed_rows" not in said:
        return "", {}
    rows, example, why = said["missed_rows"], said["missed_example"], CAUSES[said["missed_kind"]]
    return (
        f"{rows:,} rows came with the last full read alone, such as {example}: {why}.",
        {"rows": rows, "example": example},
    )


def _in_quarantine(subject: Subject) -> Finding:
    table = subject.table
    count, reasons = quarantine.still_bad(subject.connection, subject.resource, table)
    sql = f"FROM {quarantine.beside(table).qualified} WHERE resource = '{subject.resource}'"
    metadata = {"records": count, "sql": sql}
    if not count:
        return "", metadata
    return f"{count:,} records could not be loaded: {'; '.join(reasons)}. See {sql}", metadata


def _unmapped(subject: Subject) -> Finding:
    stored, resource = subject.stored, subject.resource
    names = {column.name for column in stored.columns()}
    if "phase" not in names:  # no sync yet since phases was set
        return f"{stored.table.qualified} has no column phase. Materialize {resource} first.", {}
    status = quoted("status" if "status" in names else "phase")
    sql = f"SELECT {status}, count(*) FROM {stored.present()} WHERE phase IS NULL GROUP BY ALL"
    found = subject.connection.execute(f"{sql} ORDER BY 2 DESC, 1").fetchall()
    metadata = {"unmapped_statuses": len(found), "rows": sum(n for _, n in found), "sql": sql}
    if not found:
        return "", metadata
    told = ", ".join(f"{'null' if s is None else repr(s)} ({n:,})" for s, n in found[:STATUSES])
    more = ", …" if len(found) > STATUSES else ""
    return (
        f"{metadata['rows']:,} rows have a status without a phase: {told}{more}. Add them to "
        f"phases of {resource}.",
        metadata,
    )


SOURCE_CHECKS = (
    SourceCheck(
        "table_matches_source",
        "The last sync is proven, or accepted, and the table has as many rows as it read from the "
        "API.",
        _other_than_read,
    ),
    SourceCheck(
        "incremental_misses_nothing",
        "Incremental syncs had brought all new rows and changes that the last full read found.",
        _missed,
    ),
    SourceCheck(
        "quarantine_is_empty",
        "Every record of the API could be loaded, in its latest version.",
        _in_quarantine,
    ),
    SourceCheck(
        "statuses_have_a_phase",
        "The setting phases names every status, so that each row has a phase.",
        _unmapped,
        column="phase",
    ),
)
