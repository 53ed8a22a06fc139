"""One sync: the lock, the source, the dlt pipeline, the DuckDB file.

`open_sync` has everything a sync needs in the right order and closes it whatever happens;
`run_sync` is the whole sync without Dagster.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dlt
from dlt.common.pipeline import LoadInfo
from filelock import FileLock, Timeout

from incidents_dagster.ingestion.errors import DatabaseBusyError, SettingsError
from incidents_dagster.ingestion.settings import DATASET, Settings, database_path
from incidents_dagster.ingestion.source import OpenSource, open_source

LOCK_SECONDS = 60.0
# dlt's default, INSERT statements, takes three times the CPU and memory.
FILE_FORMAT: Final = "parquet"


@dataclass(frozen=True)
class Sync:
    """An open source and the pipeline that lands it.

    Attributes:
        opened: The source, for this run, with its counts.
        pipeline: dlt's pipeline, with a fresh working folder.
        database: The DuckDB file.
    """

    opened: OpenSource
    pipeline: dlt.Pipeline
    database: Path


@contextmanager
def open_sync(settings: Settings, report: Callable[[str], None]) -> Iterator[Sync]:
    """Opens one sync of `settings`' API into the DuckDB file, alone on that file.

    Raises:
        DatabaseBusyError: Another sync of the file runs for longer than `LOCK_SECONDS`.
        SettingsError: The folder of the file cannot be written; see also `open_source`.
    """
    database = database_path()
    with _alone_on(database), open_source(settings, report) as opened:
        # State and schema come back from DuckDB, so nothing of an earlier run is wanted here:
        # a killed one leaves a load package that dlt would load in place of the new data.
        working_folder = database.with_name(database.name + ".dlt")
        shutil.rmtree(working_folder, ignore_errors=True)
        working_folder.mkdir(mode=0o700)
        try:
            yield Sync(opened, build_pipeline(database, working_folder), database)
        finally:
            shutil.rmtree(working_folder, ignore_errors=True)


def build_pipeline(database: Path, working_folder: Path) -> dlt.Pipeline:
    """dlt's pipeline into schema `incidents` of `database`."""
    # As shipped, the DELETE and the INSERT of a merge commit one by one: a kill between them
    # loses rows. Declared so, they are one transaction.
    # A replace would empty the table first, unless it goes by way of staging.
    destination = dlt.destinations.duckdb(
        str(database), supports_transactions=True, replace_strategy="insert-from-staging"
    )
    return dlt.pipeline(
        DATASET, destination=destination, dataset_name=DATASET, pipelines_dir=str(working_folder)
    )


def run_sync(settings: Settings, report: Callable[[str], None] = print) -> LoadInfo:
    """Fetches every configured resource and merges it into DuckDB, without Dagster.

    Args:
        settings: As from `load_settings()`.
        report: Gets a line of progress every few seconds.

    Returns:
        dlt's account of the load.

    Raises:
        Exception: What went wrong, as dlt has it; `errors.explain` puts it into one message.
    """
    with open_sync(settings, report) as sync:
        return sync.pipeline.run(sync.opened.source, loader_file_format=FILE_FORMAT)


@contextmanager
def _alone_on(database: Path) -> Iterator[None]:
    file = database.with_name(database.name + ".lock")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()  # filelock would take a folder that cannot be written for one that is busy
    except OSError as error:
        raise SettingsError(
            f"INCIDENTS_DUCKDB_PATH={database}: the folder cannot be written ({error.strerror})."
        ) from None
    lock = FileLock(file, timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise DatabaseBusyError(
            f"Another sync of {database} has been running for over {LOCK_SECONDS:.0f} s: "
            "let it end, then sync again."
        ) from None
    try:
        yield
    finally:
        lock.release()
