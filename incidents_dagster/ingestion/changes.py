"""What is new at the API: the rows of a sync, and the change sensor's one small question.

Data flow: where the table ends → rest_api, from there on → Arrow, in batches → less what the
table has already.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa

from incidents_dagster.ingestion.batches import chunks, to_arrow
from incidents_dagster.ingestion.database import alone_on, reading
from incidents_dagster.ingestion.incremental import Start
from incidents_dagster.ingestion.settings import Settings, database_path
from incidents_dagster.ingestion.source import OpenApi, open_api
from incidents_dagster.ingestion.table import Table


def changed_rows(
    api: OpenApi,
    name: str,
    database: Path,
    report: Callable[[str], None],
    full_refresh: bool = False,
) -> Iterator[Any]:
    """What a sync of resource `name` has to load, for dlt to extract.

    Reads incrementally where the endpoint is configured so and the table has something to start
    from. Where the answer lacks the table's newest row, the API is not the one that the table came
    from, or has gone back in time: everything is read then.

    Args:
        api: The open API.
        name: The resource.
        database: The DuckDB file, open for reading while pages come in.
        report: Gets a line when everything has to be read again.
        full_refresh: Reads everything, whatever the table has.

    Yields:
        Arrow tables; one without rows where the table or its columns have to be made.
    """
    table = Table.of(api.declared, name)
    with reading(database) as connection:
        known = table.types(connection)
        if "_dlt_id" in known:  # made by dlt's plain path, which numbers the rows
            dlt.config["normalize.parquet_normalizer.add_dlt_id"] = True
        start = None if full_refresh else _start(api, name, table, connection)
        arrived = False
        keys: list[pa.Table] = []
        for begin in (start, None):
            for records in chunks(api.records(name, begin.value if begin else None)):
                rows, new_columns = to_arrow(records, known, api.declared.schema.naming)
                arrived = arrived or (begin is not None and begin.seen_in(rows))
                rows = table.without_what_it_has(connection, rows)
                if not len(rows):
                    continue
                keys.append(rows.select(table.primary_key))
                known.update(new_columns)
                if new_columns:
                    yield dlt.mark.with_hints(rows, dlt.mark.make_hints(columns=new_columns))
                else:  # hints of no columns would take away those that are there
                    yield rows
            if begin is None or arrived:
                break
            newest = ", ".join(map(str, begin.newest.values()))
            report(
                f"{name}: the API does not return {newest}, the newest in the table. It is gone "
                "there, or the API is another one: everything is read again."
            )
        if keys and table.takes_changes_alone:
            # Where no row comes twice, dlt need not look for the newest, which takes a quarter of
            # a large load's memory. In rest_api's words, `deduplicated`, a False would be ignored.
            hint: dict[str, Any] = {"x-stage-data-deduplicated": _unique(keys)}
            yield dlt.mark.with_hints(
                rows.slice(0, 0), dlt.mark.make_hints(additional_table_hints=hint)
            )
        if not keys and not table.has_every_declared_column(connection):
            # dlt makes no table and no columns for a sync of no rows unless told so; its own
            # marker would make a column of identifiers, too, that may not be null.
            yield table.no_rows()


def _unique(keys: list[pa.Table]) -> bool:
    together = pa.concat_tables(keys)
    groups = together.group_by(together.column_names, use_threads=False).aggregate([])
    once = groups.num_rows == len(together)
    del groups
    pa.default_memory_pool().release_unused()  # the load has better use for it
    return bool(once)


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
        with alone_on(database, seconds=0), reading(database) as connection:
            start = _start(api, name, table, connection)
        page = list(api.records(name, start.value if start else None, params).add_limit(1))
        with alone_on(database, seconds=0), reading(database) as connection:
            rows, _ = to_arrow(page, table.types(connection), api.declared.schema.naming)
            return table.without_what_it_has(connection, rows), table.last_load(connection)


def _start(
    api: OpenApi, name: str, table: Table, connection: duckdb.DuckDBPyConnection
) -> Start | None:
    if name not in api.incremental or not table.exists(connection):
        return None
    return api.incremental[name].start(table, connection)
