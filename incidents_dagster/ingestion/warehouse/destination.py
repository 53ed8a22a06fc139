"""dlt's DuckDB destination as a sync needs it.

It waits for the file whenever dlt opens it, holds it from the first change of a table to the end
of the load, comments the columns, and recreates what is missing or damaged: dlt's bookkeeping and
staging tables, and a table that was dropped by hand. An index that somebody put on a table stays.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.common.configuration import configspec, resolve_configuration
from dlt.common.destination.client import (
    LoadJob,
    RunnableLoadJob,
    StateInfo,
    StorageSchemaInfo,
)
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema import Schema
from dlt.common.schema.typing import TSchemaTables
from dlt.common.versioned_state import decompress_state
from dlt.destinations.impl.duckdb.configuration import (
    DuckDbClientConfiguration,
    DuckDbCredentials,
)
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.job_client_impl import SqlLoadJob
from dlt.pipeline.state_sync import migrate_state_to_current

from incidents_dagster.ingestion.errors import cause_of
from incidents_dagster.ingestion.naming import NamingConvention
from incidents_dagster.ingestion.tables import quoted, staging_of
from incidents_dagster.ingestion.warehouse import comments
from incidents_dagster.ingestion.warehouse.change_log import ChangeLog
from incidents_dagster.ingestion.warehouse.duckdb_file import WriteHold

SNAKE_CASE = "snake_case"  # dlt's default, in files of earlier releases


@configspec(init=False)
class FileCredentials(DuckDbCredentials):
    """The path of a DuckDB file, which dlt would show as a URL with the help of SQLAlchemy."""

    def __str__(self) -> str:
        return str(self.database)


def file_credentials(database: Path) -> FileCredentials:
    """For `database`, resolved: else dlt would resolve them about twenty times per run."""
    credentials = FileCredentials()
    credentials.database = str(database)  # as an argument, it would be parsed as a URL
    return resolve_configuration(credentials, sections=("destination", "duckdb", "credentials"))


def sync_destination(database: Path, source: str, hold: WriteHold) -> "SyncDestination":
    """The destination for one sync of a source into the file, which `hold` opens."""
    # By default, the DELETE and the INSERT of a merge commit one by one: a kill between them loses
    # rows. With `supports_transactions`, they are one transaction.
    # A replace would empty the table first, unless it goes through staging.
    destination = SyncDestination(
        file_credentials(database),
        supports_transactions=True,
        replace_strategy="insert-from-staging",
        naming_convention=NamingConvention.name(),
        staging_dataset_name_layout=staging_of(source),
    )
    destination.hold = hold
    return destination


class SyncDestination(dlt.destinations.duckdb):
    """DuckDB for one sync.

    Attributes:
        hold: Opens the file for this sync.
        log: What the merge of its table changes is written to; None for no table.
    """

    hold: WriteHold
    log: ChangeLog | None = None

    def close(self) -> None:
        """Lets go of the file, whatever has become of the load."""
        self.hold.end()

    @property
    def client_class(self) -> type[DuckDbClient]:
        """The class of `client`."""
        return SyncClient

    @property
    def destination_type(self) -> str:
        """dlt's own, so that its command line can read what a sync leaves behind."""
        return "dlt.destinations.duckdb"

    def client(
        self, schema: Schema, initial_config: DuckDbClientConfiguration | None = None
    ) -> DuckDbClient:
        """dlt's client, with the hold and the log."""
        client = super().client(schema, initial_config)  # type: ignore[arg-type]
        client.hold, client.log = self.hold, self.log  # type: ignore[attr-defined]
        return client


class LoggedMerge(SqlLoadJob):
    """dlt's merge, with what it changes written to the log in the same transaction."""

    def __init__(self, file_path: str, log: ChangeLog, load_id: str) -> None:
        super().__init__(file_path)
        self._log, self._load = log, load_id

    @contextmanager
    def maybe_transaction(self, sql: str) -> Iterator[None]:
        """The transaction of dlt's statements, and of ours after them."""
        with super().maybe_transaction(sql):
            yield
            self._log.record(self._sql_client.native_connection, self._load)


