"""What of a store is this project's: the schema of each source, and all tables in it.

What is made of these is left out: the view over all sources, the tables of `insight`, staging.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from incidents_dagster.ingestion.tables import (
    CHANGE_LOG,
    FIRST,
    INCIDENTS,
    SYNCS,
    quoted,
    staging_of,
)
from incidents_dagster.ingestion.warehouse import catalog
from incidents_dagster.ingestion.warehouse.catalog import StoredColumn
from incidents_dagster.ingestion.warehouse.postgres import text
from incidents_dagster.ingestion.warehouse.postgres_views import VIEWS
from incidents_dagster.ingestion.warehouse.store import Connection
from incidents_dagster.ingestion.warehouse.stored_schema import check_schema


@dataclass(frozen=True)
class Described:
    """A table, with all that is not its rows.

    Attributes:
        schema: Its schema, which is also its source.
        name: Its name.
        comment: Its comment; empty if it has none.
        columns: Its columns, in their order.
    """

    schema: str
    name: str
    comment: str
    columns: Sequence[StoredColumn]

    @property
    def qualified(self) -> str:
        """Schema and table, in SQL."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def shown(self) -> str:
        """Schema and table, for people."""
        return f"{self.schema}.{self.name}"

    @property
    def comments(self) -> list[str]:
        """Statements that write its comments, and those of its columns."""
        said = [f"TABLE {self.qualified} IS {text(self.comment)}"] if self.comment else []
        said += [
            f"COLUMN {self.qualified}.{quoted(one.name)} IS {text(one.comment)}"
            for one in self.columns
            if one.comment
        ]
        return [f"COMMENT ON {one}" for one in said]


def sources_in(connection: Connection, configured: Iterable[str], store: str) -> list[str]:
    """The sources that have a schema, configured or known from the logs; the first one always.

    Args:
        connection: Reads the store.
        configured: The sources of the settings.
        store: The name of the store, for the message.

    Raises:
        SettingsError: The schema of one is somebody else's.
    """
    columns = catalog.columns(connection)
    tables = {(one.schema, one.table) for one in columns}
    found = {*configured}
    for log in (CHANGE_LOG, SYNCS):
        if (FIRST, log) in tables:
            sql = f"SELECT DISTINCT source FROM {quoted(FIRST)}.{quoted(log)}"
            found |= {source for (source,) in connection.execute(sql).fetchall()}
    sources = sorted(found & {schema for schema, _ in tables} | {FIRST})
    for source in sources:
        check_schema(connection, source, store)
    return sources


def tables_of(connection: Connection, sources: Iterable[str]) -> list[Described]:
    """The tables of these sources, by schema and name."""
    found = []
    for schema in sources:
        columns = catalog.columns(connection, schema)
        for one in catalog.relations(connection, schema):
            table = Described(
                schema, one.name, one.comment, [c for c in columns if c.table == one.name]
            )
            if one.kind == "table" and table.qualified != VIEWS:
                found.append(table)
    return found


def others_in(connection: Connection, sources: Sequence[str]) -> list[str]:
    """What else there is: further schemas, and views in those of the sources."""
    schemas = {one.schema for one in catalog.columns(connection)}
    schemas -= {*sources, *map(staging_of, sources)}
    views = {
        f"{schema}.{one.name}"
        for schema in sources
        for one in catalog.relations(connection, schema)
        if one.kind == "view" and (schema, one.name) != (FIRST, INCIDENTS)
    }
    return sorted(schemas | views)
