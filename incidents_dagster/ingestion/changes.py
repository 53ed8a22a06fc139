"""What is new at the API: the rows of a sync, and the change sensor's one small question.

Data flow: where the table ends → all records from there on, proven → Arrow, in batches → less
what the table has already → with what is gone from the API, where everything was read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa

from incidents_dagster.ingestion import quarantine
from incidents_dagster.ingestion.batches import to_arrow
from incidents_dagster.ingestion.database import alone_on, reading
from incidents_dagster.ingestion.incremental import Start
from incidents_dagster.ingestion.landing import Landing
from incidents_dagster.ingestion.settings import Settings, database_path
from incidents_dagster.ingestion.source import OpenApi, open_api
from incidents_dagster.ingestion.table import Table

# In dlt's state of a resource: whether the table was once proven to have everything.
WHOLE = "whole"


def changed_rows(
    api: OpenApi,
    name: str,
    database: Path,
    full_refresh: bool = False,
    reconcile: bool = False,
) -> Iterator[Any]:
    """What a sync of resource `name` has to load, for dlt to extract.

    Reads incrementally where the endpoint is configured so, the table has something to start from
    and was once proven to have everything. Where the answer lacks the table's newest row, that row
    is gone, the API is another one or has gone back in time: everything is read then. Rows of the
    table that a full reading lacks are marked as deleted.

    Args:
        api: The open API.
        name: The resource.
        database: The DuckDB file, open for reading while pages come in.
        full_refresh: Reads everything, whatever the table has.
        reconcile: The same, and fails where it is no ground for marking rows as deleted.

    Yields:
        Arrow tables; one without rows where the table or its columns have to be made.

    Raises:
        Exception: The API's answers are no ground for a load; `errors.explain` says why.
    """
    with reading(database, report=api.report) as connection:
        landing = Landing(api, name, connection)
        if "_dlt_id" in landing.known:  # made by dlt's plain path, which numbers the rows
            dlt.config["normalize.parquet_normalizer.add_dlt_id"] = True
        state = dlt.current.resource_state(name)
        everything = full_refresh or reconcile
        start = None if everything else _start(api, name, landing.table, connection)
        if start and not state.get(WHOLE):
            api.report(f"{name}: what the table has is not proven to be all: everything is read.")
            start = None
        yield from landing.read(start)
        if start and not landing.arrived:
            newest = ", ".join(map(str, start.newest.values()))
            api.report(
                f"{name}: the API does not return {newest}, the newest in the table. It is gone "
                "there, or the API is another one: everything is read again."
            )
            start = None
            yield from landing.read(None)
        yield from landing.rest()
        if start is None:
            yield from landing.gone(insist=reconcile)
        if start is None or not api.proofs[name].proven:  # what it left out would not be asked for
            state[WHOLE] = api.proofs[name].proven
        if landing.last is not None and landing.table.takes_changes_alone:
            # Where no row comes twice, dlt need not look for the newest, which takes a quarter of
            # a large load's memory. In rest_api's words, `deduplicated`, a False would be ignored.
            hint: dict[str, Any] = {"x-stage-data-deduplicated": landing.unique}
            yield dlt.mark.with_hints(
                landing.last, dlt.mark.make_hints(additional_table_hints=hint)
            )
        if landing.last is None and not landing.table.has_every_declared_column(connection):
            # dlt makes no table and no columns for a sync of no rows unless told so; its own
            # marker would make a column of identifiers, too, that may not be null.
            yield landing.table.no_rows()
        if landing.rejected:
            yield from quarantine.load(connection, name, landing.rejected, landing.table)
        landing.release()


def first_changes(settings: Settings) -> tuple[pa.Table, str | None]:
    """Asks the API for the first page of the main resource that a sync would read.

    Returns:
        The rows on it that the table has not, and the last dlt load that the table has.

    Raises:
        Exception: The API could not be asked, or a sync is running; `errors.explain` puts it into
            one message.
    """
    name, database = settings.resource_names[0], database_path()
    params = settings.own["change_sensor"]["params"]
    with open_api(settings, lambda _: None, fetch_ahead=1) as api:
        table = Table.of(api.declared, name)
        # Not while the API answers: a sync that wants to write would find the file held.
        with alone_on(database, seconds=0), reading(database, seconds=0) as connection:
            start = _start(api, name, table, connection)
        page = list(api.records(name, start.value if start else None, params).add_limit(1))
        with alone_on(database, seconds=0), reading(database, seconds=0) as connection:
            known, naming = table.types(connection), api.declared.schema.naming
            batch = to_arrow(page, known, naming, table.primary_key, table.typed)
            return table.without_what_it_has(connection, batch.rows), table.last_load(connection)


def _start(
    api: OpenApi, name: str, table: Table, connection: duckdb.DuckDBPyConnection
) -> Start | None:
    # A declared column that is not there yet, or no more, has to be filled in all rows.
    if name not in api.incremental or not table.has_every_declared_column(connection):
        return None
    return api.incremental[name].start(table, connection)
