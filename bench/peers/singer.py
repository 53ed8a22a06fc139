"""Singer: tap-rest-api-msdk piped into target-duckdb, where both are in $SINGER_BIN or on PATH.

Each wants an environment of its own, the target with the DuckDB of this project, which verifies
its table. Full loads only.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from bench.peers.protocol import Task, beyond_imports

COMMANDS = ("tap-rest-api-msdk", "target-duckdb")


def installed() -> list[str] | None:
    """The two commands; None where one is missing."""
    where = os.environ.get("SINGER_BIN") or os.environ.get("PATH")
    found = [path for name in COMMANDS if (path := shutil.which(name, path=where))]
    return found if len(found) == len(COMMANDS) else None


def run(task: Task, tap: str, target: str) -> None:
    """Runs the pair to its end.

    Raises:
        CalledProcessError: One of them failed.
    """
    folder = Path(task.database).parent
    stream = {
        "name": "incident_data",
        "path": "/v1/incidents",
        "primary_keys": ["id"],
        "records_path": "$.data[*]",
        "num_inference_records": 100,
        "params": {"api_key": os.environ["API_KEY"], "limit": 100},
    }
    tap_config = {
        "api_url": task.base_url,
        "streams": [stream],
        "pagination_request_style": "simple_offset_paginator",
        "pagination_page_size": 100,
        "pagination_initial_offset": 0,
        "offset_records_jsonpath": "$.data",
        "next_page_token_path": "$.none",
        "pagination_next_page_param": "offset",
    }
    target_config = {"path": task.database, "default_target_schema": "incidents"}
    for name, config in (("tap", tap_config), ("target", target_config)):
        (folder / f"{name}.json").write_text(json.dumps(config))
    source = subprocess.Popen(
        [tap, "--config", str(folder / "tap.json")], stdout=subprocess.PIPE, cwd=folder
    )
    subprocess.run(
        [target, "--config", str(folder / "target.json")],
        stdin=source.stdout,
        stdout=subprocess.DEVNULL,
        cwd=folder,
        check=True,
    )
    if source.wait():
        raise subprocess.CalledProcessError(source.returncode, tap)


if __name__ == "__main__":
    commands = installed()
    assert commands, "Singer is not installed"
    with beyond_imports():
        run(Task.given(), *commands)
