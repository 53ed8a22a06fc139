"""dlt's DuckDB destination for PostgreSQL's tables, as DuckDB has them attached.

What dlt stages stays in this process's memory, and is merged from there in one transaction of
PostgreSQL's. Each table with a primary key gets a UNIQUE index of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema import Schema
from dlt.common.schema.typing import TColumnSchema
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from incidents_dagster.ingestion.tables import quoted
from incidents_dagster.ingestion.warehouse import postgres, postgres_lock
from incidents_dagster.ingestion.warehouse.destination import (
    LoggedMerge,
    SyncClient,
    SyncDestination,
    options,
)
from incidents_dagster.ingestion.warehouse.postgres import (
    STORE,
    Server,
    asked,
    text,
    type_of,
)
from incidents_dagster.ingestion.warehouse.postgres_errors import ailment

MEMORY = "memory"  # what DuckDB calls the database in memory


def postgres_destination(server: Server, source: str) -> "PostgresDestination":
    """The destination for one sync of a source into PostgreSQL."""
    return PostgresDestination(server.connect(), **options(source))


def key_indexes(schema: str, tables: Mapping[str, Any]) -> list[str]:
    """Statements for an index of each primary key: rows are found by it, and none is there twice.

    Args:
        schema: The schema.
        tables: Its tables, as dlt describes them.
    """
    statements = []
    for name, table in tables.items():
        key = [column for column, c in table["columns"].items() if c.get("primary_key")]
        if key and table.get("write_disposition") == "merge":
            columns = ", ".join(map(quoted, key))
            statements.append(
                f"CREATE UNIQUE INDEX IF NOT EXISTS {quoted(f'{name}_key'[-63:])} "
                f"ON {quoted(schema)}.{quoted(name)} ({columns})"
            )
    return statements


class PostgresDestination(SyncDestination):
    """PostgreSQL for one sync."""

    @property
    def client_class(self) -> type[DuckDbClient]:
        """The class of `client`."""
        return PostgresClient


class PostgresSqlClient(DuckDbSqlClient):
    """Names tables in PostgreSQL, and those of staging in memory."""

    def catalog_name(self, quote: bool = True, casefold: bool = True) -> str:
        """The catalog of the dataset that is active."""
        return MEMORY if self.is_staging_dataset_active else STORE

    def open_connection(self) -> duckdb.DuckDBPyConnection:
        """A connection that uses PostgreSQL."""
        connection = super().open_connection()
        connection.execute(f"USE {STORE}")
        return connection


class HeldMerge(LoggedMerge):
    """The merge, unless this process has lost the lock of the source meanwhile."""

    def before_commit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Looks at the lock, last of all."""
        super().before_commit(connection)
        postgres_lock.check(connection, self._job_client.schema.name)


class HeldCopy(DuckDbCopyJob):
    """Rows that are not merged, in one transaction that ends with a look at the lock."""

    def run(self) -> None:
        """Inserts them; those for staging are in nobody's way."""
        client = self._job_client.sql_client
        if client.is_staging_dataset_active:
            super().run()
            return
        with client.begin_transaction():
            super().run()
            postgres_lock.check(client.native_connection, self._job_client.schema.name)


class PostgresClient(SyncClient):
    """dlt's client of DuckDB, for tables that are PostgreSQL's."""

    merge = HeldMerge

    def __init__(self, schema: Schema, config: DuckDbClientConfiguration, *others: Any) -> None:
        super().__init__(schema, config, *others)
        own = self.sql_client
        self.sql_client = PostgresSqlClient(
            own.dataset_name, own.staging_dataset_name, config.credentials, own.capabilities
        )

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Looks at the lock wherever rows are written."""
        job = super().create_load_job(table, file_path, load_id, restore)
        return HeldCopy(file_path) if type(job) is DuckDbCopyJob else job

    def is_of_the_store(self, error: BaseException) -> bool:
        """Its errors have no class of their own."""
        return super().is_of_the_store(error) or ailment(error, STORE) is not None

    @property
    def staging(self) -> str:
        """The schema of staging, which is in memory."""
        return f"{MEMORY}.{super().staging}"

    def update_stored_schema(self, *given: Any, **named: Any) -> Any:
        """Creates indexes, too."""
        update = super().update_stored_schema(*given, **named)
        if not self.sql_client.is_staging_dataset_active:
            statements = key_indexes(self.schema.name, self.schema.tables)
            if statements:
                postgres.tell(self.sql_client.native_connection, "; ".join(statements))
        return update

    def _get_table_update_sql(
        self, table_name: str, new_columns: Sequence[TColumnSchema], generate_alter: bool
    ) -> list[str]:
        # Private, but DuckDB passes the types of an ALTER TABLE on by its own names, of which
        # PostgreSQL does not know DOUBLE. `test_traps_postgres.py` guards it.
        if not generate_alter or self.sql_client.is_staging_dataset_active:
            return super()._get_table_update_sql(table_name, new_columns, generate_alter)
        kind = self.type_mapper.to_destination_type
        table = self.prepare_load_table(table_name)
        added = ", ".join(
            f"ADD COLUMN {quoted(str(one['name']))} {type_of(kind(one, table))}"
            for one in new_columns
        )
        alter = f"ALTER TABLE {quoted(self.schema.name)}.{quoted(table_name)} {added}"
        return [f"CALL postgres_execute('{STORE}', {text(alter)})", "CALL pg_clear_cache()"]

    def _get_info_schema_columns_query(
        self, catalog_name: str | None, schema_name: str, folded_table_names: list[str]
    ) -> tuple[str, list[Any]]:
        # Private, but DuckDB's information_schema would read all of PostgreSQL's catalog, and calls
        # its json VARCHAR. `test_traps_postgres.py` guards it.
        if catalog_name != STORE:
            return super()._get_info_schema_columns_query(
                catalog_name, schema_name, folded_table_names
            )
        names = ", ".join(map(text, folded_table_names)) or "NULL"
        sql = f"{postgres.COLUMNS} AND n.nspname = {text(schema_name)} AND c.relname IN ({names})"
        return (
            "SELECT table_name, column_name, data_type, "
            "CASE WHEN is_nullable THEN 'YES' ELSE 'NO' END, NULL, NULL "
            f"FROM {asked(sql)} ORDER BY table_name, position",
            [],
        )
