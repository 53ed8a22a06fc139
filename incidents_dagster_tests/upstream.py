"""The libraries without anything of ours, for the tests that characterise them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.extract import DltSource
from dlt.sources.helpers.rest_client.auth import APIKeyAuth
from dlt.sources.rest_api import rest_api_source

from incidents_dagster.demo_api.server import DemoServer

OFFSET = {"type": "offset", "limit": 100}


def error_of(action: Callable[[], object], mended: str) -> Exception:
    """What `action` raises; where it raises nothing, the test fails and says `mended`."""
    try:
        action()
    except Exception as error:
        return error
    pytest.fail(mended)


def query_auth(key: str, name: str = "api_key") -> APIKeyAuth:
    """rest_api's auth that puts `key` into the query."""
    return APIKeyAuth(name=name, api_key=key, location="query")


def source_of(api: DemoServer, client: dict[str, Any], **resource: Any) -> DltSource:
    """rest_api's source of `api`, its one resource called `items`; nothing of ours is in it."""
    endpoint = {"path": "/v1/incidents", "data_selector": "data"}
    return rest_api_source(
        {
            "client": {"base_url": api.base_url, "auth": query_auth(api.api_key), **client},
            "resources": [{"name": "items", "primary_key": "id", "endpoint": endpoint, **resource}],
        },
        name="traps",
    )


def pipeline_into(database: Path) -> dlt.Pipeline:
    """dlt's pipeline into `database`, each time on the same working folder; nothing of ours."""
    return dlt.pipeline(
        "traps",
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name="traps",
        pipelines_dir=str(database.parent / "pipelines"),
    )


def ask(database: Path, sql: str) -> list[Any]:
    """The first column of what `sql` finds."""
    with duckdb.connect(str(database), read_only=True) as connection:
        return [row[0] for row in connection.execute(sql).fetchall()]


def read(source: DltSource) -> list[Any]:
    """All records of the source's one resource."""
    return list(source.resources["items"])
