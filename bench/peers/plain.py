"""The plain dlt script: the project's default configuration, and dlt's defaults for all else."""

import os
from typing import Any

import dlt
from dlt.sources.rest_api import rest_api_source

from bench.peers.protocol import Task, beyond_imports

task = Task.given()
incremental = {
    "cursor_path": "updated_at",
    "start_param": "updated_since",
    "initial_value": "1970-01-01T00:00:00Z",
}
endpoint = {"path": "/v1/incidents", "data_selector": "data"}
config: Any = {
    "client": {
        "base_url": task.base_url,
        "auth": {
            "type": "api_key",
            "name": "api_key",
            "location": "query",
            "api_key": os.environ["API_KEY"],
        },
        "paginator": {"type": "offset", "limit": 100, "total_path": None},
    },
    "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
    "resources": [
        {
            "name": "incident_data",
            "endpoint": endpoint | ({"incremental": incremental} if task.incremental else {}),
            "columns": {
                "id": {"data_type": "text", "nullable": False},
                "status": {"data_type": "text"},
                "created_at": {"data_type": "timestamp"},
                "updated_at": {"data_type": "timestamp", "dedup_sort": "desc"},
            },
        }
    ],
}
with beyond_imports():
    pipeline = dlt.pipeline(
        "incidents", destination=dlt.destinations.duckdb(task.database), dataset_name="incidents"
    )
    pipeline.run(rest_api_source(config))
