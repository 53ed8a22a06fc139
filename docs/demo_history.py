"""A DuckDB file with what syncs of the demo API have seen until a fixed moment, for docs/ask.md.

The demo's incidents depend on nothing but the moment, so everybody gets the same file. The rows of
each poll are merged by plain SQL and its times are given; the log of changes, the view over all
sources and the tables of `insight` are made by the project's own code.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from incidents_dagster.demo_api.stories import incidents_at
from incidents_dagster.ingestion import presets
from incidents_dagster.ingestion.settings import Insight
from incidents_dagster.ingestion.tables import FILLED, Table
from incidents_dagster.ingestion.warehouse import all_incidents, change_log, sync_log
from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster.insight.build import build

UNTIL = datetime(2027, 1, 13, 12, tzinfo=timezone.utc)
SINCE = UNTIL - timedelta(weeks=2)
EVERY = timedelta(hours=4)
TOOK = timedelta(seconds=2)
TRACKED = ("status", "phase", "severity", "service")
TEXTS = ("id", "title", "status", "severity", "service", "team", "url")
TIMES = ("created_at", "acknowledged_at", "resolved_at", "updated_at")


def make(file: Path) -> None:
    """Makes the file: the incidents, what was seen of them, and the tables of `insight`.

    Args:
        file: Where; nothing is there yet.
    """
    (resource,) = presets.load(presets.DEFAULT, "").section["resources"]
    phases = resource["phases"]
    filled = {"paths": ["status"], "phases": phases}
    table = Table("incident_data", ["id"], {"phase": {"data_type": "text", FILLED: filled}})
    syncs = sync_log.SyncLog(FileStore(file), table.schema, print)
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"CREATE SCHEMA {table.schema}")
        columns = [f"{name} VARCHAR" for name in (*TEXTS, "phase", "_dlt_load_id")]
        columns += [f"{name} TIMESTAMPTZ" for name in TIMES]
        connection.execute(f"CREATE TABLE {table.qualified} ({', '.join(columns)})")
        for number, (moment, rows) in enumerate(_polls()):
            log = change_log.ChangeLog(table, TRACKED, syncs)
            log.seen = change_log.Seen(moment, moment + TOOK, follows=True, refilled=False)
            connection.begin()
            _merge(connection, table, str(number), rows, phases)
            log.record(connection, str(number))
            connection.commit()
            log.end("proven")
    all_incidents.refreshed(FileStore(file), [table], [], 5.0)
    build(FileStore(file), [table], Insight(), 5.0)


def _polls() -> Iterator[tuple[datetime, list[dict[str, Any]]]]:
    """Each moment, and the records that are new or have changed since the one before."""
    known: dict[object, dict[str, Any]] = {}
    moment = SINCE
    while moment <= UNTIL:
        changed = [one for one in incidents_at(moment) if known.get(one["id"]) != one]
        known.update({one["id"]: one for one in changed})
        yield moment, changed
        moment += EVERY


def _merge(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    load_id: str,
    records: list[dict[str, Any]],
    phases: dict[str, str],
) -> None:
    rows = [
        {name: one[name] for name in (*TEXTS, *TIMES)}
        | {"phase": phases[one["status"]], "_dlt_load_id": load_id}
        for one in records
    ]
    connection.register("changed", pa.Table.from_pylist(rows))
    connection.execute(f"DELETE FROM {table.qualified} WHERE id IN (SELECT id FROM changed)")
    connection.execute(f"INSERT INTO {table.qualified} BY NAME FROM changed")
    connection.unregister("changed")
