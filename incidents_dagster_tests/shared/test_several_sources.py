"""Several sources that are synced at once into one database, from their first syncs on."""

import os
import subprocess
import sys

import pytest

from fakes.postgres import PASSWORD
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import DatabaseBusyError
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.ingestion.warehouse import all_incidents, postgres_lock
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.ingestion.warehouse.postgres import Server
from incidents_dagster_tests.shared.database import Database

SOURCES = ["incidents", "pages", "tickets", "alarms"]
PROGRAM = f"""
import sys
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.ingestion.warehouse import all_incidents
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
each = {{name: load_settings(name) for name in {SOURCES}}}
tables = [Table.of(declared_source(one), one.main) for one in each.values()]
run_sync(each[sys.argv[1]], lambda _: None)
all_incidents.refreshed(configured_store(), tables, [], 60)
"""


def test_their_first_syncs_at_once_all_end_well(
    shared: Database, api: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__ALSO", str(SOURCES[1:]).replace("'", '"'))
    for name in SOURCES[1:]:
        monkeypatch.setenv(f"SOURCES__{name.upper()}__PRESET", "default")
        monkeypatch.setenv(f"SOURCES__{name.upper()}__CLIENT__BASE_URL", api.base_url)
        monkeypatch.setenv(f"SOURCES__{name.upper()}__API_KEY", api.api_key)
    syncs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for name in SOURCES
    ]
    said = [one.communicate(timeout=120)[0] for one in syncs]
    assert [one.returncode for one in syncs] == [0] * len(SOURCES), said
    counted = shared.ask("SELECT source, count(*) FROM incidents.incidents GROUP BY 1 ORDER BY 1")
    assert counted == [(name, 250) for name in sorted(SOURCES)]
    entries = shared.ask(
        "SELECT source, count(*), count(DISTINCT entry), max(entry) FROM incidents.change_log "
        "GROUP BY 1 ORDER BY 1"
    )
    assert entries == [(name, 250, 250, 250) for name in sorted(SOURCES)]
    assert shared.ask("SELECT count(DISTINCT source), count(*) FROM incidents.syncs") == [(4, 4)]


@pytest.mark.usefixtures("api")
def test_one_process_at_a_time_makes_the_view(shared: Database) -> None:
    settings = load_settings()
    run_sync(settings, lambda _: None)
    tables = [Table.of(declared_source(settings), settings.main)]
    server = Server(shared.url, PASSWORD)
    with (
        postgres_lock.alone_on(server, "incidents.incidents", 1),
        pytest.raises(DatabaseBusyError, match=r"process that writes incidents\.incidents"),
    ):
        all_incidents.refreshed(configured_store(), tables, [], 0.1)
    all_incidents.refreshed(configured_store(), tables, [], 0.1)
    assert shared.count(table="incidents.incidents") == shared.count()