class SyncClient(DuckDbClient):
    """dlt's client, with the hold. dlt opens and closes the file several times per load: in
    between, a reader could open it and stop a load whose rows are in the table already."""

    hold: WriteHold
    log: ChangeLog | None = None
    _healed = False

    def __enter__(self) -> "SyncClient":
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

    def initialize_storage(self, truncate_tables: Iterable[str] | None = None) -> None:
        """The first step of a load, once for the dataset and once for staging."""
        if not self._healed:
            self._healed = True
            self._heal()
        super().initialize_storage(truncate_tables)  # type: ignore[arg-type]

    def prepare_load_job_execution(self, job: RunnableLoadJob) -> None:
        """Holds the file from the first job that changes a table to the end of the load."""
        # Not earlier: what was copied to staging would stay in memory while it is merged.
        to_staging = self.sql_client.is_staging_dataset_active and not isinstance(job, SqlLoadJob)
        own = job.job_file_info().table_name in self.schema.dlt_table_names()
        if not to_staging and not own:
            self.hold.keep = True
            self._load_indexes(job.job_file_info().table_name)
        super().prepare_load_job_execution(job)

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """The merge of the log's table is one that writes the log."""
        if SqlLoadJob.is_sql_job(file_path) and self.log and table["name"] == self.log.table.name:
            return LoggedMerge(file_path, self.log, load_id)
        return super().create_load_job(table, file_path, load_id, restore)

    def complete_load(self, load_id: str) -> None:
        """The last step of a load."""
        super().complete_load(load_id)
        self.hold.keep = False

    def update_stored_schema(
        self,
        only_tables: Iterable[str] | None = None,
        expected_update: TSchemaTables | None = None,
        force: bool = False,
    ) -> TSchemaTables | None:
        """Compares with the existing tables, while dlt would trust the schema it has stored."""
        update = super().update_stored_schema(only_tables, expected_update, True)  # type: ignore[arg-type]
        if not self.sql_client.is_staging_dataset_active:
            tables = ((n, self.schema.get_table_columns(n)) for n in self.schema.tables)
            comments.write(self.sql_client.native_connection, self.sql_client.dataset_name, tables)
        return update

    def get_stored_state(self, pipeline_name: str) -> StateInfo | None:  # type: ignore[override]
        """None if it cannot be used: then everything is read."""
        try:
            info = super().get_stored_state(pipeline_name)
            if info:
                migrate_state_to_current(pipeline_name, decompress_state(info.state))
        except Exception as error:
            if _about_the_file(error):
                raise
            return None
        return info

    def get_stored_schema(  # type: ignore[override]
        self, schema_name: str | None = None
    ) -> StorageSchemaInfo | None:
        """None if it cannot be used: the tables are what counts."""
        try:
            info = super().get_stored_schema(schema_name)  # type: ignore[arg-type]
            if info:
                stored = json.loads(info.schema)
                if stored["normalizers"]["names"] == SNAKE_CASE:
                    # dlt would refuse another naming convention, though all names stay.
                    stored["normalizers"]["names"] = NamingConvention.name()
                    info = info._replace(schema=json.dumps(stored))
                Schema.from_dict(stored)
        except Exception as error:
            if _about_the_file(error):
                raise
            return None
        return info

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

    def _heal(self) -> None:
        connection = self.sql_client.native_connection
        dataset, staging = quoted(self.schema.name), staging_of(self.schema.name)
        connection.execute(f"DROP SCHEMA IF EXISTS {quoted(staging)} CASCADE")
        for name in self.schema.dlt_table_names():
            columns = ", ".join(map(quoted, self.schema.get_table_columns(name)))
            try:
                connection.execute(f"SELECT {columns} FROM {dataset}.{quoted(name)} LIMIT 0")
            except duckdb.CatalogException:
                pass  # missing, so dlt will create it
            except duckdb.BinderException:
                connection.execute(f"DROP TABLE {dataset}.{quoted(name)}")


def _about_the_file(error: BaseException) -> bool:
    return cause_of(error, duckdb.IOException, duckdb.FatalException) is not None
