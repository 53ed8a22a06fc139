"""Another process that opens the DuckDB file when the test says so, and never waits for it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = """
import sys
import duckdb
held = None
for line in sys.stdin:
    try:
        if line == "write\\n":
            with duckdb.connect(sys.argv[1]) as connection:
                connection.execute("CREATE SCHEMA IF NOT EXISTS other")
                connection.execute("CREATE TABLE IF NOT EXISTS other.notes (n INT)")
                connection.execute("INSERT INTO other.notes VALUES (1)")
        elif line == "take\\n":
            held = duckdb.connect(sys.argv[1], read_only=True)
        elif line == "take to write\\n":
            held = duckdb.connect(sys.argv[1])
        elif line.startswith("ask "):
            print(held.execute(line[4:]).fetchall()[0][0], flush=True)
            continue
        elif line == "give back\\n":
            held.close()
        print("done", flush=True)
    except duckdb.Error as error:
        print(str(error).replace("\\n", " "), flush=True)
"""
NOTES = "SELECT count(*) FROM other.notes"


class OtherProcess:
    """The process, as a context manager.

    Attributes:
        written: What became of each `write`: `done`, or DuckDB's error.
    """

    def __init__(self, database: Path) -> None:
        self.written: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def __enter__(self) -> "OtherProcess":
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.kill()
        self._process.communicate()

    def write(self) -> None:
        """Opens the file to write, adds a row to a schema of its own, and closes the file."""
        self.written.append(self._does("write"))

    def take(self) -> None:
        """Opens the file to read, and keeps it open."""
        assert self._does("take") == "done"

    def take_to_write(self) -> bool:
        """Opens the file to write, and keeps it open; whether it may."""
        return self._does("take to write") == "done"

    def ask(self, query: str) -> str:
        """The first value that a query brings, of the file that it has open."""
        return self._does(f"ask {query}")

    def give_back(self) -> None:
        """Closes it."""
        assert self._does("give back") == "done"

    def _does(self, what: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        print(what, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()
