"""Whether a table has the primary key that is configured; rows of two keys cannot be told apart.

dlt keeps each schema that it loaded with in `_dlt_version`, beside the tables.
"""

import json
from typing import Any

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.tables import quoted
from incidents_dagster.ingestion.warehouse.catalog import columns
from incidents_dagster.ingestion.warehouse.store import Connection
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable


def check_key(stored: StoredTable, resource: str, store: str) -> None:
    """Checks the configured primary key against the table's, before anything is read.

    Args:
        stored: The table.
        resource: The resource that is loaded into it.
        store: The name of the store, for the message.

    Raises:
        SettingsError: It is another one. A table that each sync replaces may have any.
    """
    table = stored.table
    names = [column.name for column in stored.columns()]
    if not names or table.write_disposition == "replace":
        return
    key, its_key = table.primary_key, _loaded_key(stored)
    if lacking := [name for name in key if name not in names]:
        has = f"has no column {lacking[0]!r}"
        has += f"; its primary key is {_named(its_key)}" if its_key else ""
    elif its_key and {*its_key} != {*key}:
        has = f"has the primary key {_named(its_key)}"
    else:
        return
    back = f" back to {_named(its_key)}" if its_key else ""
    raise SettingsError(
        f"{resource}: the configured primary_key is {_named(key)}, but the table "
        f"{table.schema}.{table.name} {has}, so nothing was read. Set primary_key{back} in "
        f".dlt/config.toml, or move {store} away, to read everything into a new one."
    )


def _loaded_key(stored: StoredTable) -> list[str]:
    """The primary key that the table was last loaded with; empty if it had none."""
    try:
        loaded = loaded_tables(stored.connection, stored.table.schema)
        hints = loaded.get(stored.table.name, {}).get("columns", {})
        return [name for name, of in hints.items() if of.get("primary_key")]
    except (ValueError, AttributeError):  # damaged: dlt writes it anew
        return []


def loaded_tables(connection: Connection, schema: str) -> dict[str, Any]:
    """The tables of a schema, as dlt described them when it last loaded; empty if it has not.

    Raises:
        ValueError: The description is damaged.
    """
    if not columns(connection, schema, "_dlt_version"):
        return {}
    versions = connection.execute(
        f"SELECT schema FROM {quoted(schema)}._dlt_version WHERE schema_name = ? "
        "ORDER BY inserted_at DESC LIMIT 1",
        [schema],
    ).fetchall()
    found: dict[str, Any] = json.loads(versions[0][0]).get("tables", {}) if versions else {}
    return found


def _named(key: list[str]) -> str:
    return ", ".join(map(repr, key)) if key else "none"
