"""dlt's DuckDB destination for a file, which other processes wait for, too.

It waits for the file whenever dlt opens it, and holds it from the first change of a table to the
end of the load. An index that somebody put on a table stays.
"""

from pathlib import Path
from typing import Any

from dlt.common.configuration import configspec, resolve_configuration
from dlt.common.destination.client import RunnableLoadJob
from dlt.common.schema import Schema
from dlt.destinations.impl.duckdb.configuration import (
    DuckDbClientConfiguration,
    DuckDbCredentials,
)
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.job_client_impl import SqlLoadJob

from incidents_dagster.ingestion.tables import quoted
from incidents_dagster.ingestion.warehouse.destination import SyncClient, SyncDestination, options
from incidents_dagster.ingestion.warehouse.duckdb_file import WriteHold


@configspec(init=False)
class FileCredentials(DuckDbCredentials):
    """The path of a DuckDB file, which dlt would show as a URL with the help of SQLAlchemy."""

    def __str__(self) -> str:
        return str(self.database)


def file_destination(database: Path, source: str, hold: WriteHold) -> "FileDestination":
    """The destination for one sync of a source into the file, which `hold` opens."""
    credentials = FileCredentials()
    credentials.database = str(database)  # as an argument, it would be parsed as a URL
    # Resolved: else dlt would do that about twenty times per run.
    sections = ("destination", "duckdb", "credentials")
    resolved = resolve_configuration(credentials, sections=sections)
    destination = FileDestination(resolved, **options(source))
    destination.hold = hold
    return destination


class FileDestination(SyncDestination):
    """A DuckDB file for one sync.

    Attributes:
        hold: Opens the file for this sync.
    """

    hold: WriteHold

    def close(self) -> None:
        """Closes the file, however often it was taken."""
        self.hold.end()

    @property
    def client_class(self) -> type[DuckDbClient]:
        """The class of `client`."""
        return FileClient

    def client(
        self, schema: Schema, initial_config: DuckDbClientConfiguration | None = None
    ) -> DuckDbClient:
        """dlt's client, with the hold."""
        client = super().client(schema, initial_config)
        client.hold = self.hold  # type: ignore[attr-defined]
        return client


class FileClient(SyncClient):
    """dlt's client, with the hold. dlt opens and closes the file several times per load: in
    between, a reader could open it and stop a load whose rows are in the table already."""

    hold: WriteHold

    def __enter__(self) -> "FileClient":
        self.hold.take()
        try:
            super().__enter__()
        except BaseException:
            self.hold.give_back()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        if error[0] is None:
            self.hold.give_back()
        else:
            self.hold.end()  # no load continues after a failure

    def prepare_load_job_execution(self, job: RunnableLoadJob) -> None:
        """Holds the file from the first job that changes a table to the end of the load."""
        # Not earlier: what was copied to staging would stay in memory while it is merged.
        to_staging = self.sql_client.is_staging_dataset_active and not isinstance(job, SqlLoadJob)
        own = job.job_file_info().table_name in self.schema.dlt_table_names()
        if not to_staging and not own:
            self.hold.keep = True
            self._load_indexes(job.job_file_info().table_name)
        super().prepare_load_job_execution(job)

    def complete_load(self, load_id: str) -> None:
        """The last step of a load."""
        super().complete_load(load_id)
        self.hold.keep = False

    def _load_indexes(self, table: str) -> None:
        """Has DuckDB load the indexes of a table, if it has any, by an INSERT of no row."""
        # A DELETE does not load them, and an INSERT of the same key in the same transaction would
        # then violate a UNIQUE one.
        connection = self.sql_client.native_connection
        found = connection.execute(
            "SELECT 1 FROM duckdb_indexes() WHERE database_name = current_database() "
            "AND schema_name = ? AND table_name = ? LIMIT 1",
            [self.schema.name, table],
        ).fetchall()
        if found:
            qualified = f"{quoted(self.schema.name)}.{quoted(table)}"
            connection.execute(
                f"INSERT INTO {qualified} BY NAME SELECT _dlt_load_id FROM {qualified} LIMIT 0"
            )
