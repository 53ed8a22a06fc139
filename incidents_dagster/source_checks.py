"""Asset checks that look beyond a table: at what the last sync read, and into quarantine.

They run with those of `checks`, and only warn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg
import duckdb

from incidents_dagster.ingestion.landing import quarantine
from incidents_dagster.ingestion.reading.proof import Status
from incidents_dagster.ingestion.tables import Since, Table
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

Finding = tuple[str, dict[str, Any]]  # what is wrong (empty if nothing is), and the metadata


@dataclass(frozen=True)
class SourceCheck:
    """A check.

    Attributes:
        name: The check's name.
        description: What is true when it passes.
        find: Takes the resource, its table, a connection and the instance.
        blocking: A failure fails the run; otherwise it warns.
    """

    name: str
    description: str
    find: Callable[[str, Table, duckdb.DuckDBPyConnection, dg.DagsterInstance], Finding]
    blocking: bool = False


def _last_sync(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, Any]:
    """The metadata of the last sync: a materialization or, if unproven, an observation."""
    records = [
        *instance.fetch_materializations(key, limit=1).records,
        *instance.fetch_observations(key, limit=1).records,
    ]
    if not records:
        return {}
    last = max(records, key=lambda record: record.storage_id)
    event = last.asset_materialization or last.event_log_entry.asset_observation
    return {name: entry.value for name, entry in event.metadata.items()} if event else {}


def _other_than_read(
    resource_name: str,
    table: Table,
    connection: duckdb.DuckDBPyConnection,
    instance: dg.DagsterInstance,
) -> Finding:
    said = _last_sync(instance, dg.AssetKey(resource_name))
    if "distinct_ids" not in said or "proof" not in said:
        return f"No sync of {resource_name} is on record. Materialize {resource_name} first.", {}
    proof = {"proof": said["proof"], "completeness": said["completeness"]}
    if said["proof"] == Status.UNPROVEN.value:
        return f"The last sync is {said['completeness']}.", proof
    read, bad, since = said["distinct_ids"], said["quarantined"], None
    if "changed_since" in said:
        since = Since(said["cursor_column"], said["changed_since"])
    stored = StoredTable(table, connection)
    rows, sql = stored.count(since), stored.counting(since)
    if not since:  # the API no longer shows these
        rows -= said.get("rows_beyond_window", 0)
    metadata = {"rows": rows, "ids_read": read, "sql": sql, **proof}
    where = f" with {since.column} at or after {since.value}" if since else ""
    # A quarantined record may have an earlier, good version in the table.
    if read <= rows <= read + bad:
        return "", metadata
    cure = "incidents_reconcile marks what is gone from the API." if rows > read else "Sync again."
    if waiting := said.get("rows_waiting"):
        cure = f"{waiting:,} are marked as deleted if the next full read lacks them, too."
    return f"{rows:,} rows in the table{where}, {read:,} read from the API. {cure}", metadata


def _in_quarantine(
    resource_name: str, table: Table, connection: duckdb.DuckDBPyConnection, _: object
) -> Finding:
    count, reasons = quarantine.still_bad(connection, resource_name, table)
    sql = f"FROM {quarantine.TABLE.qualified} WHERE resource = '{resource_name}'"
    metadata = {"records": count, "sql": sql}
    if not count:
        return "", metadata
    return f"{count:,} records could not be loaded: {'; '.join(reasons)}. See {sql}", metadata


SOURCE_CHECKS = (
    SourceCheck(
        "table_matches_source",
        "The last sync is proven, or accepted, and the table has as many rows as it read from the "
        "API.",
        _other_than_read,
    ),
    SourceCheck(
        "quarantine_is_empty",
        "Every record of the API could be loaded, in its latest version.",
        _in_quarantine,
    ),
)
