"""One sync: the lock, the source, the dlt pipeline, the store.

`open_sync` opens everything a sync needs in the right order, and closes it whatever happens;
`run_sync` is the whole sync without Dagster.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.common.pipeline import LoadInfo
from dlt.common.schema import Schema
from dlt.extract import DltResource, DltSource

from incidents_dagster.ingestion.demo import configured_or_demo
from incidents_dagster.ingestion.landing.backfill import Backfill
from incidents_dagster.ingestion.landing.changes import Changes, Mode, changed_rows
from incidents_dagster.ingestion.landing.table_state import TableState
from incidents_dagster.ingestion.private_files import keep_private
from incidents_dagster.ingestion.reading.proof import Proof
from incidents_dagster.ingestion.reading.source import OpenApi, open_api
from incidents_dagster.ingestion.reading.source_id import source_ids
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.ingestion.warehouse.change_log import ChangeLog, Seen
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.ingestion.warehouse.destination import SyncDestination
from incidents_dagster.ingestion.warehouse.store import Store
from incidents_dagster.ingestion.warehouse.stored_schema import check_schema
from incidents_dagster.ingestion.warehouse.sync_log import SyncLog

# dlt's default, INSERT statements, takes three times the CPU and memory.
FILE_FORMAT: Final = "parquet"


@dataclass(frozen=True)
class Sync:
    """An open source and the pipeline that loads it.

    Attributes:
        api: The open API, with its counters.
        source: What the API has and the tables lack, for this run of the pipeline.
        pipeline: dlt's pipeline, with a fresh working folder.
        store: Where the rows are.
        changes: Resource name → what was found out about it, once it has been read.
        backfilled: Resource name → records that were read and loaded before, window by window.
    """

    api: OpenApi
    source: DltSource
    pipeline: dlt.Pipeline
    store: Store
    changes: dict[str, Changes]
    backfilled: dict[str, int]


@contextmanager
def open_sync(
    settings: Settings,
    report: Callable[[str], None],
    mode: Mode = Mode.INCREMENTAL,
) -> Iterator[Sync]:
    """Opens one sync of a source into the configured store, and keeps other syncs of it off.

    Args:
        settings: What the user configured.
        report: Receives a line of progress every few seconds.
        mode: How much to read.

    Raises:
        DatabaseBusyError: Another sync of the source has run, or a reader has been in the way, for
            longer than `wait_seconds`.
        IngestionError: The store is damaged, or cannot be written.
        SettingsError: The schema is somebody else's; see also `open_api`.
    """
    _leave_imports_alone()
    keep_private()  # again, as the umask is the process's, and others may have set it
    store, wait = configured_store(), settings.wait_seconds
    with (
        store.alone_on(settings.source, wait),
        store.errors(),
        store.working_folder(settings.source, wait) as folder,
        configured_or_demo(settings) as asked,
        store.reader(wait, report) as tables,
        open_api(asked, report, before_fetching=tables.release) as api,
        closing(store.destination(settings.source, wait, report)) as destination,
    ):
        check_schema(tables, settings.source, store.name)
        tables.release()
        sources = source_ids(settings, api.declared)
        changes: dict[str, Changes] = {}
        main = settings.main
        syncs = SyncLog(store, settings.source, report)
        log = ChangeLog(Table.of(api.declared, main), settings.tracked, syncs)
        destination.log = log

        def pipeline() -> dlt.Pipeline:
            return build_pipeline(settings.source, destination, folder)

        def changed(name: str) -> Iterator[Any]:
            changes[name] = found = yield from changed_rows(api, name, tables, mode, sources[name])
            if name == main:
                log.seen = _seen(found.proof, found.follows, found.refilled)

        dlt.config["normalize.parquet_normalizer.add_dlt_load_id"] = True
        dlt.config["normalize.parquet_normalizer.add_dlt_id"] = False
        backfills = [
            Backfill(api, name, tables, sources[name])
            for name, own in api.own.items()
            if own.windows and mode is Mode.INCREMENTAL
        ]
        backfilled = {}
        if backfills:
            backfilled = _backfill(backfills, api, pipeline(), log)
        source = _source(api, {name: changed(name) for name in api.declared.resources})
        yield Sync(api, source, pipeline(), store, changes, backfilled)
        if main in changes and (proof := changes[main].proof).counts:
            log.end(proof.status.value)


@cache
def _leave_imports_alone() -> None:
    # What is imported by now lives as long as the process, so the garbage collector need not search
    # it again and again, and at exit: a sync without changes takes 1.8 s of CPU instead of 2.3.
    # Only once, as today's garbage stays, too.
    gc.freeze()


def _seen(proof: Proof, follows: bool = True, refilled: bool = False) -> Seen:
    ended = proof.ended or datetime.now(timezone.utc)
    return Seen(proof.began or ended, ended, follows, refilled)


def _backfill(
    backfills: list[Backfill], api: OpenApi, pipeline: dlt.Pipeline, log: ChangeLog
) -> dict[str, int]:
    """Loads the first reads in windows that are still to do; resource name → records read."""
    pipeline.sync_destination()
    state: Any = pipeline.state.get("sources", {}).get(api.settings.source, {}).get("tables", {})
    read = {}

    def rows(backfill: Backfill) -> Iterator[Any]:
        proof = yield from backfill.rows()
        if backfill.name == api.settings.main:
            log.seen = _seen(proof)

    for backfill in backfills:
        name = backfill.name
        if backfill.is_needed(TableState.read(state.get(name, {}))):
            while not backfill.done:
                part = _source(api, {name: rows(backfill)})
                pipeline.run(part, loader_file_format=FILE_FORMAT)
            read[name] = backfill.read
    return read


def _source(api: OpenApi, rows: dict[str, Iterator[Any]]) -> DltSource:
    """The rows of each resource as dlt's source."""
    resources = [
        _resource(api.declared.resources[name], Table.of(api.declared, name), some)
        for name, some in rows.items()
    ]
    return DltSource(Schema(api.settings.source), api.settings.source, resources)


