"""The proofs of syncs without Dagster, which keeps them in its metadata."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from incidents_dagster.ingestion import sync as pipeline
from incidents_dagster.ingestion.reading.proof import Proof

OPEN_SYNC = pipeline.open_sync


@contextmanager
def kept_proofs() -> Iterator[list[dict[str, Proof]]]:
    """The proofs of each sync that is opened meanwhile, by resource."""
    kept: list[dict[str, Proof]] = []

    @contextmanager
    def open_sync(*args: Any, **named: Any) -> Iterator[Any]:
        with OPEN_SYNC(*args, **named) as one:
            kept.append(one.proofs)
            yield one

    with patch.object(pipeline, "open_sync", open_sync):
        yield kept
