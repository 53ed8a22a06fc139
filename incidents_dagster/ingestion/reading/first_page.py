"""Whether a list of numbered pages begins before the first page that is read.

If `base_page` is 1 and the API counts from 0, the first page is never asked for, and no later one
shows that. So the page before is requested, once for these settings, and without retries.
"""

import pyarrow as pa
import requests
from dlt.common.schema.typing import TTableSchemaColumns
from dlt.extract.exceptions import ResourceExtractionError

from incidents_dagster.ingestion.errors import IncompleteError, RecordError, causes
from incidents_dagster.ingestion.http.responses import NoRecordsError
from incidents_dagster.ingestion.http.retries import may_pass
from incidents_dagster.ingestion.reading.source import OpenApi
from incidents_dagster.ingestion.rows.batches import distinct, to_arrow
from incidents_dagster.ingestion.tables import Table

REFUSALS = (requests.RequestException, IncompleteError, NoRecordsError, RecordError)


def check_first_page(
    api: OpenApi, name: str, known: TTableSchemaColumns, keys: pa.Table, asked: dict[str, int]
) -> None:
    """Requests the page before the first one of resource `name`, if there may be one.

    Args:
        api: The open API.
        name: The resource.
        known: The table's columns with dlt's hints.
        keys: The primary keys of a full read.
        asked: What was asked in earlier syncs; this question is added.

    Raises:
        IncompleteError: That page has records, and the read has none of them.
    """
    table, first = Table.of(api.declared, name), api.first_page(name)
    question = f"{name}: page {first - 1}"
    if not first or not table.keyed or question in asked:
        return
    try:
        with api.once():
            page = list(api.records(name, from_page=first - 1))
    except ResourceExtractionError as error:  # an API without such a page refuses it in its own way
        refusal = next((cause for cause in causes(error) if isinstance(cause, REFUSALS)), None)
        if refusal is None:
            raise
        if may_pass(refusal, api.settings.retry_also):  # the next full read asks again
            return
        page = []
    asked[question] = len(page)
    rows = to_arrow(page, dict(known), table.primary_key, table.typed).rows
    before = distinct([rows.select(table.primary_key)])
    every = distinct([before, keys]) if len(keys) else before
    # An API without such a page may send its first one instead.
    if len(rows) and len(every) == len(before) + len(keys):
        raise IncompleteError(
            f"{name}: page {first - 1} has {len(before):,} records that no later page has, so "
            f"nothing was loaded: set paginator.base_page to {first - 1} in .dlt/config.toml."
        )
