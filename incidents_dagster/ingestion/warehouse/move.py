"""Moves all tables of the project from a DuckDB file into a PostgreSQL database, or back.

`datasets` says which those are, `table_copy` copies them and proves it. Nobody sees them before:
PostgreSQL gets them in one transaction, and a file is made under another name and renamed. The
store that they come from stays as it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from incidents_dagster.ingestion.errors import DatabaseBusyError, NoDatabaseError, SettingsError
from incidents_dagster.ingestion.tables import CHANGE_LOG, FIRST, SYNCS, quoted
from incidents_dagster.ingestion.warehouse import catalog, datasets, duckdb_file, postgres_lock
from incidents_dagster.ingestion.warehouse.datasets import Described
from incidents_dagster.ingestion.warehouse.file_reader import ATTACHED
from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster.ingestion.warehouse.postgres import STORE, Server, tell, text
from incidents_dagster.ingestion.warehouse.postgres_destination import key_indexes
from incidents_dagster.ingestion.warehouse.postgres_store import LOG_INDEX, PostgresStore
from incidents_dagster.ingestion.warehouse.store import Report, Store, transaction
from incidents_dagster.ingestion.warehouse.stored_key import loaded_tables
from incidents_dagster.ingestion.warehouse.sync_log import SyncLog
from incidents_dagster.ingestion.warehouse.table_copy import Copy, TableCopy, compare, told

LOGS = (CHANGE_LOG, SYNCS)  # what a sync that failed leaves in PostgreSQL, empty


@dataclass(frozen=True)
class Ends:
    """A file and a database, one of which gets what the other has.

    Attributes:
        file: The DuckDB file.
        server: The database.
        into_file: Whether the file gets it.
        sources: The sources of the settings.
    """

    file: Path
    server: Server
    into_file: bool
    sources: Sequence[str]

    @property
    def stores(self) -> tuple[Store, Store]:
        """Where the tables are, and where they will be."""
        file, database = FileStore(self.file), PostgresStore(self.server, self.sources)
        return (database, file) if self.into_file else (file, database)


@dataclass(frozen=True)
class Moved:
    """What has been moved.

    Attributes:
        copies: Each table.
        left: What else the store has: views, and schemas that are no source's.
    """

    copies: list[Copy]
    left: list[str]


def move(ends: Ends, seconds: float, report: Report) -> Moved:
    """Moves the tables of all sources, all or none; their syncs wait meanwhile.

    Args:
        ends: From where, and to where.
        seconds: How long to wait for each process that is in the way.
        report: Receives a line if there is a wait.

    Raises:
        DatabaseBusyError: A sync, or a reader of the file, was in the way for longer.
        IngestionError: Something cannot be moved, or has not arrived as it was.
        NoDatabaseError: There is nothing to move.
        SettingsError: There is something already where the tables should be.
    """
    origin, _ = ends.stores
    file = duckdb_file.real(ends.file)
    with told("The tables", ends.stores), ExitStack() as locks:
        origin.require_rows()
        with origin.read(seconds, report) as connection:
            sources = datasets.sources_in(connection, ends.sources, origin.name)
        for source in sources:
            locks.enter_context(duckdb_file.alone_on(file, source, seconds))
            locks.enter_context(postgres_lock.alone_on(ends.server, source, seconds))
        with origin.read(seconds, report) as connection:
            if datasets.sources_in(connection, ends.sources, origin.name) != sources:
                raise DatabaseBusyError(f"A source was added to {origin.name}: move again.")
            tables = datasets.tables_of(connection, sources)
            left = datasets.others_in(connection, sources)
        if not tables:
            raise NoDatabaseError(f"{origin.name} has no table of a sync: sync first (make run).")
        with closing(ends.server.attached(read_only=ends.into_file)) as connection:
            connection.execute("SET enable_progress_bar = false")  # it knows too little
            if ends.into_file:
                return Moved(_into_file(connection, ends, file, tables), left)
            attach = f"ATTACH {text(str(file))} AS {ATTACHED} (READ_ONLY)"
            duckdb_file.when_free(lambda: connection.execute(attach), file, seconds, report)
            return Moved(_into_postgres(connection, ends, sources, tables, report), left)


def _into_postgres(
    connection: duckdb.DuckDBPyConnection,
    ends: Ends,
    sources: Sequence[str],
    tables: Sequence[Described],
    report: Report,
) -> list[Copy]:
    origin, target = ends.stores
    copy = TableCopy(connection, ATTACHED, STORE, ends.stores)
    connection.execute(f"USE {STORE}")
    with transaction(connection):
        _refuse_others(connection, sources, target.name)
        copy.create(tables)
        catalog.run(connection, [sql for one in tables for sql in one.comments])
        compare(tables, datasets.tables_of(connection, sources), target.name)
        copy.fill(tables)
        copies = copy.proven(tables)
        for index in _indexes(connection, sources, tables):
            with told(index.partition(" ON ")[2], ends.stores):
                tell(connection, index)
        for source in sources:
            if origin.waiting_file(source).exists():  # a sync found the file in use
                SyncLog(origin, source, report).write_waiting(connection)
            postgres_lock.check(connection, source, "move")
    return copies


def _into_file(
    connection: duckdb.DuckDBPyConnection, ends: Ends, file: Path, tables: Sequence[Described]
) -> list[Copy]:
    log = Path(f"{file}.wal")
    if log.exists() or not duckdb_file.holds_nothing(file):
        raise SettingsError(
            f"{log if log.exists() else file} is there already, so nothing was moved. If a move "
            "has made it, all is there; else move it away, or name another file."
        )
    new = file.with_name(f"{file.name}.moving")
    copy = TableCopy(connection, STORE, ATTACHED, ends.stores)
    try:
        _remove(new)  # what a move that was killed has left there
        connection.execute(f"ATTACH {text(str(new))} AS {ATTACHED}")
        with transaction(connection):
            copy.create(tables)
            copy.fill(tables)
        connection.execute(f"CHECKPOINT {ATTACHED}")
        with transaction(connection):
            copies = copy.proven(tables)
        connection.execute(f"DETACH {ATTACHED}")
        with duckdb.connect(str(new)) as alone:
            catalog.run(alone, [sql for one in tables for sql in one.comments])
            schemas = sorted({one.schema for one in tables})
            compare(tables, datasets.tables_of(alone, schemas), str(file))
            alone.execute("CHECKPOINT")
        new.replace(file)
    finally:
        _remove(new)
    return copies


def _refuse_others(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[str], target: str
) -> None:
    for schema in sources:
        for one in catalog.relations(connection, schema):
            count = f"SELECT count(*) FROM {quoted(schema)}.{quoted(one.name)}"
            empty = schema == FIRST and one.name in LOGS
            if not empty or catalog.answer(connection, count):
                raise SettingsError(
                    f"{target} has {schema}.{one.name} already, so nothing was moved. If a move "
                    "has made it, all is there; else name an empty database, or drop the schema "
                    f"{schema} there if nobody needs it."
                )


def _indexes(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[str], tables: Sequence[Described]
) -> Iterator[str]:
    """Those that a sync into PostgreSQL makes."""
    there = {(one.schema, one.name) for one in tables}
    for schema in sources:
        try:
            loaded = loaded_tables(connection, schema)
            known = {name: table for name, table in loaded.items() if (schema, name) in there}
            yield from key_indexes(schema, known)
        except (ValueError, AttributeError):  # damaged: the next sync makes them
            continue
    if (FIRST, CHANGE_LOG) in there:
        yield LOG_INDEX


def _remove(new: Path) -> None:
    for file in (new, Path(f"{new}.wal")):
        file.unlink(missing_ok=True)
