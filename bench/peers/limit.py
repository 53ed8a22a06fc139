"""The hand-written limit: concurrent fetches, orjson, Arrow batches, one streaming MERGE.

What a page of code can do that knows this one API and table; no retries, no schema evolution.
"""

import gc
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import chain, islice
from typing import Any
from urllib.parse import urlencode, urlsplit

import duckdb
import orjson
import pyarrow as pa

from bench.peers.protocol import Task, beyond_imports

PAGE, BATCH_PAGES = 100, 10
TEXT = ("id", "title", "status", "severity", "urgency", "assignee", "created_at", "updated_at")
JSON = ("service", "tags")
TIMES = ("created_at", "updated_at")
SCHEMA = pa.schema({"number": pa.int64()} | dict.fromkeys(TEXT + JSON, pa.string()))
TYPES = {"number": "BIGINT"} | dict.fromkeys(TEXT, "VARCHAR") | dict.fromkeys(JSON, "JSON")
TYPES |= dict.fromkeys(TIMES, "TIMESTAMPTZ") | {"id": "VARCHAR NOT NULL"}
MERGE = f"""
MERGE INTO incidents.incident_data AS t
USING (SELECT * REPLACE ({", ".join(f"{n}::TIMESTAMPTZ AS {n}" for n in TIMES)}) FROM fetched) AS s
ON t.id = s.id WHEN MATCHED THEN UPDATE WHEN NOT MATCHED THEN INSERT BY NAME"""


def pages(task: Task, since: str | None) -> Iterator[list[dict[str, Any]]]:
    """The API's pages in order; up to `ahead` requests in flight, and as many answers waiting."""
    own = threading.local()  # a connection a thread
    query = {"api_key": os.environ["API_KEY"], "limit": PAGE}
    target = f"/v1/incidents?{urlencode(query | ({'updated_since': since} if since else {}))}"

    def fetch(offset: int) -> bytes:
        if not hasattr(own, "connection"):
            own.connection = HTTPConnection(urlsplit(task.base_url).netloc)
        own.connection.request("GET", f"{target}&offset={offset}")
        answer: bytes = own.connection.getresponse().read()
        return answer

    with ThreadPoolExecutor(task.ahead) as pool:
        first = orjson.loads(fetch(0))
        yield first["data"]
        waiting: deque[Future[bytes]] = deque()
        for offset in range(PAGE, first["total"], PAGE):
            if len(waiting) == 2 * task.ahead:
                yield orjson.loads(waiting.popleft().result())["data"]
            waiting.append(pool.submit(fetch, offset))
        while waiting:
            yield orjson.loads(waiting.popleft().result())["data"]


def batches(fetched: Iterator[list[dict[str, Any]]]) -> Iterator[pa.RecordBatch]:
    """Pages as Arrow, `BATCH_PAGES` at a time."""
    dumps = orjson.dumps
    while rows := list(chain.from_iterable(islice(fetched, BATCH_PAGES))):
        columns = {
            name: [dumps(r[name]) for r in rows] if name in JSON else [r[name] for r in rows]
            for name in SCHEMA.names
        }
        yield pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


task = Task.given()
gc.disable()  # nothing here is cyclic: a tenth of the CPU
with beyond_imports():
    database = duckdb.connect(task.database)
    database.execute("SET TimeZone = 'UTC'; CREATE SCHEMA IF NOT EXISTS incidents")
    columns = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    database.execute(f"CREATE TABLE IF NOT EXISTS incidents.incident_data ({columns})")
    since = None
    if task.incremental:
        newest = "strftime(max(updated_at), '%Y-%m-%dT%H:%M:%SZ')"
        (since,) = database.sql(f"SELECT {newest} FROM incidents.incident_data").fetchall()[0]
    fetched = pa.RecordBatchReader.from_batches(SCHEMA, batches(pages(task, since)))
    database.execute(MERGE)
    database.close()
