"""Where the rows are, as all else sees it: what a sync, a check and a reader need of that.

`file_store` is a DuckDB file, `postgres_store` a PostgreSQL database; `configured_store` says which
one it is. Whatever reads rows asks DuckDB, whose SQL is the same for both. Nothing outside of this
folder knows how it is opened.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import duckdb

from incidents_dagster.ingestion.errors import NoDatabaseError

if TYPE_CHECKING:  # it writes the logs, which ask the store for a connection
    from incidents_dagster.ingestion.warehouse.destination import SyncDestination

Report: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Room:
    """How large a store is.

    Attributes:
        taken: MB that it takes up; None if it is not there yet.
        free: MB that are left; None if only the server knows.
    """

    taken: float | None
    free: float | None


@dataclass(frozen=True)
class Copied:
    """What became of the copy for readers.

    Attributes:
        file: The copy.
        made: Whether it was made anew; else it already had what is in the store.
        size: Its bytes; 0 if there is none, as nothing has been synced yet.
        held_seconds: How long nobody could write meanwhile.
        cpu_seconds: What it cost in all.
    """

    file: Path
    made: bool
    size: int
    held_seconds: float
    cpu_seconds: float


class StoreReader(ABC):
    """Reads a store for a sync, which waits for its API in between.

    It is opened by the first query; a `with` block closes it.

    Attributes:
        name: The name of the store.
        kind: As in `Store`.
    """

    name: str
    kind: str

    def execute(self, query: str, parameters: Any = None) -> duckdb.DuckDBPyConnection:
        """As in DuckDB."""
        return self._opened().execute(query, parameters)

    def sql(self, query: str, *, params: Any = None) -> duckdb.DuckDBPyRelation:
        """As in DuckDB."""
        return self._opened().sql(query, params=params)

    def register(self, view_name: str, python_object: object) -> duckdb.DuckDBPyConnection:
        """As in DuckDB."""
        return self._opened().register(view_name, python_object)

    def unregister(self, view_name: str) -> duckdb.DuckDBPyConnection:
        """As in DuckDB."""
        return self._opened().unregister(view_name)

    @abstractmethod
    def release(self) -> None:
        """Lets others write until the next query; the results of all queries were fetched."""

    @abstractmethod
    def _opened(self) -> duckdb.DuckDBPyConnection:
        """The connection, which this opens if it is not open."""

    def __enter__(self) -> "StoreReader":
        return self

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...


# What can read the tables.
Connection: TypeAlias = duckdb.DuckDBPyConnection | StoreReader


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """One transaction of a connection."""
    connection.begin()
    try:
        yield
    except BaseException:
        # Closing is not enough: a transaction whose server is gone would abort the process.
        with suppress(duckdb.Error):
            connection.rollback()
        raise
    connection.commit()


class Store(ABC):
    """Where the rows are.

    Attributes:
        name: What people see of where that is, without secrets. `store_called` takes it.
        title: The same in short.
        kind: What Dagster's UI shows of it: `duckdb`, or `postgres`.
        catalog: The name of the database, before a schema.
        folder: A folder of this machine for what is made of the rows, such as the report.
    """

    name: str
    title: str
    kind: str
    catalog: str
    folder: Path

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether nothing has been written to it yet."""

    def require_rows(self) -> None:
        """Refuses a store that is empty.

        Raises:
            NoDatabaseError: It is.
        """
        if self.is_empty():
            raise NoDatabaseError(
                f"There is no database at {self.name} yet: sync first (make run)."
            )

    @abstractmethod
    def connect(
        self,
        seconds: float,
        report: Report | None = None,
        read_only: bool = False,
        config: Mapping[str, Any] | None = None,
    ) -> duckdb.DuckDBPyConnection:
        """Opens it, once no other process is in the way.

        Args:
            seconds: How long to wait for each process that is.
            report: Receives a line if there is more than a short wait.
            read_only: Whether only to read; then there must be something in it.
            config: DuckDB's settings.

        Raises:
            DatabaseBusyError: A process was in the way for longer.
            IngestionError: It cannot be opened.
        """

    @contextmanager
    def read(
        self, seconds: float, report: Report | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Opens it read-only and in UTC, also if it is empty; otherwise as `connect`."""
        with (
            duckdb.connect(":memory:")
            if self.is_empty()
            else self.connect(seconds, report, read_only=True)
        ) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection

    def kept(self, connection: duckdb.DuckDBPyConnection, rows: str) -> str:
        """SQL for the rows of a query, for several others that all look at them."""
        return f"({rows})"

    @abstractmethod
    def writing(
        self, what: str, seconds: float, report: Report | None = None
    ) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection that writes what belongs to all sources, as one process does at a time.

        Args:
            what: What it writes, for the message to others.
            seconds: As in `connect`.
            report: As in `connect`.
        """

    @abstractmethod
    def making(
        self, schema: str, inputs: Sequence[str], seconds: float, report: Report | None = None
    ) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection that makes tables and views of a schema, which all appear when it ends well.

        Args:
            schema: The schema.
            inputs: What they are made of: tables of the first source's schema, if they are there.
            seconds: As in `connect`.
            report: As in `connect`.
        """

    @abstractmethod
    def reader(self, seconds: float, report: Report | None = None) -> StoreReader:
        """Reads it for a sync; `seconds` and `report` as in `connect`, for each time."""

    @abstractmethod
    def alone_on(self, source: str, seconds: float) -> AbstractContextManager[None]:
        """Keeps syncs of a source in all processes off its tables while this lasts.

        Raises:
            DatabaseBusyError: Another sync of it has run for longer than `seconds`.
            SettingsError: It cannot be written.
        """

    @abstractmethod
    def working_folder(self, source: str, seconds: float) -> AbstractContextManager[Path]:
        """A folder for dlt without anything of an earlier sync of the source; gone afterwards.

        Raises:
            DatabaseBusyError: Another sync of the source has had it for longer than `seconds`.
        """

    @abstractmethod
    def destination(
        self, source: str, seconds: float, report: Report | None = None
    ) -> "SyncDestination":
        """dlt's destination for one sync of a source; `seconds` and `report` as in `connect`."""

    @abstractmethod
    def errors(self) -> AbstractContextManager[None]:
        """Turns any error of it into one message that says what to do.

        Raises:
            IngestionError: What is wrong with it.
        """

    @abstractmethod
    def allow_reader(self, role: str) -> str:
        """Allows a role to read all of it, and creates it if there is none.

        Returns:
            The password of the role that was created; empty if it was there.

        Raises:
            SettingsError: It has no roles, or the user may not create any.
        """

    @abstractmethod
    def room(self) -> Room:
        """How large it is, and how large it can become."""

    @abstractmethod
    def waiting_file(self, source: str) -> Path:
        """Where a source keeps what it could not write, as the store was in use."""

    @property
    @abstractmethod
    def copy(self) -> Path | None:
        """The copy for readers; None if they are in nobody's way."""

    @abstractmethod
    def refresh_copy(self, seconds: float, report: Report | None = None) -> Copied:
        """Makes the copy anew if the store has anything that it lacks; as `connect` otherwise."""

    @abstractmethod
    def remove_copy(self, seconds: float) -> bool:
        """Removes the copy, so that nobody reads one that is not kept up to date.

        Returns:
            Whether there was one.
        """
