"""Settings of one resource `x` of an API, and what a reading of it brings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from incidents_dagster.ingestion.reading.proof import Proof
from incidents_dagster.ingestion.reading.reader import Arrived, Reader
from incidents_dagster.ingestion.reading.source import open_api
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.tables import Table

TIME = {"data_type": "timestamp", "dedup_sort": "desc"}
INCREMENTAL = {"cursor_path": "at", "start_param": "since", "lag": 60}
MARKED = "SELECT id FROM incidents.x WHERE deleted_at IS NOT NULL ORDER BY id"


def resource(address: str, paginator: Any, **more: Any) -> dict[str, Any]:
    """Settings of one resource `x` at `address`; `more` are settings of the endpoint."""
    given = {} if paginator is None else {"paginator": paginator}
    endpoint = {"path": "/x", "data_selector": "data", **given, **more}
    return {
        "client": {"base_url": address},
        "resources": [
            {
                "name": "x",
                "primary_key": "id",
                "write_disposition": "merge",
                "endpoint": {name: value for name, value in endpoint.items() if value is not None},
            }
        ],
        "fetch_ahead": 1,  # so that what moves moves between pages
    }


@dataclass
class Read:
    """What a reading brought: ids in their order, whole numbers as such; proof; report."""

    ids: list[Any]
    proof: Proof
    said: list[str]


def read(settings: Settings, name: str = "x", known_pages: dict[str, int] | None = None) -> Read:
    """Reads resource `name` as a sync does, without loading it; `known_pages` as `Reader`'s."""
    said: list[str] = []
    ids: list[Any] = []

    def land(arrived: Arrived | None) -> Iterator[None]:
        found = arrived.batch.rows["id"].to_pylist() if arrived else []
        ids.extend(int(key) if key.isdigit() else key for key in found)
        yield from ()

    with open_api(settings, said.append) as api:
        known = Table.of(api.declared, name).declared
        reading = Reader(api, name, dict(known), known_pages=known_pages).read(None, land)
        try:
            while True:
                next(reading)
        except StopIteration as end:
            return Read(ids, end.value.proof, said)
