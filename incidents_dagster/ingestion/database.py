"""The DuckDB file: one sync at a time on it, and reading it beside.

Writing is dlt's business, in `pipeline`; what the tables hold is `table`'s.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from incidents_dagster.ingestion.errors import DatabaseBusyError, SettingsError


@contextmanager
def alone_on(database: Path, seconds: float) -> Iterator[None]:
    """Keeps syncs in all processes off the file while this lasts.

    Raises:
        DatabaseBusyError: A sync of the file runs for longer than `seconds`.
        SettingsError: The folder of the file cannot be written.
    """
    file = database.with_name(database.name + ".lock")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()  # filelock would take a folder that cannot be written for one that is busy
    except OSError as error:
        raise SettingsError(
            f"INCIDENTS_DUCKDB_PATH={database}: the folder cannot be written ({error.strerror})."
        ) from None
    lock = FileLock(file, timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise DatabaseBusyError(
            f"Another sync of {database} has been running for over {seconds:.0f} s: "
            "let it end, then sync again."
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def reading(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The file, read-only and in UTC; an empty database where there is none yet."""
    file = str(database) if database.exists() else ":memory:"
    with duckdb.connect(file, read_only=database.exists()) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