def _resource(declared: DltResource, table: Table, rows: Iterator[Any]) -> DltResource:
    """`rows` as a resource with the hints of rest_api's resource, by the names in `table`."""
    hints: dict[str, Any] = dict(declared.compute_table_schema())
    landing = dlt.resource(
        rows,
        name=declared.name,
        table_name=table.name,
        columns=table.declared,
        write_disposition=hints["write_disposition"],
        schema_contract=hints.get("schema_contract"),  # type: ignore[arg-type]
        selected=declared.selected,
    )
    landing.apply_hints(
        additional_table_hints={k: v for k, v in hints.items() if k.startswith("x-")}
    )
    return landing


def build_pipeline(source: str, destination: SyncDestination, working_folder: Path) -> dlt.Pipeline:
    """dlt's pipeline of a source, into the schema with the source's name.

    Args:
        source: The source.
        destination: The store's.
        working_folder: For dlt's load packages.
    """
    return dlt.pipeline(
        source, destination=destination, dataset_name=source, pipelines_dir=str(working_folder)
    )


def run_sync(
    settings: Settings,
    report: Callable[[str], None] = print,
    mode: Mode = Mode.INCREMENTAL,
) -> LoadInfo:
    """Fetches every resource of a source and merges it into DuckDB, without Dagster.

    The view over all sources and the copy for readers are made afterwards, by the jobs or by
    `warehouse.all_incidents.refreshed` and `Store.refresh_copy`.

    Args:
        settings: As from `load_settings()`.
        report: Receives a line of progress every few seconds.
        mode: How much to read.

    Returns:
        dlt's report on the load.

    Raises:
        Exception: What went wrong, as dlt raises it; `explain` turns it into one message.
    """
    with open_sync(settings, report, mode) as sync:
        return sync.pipeline.run(sync.source, loader_file_format=FILE_FORMAT)
