"""Dagster resources: DuckDB for readers. The pipeline that writes has its own connection."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb
from dagster_duckdb import DuckDBResource
from pydantic import Field

from incidents_dagster.ingestion.errors import NoDatabaseError
from incidents_dagster.ingestion.warehouse.configured_store import store_called
from incidents_dagster.ingestion.warehouse.store import Store

READER_WAIT_SECONDS = 30.0


class IncidentsDuckDB(DuckDBResource):
    """The store that the syncs write, a file or a shared one, for checks and your own assets.

    `with duckdb.get_connection() as connection:` opens it read-only, waits a limited time while a
    sync writes a file, and closes it whatever happens. `read_only=False` is for assets that write
    their own tables; give those the pool `incidents_duckdb`.
    """

    read_only: bool = Field(default=True, description="Open the store read-only.")

    @property
    def store(self) -> Store:
        """Where the rows are."""
        return store_called(self.database)

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Opens the store.

        Raises:
            NoDatabaseError: Nothing has been written to it yet.
            DatabaseBusyError: Another process has held the file for over `READER_WAIT_SECONDS`.
            IngestionError: What is wrong with the file or the server, from its opening to its end.
        """
        store = self.store
        with store.errors():
            if self.read_only and store.is_empty():
                raise NoDatabaseError(f"There is no database at {store.name} yet.")
            connection = store.connect(
                READER_WAIT_SECONDS, read_only=self.read_only, config=self.connection_config
            )
        try:
            yield connection
        except duckdb.Error:
            with store.errors():
                raise
        finally:
            # As in `transaction`: one whose server is gone would abort the process.
            with suppress(duckdb.Error):
                connection.rollback()
            connection.close()
