"""`make bench-sources`: what fifty sources cost, beside one.

Loads the definitions in processes of their own, in turns, syncs all sources twice from APIs on
loopback, and asks `dagster dev` what its pages ask. Prints the figures.
"""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tomlkit

from fakes.dagster_dev import dagster_dev
from fakes.incidents import incident
from fakes.messages import Asked
from fakes.web import Web

ROOT = Path(__file__).resolve().parents[1]
SOURCES, INCIDENTS, TURNS = 50, 200, 5
LOAD = """
import os, time
began = time.perf_counter()
from incidents_dagster.definitions import defs
defs.get_repository_def()
print(time.perf_counter() - began, sum(os.times()[:2]))
"""
MEMORY = re.compile(r"VmRSS:\s+(\d+) kB")
# What the pages ask: all assets with their states, and the lineage of the view.
ASSETS = """{ assetNodes { assetKey { path } groupName dependencyKeys { path }
    assetMaterializations(limit: 1) { timestamp } assetChecksOrError { ... on AssetChecks {
    checks { name executionForLatestMaterialization { status } } } } } }"""


def answer(asked: Asked) -> Any:
    """An API of the default shape."""
    since = asked.query.get("updated_since", "").replace("Z", "+00:00")
    found = [row for row in ROWS if row["updated_at"] >= since]
    begin, size = int(asked.query.get("offset", 0)), int(asked.query["limit"])
    return {"data": found[begin : begin + size], "total": len(found)}


ROWS = [incident(number) for number in range(1, INCIDENTS + 1)]


@contextmanager
def project(count: int) -> Iterator[tuple[dict[str, str], list[Web]]]:
    """A project of so many sources: its environment, and the APIs."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        apis = [stack.enter_context(Web(answer)) for _ in range(count)]
        names = ["incidents", *(f"team_{number}" for number in range(1, count))]
        sources: dict[str, Any] = {
            name: {"preset": "default", "api_key": "k3y", "client": {"base_url": api.base_url}}
            for name, api in zip(names, apis, strict=True)
        }
        sources["incidents"]["also"] = names[1:]
        config = {"sources": sources, "runtime": {"log_level": "CRITICAL"}}
        own = Path(folder) / "project"
        (own / ".dlt").mkdir(parents=True)
        (own / ".dlt" / "config.toml").write_text(tomlkit.dumps(config))
        for name in ("dagster.yaml", "workspace.yaml"):
            (own / name).write_text((ROOT / name).read_text())
        environment = {
            "PYTHONPATH": str(ROOT),
            "DLT_PROJECT_DIR": str(own),
            "DAGSTER_HOME": str(own),
            "INCIDENTS_DUCKDB_PATH": str(own / "warehouse.duckdb"),
        }
        yield environment, apis


def run(environment: dict[str, str], *command: str) -> tuple[float, str]:
    """Seconds, and what was printed."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - began, done.stdout


def load_definitions(many: dict[str, str], one: dict[str, str]) -> None:
    """How long it takes to load them."""
    loads: dict[int, list[tuple[float, float]]] = {SOURCES: [], 1: []}
    for _ in range(TURNS):
        for count, environment in ((SOURCES, many), (1, one)):
            wall, cpu = run(environment, "-c", LOAD)[1].split()
            loads[count].append((float(wall), float(cpu)))
    medians = {
        count: [statistics.median(column) for column in zip(*values, strict=True)]
        for count, values in loads.items()
    }
    for count, (wall, cpu) in medians.items():
        print(f"definitions of {count} sources: {wall:.2f} s, {cpu:.2f} s of CPU")
    print(f"more than one's: {medians[SOURCES][0] - medians[1][0]:.2f} s")


def sync(many: dict[str, str], apis: list[Web]) -> None:
    """A first sync of all, and one without changes."""
    for what in ("first sync", "no change"):
        for api in apis:
            api.asked.clear()
        seconds, said = run(many, "-m", "incidents_dagster", "sync")
        (rows,) = re.findall(r"^incidents: ([\d,]+) rows", said, re.MULTILINE)
        requests = sorted({len(api.asked) for api in apis})
        print(f"{what} of {SOURCES}: {seconds:.1f} s, {rows} rows, requests each: {requests}")


def look(many: dict[str, str]) -> None:
    """What `dagster dev` takes, and how long its answers."""
    began = time.perf_counter()
    command = (str(Path(sys.executable).parent / "dagster"), "dev")
    with dagster_dev(Path(many["DAGSTER_HOME"]), *command, **many) as ui:
        print(f"dagster dev is up after {time.perf_counter() - began:.1f} s")
        answers = []
        for _ in range(TURNS):
            began = time.perf_counter()
            nodes = ui.ask(ASSETS)["assetNodes"]
            answers.append(time.perf_counter() - began)
        print(f"{len(nodes)} assets with checks and lineage: {statistics.median(answers):.2f} s")
        group = [pid for pid in _pids() if os.getpgid(pid) == ui.process.pid]
        found = [MEMORY.search(Path(f"/proc/{pid}/status").read_text()) for pid in group]
        total = sum(int(one[1]) for one in found if one) / 1024
        print(f"memory of its {len(group)} processes: {total:,.0f} MB")


def _pids() -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                os.getpgid(int(path.name))
            except ProcessLookupError:
                continue
            found.append(int(path.name))
    return found


if __name__ == "__main__":
    with project(SOURCES) as (everything, servers), project(1) as (alone, _):
        load_definitions(everything, alone)
        sync(everything, servers)
        look(everything)
