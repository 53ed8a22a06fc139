"""One measurement: a fresh process on a fresh file, what it cost, and whether the table is right.

This process stays small: on Linux a child's peak RSS begins with that of the process that
started it, so nothing here imports DuckDB.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.cases import PLAIN, Case, Entrant
from fakes.incidents import KEY

ROOT = Path(__file__).resolve().parents[1]
FILE = "warehouse.duckdb"
LOADED = 100  # what bench.tables multiplies
MAXRSS_UNIT = 2**20 if sys.platform == "darwin" else 2**10
Figures = dict[str, Any]


class BenchError(Exception):
    """A peer failed; the text is the end of what it said."""


class Server:
    """bench/server.py in a process of its own, while the `with` block lasts."""

    def __enter__(self) -> "Server":
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "bench.server"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())
        self.base_url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.terminate()
        self.process.communicate()

    def ask(self, path: str) -> Any:
        """The JSON that the server answers."""
        connection = HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", path)
        body = connection.getresponse().read()
        connection.close()
        return json.loads(body)


def environment(work: Path, home: Path) -> dict[str, str]:
    """The environment of peers: nothing of the caller's settings, no telemetry, bytecode kept."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("SOURCES__", "PYTHONDONT"))}
    return own | {
        "API_KEY": KEY,
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(work / "dagster"),
        "DLT_DATA_DIR": str(home / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }


def run(module: str, *arguments: str | int | Path, work: Path, home: Path, cwd: Path) -> Figures:
    """Runs a module to its end: CPU and peak RSS of it and its children, wall, what it tells.

    Raises:
        BenchError: It failed.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with (home / "out").open("w+") as out, (home / "err").open("w+") as err:
        started = time.perf_counter()
        child = subprocess.Popen(
            command, env=environment(work, home), cwd=cwd, stdout=out, stderr=err
        )
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            child.wait()
            raise
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        for file in (out, err):
            file.seek(0)
        lines, said = out.read().splitlines(), err.read().strip()
    if child.returncode:
        raise BenchError(said[-2000:] or f"exit code {child.returncode}")
    told: Figures = {}
    with suppress(IndexError, json.JSONDecodeError):
        told = json.loads(lines[-1])
    cpu = usage.ru_utime + usage.ru_stime
    return {"cpu": cpu, "wall": wall, "rss": usage.ru_maxrss * MAXRSS_UNIT / 10**6} | told


class Bench:
    """Measures entrants, in a work folder and against a server that both last as long as it."""

    def __init__(self, work: Path, server: Server) -> None:
        self.work, self.server = work, server
        self.warm: set[tuple[str, str]] = set()
        (work / "dagster").mkdir()
        instance = (ROOT / "dagster.yaml").read_text()
        instance = instance.replace("data/dagster", str(work / "dagster"))
        (work / "dagster" / "dagster.yaml").write_text(instance)

    def measure(self, case: Case, entrant: Entrant) -> Figures:
        """One run of `entrant`, and the proof that its table is right.

        Raises:
            BenchError: It failed, or its table is wrong.
        """
        home = self.work / "run"
        shutil.rmtree(home, ignore_errors=True)
        if case.served and not case.continued:
            home.mkdir()
        else:
            shutil.copytree(self.prepared(case, entrant), home)
        self.serve(case.total, case.latency_ms, case.changed)
        figures = self.load(home, entrant, case.continued)
        stats = self.server.ask("/stats")
        if not case.served:
            return figures
        self.off_the_clock("verify", home, case.total, case.changed)
        seen = {"requests": stats["requests"], "in_flight": stats["in_flight"]}
        return figures | seen | {"server_cpu": stats["cpu"]}

    def server_rate(self, case: Case) -> float:
        """Pages a second that the server answers a client that parses nothing."""
        self.serve(max(case.total, 100_000))
        home = self.work / "raw"
        home.mkdir(exist_ok=True)
        return float(self.load(home, Entrant("raw", "raw"), False)["pages_per_s"])

    def warm_up(self, case: Case, entrant: Entrant) -> None:
        """A run of 100 incidents that is not measured: bytecode, file cache, Dagster's history."""
        if case.served and (entrant.peer, entrant.mode) not in self.warm:
            self.measure(Case("warm-up", "", LOADED, ()), entrant)
            self.warm.add((entrant.peer, entrant.mode))

    def prepared(self, case: Case, entrant: Entrant) -> Path:
        """The folder from which a run goes on, made by the entrant's own load where that is short.

        Raises:
            BenchError: It cannot be made.
        """
        who = entrant.side if case.served else "checks"
        folder = self.work / f"prepared-{who}-{case.total}"
        if folder.exists():
            return folder
        home = self.work / "preparing"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        if not case.served:
            self.off_the_clock("generate", home, case.total)
        elif entrant.peer == PLAIN.peer:
            self.serve(LOADED)
            self.load(home, entrant, True)
            self.off_the_clock("multiply", home, case.total)
        else:
            self.serve(case.total)
            self.load(home, entrant, False)
        if case.served:
            self.off_the_clock("verify", home, case.total, 0)
        return home.rename(folder)

    def serve(self, total: int, latency_ms: int = 0, changed: int = 0) -> None:
        """What the server serves from now on."""
        self.server.ask(f"/control?total={total}&latency_ms={latency_ms}&changed={changed}")

    def load(self, home: Path, entrant: Entrant, incremental: bool) -> Figures:
        """Runs the peer on the file in `home`."""
        ours = entrant.peer in ("ours", "checks")
        return run(
            f"bench.peers.{entrant.peer}",
            *(entrant.mode, self.server.base_url, home / FILE, entrant.ahead, int(incremental)),
            work=self.work,
            home=home,
            cwd=ROOT if ours else home,  # where dlt looks for .dlt/config.toml
        )

    def off_the_clock(self, command: str, home: Path, *counts: int) -> None:
        """One of `bench.tables`' commands."""
        run("bench.tables", command, home / FILE, *counts, work=self.work, home=home, cwd=ROOT)
