"""Where a project of ours has its rows: in a DuckDB file, or in a PostgreSQL database of its own.

`python -m faults --store postgresql://user@host:port/postgres` says that it is the latter, in the
environment, so that all processes know. Whoever is about the file itself then gets `OnAFileError`.
"""

import os
import shutil
from abc import ABC, abstractmethod
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
FILE, URL = "INCIDENTS_DUCKDB_PATH", "WAREHOUSE__URL"


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
        """Its address."""
        return {URL: f"{self._server.rpartition('/')[0]}/{self._name}"}

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
        for key in [key for key in postgres._databases if self._name in key[1]]:
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


def opened(where: str) -> duckdb.DuckDBPyConnection:
    """Reads a file, by its path, or a database, by its address."""
    if where.startswith(POSTGRES):
        return PostgresStore(Server(where)).connect(0, read_only=True)
    return duckdb.connect(where, read_only=True)


def rows_of_project(folder: Path) -> Rows:
    """Where a new project has its rows."""
    server = os.environ.get(SERVER)
    return ServerRows(server) if server else FileRows(folder / "warehouse.duckdb")
