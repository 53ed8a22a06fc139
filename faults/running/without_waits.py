"""Whoever imports this retries without waiting; so do the processes that it syncs sources in."""

from types import SimpleNamespace

import tenacity.nap

from faults.running.preloading import in_every_process
from incidents_dagster.ingestion.http.pace import Pace

tenacity.nap.time = SimpleNamespace(sleep=lambda _: None)  # type: ignore[attr-defined]
Pace.sleep = lambda *_: None  # type: ignore[assignment,misc]
in_every_process(__name__)
