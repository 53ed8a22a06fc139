"""Incidents from any REST API into DuckDB, as a Dagster asset.

`ingestion` (pure dlt) fetches and loads; the modules beside it define the Dagster objects;
`demo_api` is the API that is used while none is configured.
"""

import os
from pathlib import Path

from incidents_dagster.ingestion.private_files import keep_private

# dlt looks for .dlt/ in the current directory unless told otherwise, and does so on first use.
os.environ.setdefault("DLT_PROJECT_DIR", str(Path(__file__).resolve().parent.parent))

# Before anything here writes a file.
keep_private()
