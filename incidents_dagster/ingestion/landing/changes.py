"""What a sync of one resource has to load.

Data flow: where the table ends → all records from there on, proven → Arrow, in batches → less
what the table has already → with what is gone from the API, where everything was read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt

from incidents_dagster.ingestion.landing import quarantine
from incidents_dagster.ingestion.landing.landing import Landing
from incidents_dagster.ingestion.reading.incremental import Start
from incidents_dagster.ingestion.reading.source import OpenApi
from incidents_dagster.ingestion.warehouse.duckdb_file import reading
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

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
        Exception: The API's answers are no ground for a load; `explain` says why.
    """
    with reading(database, api.settings.wait_seconds, api.report) as connection:
        landing = Landing(api, name, connection)
        if "_dlt_id" in landing.known:  # made by dlt's plain path, which numbers the rows
            dlt.config["normalize.parquet_normalizer.add_dlt_id"] = True
        state = dlt.current.resource_state(name)
        everything = full_refresh or reconcile
        start = None if everything else start_of(api, name, landing.stored)
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
        if landing.last is None and not landing.stored.has_every_declared_column():
            # dlt makes no table and no columns for a sync of no rows unless told so; its own
            # marker would make a column of identifiers, too, that may not be null.
            yield landing.stored.no_rows()
        if landing.rejected:
            yield from quarantine.load(connection, name, landing.rejected, landing.table)
        landing.release()


def start_of(api: OpenApi, name: str, stored: StoredTable) -> Start | None:
    # A declared column that is not there yet, or no more, has to be filled in all rows.
    if name not in api.incremental or not stored.has_every_declared_column():
        return None
    return api.incremental[name].start(stored)
