"""The table `incidents.syncs`: when each proven sync of a source read its incidents.

It says how long what was seen is known to have been so. A sync whose row cannot be written, as
the store is in use, leaves it in a file for the next one.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import duckdb

from incidents_dagster.ingestion.errors import DatabaseBusyError
from incidents_dagster.ingestion.tables import FIRST, SYNCS, quoted
from incidents_dagster.ingestion.warehouse.store import Store, transaction

TABLE = f"{quoted(FIRST)}.{quoted(SYNCS)}"
# Column → its type, and its description.
COLUMNS: dict[str, tuple[str, str]] = {
    "source": ("VARCHAR", "The source."),
    "begun": ("TIMESTAMPTZ", "When the API sent its first response, by its clock, UTC."),
    "ended": ("TIMESTAMPTZ", "When it sent its last one."),
    "proof": ("VARCHAR", "proven; accepted, where the settings do without a proof."),
}
# The next sync writes the row anyway, so none waits for long.
WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class SyncRow:
    """A sync of a source, whose incidents were proven to be all.

    Attributes:
        source: The source.
        begun: The API's time at its first response.
        ended: The API's time at its last response.
        proof: A value of `proof.Status`.
    """

    source: str
    begun: datetime
    ended: datetime
    proof: str


class SyncLog:
    """Writes the rows of one source's syncs.

    Args:
        store: Where the table is.
        source: The source, whose lock the caller holds.
        report: Receives a line if a row has to wait.
    """

    def __init__(self, store: Store, source: str, report: Callable[[str], None]) -> None:
        self._store, self._source, self._report = store, source, report
        self._waiting = store.waiting_file(source)

    def add(self, row: SyncRow, then: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
        """Writes a row, after those that wait; or has it wait, if the file is open elsewhere.

        Args:
            row: The sync.
            then: Writes what belongs to it, in the same transaction.
        """
        try:
            with self._store.connect(WAIT_SECONDS) as connection, transaction(connection):
                self.write_waiting(connection)
                _insert(connection, asdict(row))
                then(connection)
        except DatabaseBusyError as error:
            with self._waiting.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row), default=datetime.isoformat) + "\n")
            self._report(f"The next sync writes this one into {FIRST}.{SYNCS}: {error}")
            return
        self._waiting.unlink(missing_ok=True)

    def write_waiting(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Writes the rows that wait, unless they are there; creates the table if there is none."""
        create(connection)
        if not self._waiting.exists():
            return
        for line in self._waiting.read_text("utf-8").splitlines(keepends=True):
            if line.endswith("\n"):  # else a sync was killed while it wrote it
                _insert(connection, json.loads(line))


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates the table if there is none."""
    create_table(connection, TABLE, COLUMNS)


def create_table(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, tuple[str, str]]
) -> None:
    """Creates a table of the first source's schema, with such columns, if there is none."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(FIRST)}")
    declared = ", ".join(f"{quoted(name)} {kind}" for name, (kind, _) in columns.items())
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({declared})")


def _insert(connection: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> None:
    connection.execute(
        f"INSERT INTO {TABLE} SELECT $source, $begun, $ended, $proof WHERE NOT EXISTS "
        f"(FROM {TABLE} WHERE source = $source AND begun = $begun AND ended = $ended)",
        row,
    )
