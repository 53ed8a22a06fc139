"""What the change sensor asks: does the API have anything that the table lacks?"""

import pyarrow as pa

from incidents_dagster.ingestion.demo import configured_or_demo
from incidents_dagster.ingestion.reading.source import open_api
from incidents_dagster.ingestion.reading.start import starting_at
from incidents_dagster.ingestion.rows.batches import to_arrow
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.ingestion.warehouse.comparison import compare
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.ingestion.warehouse.stored_key import check_key
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable


def first_changes(settings: Settings) -> tuple[pa.Table, str | None]:
    """Requests the first page of the main resource that a sync would read.

    Returns:
        The rows on it that the table lacks, and the table's last dlt load.

    Raises:
        Exception: The request failed, or a sync is running; `explain` says why.
    """
    name, store = settings.main, configured_store()
    with (
        configured_or_demo(settings) as asked,
        open_api(asked, lambda _: None, 1, settings.change_sensor.params) as api,
    ):
        table = Table.of(api.declared, name)
        # Not open during the request: a sync that wants to write would find the store in use.
        with (
            store.alone_on(settings.source, seconds=0),
            store.read(seconds=0) as connection,
        ):
            stored = StoredTable(table, connection)
            check_key(stored, name, store.name)
            start = starting_at(api.incremental.get(name), stored, began=None)
        page = list(api.records(name, start.value if start else None).add_limit(1))
        with (
            store.alone_on(settings.source, seconds=0),
            store.read(seconds=0) as connection,
        ):
            stored, most = StoredTable(table, connection), settings.max_columns
            batch = to_arrow(page, stored.types(), table.primary_key, table.typed, most)
            return compare(stored, batch.rows).news, stored.last_load()
