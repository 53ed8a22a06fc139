"""Where a project of ours has its rows: in a DuckDB file, or in a PostgreSQL database of its own.

`python -m faults --store postgresql://user@host:port/postgres` says that it is the latter, in the
environment, so that all processes know. Whoever is about the file itself then gets `OnAFileError`.
"""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import duckdb

from incidents_dagster.ingestion.warehouse import postgres
from incidents_dagster.ingestion.warehouse.configured_store import POSTGRES, configured_store
from incidents_dagster.ingestion.warehouse.postgres import Server
from incidents_dagster.ingestion.warehouse.postgres_store import PostgresStore

SERVER = "FAULTS_STORE"
# What tells a sync where the rows are.
FILE, URL, PASSWORD = "INCIDENTS_DUCKDB_PATH", "WAREHOUSE__URL", "WAREHOUSE__PASSWORD"


class OnAFileError(Exception):
    """A case is about the DuckDB file, and there is none."""


class Rows(ABC):
    """Where a project's rows are."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """What has a sync use it."""

    @abstractmethod
    def empty(self) -> None:
        """Has nothing in it, as before the first sync."""

    @abstractmethod
    def keep(self, folder: Path) -> str:
        """Copies it; returns what `start_from` takes. `folder` is there as long as the copy is."""

    @abstractmethod
    def start_from(self, kept: str) -> None:
        """Has in it what was kept."""

    @abstractmethod
    def connect(self, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        """Connects to it, with the names of its schemas as they are in a file."""

    @abstractmethod
    def is_there(self) -> bool:
        """Whether anything can be read."""

    def count(self, schema: str) -> int:
        """How many rows a source's table has, whatever the settings of this process."""
        environment = self.environment()
        where = environment.get(URL) or environment[FILE]
        if not where.startswith(POSTGRES) and not Path(where).exists():
            return 0
        with opened(where, environment.get(PASSWORD, "")) as connection:
            try:
                found = connection.execute(f"SELECT count(*) FROM {schema}.incident_data")
            except duckdb.CatalogException:
                return 0
            return int(found.fetchall()[0][0])

    def texts(self) -> Iterator[str]:
        """All that is on a server; what is in a file can be read there."""
        yield from ()

    @property
    def secrets(self) -> list[str]:
        """What nobody may see of it."""
        return []

    @abstractmethod
    def remove(self) -> None:
        """Ends it."""


class FileRows(Rows):
    """A DuckDB file.

    Attributes:
        path: The file, which a case may change.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def environment(self) -> dict[str, str]:
        """Its path."""
        return {FILE: str(self.path)}

    def empty(self) -> None:
        """Deletes it, and what is beside it."""
        for file in self.path.parent.glob(f"{self.path.name}*"):
            shutil.rmtree(file) if file.is_dir() else file.unlink()

    def keep(self, folder: Path) -> str:
        """Copies the file."""
        return str(shutil.copy(self.path, folder / f"{uuid4().hex}.duckdb"))

    def start_from(self, kept: str) -> None:
        """Copies the file back."""
        shutil.copy(kept, self.path)

    def connect(self, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        """Opens the file."""
        return duckdb.connect(str(self.path), read_only=read_only)

    def is_there(self) -> bool:
        """Whether there is a file."""
        return self.path.is_file()

    def remove(self) -> None:
        """Goes with the project's folder."""


class ServerRows(Rows):
    """A database of a PostgreSQL server.

    Args:
        server: The address of another database there, from which this one is made.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._name = f"faults_{uuid4().hex}"
        self._others: list[ServerRows] = []
        self._tell(f"CREATE DATABASE {self._name}")

    def another(self) -> "ServerRows":
        """One more, which ends with this one."""
        self._others.append(ServerRows(self._server))
        return self._others[-1]

    def environment(self) -> dict[str, str]:
        """Its address, and the password apart."""
        before, _, place = self._server.rpartition("/")[0].rpartition("@")
        user = before.removeprefix(POSTGRES).partition(":")[0]
        url = {URL: f"{POSTGRES}{user}@{place}/{self._name}"}
        return url | dict(zip([PASSWORD], self.secrets, strict=False))

    @property
    def secrets(self) -> list[str]:
        """The password, of the server's address or in PGPASSWORD."""
        from psycopg2.extensions import parse_dsn  # noqa: PLC0415 - only a server needs it

        given = parse_dsn(self._server).get("password") or os.environ.get("PGPASSWORD")
        return [given] if given else []

    def texts(self) -> Iterator[str]:
        """Every value of every table, and every comment."""
        import psycopg2  # noqa: PLC0415 - only a server needs it

        with (
            closing(psycopg2.connect(self._server, dbname=self._name)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(
                "SELECT format('SELECT to_jsonb(t) FROM %I.%I t', table_schema, table_name) "
                "FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
                "AND table_schema NOT IN ('pg_catalog', 'information_schema') "
                "UNION ALL SELECT 'SELECT to_jsonb(d) FROM pg_description d WHERE objoid > 16383' "
                "UNION ALL SELECT 'SELECT to_jsonb(a) FROM (SELECT attname FROM pg_attribute "
                "WHERE attrelid > 16383) a'"
            )
            for (sql,) in cursor.fetchall():
                cursor.execute(sql)
                for (row,) in cursor.fetchall():
                    yield from map(str, row.values())

    def empty(self) -> None:
        """Makes it anew."""
        self.start_from("template0")

    def keep(self, folder: Path) -> str:
        """Copies the database."""
        kept = f"faults_{uuid4().hex}"
        self._leave()
        self._tell(f"CREATE DATABASE {kept} TEMPLATE {self._name}")
        return kept

    def start_from(self, kept: str) -> None:
        """Copies the database back."""
        self._leave()
        self._tell(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")
        self._tell(f"CREATE DATABASE {self._name} TEMPLATE {kept}")

    def connect(self, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        """Connects as the product does."""
        return configured_store().connect(0, read_only=read_only)

    def is_there(self) -> bool:
        """As the product says."""
        return not configured_store().is_empty()

    def remove(self) -> None:
        """Drops the database."""
        for other in self._others:
            other.remove()
        self._leave()
        self._tell(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")

    def _leave(self) -> None:
        """Ends all connections to it."""
        # Private, but a process keeps its connections for good, as a user's has one store alone.
        for key in [key for key in list(postgres._databases) if self._name in key[1]]:
            postgres._databases.pop(key).close()
        self._tell(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            f"WHERE datname = '{self._name}'"
        )

    def _tell(self, sql: str) -> None:
        import psycopg2  # noqa: PLC0415 - only a server needs it

        with closing(psycopg2.connect(self._server)) as connection:
            connection.autocommit = True
            connection.cursor().execute(sql)


def opened(where: str, password: str = "") -> duckdb.DuckDBPyConnection:
    """Reads a file, by its path, or a database, by its address."""
    if where.startswith(POSTGRES):
        password = password or os.environ.get(PASSWORD, "")
        return PostgresStore(Server(where, password)).connect(0, read_only=True)
    return duckdb.connect(where, read_only=True)


def rows_of_project(folder: Path) -> Rows:
    """Where a new project has its rows."""
    server = os.environ.get(SERVER)
    return ServerRows(server) if server else FileRows(folder / "warehouse.duckdb")
