"""What a sync of one resource has to load, from beginning to end.

Data flow: the table's newest row → `reading`: all records from there on, proven → `landing`: minus
what the table already has → `deletions`: plus what is gone from the API, if everything was read.
"""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa

from incidents_dagster.ingestion.landing import quarantine
from incidents_dagster.ingestion.landing.bad_records import BadRecords
from incidents_dagster.ingestion.landing.deletions import Deletions
from incidents_dagster.ingestion.landing.landing import Landing
from incidents_dagster.ingestion.reading.fields import Fields
from incidents_dagster.ingestion.reading.incremental import Start
from incidents_dagster.ingestion.reading.proof import Proof
from incidents_dagster.ingestion.reading.reader import Reader
from incidents_dagster.ingestion.reading.source import OpenApi
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.ingestion.warehouse.duckdb_file import read_only_connection
from incidents_dagster.ingestion.warehouse.stored_key import check_key
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

# In dlt's state of a resource: whether the table was once proven complete.
WHOLE = "whole"


class Mode(Enum):
    """How much a sync reads.

    Attributes:
        INCREMENTAL: What changed since the last sync, if the endpoint has `incremental`.
        FULL_REFRESH: Everything, whatever the table has.
        RECONCILE: Everything; fails if that cannot show which rows were deleted.
    """

    INCREMENTAL = "incremental"
    FULL_REFRESH = "full_refresh"
    RECONCILE = "reconcile"


def changed_rows(
    api: OpenApi, name: str, database: Path, mode: Mode, proofs: dict[str, Proof]
) -> Iterator[Any]:
    """What a sync of resource `name` has to load, for dlt to extract.

    Reads incrementally if the endpoint has `incremental` and the table has a row to start from and
    was once proven complete. If the response lacks the table's newest row, the row was deleted, or
    this is a different API, or one restored from a backup: then everything is read. Rows that a
    full read lacks are marked as deleted.

    Args:
        api: The open API.
        name: The resource.
        database: The DuckDB file, open for reading while pages arrive.
        mode: How much to read.
        proofs: Receives the resource's proof.

    Yields:
        Arrow tables; one without rows if the table or its columns have to be created.

    Raises:
        Exception: The API's responses cannot be loaded; `explain` says why.
    """
    with read_only_connection(database, api.settings.wait_seconds, api.report) as connection:
        stored = StoredTable(Table.of(api.declared, name), connection)
        check_key(stored, name, database)
        known = stored.types()
        if "_dlt_id" in known:  # created by plain dlt, which gives rows ids
            dlt.config["normalize.parquet_normalizer.add_dlt_id"] = True
        state = dlt.current.resource_state(name)
        start = start_of(api, name, stored) if mode is Mode.INCREMENTAL else None
        if start and not state.get(WHOLE):
            api.report(f"{name}: the table is not proven complete: reading everything.")
            start = None

        fields = Fields.of(api.declared, api.incremental.get(name), stored, name)
        reader = Reader(api, name, known, fields)
        bad = BadRecords(name, api.settings.quarantine_share)
        landing = Landing(stored, bad, quarantine.waiting(connection, name, stored.table))

        readings = [(yield from reader.read(start, landing.take))]
        if start and not readings[0].has_newest:
            newest = ", ".join(map(str, start.newest.values()))
            api.report(
                f"{name}: the API no longer returns {newest}, the table's newest row. It was "
                "deleted there, or this is a different API: reading everything."
            )
            start = None
            yield from landing.take(None)
            readings.append((yield from reader.read(None, landing.take)))
        fields.check(known)
        bad.check()
        yield from landing.rest()
        if start is None:
            readings[-1] = yield from Deletions(
                stored, bad, api.settings.deleted_share, mode is Mode.RECONCILE
            ).mark(readings[-1], reader, landing)
        proof = proofs[name] = readings[-1].proof
        if start is None or not proof.proven:  # else what it missed is never requested
            state[WHOLE] = proof.proven

        if landing.last is not None and stored.table.takes_changes_alone:
            # If no row comes twice, dlt need not look for the newest, which takes a quarter of a
            # large load's memory. dlt ignores a False in its public hint, `deduplicated`.
            hint: dict[str, Any] = {"x-stage-data-deduplicated": landing.unique(*readings)}
            yield dlt.mark.with_hints(
                landing.last, dlt.mark.make_hints(additional_table_hints=hint)
            )
        if landing.last is None and not stored.has_every_declared_column():
            # Without rows, dlt creates no table and no columns unless told to; its own marker
            # would also create an id column that may not be null.
            yield stored.no_rows()
        yield from quarantine.load(connection, name, bad.records, stored.table)
    # Frees all that was read, 32 MB at 100,000 rows, for the load.
    del reader, landing, readings, bad
    pa.default_memory_pool().release_unused()


def start_of(api: OpenApi, name: str, stored: StoredTable) -> Start | None:
    """Where an incremental sync of resource `name` starts; None if everything is to be read."""
    # A declared column that the table lacks has to be filled in all rows.
    if name not in api.incremental or not stored.has_every_declared_column():
        return None
    return api.incremental[name].start(stored)
