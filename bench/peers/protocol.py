"""What every peer is told, and what it tells. The key is in the environment's API_KEY."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One load.

    Attributes:
        mode: How a peer goes about it where it has several ways.
        base_url: The API's address.
        database: The DuckDB file; the table is `incidents.incident_data`.
        ahead: Requests in flight, where a peer can have several.
        incremental: Ask only for what changed since the newest row of the table.
    """

    mode: str
    base_url: str
    database: str
    ahead: int
    incremental: bool

    @classmethod
    def given(cls) -> "Task":
        """The task of this process."""
        mode, base_url, database, ahead, incremental = sys.argv[1:]
        return cls(mode, base_url, database, int(ahead), incremental == "1")


@contextmanager
def beyond_imports() -> Iterator[dict[str, float]]:
    """Times what happens within, and tells it as the peer's last line; more can be put in."""
    told: dict[str, float] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    yield told
    told |= {"run_wall": time.perf_counter() - wall, "run_cpu": time.process_time() - cpu}
    print(json.dumps(told))
