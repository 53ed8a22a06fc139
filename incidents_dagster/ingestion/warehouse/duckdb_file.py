"""The DuckDB file: where it is, one sync at a time, and who has it open when.

Every path is the real one, with symbolic links resolved: DuckDB keeps its log beside the path that
it is given. `destination` writes the tables, `file_reader` and `stored_table` read them, and
`file_errors` says what is wrong with the file.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb
from filelock import FileLock, Timeout

from incidents_dagster.ingestion.errors import (
    DatabaseBusyError,
    SettingsError,
)
from incidents_dagster.ingestion.tables import FIRST
from incidents_dagster.ingestion.warehouse.file_errors import ailment, refuse_sqlite

# Where it is unless the settings say so, and while no API is configured.
OWN_FILE, DEMO_FILE = "data/warehouse.duckdb", "data/demo.duckdb"
RETRY_SECONDS = 0.1
QUIET_SECONDS = 1.0  # syncs that take turns wait often, and too briefly for a line in the log
MOST_SECONDS = 3600.0  # however many take turns; more only if one alone may have it for longer
# DuckDB begins a file with three headers. The first has a checksum of 8 bytes, a mark, and the
# storage version in 8 bytes, of which all but the lowest two are zero.
HEADER = 4096
MARK = re.compile(rb".{8}DUCK..\0{6}", re.DOTALL)

IN_ANOTHER_MODE = re.compile("different configuration|Unique file handle conflict")
HOLDER = re.compile(r"lock is held in (?:(?P<program>\S.*?) \()?PID (?P<pid>\d+)")

T = TypeVar("T")


def catalog(database: Path) -> str:
    """What DuckDB calls `database`: its name up to the first dot."""
    return database.name.split(".")[0]


def read_copy_path(database: Path) -> Path:
    """The copy of `database` for readers, beside the real file: see `file_copy`.

    The file of `OWN_FILE` has `read.duckdb`, any other file its own name with `.read` in it, as the
    demo's is in the same folder.
    """
    database = real(database)
    if database.name == Path(OWN_FILE).name:
        return database.with_name("read.duckdb")
    return database.with_name(f"{database.stem}.read{database.suffix}")


def real(path: Path) -> Path:
    """`path` with symbolic links resolved."""
    return Path(os.path.realpath(path))  # resolve() may raise, and this is called on import


@contextmanager
def alone_on(database: Path, source: str, seconds: float) -> Iterator[None]:
    """Keeps syncs of a source in all processes off its tables while this lasts.

    Raises:
        DatabaseBusyError: Another sync of it into the file has run for longer than `seconds`.
        SettingsError: The folder of the file cannot be written, or the file has several names.
    """
    database = database.resolve()
    own = "" if source == FIRST else f".{source}"  # the first one's is as it has always been
    file = database.with_name(f"{database.name}{own}.lock")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if database.is_file() and database.stat().st_nlink > 1:
            raise SettingsError(
                f"INCIDENTS_DUCKDB_PATH={database}: the file has a second name (a hard link), and "
                "DuckDB keeps its log beside one of them: make that a symbolic link or a copy."
            )
        if file.is_dir():
            raise SettingsError(f"{file} is a folder: remove it, then sync again.")
        # filelock would mistake a file that cannot be written for a busy one
        file.open("a").close()
    except OSError as error:
        raise SettingsError(
            f"INCIDENTS_DUCKDB_PATH={database}: {error.filename or file.parent} cannot be written "
            f"({error.strerror}): allow it, then sync again."
        ) from None
    lock = FileLock(file, timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise other_sync(database, source, seconds) from None
    try:
        yield
    finally:
        lock.release()


def other_sync(database: Path, source: str, seconds: float) -> DatabaseBusyError:
    """The error if another sync of a source has run for longer than `seconds`."""
    return DatabaseBusyError(
        f"Another sync of {source} into {database} has been running for over {seconds:g} s: "
        "wait for it to finish, then sync again."
    )


def holds_nothing(database: Path) -> bool:
    """Whether there is no file, or one whose creation was interrupted before it held data.

    The latter is empty, or has the first of DuckDB's headers and not yet the last, and no log.
    """
    try:
        size = database.stat().st_size
        if size >= 3 * HEADER or 0 < size < HEADER or not database.is_file():
            return False
        if database.with_name(database.name + ".wal").exists():
            return False
        return not size or bool(MARK.match(database.read_bytes()))
    except FileNotFoundError:
        return True
    except OSError:
        return False  # DuckDB will say why


def open_file(
    database: Path,
    seconds: float,
    report: Callable[[str], None] | None = None,
    **options: Any,
) -> duckdb.DuckDBPyConnection:
    """Opens the file as soon as no other process holds it.

    Args:
        database: The file.
        seconds: How long to wait at most for one process. If another one has the file then, the
            time begins again: many may take turns, up to `MOST_SECONDS`.
        report: Receives a line that names the holder, once, if there is more than a short wait.
        options: duckdb.connect's own.

    Raises:
        DatabaseBusyError: A process has had the file for over `seconds`, or several together for
            too long.
        DatabaseFileError: It cannot be opened.
    """
    database = database.resolve()
    return when_free(lambda: duckdb.connect(str(database), **options), database, seconds, report)


def when_free(
    opened: Callable[[], T], database: Path, seconds: float, report: Callable[[str], None] | None
) -> T:
    """What `opened` returns, which opens the file, as soon as no other process holds that.

    Everything else is as in `open_file`.
    """
    refuse_sqlite(database)
    begun = since = time.monotonic()
    most, quiet, last = max(seconds, MOST_SECONDS), min(QUIET_SECONDS, seconds / 2), ""
    while True:
        try:
            return opened()
        except duckdb.Error as error:
            holder = _holder(error)
            if not holder:
                raise ailment(error, database) or error from None
        now = time.monotonic()
        if holder != last:
            last, since = holder, now
        if now - since >= seconds:
            raise DatabaseBusyError(
                f"{database} is open in {holder}, and has been for over {seconds:g} s: close "
                f"it there (a DuckDB shell, a notebook), then try again.{_instead(database)}"
            )
        if now - begun >= most:
            raise DatabaseBusyError(
                f"{database} has been open in one process after another for over {most:g} s, now "
                f"in {holder}: try again when fewer of them use it."
            )
        if report and now - begun >= quiet:
            report(f"{database} is open in {holder}: waiting for it, up to {seconds:g} s.")
            report = None
        time.sleep(RETRY_SECONDS)


def _instead(database: Path) -> str:
    copy = read_copy_path(database)
    return f" To read, open {copy} there instead: no sync waits for it." if copy.exists() else ""


def _holder(error: duckdb.Error) -> str | None:
    """Who holds the file, as DuckDB says; None if the error is a different one."""
    text = str(error)
    if IN_ANOTHER_MODE.search(text):
        return "this process, in another mode"
    if "Could not set lock" not in text:
        return None
    if not (found := HOLDER.search(text)):
        return "another process"
    program = Path(found["program"] or "").name
    return f"another process (PID {found['pid']}{program and ', ' + program})"


class WriteHold:
    """Holds the file for one sync: dlt's own connections share it, other processes stay out.

    Counts its users, as dlt enters and leaves its clients in several threads.

    Attributes:
        keep: Whether the file stays open for now, even without users.
    """

    def __init__(
        self, database: Path, seconds: float, report: Callable[[str], None] | None = None
    ) -> None:
        """`seconds` is how long `take` waits for other processes; `report` as in `open_file`."""
        self._database = database
        self._seconds = seconds
        self._report = report
        self._guard = threading.Lock()
        self._count = 0
        self.keep = False
        self._connection: duckdb.DuckDBPyConnection | None = None

    def take(self) -> None:
        """Opens the file to write, or counts one more user; recreates it if it holds nothing.

        Raises:
            DatabaseBusyError: Another process has held it for longer than a sync waits.
            DatabaseFileError: It cannot be opened.
        """
        with self._guard:
            if self._connection is None:
                if holds_nothing(self._database):
                    self._database.unlink(missing_ok=True)
                self._connection = open_file(self._database, self._seconds, self._report)
            self._count += 1

    def give_back(self) -> None:
        """Closes the file once it has been given back as often as taken."""
        with self._guard:
            self._count -= 1
            if self._count <= 0 and not self.keep:
                self._close()

    def end(self) -> None:
        """Closes the file however often it was taken."""
        with self._guard:
            self._close()

    def _close(self) -> None:
        self._count, self.keep = 0, False
        if self._connection is not None:
            self._connection.close()
            self._connection = None
