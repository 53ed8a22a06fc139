"""dlt's working folder for one sync, beside the DuckDB file: private, and empty when it begins.

It is a second lock, too. Somebody may remove the lock file of `duckdb_file.alone_on` while a sync
runs, and another sync would take the new one; this lock goes only with all that dlt works on.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from incidents_dagster.ingestion.warehouse.duckdb_file import RETRY_SECONDS, other_sync

IN_USE = ".in_use"


@contextmanager
def working_folder(database: Path, source: str, seconds: float) -> Iterator[Path]:
    """A folder without that of the source's pipeline, which has its name; gone afterwards.

    Raises:
        DatabaseBusyError: Another sync of the source has had it for longer than `seconds`.
    """
    folder = database.with_name(database.name + ".dlt")
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    own, in_use = folder / source, folder / f"{source}{IN_USE}"
    lock, deadline = FileLock(in_use, timeout=0), time.monotonic() + seconds
    while not lock.is_locked:
        folder.mkdir(mode=0o700, exist_ok=True)  # each time, as its owner removes it at the end
        try:
            lock.acquire()
        except Timeout:
            if time.monotonic() >= deadline:
                raise other_sync(database, source, seconds) from None
            time.sleep(RETRY_SECONDS)
    try:
        folder.chmod(0o700)
        # dlt restores state and schema from DuckDB, so nothing of an earlier run is needed here: a
        # killed one leaves a load package that dlt would load instead of the new data.
        shutil.rmtree(own, ignore_errors=True)
        yield folder
    finally:
        shutil.rmtree(own, ignore_errors=True)
        with suppress(OSError):  # somebody else keeps files there, such as another source
            in_use.unlink()
            folder.rmdir()
        lock.release()
