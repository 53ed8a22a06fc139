"""Dagster resources: DuckDB for readers. The pipeline that writes has its own connection."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
from dagster_duckdb import DuckDBResource
from pydantic import Field

from incidents_dagster.ingestion.errors import NoDatabaseError
from incidents_dagster.ingestion.warehouse.configured_store import store_called
from incidents_dagster.ingestion.warehouse.store import Store

READER_WAIT_SECONDS = 30.0


class IncidentsDuckDB(DuckDBResource):
    """The DuckDB file that the syncs write, for checks and for your own assets.

    `with duckdb.get_connection() as connection:` opens it read-only, waits a limited time while a
    sync writes, and closes it whatever happens. `read_only=False` is for assets that write their
    own tables; give those the pool `incidents_duckdb`.
    """

    read_only: bool = Field(default=True, description="Open the file read-only.")

    @property
    def store(self) -> Store:
        """Where the rows are."""
        return store_called(self.database)

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Opens the file.

        Raises:
            NoDatabaseError: There is no such file yet.
            DatabaseBusyError: Another process has held it for over `READER_WAIT_SECONDS`.
            DatabaseFileError: It is damaged, or cannot be read.
        """
        if self.read_only and self.store.is_empty():
            raise NoDatabaseError(f"There is no database at {self.store.name} yet.")
        connection = self.store.connect(
            READER_WAIT_SECONDS, read_only=self.read_only, config=self.connection_config
        )
        try:
            yield connection
        finally:
            connection.close()
