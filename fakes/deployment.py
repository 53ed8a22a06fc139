"""The project as several workers run it: code server, daemon and web server, each a process.

They read `deploy/dagster.yaml` and `deploy/workspace.yaml` as they are. All listen on loopback, on
ports that are free, and their history is in a database of a `Cluster`.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from fakes.dagster_dev import DagsterDev, free_port, wait_until
from fakes.postgres import PASSWORD, USER, Cluster

PROJECT = Path(__file__).parents[1]
# The settings of this test run, or of who runs it.
NOT_INHERITED = ("SOURCES__", "WAREHOUSE__", "DLT_", "DAGSTER_", "INCIDENTS_", "API_KEY")
START_SECONDS, STOP_SECONDS = 120.0, 60.0
LOG_TAIL = 20_000


class Deployment:
    """The processes, as a context manager; none of them is left afterwards.

    Attributes:
        ui: The web server.
        environment: What all of them have.
        running: Those that were started, by their roles.
    """

    def __init__(self, cluster: Cluster, database: str, folder: Path, **environment: str) -> None:
        """Prepares it; nothing runs yet.

        Args:
            cluster: Has the database of the history.
            database: Its name.
            folder: For a copy of the project, DAGSTER_HOME, what runs print, and the logs.
            environment: The project's settings.
        """
        self._folder, self._app, home = folder, folder / "app", folder / "home"
        home.mkdir()
        for name in ("dagster.yaml", "workspace.yaml"):
            shutil.copy(PROJECT / "deploy" / name, home)
        for name in ("incidents_dagster", ".dlt"):
            ignored = shutil.ignore_patterns("__pycache__", "secrets.toml")
            shutil.copytree(PROJECT / name, self._app / name, ignore=ignored)
        self._code, self._web = free_port(), free_port()
        inherited = (item for item in os.environ.items() if not item[0].startswith(NOT_INHERITED))
        self.environment = {
            **dict(inherited),
            "PYTHONPATH": str(self._app),
            "DAGSTER_HOME": str(home),
            "DAGSTER_POSTGRES_URL": (
                f"postgresql+psycopg2://{USER}@127.0.0.1:{cluster.port}/{database}"
            ),
            "PGPASSWORD": PASSWORD,
            "DAGSTER_COMPUTE_LOGS": str(folder / "compute_logs"),
            "DLT_DATA_DIR": str(folder / "dlt"),
            "INCIDENTS_CODE_SERVER_HOST": "127.0.0.1",
            "INCIDENTS_CODE_SERVER_PORT": str(self._code),
            **environment,
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Deployment":
        try:
            # In this order, as who starts before the code server complains.
            self.start_code_server()
            self.start("daemon")
            self.start("web")
            self.ui = self.web_server("web")
            wait_until(self.ui.serves, START_SECONDS, f"{self.ui.url} serves")
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for role in self.running:
            if kind:
                print(f"--- {role}\n{self.log(role).read_text()[-LOG_TAIL:]}")
            self.kill(role)

    def commands(self, role: str) -> list[str]:
        """What a role is started with; `web2` is a second `web`."""
        programs = Path(sys.executable).parent
        workspace = ["-w", str(self._folder / "home" / "workspace.yaml")]
        port = self._web if role == "web" else free_port()
        return {
            "code": [
                *(str(programs / "dagster"), "code-server", "start", "-h", "127.0.0.1"),
                *("-p", str(self._code), "-m", "incidents_dagster.definitions"),
            ],
            "daemon": [str(programs / "dagster-daemon"), "run", *workspace],
            "web": [
                *(str(programs / "dagster-webserver"), "-h", "127.0.0.1", "-p", str(port)),
                *workspace,
            ],
        }[role.rstrip("2")]

    def start(self, role: str) -> None:
        """Starts the process of a role: code, daemon, web, or a second one of the last two."""
        with self.log(role).open("ab") as output:
            self.running[role] = subprocess.Popen(
                self.commands(role),
                cwd=self._app,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_code_server(self) -> None:
        """Starts it; it answers afterwards."""
        self.start("code")
        wait_until(lambda: _listens(self._code), START_SECONDS, "the code server listens")

    def web_server(self, role: str) -> DagsterDev:
        """How a web server is asked."""
        process = self.running[role]
        port = process.args[process.args.index("-p") + 1]  # type: ignore[union-attr,operator]
        return DagsterDev(f"http://127.0.0.1:{port!s}", process, self.log(role))

    def log(self, role: str) -> Path:
        """What a role wrote so far."""
        return self._folder / f"{role}.log"

    def stop(self, role: str) -> None:
        """Ends a process as a container's end does: SIGTERM to it alone, and waits for it."""
        self.running[role].send_signal(signal.SIGTERM)
        self.running[role].wait(STOP_SECONDS)

    def kill(self, role: str) -> None:
        """Ends a process and all that it has started, as a container's end does at last."""
        process = self.running[role]
        for victim in [process.pid, *children(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        process.wait()

    def run_processes(self) -> list[int]:
        """The processes that execute a run; the code server starts one for each."""
        return [
            child
            for child in children(self.running["code"].pid)
            if "multiprocessing.spawn" in _read(child, "cmdline")
        ]

    def ran(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a program of the environment beside them, to its end."""
        program = str(Path(sys.executable).parent / command[0])
        return subprocess.run(
            [program, *command[1:]],
            cwd=self._app,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )


def children(of: int) -> list[int]:
    """All processes below one."""
    found: list[int] = []
    for task in Path(f"/proc/{of}/task").glob("*/children"):
        try:
            below = [int(child) for child in task.read_text().split()]
        except OSError:  # it has ended
            continue
        for child in below:
            found += [child, *children(child)]
    return found


def most_mb(process: int) -> int:
    """The most memory that it has occupied so far, in MB; 0 if it has ended."""
    for line in _read(process, "status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return 0


def _read(process: int, what: str) -> str:
    try:
        return Path(f"/proc/{process}/{what}").read_text(errors="replace")
    except OSError:
        return ""


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
