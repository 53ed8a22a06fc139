"""What a materialization shows about a sync and its table."""

from typing import Any

import dagster as dg
import duckdb

from incidents_dagster.ingestion.secrets.redaction import GONE
from incidents_dagster.ingestion.sync import Sync
from incidents_dagster.ingestion.tables import Column, Table
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable


def table_metadata(table: Table, columns: list[Column]) -> dict[str, Any]:
    """The table's full name and its columns, under the keys that Dagster's UI knows."""
    return {
        "dagster/table_name": f"{configured_store().catalog}.{table.schema}.{table.name}",
        "dagster/column_schema": dg.TableSchema(
            [
                dg.TableColumn(
                    column.name,
                    type=column.type,
                    description=column.description,
                    constraints=dg.TableColumnConstraints(nullable=column.nullable),
                )
                for column in columns
            ]
        ),
    }


def sync_metadata(
    sync: Sync,
    resource_name: str,
    table: Table,
    connection: duckdb.DuckDBPyConnection,
    rows_before: int,
) -> dict[str, Any]:
    """What `sync` read of one resource, and what its table holds now.

    Args:
        sync: The sync, after its load.
        resource_name: The dlt resource.
        table: Its table.
        connection: Reads the table.
        rows_before: Rows in the table before the sync.
    """
    trace: Any = sync.pipeline.last_trace
    progress, changes = sync.api.progress[resource_name], sync.changes[resource_name]
    proof, gone = changes.proof, changes.gone
    load_id = ", ".join(trace.last_load_info.loads_ids)
    metadata: dict[str, Any] = {
        "rows_read": proof.rows,
        "rows_loaded": trace.last_normalize_info.row_counts.get(table.name, 0),
        "dagster/row_count": 0,
        "pages": progress.pages,
        "requests": sync.api.adapter.requests_made,
        "proof": proof.status.value,
        "completeness": str(proof),
        "readings": proof.readings,
        "full_read": changes.full,
        "quarantined": proof.quarantined,
        "database": sync.store.name,
        "rows_redacted": progress.redacted,
        "load_id": load_id or "none: there was nothing to load",
    }
    if proof.expected is not None:
        metadata["total_at_api"] = proof.expected
    if proof.distinct is not None:
        metadata["distinct_ids"] = proof.distinct
    if proof.since:
        metadata["cursor_column"] = proof.since.column
        metadata["changed_since"] = proof.since.value
    if missed := changes.missed:
        metadata |= {f"missed_{name}": value for name, value in missed.items()}
    if_any = {
        "rows_backfilled": sync.backfilled.get(resource_name),
        "rows_reverted": changes.reverted,
        "rows_waiting": changes.waiting,
        "open_rows_unread": changes.unread,
        "open_ids_besides": changes.created_meanwhile,
        "rows_beyond_window": gone.beyond_window,
        "not_marked": gone.why,
    }
    metadata |= {name: value for name, value in if_any.items() if value}
    stored = StoredTable(table, connection)
    if not stored.exists():  # no page arrived, so dlt had nothing to create it from
        return {**metadata, **table_metadata(table, table.declared_columns)}
    rows, present = stored.row_count(), stored.count()
    metadata["dagster/row_count"] = present
    metadata["rows_deleted"] = rows - present
    metadata |= table_metadata(table, stored.columns())
    metadata["preview"] = _preview(stored.preview())
    if table.takes_changes_alone:
        loaded, marked = stored.loaded_by(load_id) if load_id else (0, 0)
        metadata["rows_new"] = rows - rows_before
        metadata["rows_changed"] = loaded - marked - metadata["rows_new"]
        metadata["rows_newly_deleted"] = marked
    if newest := stored.newest():
        metadata[f"newest_{table.newest_first}"] = dg.TimestampMetadataValue(newest.timestamp())
    return metadata


def summary(resource_name: str, metadata: dict[str, Any]) -> str:
    """One line for the run's log."""
    total = f"{metadata['dagster/row_count']:,} rows in the table"
    if metadata["rows_redacted"]:
        total += f"; {metadata['rows_redacted']:,} of those read have {GONE} instead of a secret"
    if not metadata["rows_read"]:
        return f"{resource_name}: the API returned no rows; {total}."
    if "rows_new" not in metadata:
        return f"{resource_name}: {metadata['rows_loaded']:,} rows loaded, {total}."
    counts = {
        "new": metadata["rows_new"],
        "changed": metadata["rows_changed"],
        "deleted at the API": metadata["rows_newly_deleted"],
        "in quarantine": metadata["quarantined"],
    }
    always = ("new", "changed")
    if not any(counts.values()):
        return f"{resource_name}: nothing new or changed; {total}."
    told = (f"{count:,} {what}" for what, count in counts.items() if count or what in always)
    return f"{resource_name}: {', '.join(told)}; {total}."


def _preview(rows: list[dict[str, str]]) -> dg.TableMetadataValue:
    names = list(rows[0]) if rows else []
    return dg.MetadataValue.table(
        records=[dg.TableRecord(row) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(name, type="string") for name in names]),
    )
