"""dlt's DuckDB destination as a sync needs it, whatever the store.

It logs what a merge changes, comments the columns, and recreates what is missing or damaged: dlt's
bookkeeping and staging tables, and a table that was dropped by hand. `file_destination` adds what a
file needs.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import dlt
import duckdb
from dlt.common.destination.client import (
    LoadJob,
    StateInfo,
    StorageSchemaInfo,
)
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema import Schema
from dlt.common.schema.typing import TSchemaTables
from dlt.common.versioned_state import decompress_state
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.job_client_impl import SqlLoadJob
from dlt.pipeline.state_sync import migrate_state_to_current

from incidents_dagster.ingestion.errors import cause_of
from incidents_dagster.ingestion.naming import NamingConvention
from incidents_dagster.ingestion.tables import quoted, staging_of
from incidents_dagster.ingestion.warehouse import comments
from incidents_dagster.ingestion.warehouse.change_log import ChangeLog

SNAKE_CASE = "snake_case"  # dlt's default, in files of earlier releases


def options(source: str) -> dict[str, Any]:
    """What the destination for a sync of a source is made with, beside its credentials."""
    # By default, the DELETE and the INSERT of a merge commit one by one: a kill between them loses
    # rows. With `supports_transactions`, they are one transaction.
    # A replace would empty the table first, unless it goes through staging.
    return {
        "supports_transactions": True,
        "replace_strategy": "insert-from-staging",
        "naming_convention": NamingConvention.name(),
        "staging_dataset_name_layout": staging_of(source),
    }


class SyncDestination(dlt.destinations.duckdb):
    """DuckDB for one sync.

    Attributes:
        log: What the merge of its table changes is written to; None for no table.
    """

    log: ChangeLog | None = None

    def close(self) -> None:
        """Lets go of the store, whatever has become of the load."""

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
        """dlt's client, with the log."""
        client = super().client(schema, initial_config)  # type: ignore[arg-type]
        client.log = self.log  # type: ignore[attr-defined]
        return client


class LoggedMerge(SqlLoadJob):
    """dlt's merge, with what it changes written to the log in the same transaction."""

    def __init__(self, file_path: str, log: ChangeLog | None, load_id: str) -> None:
        super().__init__(file_path)
        self._log, self._load = log, load_id

    @contextmanager
    def maybe_transaction(self, sql: str) -> Iterator[None]:
        """The transaction of dlt's statements, and of ours after them."""
        with super().maybe_transaction(sql):
            yield
            self.before_commit(self._sql_client.native_connection)

    def before_commit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """The last statements of the transaction."""
        if self._log:
            self._log.record(connection, self._load)


class SyncClient(DuckDbClient):
    """dlt's client, which writes the log, comments the columns and recreates what is damaged."""

    merge: type[LoggedMerge] = LoggedMerge
    log: ChangeLog | None = None
    _healed = False

    @property
    def staging(self) -> str:
        """The schema of staging, in SQL."""
        return quoted(staging_of(self.schema.name))

    def initialize_storage(self, truncate_tables: Iterable[str] | None = None) -> None:
        """The first step of a load, once for the dataset and once for staging."""
        if not self._healed:
            self._healed = True
            self._heal()
        super().initialize_storage(truncate_tables)  # type: ignore[arg-type]

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """The merge of the log's table is one that writes the log."""
        if SqlLoadJob.is_sql_job(file_path):
            logs = self.log and table["name"] == self.log.table.name
            return self.merge(file_path, self.log if logs else None, load_id)
        return super().create_load_job(table, file_path, load_id, restore)

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
            if self.is_of_the_store(error):
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
            if self.is_of_the_store(error):
                raise
            return None
        return info

    def is_of_the_store(self, error: BaseException) -> bool:
        """Whether the store could not be read, rather than what was in it."""
        return cause_of(error, duckdb.IOException, duckdb.FatalException) is not None

    def _heal(self) -> None:
        connection = self.sql_client.native_connection
        dataset = quoted(self.schema.name)
        connection.execute(f"DROP SCHEMA IF EXISTS {self.staging} CASCADE")
        for name in self.schema.dlt_table_names():
            columns = ", ".join(map(quoted, self.schema.get_table_columns(name)))
            try:
                connection.execute(f"SELECT {columns} FROM {dataset}.{quoted(name)} LIMIT 0")
            except duckdb.CatalogException:
                pass  # missing, so dlt will create it
            except duckdb.BinderException:
                connection.execute(f"DROP TABLE {dataset}.{quoted(name)}")
