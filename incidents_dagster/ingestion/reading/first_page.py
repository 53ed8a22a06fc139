"""Whether a list of numbered pages begins before the first page that is read.

If `base_page` is 1 and the API counts from 0, the first page is never asked for, and no later one
shows that. So the page before is requested, once for these settings, and without retries.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import requests
from dlt.common.schema.typing import TTableSchemaColumns
from dlt.extract.exceptions import ResourceExtractionError

from incidents_dagster.ingestion.errors import IncompleteError, RecordError, cause_of
from incidents_dagster.ingestion.http.responses import NoRecordsError
from incidents_dagster.ingestion.http.retries import may_pass
from incidents_dagster.ingestion.reading.source import OpenApi
from incidents_dagster.ingestion.rows.batches import distinct, to_arrow
from incidents_dagster.ingestion.tables import Table

REFUSALS = (requests.RequestException, IncompleteError, NoRecordsError, RecordError)


@dataclass(frozen=True)
class FirstPage:
    """The page that a resource's list begins with.

    Attributes:
        api: The open API.
        name: The resource.
        known: The table's columns with dlt's hints.
        asked: What was asked in earlier syncs; a question is added if the list has records.
    """

    api: OpenApi
    name: str
    known: TTableSchemaColumns
    asked: dict[str, int]

    def check(self, keys: pa.Table, span: tuple[Any, Any]) -> None:
        """Requests the page before the first one, if there may be one.

        Args:
            keys: The primary keys of a read from the beginning.
            span: The values of the cursor between which that was; None for no bound.

        Raises:
            IncompleteError: That page has records, and the read has none of them.
        """
        api, name, asked = self.api, self.name, self.asked
        table, first = Table.of(api.declared, name), api.first_page(name)
        question = f"{name}: page {first - 1}"
        if not first or not table.keyed or question in asked:
            return
        try:
            with api.once():
                found = api.batches(api.records(name, *span, from_page=first - 1))
                page = [record for some in found for record in some]
        except ResourceExtractionError as error:
            # An API without such a page refuses it in its own way.
            refusal = cause_of(error, *REFUSALS)
            if refusal is None:
                raise
            if may_pass(refusal, api.settings.retry_also):  # the next full read asks again
                return
            page = []
        if page or len(keys):  # an empty list shows nothing
            asked[question] = len(page)
        rows = to_arrow(page, dict(self.known), table.primary_key, table.typed).rows
        before = distinct([rows.select(table.primary_key)])
        every = distinct([before, keys])
        # An API without such a page may send its first one instead.
        if len(rows) and len(every) == len(before) + len(keys):
            raise IncompleteError(
                f"{name}: page {first - 1} has {len(before):,} records that no later page has, so "
                f"nothing was loaded: set paginator.base_page to {first - 1} in .dlt/config.toml."
            )
