"""`make bench-shared`: what the same work costs in a PostgreSQL database and in a DuckDB file.

Starts a PostgreSQL server on loopback, and does each step in a process of its own, on both stores
in turns; what is timed is beyond the imports. Prints medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import ROOT, Server
from bench.peers.protocol import beyond_imports
from fakes.incidents import KEY
from fakes.postgres import PASSWORD, Cluster, binaries
from incidents_dagster.ingestion.settings import Insight, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.warehouse import all_incidents
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.insight.build import build
from incidents_dagster.report.figures import read
from incidents_dagster.report.page import rendered
from incidents_dagster.report.pictures.all_pictures import pictures

CHANGED, TURNS, WAIT_SECONDS = 100, 3, 60.0


def sync() -> None:
    """A sync."""
    run_sync(load_settings(), lambda _: None)


def tables() -> None:
    """The view over all sources, and the tables of `insight`."""
    from incidents_dagster.sources import SOURCES  # noqa: PLC0415 - as it imports Dagster

    of = [source.tables[source.main] for source in SOURCES.values()]
    with beyond_imports():
        all_incidents.refreshed(configured_store(), of, [], WAIT_SECONDS)
        build(configured_store(), of, Insight(), WAIT_SECONDS)


def report() -> None:
    """The report of them."""
    figures = read(configured_store(), WAIT_SECONDS)
    rendered(figures, pictures(figures))


STEPS: dict[str, Callable[[], None]] = {"sync": sync, "report": report}


def measure(step: str, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds and seconds of CPU of a step, in a process with these settings."""
    command = [sys.executable, "-m", "bench.shared", "--step", step]
    said = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode:
        sys.exit(f"The step {step} failed: {said.stderr[-2000:]}")
    told = json.loads(said.stdout.splitlines()[-1])
    return told["run_wall"], told["run_cpu"]


def main(given: list[str]) -> None:
    """Measures, and prints the figures."""
    parser = argparse.ArgumentParser(prog="bench.shared", description=__doc__)
    parser.add_argument("--incidents", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--turns", type=int, default=TURNS, help="default: %(default)s")
    parser.add_argument("--step", choices=[*STEPS, "tables"], help="this alone, on one store")
    options = parser.parse_args(given)
    if options.step == "tables":
        tables()
        return
    if options.step:
        with beyond_imports():
            STEPS[options.step]()
        return
    found = binaries()
    if found is None:
        sys.exit("There is no PostgreSQL server: apt-get install postgresql.")
    print(f"{options.incidents:,} incidents; seconds, and seconds of CPU of the process")
    print(f"{'':<24}{'file':>16}{'PostgreSQL':>18}{'ratio':>14}")
    with TemporaryDirectory() as folder, Server() as server, Cluster(found) as cluster:
        _all(server, cluster, Path(folder), options.incidents, options.turns)


def _all(server: Server, cluster: Cluster, folder: Path, incidents: int, turns: int) -> None:
    figures: dict[str, dict[str, list[tuple[float, float]]]] = {}
    api = {"API_KEY": KEY, "SOURCES__INCIDENTS__CLIENT__BASE_URL": server.base_url}
    for turn in range(turns):
        cluster.ask("postgres", f"CREATE DATABASE turn_{turn}")
        stores = {
            "file": api | {"INCIDENTS_DUCKDB_PATH": str(folder / f"{turn}.duckdb")},
            "PostgreSQL": api
            | {"WAREHOUSE__URL": cluster.url(f"turn_{turn}"), "WAREHOUSE__PASSWORD": PASSWORD},
        }

        def both(what: str, step: str, stores: dict[str, dict[str, str]] = stores) -> None:
            for store, environment in stores.items():
                of = figures.setdefault(what, {}).setdefault(store, [])
                of.append(measure(step, environment))

        server.ask(f"/control?total={incidents}")
        both("first sync", "sync")
        both("nothing new", "sync")
        server.ask(f"/control?total={incidents}&changed={CHANGED}")
        both(f"{CHANGED} changed", "sync")
        both("view and tables", "tables")
        both("report", "report")
    for what, of in figures.items():
        file, shared = (
            [statistics.median(column) for column in zip(*of[store], strict=True)]
            for store in ("file", "PostgreSQL")
        )
        ratios = " / ".join(f"{b / a:.2f}" for a, b in zip(file, shared, strict=True))
        told = (f"{wall:8.2f} / {cpu:5.2f}" for wall, cpu in (file, shared))
        print(f"{what:<24}{'  '.join(told)}{ratios:>16}")


if __name__ == "__main__":
    main(sys.argv[1:])
