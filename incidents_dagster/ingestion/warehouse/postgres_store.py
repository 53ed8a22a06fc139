"""A PostgreSQL database as the store of the rows, which many processes and machines share.

All SQL stays DuckDB's: see `postgres`. Readers wait for nobody, and syncs only for those of the
same source.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import duckdb

from incidents_dagster.ingestion.settings import PROJECT_ROOT
from incidents_dagster.ingestion.tables import FIRST, quoted
from incidents_dagster.ingestion.warehouse import (
    catalog,
    change_log,
    postgres,
    postgres_lock,
    postgres_readers,
    postgres_views,
    sync_log,
)
from incidents_dagster.ingestion.warehouse.postgres import STORE, Server
from incidents_dagster.ingestion.warehouse.postgres_destination import (
    PostgresDestination,
    postgres_destination,
)
from incidents_dagster.ingestion.warehouse.postgres_errors import postgres_errors
from incidents_dagster.ingestion.warehouse.store import (
    Copied,
    Report,
    Room,
    Store,
    StoreReader,
    transaction,
)

LOADS, SHARED = "_dlt_loads", "'shared tables'"
LOG_INDEX = f"CREATE INDEX IF NOT EXISTS change_log_id ON {change_log.TABLE} (id)"


class PostgresReader(StoreReader):
    """Reads PostgreSQL for a sync; nobody waits for it.

    Attributes:
        name: The name of the store.
        kind: As in `Store`.
    """

    kind = "postgres"

    def __init__(self, server: Server) -> None:
        self._server, self.name = server, server.name
        self._connection: duckdb.DuckDBPyConnection | None = None

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def release(self) -> None:
        """Keeps the connection, as it is in nobody's way."""

    def _opened(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = self._server.connect()
        return self._connection


class PostgresStore(Store):
    """A PostgreSQL database.

    Args:
        server: Where it is.
        sources: The sources, of which each has a schema.
    """

    kind = "postgres"
    folder = PROJECT_ROOT / "data"

    def __init__(self, server: Server, sources: Sequence[str] = (FIRST,)) -> None:
        self._server, self._sources = server, sources
        self.name = self.title = server.name
        self.catalog = server.parts.get("dbname", "")

    def is_empty(self) -> bool:
        """Whether no load has ended yet."""
        own = ", ".join(map(postgres.text, self._sources))  # others may use dlt in the database
        sql = (
            "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE c.relname = {postgres.text(LOADS)} AND n.nspname IN ({own})"
        )
        with self.errors(), self._server.connect(read_only=True) as connection:
            return not connection.execute(f"FROM {postgres.asked(sql)}").fetchall()

    def connect(
        self,
        seconds: float,
        report: Report | None = None,
        read_only: bool = False,
        config: Mapping[str, Any] | None = None,
    ) -> duckdb.DuckDBPyConnection:
        """Connects, without waiting; to read, with the views that only DuckDB knows."""
        connection = self._server.connect(read_only)
        for name, value in (config or {}).items():
            connection.execute(f"SET {name} = $value", {"value": value})
        if read_only:
            with self.errors():
                postgres_views.use(connection)
        return connection

    def kept(self, connection: duckdb.DuckDBPyConnection, rows: str) -> str:
        """Fetches them once, into a table that the connection has to itself."""
        name = f"temp.main.{quoted(hashlib.sha256(rows.encode()).hexdigest())}"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {rows}")
        return name

    @contextmanager
    def writing(
        self, what: str, seconds: float, report: Report | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Connects, with a lock: PostgreSQL refuses one of two who replace a view at once."""
        with (
            self.errors(),
            postgres_lock.alone_on(self._server, what, seconds, f"process that writes {what}"),
            self.connect(seconds, report) as connection,
        ):
            yield connection

    @contextmanager
    def making(
        self, schema: str, inputs: Sequence[str], seconds: float, report: Report | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Makes them in memory, of a copy of what they are made of."""
        with (
            self.errors(),
            postgres_lock.alone_on(
                self._server, f"the tables of {schema}", seconds, f"process that makes {schema}"
            ),
            self._server.attached() as connection,
        ):
            with transaction(connection):  # of one moment
                connection.execute(f"CREATE SCHEMA {quoted(FIRST)}; CREATE SCHEMA {quoted(schema)}")
                there = {one.name for one in catalog.relations(connection, FIRST)}
                for name in there.intersection(inputs):
                    of = f"{quoted(FIRST)}.{quoted(name)}"
                    connection.execute(f"CREATE TABLE {of} AS FROM {STORE}.{of}")
            yield connection
            postgres_views.publish(connection, schema)

    @contextmanager
    def read(
        self, seconds: float, report: Report | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Connects in one transaction, so that all queries see the same moment."""
        with (
            self.errors(),
            self._server.connect(read_only=True) as connection,
            transaction(connection),
        ):
            postgres_views.use(connection)
            yield connection

    def reader(self, seconds: float, report: Report | None = None) -> PostgresReader:
        """Reads it; nobody waits for that."""
        return PostgresReader(self._server)

    @contextmanager
    def alone_on(self, source: str, seconds: float) -> Iterator[None]:
        """Holds a lock of PostgreSQL's."""
        with self.errors(), postgres_lock.alone_on(self._server, source, seconds):
            yield

    @contextmanager
    def working_folder(self, source: str, seconds: float) -> Iterator[Path]:
        """A temporary folder of this machine; those that killed syncs have left are removed."""
        where = hashlib.sha256(self.name.encode()).hexdigest()[:12]
        prefix = f"incidents_dagster-{where}-{source}-"
        for left in Path(gettempdir()).glob(f"{prefix}*"):  # nobody's, as the caller has the lock
            shutil.rmtree(left, ignore_errors=True)
        with TemporaryDirectory(prefix=prefix) as folder:
            yield Path(folder)

    def destination(
        self, source: str, seconds: float, report: Report | None = None
    ) -> PostgresDestination:
        """dlt's DuckDB, with PostgreSQL attached."""
        with self._server.connect() as connection:
            _create_shared(connection)
        return postgres_destination(self._server, source)

    def errors(self) -> AbstractContextManager[None]:
        """Of the server."""
        return postgres_errors(self.name)

    def allow_reader(self, role: str) -> str:
        """As `postgres_readers.allow`."""
        with self.errors():
            return postgres_readers.allow(self._server, role)

    def room(self) -> Room:
        """That of the database."""
        sql = "SELECT pg_database_size(current_database())"
        with self.errors(), self._server.connect(read_only=True) as connection:
            ((size,),) = connection.execute(f"FROM {postgres.asked(sql)}").fetchall()
        return Room(size / 2**20, None)

    @property
    def copy(self) -> None:
        """None, as readers are in nobody's way."""
        return None

    def refresh_copy(self, seconds: float, report: Report | None = None) -> Copied:
        """There is none."""
        raise NotImplementedError

    def remove_copy(self, seconds: float) -> bool:
        """There is none."""
        return False

    def waiting_file(self, source: str) -> Path:
        """Never there, as nobody is in the way."""
        return self.folder / f"postgres.{source}.syncs"


def _create_shared(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates what all sources write, once: two that do it at the same time would fail."""
    there = f"SELECT to_regclass('{change_log.TABLE}') IS NOT NULL"
    if catalog.answer(connection, there):
        return
    statements = [
        f"SELECT pg_advisory_xact_lock({postgres_lock.KEY.format(SHARED)})",
        f"CREATE SCHEMA IF NOT EXISTS {quoted(FIRST)}",
    ]
    for table, columns in {
        sync_log.TABLE: sync_log.COLUMNS,
        change_log.TABLE: change_log.COLUMNS,
    }.items():
        declared = ", ".join(f"{quoted(name)} {kind}" for name, (kind, _) in columns.items())
        statements.append(f"CREATE TABLE IF NOT EXISTS {table} ({declared})")
    statements.append(LOG_INDEX)
    postgres.tell(connection, "; ".join(statements))
