"""Syncs that tell each of their stages when it begins, so that they can be killed in it."""

from collections.abc import Callable
from typing import Any

import dlt
from dlt.destinations.job_client_impl import SqlLoadJob

from incidents_dagster.ingestion.warehouse.file_destination import FileClient
from incidents_dagster.ingestion.warehouse.postgres_destination import PostgresClient


def mark_stages(tell: Callable[[str], Any]) -> None:
    """Tells each stage of the syncs of this process when it begins."""

    def marked(kind: Any, name: str, stage: str) -> None:
        original = getattr(kind, name)

        def method(*arguments: Any, **options: Any) -> Any:
            tell(stage)
            return original(*arguments, **options)

        setattr(kind, name, method)

    marked(dlt.Pipeline, "extract", "fetch")
    marked(dlt.Pipeline, "normalize", "normalize")
    marked(dlt.Pipeline, "load", "load")
    marked(SqlLoadJob, "run", "merge")
    for client in (FileClient, PostgresClient):
        marked(client, "complete_load", "after")
