"""A DuckDB file with what syncs have seen, and the tables of `insight` made of it.

The tests of the tables write the log of changes themselves, as its own tests show what syncs write
there: so many histories take no syncs.
"""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb

from incidents_dagster.ingestion.settings import Insight
from incidents_dagster.ingestion.tables import ABSENT, FILLED, Table
from incidents_dagster.ingestion.warehouse import all_incidents, change_log, sync_log
from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster.insight.build import Built, build

MONDAY = datetime(2026, 3, 2, tzinfo=timezone.utc)
PHASES = {
    "new": "open",
    "again": "open",
    "working": "acknowledged",
    "done": "closed",
    "void": "other",
}
COLUMNS = {
    "id": "VARCHAR",
    "status": "VARCHAR",
    "phase": "VARCHAR",
    "severity": "VARCHAR",
    "service": "VARCHAR",
    "team": "VARCHAR",
    "title": "VARCHAR",
    "created_at": "TIMESTAMPTZ",
    "acknowledged_at": "TIMESTAMPTZ",
    "resolved_at": "TIMESTAMPTZ",
    "updated_at": "TIMESTAMPTZ",
    "deleted_at": "TIMESTAMPTZ",
    "_dlt_load_id": "VARCHAR",
}
TEXT, TIME = {"data_type": "text"}, {"data_type": "timestamp", "dedup_sort": "desc"}


def at(hours: float) -> datetime:
    """So many hours after the beginning of a Monday, UTC."""
    return MONDAY + timedelta(hours=hours)


def opened(name: str, hours: float, status: str = "new", **fields: Any) -> dict[str, Any]:
    """A record that was opened then, and has not changed since."""
    moment = at(hours)
    return {"id": name, "status": status, "created_at": moment, "updated_at": moment, **fields}


class Seen:
    """The incidents of a source as its syncs have seen them, one after the other.

    Attributes:
        file: The DuckDB file.
        table: The source's table of incidents.
    """

    def __init__(
        self,
        file: Path,
        source: str = "incidents",
        phases: dict[str, str] = PHASES,
        absent: str = "",
    ) -> None:
        self.file = file
        phase: dict[str, Any] = {**TEXT, FILLED: {"paths": ["status"], "phases": phases}}
        if absent:
            phase[ABSENT] = absent
        declared = {
            "id": {**TEXT, "primary_key": True},
            "status": TEXT,
            "phase": phase,
            "acknowledged_at": {"data_type": "timestamp"},
            "resolved_at": {"data_type": "timestamp"},
            "updated_at": TIME,
        }
        self.table = Table("incident_data", ["id"], declared, schema=source)
        self._phases, self._absent = phases, absent
        self._syncs, self._loads = sync_log.SyncLog(FileStore(file), source, print), 0
        with duckdb.connect(str(file)) as connection:
            columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {source}")
            connection.execute(f"CREATE TABLE {self.table.qualified} ({columns})")

    def sync(self, hours: float, *rows: dict[str, Any], proven: bool = True) -> None:
        """A sync reads at that moment; the rows are what has changed.

        A row has `id`, `status`, and what else it needs; `deleted=True` marks it as deleted.
        """
        self._loads += 1
        moment, load = at(hours), str(self._loads)
        log = change_log.ChangeLog(self.table, ["status", "phase", "severity"], self._syncs)
        log.seen = change_log.Seen(moment, moment, follows=True, refilled=False)
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.begin()
            for row in rows:
                self._merge(connection, row, moment, load)
            log.record(connection, load)
            connection.commit()
        if proven:
            log.end("proven")

    def _merge(
        self, connection: duckdb.DuckDBPyConnection, row: dict[str, Any], now: datetime, load: str
    ) -> None:
        found = connection.execute(f"FROM {self.table.qualified} WHERE id = ?", [row["id"]])
        before = found.fetchall()
        values = dict(zip(COLUMNS, before[0], strict=True)) if before else {}
        values |= {"deleted_at": None, **row, "_dlt_load_id": load}
        values["phase"] = self._phases.get(str(values.get("status")))
        if values.pop("deleted", False):
            values |= {"deleted_at": now, "phase": self._absent or values["phase"]}
        connection.execute(f"DELETE FROM {self.table.qualified} WHERE id = ?", [row["id"]])
        marks = ", ".join("?" for _ in values)
        connection.execute(
            f"INSERT INTO {self.table.qualified} ({', '.join(values)}) VALUES ({marks})",
            list(values.values()),
        )


def built(*sources: Seen, **settings: Any) -> Built:
    """Makes the tables of all sources."""
    tables = [source.table for source in sources]
    store = FileStore(sources[0].file)
    all_incidents.refreshed(store, tables, [], 5.0)
    return build(store, tables, Insight(**settings), 5.0)


def amiss(made: Built) -> list[str]:
    """What the checks found, such as `noise: every_incident_is_counted_once`."""
    return [f"{one.rule.table}: {one.rule.name}" for one in made.found if one.count]
