"""What syncs without Dagster found, which keeps that in its metadata."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from incidents_dagster.ingestion import sync as pipeline
from incidents_dagster.ingestion.landing.changes import Changes

OPEN_SYNC = pipeline.open_sync


@contextmanager
def kept_changes() -> Iterator[list[dict[str, Changes]]]:
    """What each sync that is opened meanwhile found, by resource."""
    kept: list[dict[str, Changes]] = []

    @contextmanager
    def open_sync(*args: Any, **named: Any) -> Iterator[Any]:
        with OPEN_SYNC(*args, **named) as one:
            kept.append(one.changes)
            yield one

    with patch.object(pipeline, "open_sync", open_sync):
        yield kept
