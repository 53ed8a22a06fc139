"""Dagster resources: DuckDB for readers. The pipeline that writes has a connection of its own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from dagster_duckdb import DuckDBResource
from pydantic import Field

from incidents_dagster.ingestion.errors import DatabaseBusyError, NoDatabaseError, explain

READER_WAIT_SECONDS = 30.0


class IncidentsDuckDB(DuckDBResource):
    """The DuckDB file that the syncs write, for checks, later assets and your own.

    `with duckdb.get_connection() as connection:` opens it read-only, waits a bounded time while
    a sync writes, and closes it whatever happens. `read_only=False` is for assets that write
    tables of their own; take the pool `incidents_duckdb` for those.
    """

    read_only: bool = Field(default=True, description="Open the file without the right to write.")

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Opens the file.

        Raises:
            NoDatabaseError: There is no such file yet.
            DatabaseBusyError: Another process has held it for over `READER_WAIT_SECONDS`.
        """
        if self.read_only and not Path(self.database).exists():
            raise NoDatabaseError(f"There is no database at {self.database} yet.")
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + READER_WAIT_SECONDS
        while True:
            try:
                return duckdb.connect(
                    self.database, read_only=self.read_only, config=self.connection_config
                )
            except duckdb.IOException as error:
                if "Could not set lock" not in str(error):
                    raise
                if time.monotonic() >= deadline:
                    raise DatabaseBusyError(explain(error)) from None
                time.sleep(0.2)
