"""A real PostgreSQL server, with the binaries that Debian has.

It listens on loopback only, on a port that is free, wants a password of everybody, and keeps its
data in a temporary folder, without care for a crash of the machine.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

DEBIAN = Path("/usr/lib/postgresql")
USER = "postgres"
# As awkward in SQL, in libpq's text and in a URL as one can be.
PASSWORD = 's3cret\'of "all" te\\sts%41'
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "autovacuum": "off",
}


def binaries() -> Path | None:
    """Where PostgreSQL's server is, if it is installed."""
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class Cluster:
    """The server, as a context manager.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])

    def __enter__(self) -> "Cluster":
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:  # for whom PostgreSQL does not run
            user = pwd.getpwnam(USER)
            for path in (self._folder, password):
                os.chown(path, user.pw_uid, user.pw_gid)
        given = ("-A", "scram-sha-256", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync")
        self._run("initdb", *given, "-U", USER, f"--pwfile={password}", "-D", self._data)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self._folder / "log").read_text("utf-8", "replace")

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def start(self) -> None:
        """Starts it; it answers afterwards."""
        options = " ".join(f"-c {name}='{value}'" for name, value in SETTINGS.items())
        log = str(self._folder / "log")
        options = f"-p {self.port} {options}"
        self._run("pg_ctl", "start", "-w", "-s", "-D", self._data, "-l", log, "-o", options)

    def stop(self) -> None:
        """Ends it, and all that it does."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", "immediate", "-D", self._data)

    def url(self, database: str, user: str = USER) -> str:
        """The address of a database, without the password."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{quote(database)}"

    def ask(self, database: str, sql: str, *values: Any) -> list[Any]:
        """What PostgreSQL itself answers, past DuckDB."""
        with closing(self._connection(database)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def locked(self, database: str, table: str) -> Iterator[None]:
        """Holds up whoever writes a table, while this lasts."""
        with closing(self._connection(database)) as connection:
            connection.cursor().execute(f"LOCK TABLE {table} IN SHARE MODE")
            yield

    def _connection(self, database: str) -> Any:
        import psycopg2  # noqa: PLC0415 - the tests are skipped where it is not installed

        return psycopg2.connect(self.url(database), password=PASSWORD)

    def _run(self, program: str, *arguments: str) -> None:
        as_user = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
        command = [*as_user, str(self._binaries / program), *arguments]
        # Nobody reads a pipe that the server would keep open.
        with (self._folder / "said").open("a+") as said:
            done = subprocess.run(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                check=False,
            )
            if done.returncode:
                said.seek(0)
                raise RuntimeError(f"{program} failed: {said.read()}")
