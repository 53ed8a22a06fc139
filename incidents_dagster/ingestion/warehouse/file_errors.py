"""What is wrong with the DuckDB file or its disk, and what to do: one message for each error."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from incidents_dagster.ingestion.errors import IngestionError, causes

FULL = re.compile("No space left on device|Disk quota exceeded|File too large")
SQLITE = b"SQLite format 3"
REFUSED = re.compile("Permission denied|Read-only file system|Operation not permitted")
DAMAGED = (
    "{file} is damaged, or not a DuckDB database: move it away, and {log} if it exists, then sync "
    "again; everything is read again."
)
# What DuckDB says about the file, and what to do; in order of precedence.
AILMENTS: dict[re.Pattern[str], str] = {
    FULL: "the disk of {folder} is full: free some space, then sync again.",
    re.compile("WAL file"): (
        "DuckDB's log {log} cannot be read: move it away, then sync again. What it held is read "
        "again from the API."
    ),
    re.compile("database file with version number"): (
        "{file} was written by another version of DuckDB than this one, {version}: install that "
        "version, or move the file away, then sync again; everything is read again."
    ),
    REFUSED: "{file} cannot be opened or written ({reason}): allow it, then sync again.",
    re.compile("File exists"): "{file} cannot be recreated: remove it, then sync again.",
    re.compile("Is a directory"): "{file} is a folder: move it away, then sync again.",
    re.compile(
        "not a valid DuckDB database file|Could not read enough bytes|Corrupt database file"
        "|Serialization Error|Failed to deserialize"
    ): DAMAGED,
}


class DatabaseFileError(IngestionError):
    """The DuckDB file, or its disk, cannot be used; the message says what to do."""


def refuse_sqlite(database: Path) -> None:
    """Refuses a file of SQLite, for which DuckDB would download an extension.

    Raises:
        DatabaseFileError: It is one.
    """
    with suppress(OSError), database.open("rb") as file:
        if file.read(len(SQLITE)) == SQLITE:
            raise DatabaseFileError(DAMAGED.format(file=database, log=f"{database}.wal"))


@contextmanager
def file_errors(database: Path) -> Iterator[None]:
    """Turns any error of the file or its disk into one message."""
    try:
        yield
    except Exception as error:
        if found := ailment(error, database):
            raise found from error
        raise


def ailment(error: BaseException, database: Path) -> IngestionError | None:
    """What is wrong with the file and what to do, if that caused `error`, else None."""
    for cause in causes(error):
        if isinstance(cause, IngestionError):
            return None
        # A socket's error has no file.
        of_a_file = isinstance(cause, OSError) and (cause.filename or cause.errno == errno.ENOSPC)
        if isinstance(cause, duckdb.Error) or of_a_file or FULL.search(str(cause)):
            for pattern, text in AILMENTS.items():
                if found := pattern.search(str(cause)):
                    said = text.format(
                        file=getattr(cause, "filename", None) or database,
                        folder=database.parent,
                        log=f"{database}.wal",
                        version=duckdb.__version__,
                        reason=found[0],
                    )
                    return DatabaseFileError(said[0].upper() + said[1:])
    return None
