"""This project: `run_sync`, or with mode `dagster` what `make run` does."""

import os
import runpy
import sys

from bench.peers.protocol import Task, beyond_imports

task = Task.given()
os.environ["INCIDENTS_DUCKDB_PATH"] = task.database
os.environ["SOURCES__INCIDENTS__CLIENT__BASE_URL"] = task.base_url
if task.ahead:
    os.environ["SOURCES__INCIDENTS__FETCH_AHEAD"] = str(task.ahead)

if task.mode == "dagster":
    sys.argv[1:] = ["sync"]
    runpy.run_module("incidents_dagster", run_name="__main__")
else:
    from incidents_dagster.ingestion.settings import load_settings
    from incidents_dagster.ingestion.sync import run_sync

    with beyond_imports():
        run_sync(load_settings(), lambda line: None)
