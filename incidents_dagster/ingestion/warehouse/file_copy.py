"""A copy of the DuckDB file for readers: a notebook that keeps it open stops no sync.

The bytes of the file are copied while nobody can write it, dlt's own tables are dropped from the
copy, and it takes the place of the one before in one step. A reader who has that one open keeps it.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from incidents_dagster.ingestion.errors import DatabaseBusyError, SettingsError
from incidents_dagster.ingestion.tables import FIRST, SYNCS, quoted
from incidents_dagster.ingestion.warehouse.duckdb_file import (
    holds_nothing,
    open_file,
    read_copy_path,
)
from incidents_dagster.ingestion.warehouse.file_errors import file_errors
from incidents_dagster.ingestion.warehouse.store import Copied

# In the copy alone: when it was made, and a digest of what was in the file.
MADE = f"{quoted(FIRST)}.{quoted('_read_copy')}"
# dlt's tables are compared by their loads, others by their first rows, and all by how many rows
# they have: a sync without news reads no large table. Each row of `incident_lifecycle` tells when
# it was made.
LOADS, BY_DLT = "_dlt_loads", "_dlt_load_id"
FIRST_ROWS = 10_000
READABLE = 0o444  # a reader who forgets read_only=True is told so, and cannot leave a log beside it


def refreshed(
    database: Path, seconds: float, report: Callable[[str], None] | None = None
) -> Copied:
    """Makes the copy anew if the file has anything that it lacks.

    The rows of `incidents.syncs` do not count: each proven sync adds one, whatever it has found.

    Args:
        database: The DuckDB file.
        seconds: How long to wait for each process that writes it, or makes the same copy.
        report: Receives a line if there is a wait.

    Raises:
        DatabaseBusyError: Another process has had the file, or made the copy, for longer.
        DatabaseFileError: The file cannot be read, or the copy not written.
        SettingsError: Something else has the copy's name.
    """
    database = database.resolve()
    copy, cpu = read_copy_path(database), time.process_time()
    if holds_nothing(database):
        return Copied(copy, False, 0, 0.0, 0.0)
    with file_errors(copy), _alone_on(copy, seconds):
        new = _without_leftovers(copy)
        try:
            with open_file(database, seconds, report, read_only=True) as connection:
                began = time.monotonic()
                content = _content(connection)
                known = _content_of(copy)
                # Who had the copy before open to write has left a log, which is not this one's.
                if made := content != known or _log_of(copy).exists():
                    _refuse_others(copy, known)
                    _copy(database, new)
            held = time.monotonic() - began
            if made:
                _finish(new, database, content)
                _log_of(copy).unlink(missing_ok=True)
                new.replace(copy)
        finally:
            _without_leftovers(copy)
        return Copied(copy, made, copy.stat().st_size, held, time.process_time() - cpu)


def removed(database: Path, seconds: float) -> bool:
    """Removes the copy, if there is one, so that nobody reads one that is not kept up to date.

    Raises:
        DatabaseBusyError: Another process makes it.
        DatabaseFileError: It cannot be removed.
    """
    copy = read_copy_path(database.resolve())
    if not copy.exists():
        return False
    with file_errors(copy), _alone_on(copy, seconds):
        _without_leftovers(copy)
        if not _content_of(copy):  # somebody else's
            return False
        copy.unlink()
    return True


@contextmanager
def _alone_on(copy: Path, seconds: float) -> Iterator[None]:
    """Keeps other processes from making the copy at the same time."""
    file = copy.with_name(f"{copy.name}.lock")
    file.open("a").close()  # filelock would mistake a file that cannot be written for a busy one
    lock = FileLock(file, timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise DatabaseBusyError(
            f"Another process has been making {copy} for over {seconds:g} s: see whether it hangs."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.wal")


def _without_leftovers(copy: Path) -> Path:
    """Where the next copy is made, without what a killed process has left there."""
    new = copy.with_name(f"{copy.name}.new")
    for file in (new, _log_of(new)):
        file.unlink(missing_ok=True)
    return new


def _content(connection: duckdb.DuckDBPyConnection) -> str:
    """A digest of what is in the file, apart from the rows of `incidents.syncs`."""
    tables = connection.execute(
        "SELECT schema_name, table_name, sql, estimated_size FROM duckdb_tables() "
        "WHERE database_name = current_database() AND NOT starts_with(schema_name, '_dlt_') "
        "ORDER BY ALL"
    ).fetchall()
    views = connection.execute(
        "SELECT schema_name, view_name, sql FROM duckdb_views() "
        "WHERE database_name = current_database() AND NOT internal ORDER BY ALL"
    ).fetchall()
    loaded = {schema for schema, name, _, _ in tables if name == LOADS}
    told, queries = [], ["SELECT NULL"]
    for schema, name, sql, rows in tables:
        table = f"{quoted(schema)}.{quoted(name)}"
        if name == LOADS:
            queries.append(f"SELECT max(load_id) FROM {table}")
        elif (schema, name) != (FIRST, SYNCS) and not name.startswith("_dlt_"):
            told.append((schema, name, sql, rows))
            if schema not in loaded or BY_DLT not in sql:
                first = f"SELECT * FROM {table} LIMIT {FIRST_ROWS}"
                queries.append(f"SELECT sum(hash(*COLUMNS(*)))::VARCHAR FROM ({first})")
    digests = ", ".join(f"({query})" for query in queries)
    found = connection.execute(f"SELECT {digests}").fetchall()
    return hashlib.sha256(repr((told, views, found)).encode()).hexdigest()


def _content_of(copy: Path) -> str | None:
    """The digest of what the copy was made of; "" if it is no copy, None if it cannot be read."""
    if not copy.is_file():
        return None
    try:
        with duckdb.connect(str(copy), read_only=True) as connection:
            return str(connection.execute(f"SELECT made_of FROM {MADE}").fetchall()[0][0])
    except (duckdb.CatalogException, duckdb.BinderException, IndexError):
        return ""
    except duckdb.Error:
        return None


def _refuse_others(copy: Path, content: str | None) -> None:
    if content or not copy.exists():
        return
    # A copy that cannot be read, as somebody has it open to write, is still read-only itself.
    if content == "" or copy.stat().st_mode & ~READABLE & 0o777:
        raise SettingsError(
            f"{copy} is no copy that this project has made, or cannot be read: move it away, and "
            "the next sync makes one."
        )


def _copy(database: Path, new: Path) -> None:
    """Copies the file, and the log of a process that was killed while it wrote."""
    # The file last: when it is closed, the process loses its lock on it, whatever else has it open.
    if _log_of(database).exists():
        shutil.copyfile(_log_of(database), _log_of(new))
    shutil.copyfile(database, new)


def _finish(new: Path, database: Path, content: str) -> None:
    """Drops what is dlt's own, and says when and of what the copy was made."""
    with duckdb.connect(str(new)) as connection:
        connection.begin()
        dropped = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() "
            "WHERE database_name = current_database() "
            "AND (starts_with(schema_name, '_dlt_') OR starts_with(table_name, '_dlt_'))"
        ).fetchall()
        for schema, name in dropped:
            connection.execute(f"DROP TABLE {quoted(schema)}.{quoted(name)}")
        for schema in {schema for schema, _ in dropped if schema.startswith("_dlt_")}:
            connection.execute(f"DROP SCHEMA {quoted(schema)} CASCADE")
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(FIRST)}")
        connection.execute(
            f"CREATE OR REPLACE TABLE {MADE} AS "
            "SELECT now() AS made_at, $file AS file, $content AS made_of",
            {"file": str(database), "content": content},
        )
        connection.commit()
        connection.execute("CHECKPOINT")  # closing would say nothing of a full disk
    os.chmod(new, new.stat().st_mode & READABLE)
