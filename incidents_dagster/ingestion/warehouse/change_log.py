"""The table `incidents.change_log`: what the syncs of all sources saw of each incident over time.

It only grows. An entry is written in the transaction of the merge that changed the row, and only
where a tracked column differs from the incident's last entry, so a sync that is repeated or killed
writes nothing twice. It holds what was seen, as it was seen; `insight` says what that means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from incidents_dagster.ingestion.tables import CHANGE_LOG, DELETED_AT, FIRST, Table, quoted
from incidents_dagster.ingestion.warehouse import catalog
from incidents_dagster.ingestion.warehouse.incident_columns import TEXT, TIME, IncidentTable
from incidents_dagster.ingestion.warehouse.sync_log import TABLE as SYNCS_TABLE
from incidents_dagster.ingestion.warehouse.sync_log import SyncLog, SyncRow, create_table

TABLE = f"{quoted(FIRST)}.{quoted(CHANGE_LOG)}"
# What an entry has of the row: as in the view over all sources.
TEXTS = ("status", "phase", "severity", "service")
TIMES = ("created_at", "acknowledged_at", "resolved_at", "updated_at")
# Column → its type, and its description.
COLUMNS: dict[str, tuple[str, str]] = {
    "entry": ("BIGINT", "The order in which a source's entries were written."),
    "source": (TEXT, "The source."),
    "id": (TEXT, "The incident's primary key, as in incidents.incidents."),
    "seen_before": (
        TIME,
        "When a sync began, by the API's clock, that saw the state before this one, or that there "
        "was no such incident; null if none did.",
    ),
    "sync_begun": (TIME, "When the sync that saw this state began, by the API's clock."),
    "sync_ended": (TIME, "When it had read it."),
    "deleted": ("BOOLEAN", "Whether the API no longer has the incident."),
    "refilled": ("BOOLEAN", "Whether the settings changed, and not the incident."),
    **{name: (TEXT, f"As in the row: {name}.") for name in TEXTS},
    "also": ("JSON", "Further tracked columns, as texts."),
    **{name: (TIME, f"As in the row: {name}.") for name in TIMES},
}


@dataclass(frozen=True)
class Seen:
    """When and how a sync has read what it is about to load.

    Attributes:
        begun: The API's time at its first response.
        ended: The API's time at its last response.
        follows: Whether the table has the rows of this source, so that the last proven sync
            vouches for what it lacked.
        refilled: Whether columns are filled from other paths than before.
    """

    begun: datetime
    ended: datetime
    follows: bool
    refilled: bool


@dataclass
class ChangeLog:
    """Writes the entries of one source.

    Attributes:
        table: The table of its incidents.
        tracked: The columns whose changes make an entry.
        syncs: Has the proven syncs, in the order of which entries are understood.
        seen: Of what dlt is about to load; the caller sets it when that has been read.
    """

    table: Table
    tracked: Sequence[str]
    syncs: SyncLog
    seen: Seen | None = None

    def record(self, connection: duckdb.DuckDBPyConnection, load_id: str) -> None:
        """Writes the entries of the rows of one load, in the caller's transaction.

        Of all rows, if the source has no entry yet: what was there when the log began. Of none, if
        the rows that a load merges do not say alone what has changed.

        Args:
            connection: Writes the file.
            load_id: The dlt load.
        """
        self.syncs.write_waiting(connection)
        self._write(connection, load_id)

    def end(self, proof: str) -> None:
        """Writes the row of a sync whose load has ended; `proof` is the status of its proof."""
        if self.seen:
            row = SyncRow(self.table.schema, self.seen.begun, self.seen.ended, proof)
            # A sync that had nothing to load has not written the beginning.
            self.syncs.add(row, lambda connection: self._write(connection, ""))

    def _write(self, connection: duckdb.DuckDBPyConnection, load_id: str) -> None:
        if not self.seen or not self.table.takes_changes_alone:
            return
        row = self._row(connection)
        if not row.types:  # no sync has had rows yet
            return
        create(connection)
        of = f"source = '{self.table.schema}'"
        last_entry = catalog.answer(connection, f"SELECT max(entry) FROM {TABLE} WHERE {of}") or 0
        has_entries, log = last_entry > 0, TABLE
        if has_entries and not load_id:
            return
        which = "true"
        if has_entries:
            which = f"t._dlt_load_id = '{load_id}'"
            ids = f"SELECT {row.key} AS id FROM {self.table.qualified} t WHERE {which}"
            log = catalog.near(connection, TABLE, ids, {"id": TEXT})
        ((last_proven,),) = connection.execute(
            f"SELECT max(begun) FROM {SYNCS_TABLE} WHERE source = ? AND begun <= ?",
            [self.table.schema, self.seen.begun],
        ).fetchall()
        parameters = {
            "source": self.table.schema,
            "last_entry": last_entry,
            "last_proven": last_proven,
            "seen_before": last_proven if has_entries and self.seen.follows else None,
            "begun": self.seen.begun,
            "ended": self.seen.ended,
            "refilled": self.seen.refilled,
        }
        connection.execute(self._insert(row, which, log), parameters)

    def _row(self, connection: duckdb.DuckDBPyConnection) -> IncidentTable:
        found = catalog.columns(connection, self.table.schema, self.table.name)
        return IncidentTable(self.table, {one.name: one.type for one in found})

    def _insert(self, row: IncidentTable, which: str, log: str) -> str:
        further = [n for n in self.tracked if n not in TEXTS and n in row.types]
        also = ", ".join(f"'{name}', {row.own(name, TEXT)}" for name in further)
        own = {name: row.own(name, TEXT) for name in TEXTS}
        own |= {name: row.own(name, TIME) for name in TIMES}
        own["deleted"] = f"t.{DELETED_AT} IS NOT NULL" if DELETED_AT in row.types else "false"
        own["also"] = f"json_object({also})" if further else "NULL::JSON"
        differs = ["{}.deleted"] + [f"{{}}.{name}" for name in TEXTS if name in self.tracked]
        differs += [f"json_extract_string({{}}.also, '$.{quoted(name)}')" for name in further]
        changed = " OR ".join(
            f"{one.format('n')} IS DISTINCT FROM {one.format('l')}" for one in differs
        )
        given = {
            "entry": "$last_entry + row_number() OVER (ORDER BY n.id)",
            "source": "$source",
            "id": "n.id",
            # What an unproven sync saw of this incident is known, too.
            "seen_before": "greatest($seen_before::TIMESTAMPTZ, l.sync_begun)",
            "sync_begun": "$begun",
            "sync_ended": "$ended",
            # What has changed at the API since then has another time of change.
            "refilled": "$refilled AND l.id IS NOT NULL "
            "AND NOT coalesce(n.updated_at >= $last_proven::TIMESTAMPTZ, false)",
        }
        values = ", ".join(given.get(name, f"n.{name}") for name in COLUMNS)
        selected = ", ".join(f"{sql} AS {name}" for name, sql in own.items())
        return (
            f"INSERT INTO {TABLE} WITH n AS (SELECT {row.key} AS id, {selected} "
            f"FROM {self.table.qualified} t WHERE {which}), "
            f"l AS (SELECT * FROM {log} c WHERE c.source = $source AND id IN (SELECT id FROM n) "
            "QUALIFY row_number() OVER (PARTITION BY c.id ORDER BY c.entry DESC) = 1) "
            f"SELECT {values} FROM n LEFT JOIN l USING (id) WHERE l.id IS NULL OR {changed}"
        )


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates the table if there is none."""
    create_table(connection, TABLE, COLUMNS)
