"""What a sync of one resource has to load, from beginning to end.

Data flow: the table's newest row → `reading`: all records from there on, proven → `landing`: minus
what the table already has → `deletions`: plus what is gone from the API, if everything was read.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pyarrow as pa

from incidents_dagster.ingestion.errors import IncompleteError
from incidents_dagster.ingestion.landing.bad_records import BadRecords
from incidents_dagster.ingestion.landing.deletions import Deletions, Gone
from incidents_dagster.ingestion.landing.landing import FRESH, Landing
from incidents_dagster.ingestion.landing.one_load import OneLoad
from incidents_dagster.ingestion.landing.open_rows import OpenRows
from incidents_dagster.ingestion.landing.table_state import TableState
from incidents_dagster.ingestion.reading.proof import Proof
from incidents_dagster.ingestion.reading.reader import Reader, Reading
from incidents_dagster.ingestion.reading.source import OpenApi
from incidents_dagster.ingestion.reading.source_id import SourceId
from incidents_dagster.ingestion.reading.start import Start, starting_at
from incidents_dagster.ingestion.reading.window_reader import WindowReader
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.tables import key_as_text
from incidents_dagster.ingestion.warehouse.comparison import Full
from incidents_dagster.ingestion.warehouse.store import StoreReader
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

MOST_LAG = 86_400.0  # seconds that a replica may be behind


class Mode(Enum):
    """How much a sync reads.

    Attributes:
        INCREMENTAL: What changed since the last sync, if the endpoint has `incremental`.
        FULL_REFRESH: Everything, whatever the table has.
        RECONCILE: Everything; fails if that cannot show which rows were deleted.
        ADOPT: Everything; accepts another source, and marks at once whatever it lacks.
    """

    INCREMENTAL = "incremental"
    FULL_REFRESH = "full_refresh"
    RECONCILE = "reconcile"
    ADOPT = "adopt"


@dataclass(frozen=True)
class Changes:
    """What one sync found out about a resource, complete once its rows have been yielded.

    Attributes:
        proof: Whether these were all records.
        full: Whether everything was read.
        loads: Whether there is anything to load.
        gone: What a full read lacks of the table.
        waiting: Rows that the last full read lacked, and that wait for a second look.
        reverted: Rows that a full read brought in an older version than the table's.
        missed: As `TableState.missed`.
        unread: Open rows that wait to be read one by one.
        created_meanwhile: As in `Reading`.
        follows: Whether the table had rows of this source before.
        refilled: Whether its columns were filled from other paths before.
    """

    proof: Proof
    full: bool = False
    loads: bool = False
    gone: Gone = field(default_factory=Gone)
    waiting: int = 0
    reverted: int = 0
    missed: dict[str, Any] = field(default_factory=dict)
    unread: int = 0
    created_meanwhile: int = 0
    follows: bool = True
    refilled: bool = False


def changed_rows(
    api: OpenApi,
    name: str,
    store: StoreReader,
    mode: Mode,
    source: SourceId,
) -> Generator[Any, None, Changes]:
    """What a sync of resource `name` has to load, for dlt to extract.

    Reads incrementally if the endpoint has `incremental`, and the table has a row to start from and
    was once proven to equal this source. If the response lacks the table's newest row, the row was
    deleted, or this is a different API, or one restored from a backup: then everything is read.
    Rows that a full read lacks are marked as deleted.

    Args:
        api: The open API.
        name: The resource.
        store: Where the table is.
        mode: How much to read.
        source: What the records are read from.

    Returns:
        What was found.

    Yields:
        Arrow tables; one without rows if the table or its columns have to be created.

    Raises:
        Exception: The API's responses cannot be loaded; `explain` says why.
    """
    with OneLoad.of(api, name, store, source) as load:
        stored, state, landing = load.stored, load.state, load.landing
        start, full = _plan(load)
        if mode is not Mode.INCREMENTAL:
            start = None
        elif start and (why := state.why_everything(source)):
            api.report(f"{name}: {why}: reading everything.")
            start = None
        reader = load.window_reader() or load.reader()
        landing.full = None if start else full

        readings = [(yield from reader.read(start, landing.take))]
        if start and (why := _why_not_enough(start, readings[0], state, full.lag)):
            api.report(f"{name}: {why}: reading everything.")
            start, landing.full = None, full
            landing.start_over()
            readings.append((yield from reader.read(None, landing.take)))
        if start and (asks := api.own[name].still_open):
            readings[-1] = yield from OpenRows(load, asks).read(readings[-1])
        if start:
            yield from _mark_left_out(load, readings[-1])
        yield from load.rest()
        changes = Changes(readings[-1].proof, missed=state.missed)
        if start is None:
            _check_replacement(stored, state, readings[-1], load.bad, api.settings)
            deletions = Deletions(
                stored,
                load.bad,
                api.settings,
                state,
                other_source=state.other_than(source) if stored.row_count() else "",
                insist=mode in (Mode.RECONCILE, Mode.ADOPT),
                adopt=mode is Mode.ADOPT,
            )
            readings[-1], changes = yield from _finish_full(
                deletions, readings[-1], reader, landing
            )
        _report_odd(load, start, readings[-1], changes)
        changes = replace(
            changes,
            full=start is None,
            loads=landing.last is not None,
            waiting=state.waiting,
            unread=readings[-1].unread,
            created_meanwhile=readings[-1].created_meanwhile,
            follows=not state.other_than(source),
            refilled=state.fills_otherwise(source),
        )
        _remember(state, source, changes, first=not stored.row_count())
        yield from load.end(readings)
    # Frees all that was read, 32 MB at 100,000 rows, for the load.
    del load, reader, landing, readings
    pa.default_memory_pool().release_unused()
    return changes


def _finish_full(
    deletions: Deletions, reading: Reading, reader: Reader | WindowReader, landing: Landing
) -> Generator[pa.Table, None, tuple[Reading, Changes]]:
    """What a full read shows besides its rows: what is gone, what is older, what was missed."""
    state, second_look = deletions.state, deletions.state.look_again
    reading, gone = yield from deletions.mark(reading, reader, landing)
    changes = Changes(reading.proof, gone=gone, missed=state.missed)
    if not changes.proof.proven:
        return reading, changes
    reverted = yield from landing.revert(reader.versions())
    # A second look comes right after another full read; what an accepted source has was not missed.
    missed = state.missed if second_look else landing.misses()
    return reading, replace(changes, reverted=reverted, missed={} if deletions.adopt else missed)


def _mark_left_out(load: OneLoad, reading: Reading) -> Iterator[pa.Table]:
    """Marks rows that have become what `drop_where` leaves out; a full read lacks them anyway."""
    gone = load.stored.among(reading.left_out)
    if len(gone):
        load.api.report(f"{load.name}: {len(gone):,} rows have become what drop_where leaves out.")
        yield from load.landing.mark(gone, datetime.now(timezone.utc))


def _plan(load: OneLoad) -> tuple[Start | None, Full]:
    """Where an incremental sync would start, and what a full read looks for."""
    stored, state = load.stored, load.state
    incremental = load.api.incremental.get(load.name)
    start = starting_at(incremental, stored, state.began)
    if state.fills_otherwise(load.source):  # so that times may be others, earlier ones too
        return start, Full(timedelta(0))
    if not incremental:
        return start, Full(FRESH)
    times = stored.times(incremental.column)
    seconds = min(times.seconds(incremental.lag), MOST_LAG) if times else 0
    lag = max(FRESH, timedelta(seconds=seconds))
    if start is None or state.why_incomplete(load.source):
        return start, Full(lag)
    filtered = incremental.initial_value is not None
    return start, Full(lag, incremental.column, start.value, start.began, filtered=filtered)


def _why_not_enough(start: Start, reading: Reading, state: TableState, lag: timedelta) -> str:
    """Why an incremental read is not enough; empty if it is. Forgets a moment that was wrong."""
    began = reading.proof.began
    if state.began and began and began < state.began - lag:
        state.began = None
        return "the API's clock was ahead at the last sync, and has been put right"
    if reading.has_newest:
        return ""
    return (
        f"the API did not return {key_as_text(start.newest.values())}, the table's newest row. It "
        "was deleted there, or this is a different API, or it filters by another field than "
        "incremental.cursor_path"
    )


def _report_odd(load: OneLoad, start: Start | None, reading: Reading, changes: Changes) -> None:
    """Reports what is odd about a read."""
    api, name = load.api, load.name
    refilled = load.state.fills_otherwise(load.source)
    if changes.reverted and not refilled:
        api.report(
            f"{name}: {changes.reverted:,} rows are older at the API than they were in the table, "
            "as after a restored backup, and were replaced."
        )
    incremental = api.incremental.get(name)
    if start and incremental and start.timeless:
        api.report(
            f"{name}: {incremental.column} is text, and not a time such as 2026-11-24T14:08:21. "
            "If one is ahead of the others, changes are missing until the next full read."
        )
    # A placeholder may have a format that cuts the value, such as to a day.
    ignored = reading.not_asked > reading.rows / 2
    if start and incremental and incremental.start_param and ignored and not start.timeless:
        api.report(
            f"{name}: {reading.not_asked:,} of {reading.rows:,} records had not changed since "
            f"{start.value}: the API may ignore {incremental.start_param}, so that "
            "each sync reads more than it asks for."
        )


def _remember(state: TableState, source: SourceId, changes: Changes, first: bool) -> None:
    proven = changes.proof.proven
    if changes.gone.settled or first:
        state.source = source
    elif changes.loads and state.other_than(source):
        state.source = None  # rows of two
    if changes.full and (changes.gone.settled or not proven):
        state.whole = proven
        state.backfill = {} if proven else state.backfill
    elif not proven:  # else what it missed is never requested
        state.whole = False
    if proven and (changes.loads or not state.began):
        state.began = changes.proof.began
    state.missed = changes.missed


def _check_replacement(
    stored: StoredTable, state: TableState, reading: Reading, bad: BadRecords, settings: Settings
) -> None:
    """Refuses to replace a table that was proven complete by less than a proven list.

    Raises:
        IncompleteError: The table is replaced by each sync, and the read is unproven or empty.
    """
    if stored.table.write_disposition != "replace" or not stored.row_count():
        return
    if not state.whole and state.source:
        return
    why, setting = "", ""
    if not reading.proof.proven and not settings.accept_unproven:
        why, setting = f"the read is {reading.proof}", "accept_unproven"
    elif not reading.rows and (bad.records or not settings.allow_empty):
        why, setting = bad.why_none, "" if bad.records else "allow_empty"
    if why:
        cure = f" If that is right, set {setting} = true in .dlt/config.toml." if setting else ""
        raise IncompleteError(
            f"{stored.table.name} is not replaced, nothing was loaded: {why}.{cure}"
        )
