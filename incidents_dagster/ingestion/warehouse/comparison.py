"""How rows that were read differ from the table: new ones, changed ones, older versions.

One query per batch finds them all. `landing` decides what becomes of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from incidents_dagster.ingestion.tables import (
    DELETED_AT,
    key_as_text_sql,
    keys_as_text,
    quoted,
    same_key,
)
from incidents_dagster.ingestion.warehouse import catalog
from incidents_dagster.ingestion.warehouse.stored_table import DLT_COLUMNS, StoredTable

# With a space, as in no column: see `naming`.
POSITION = "position in rows"


class Miss(str, Enum):
    """A row that incremental syncs should have brought, by what it shows.

    Attributes:
        NEW: The table has no row of its key.
        BLIND: Its values have changed, and its cursor has not.
        FILTERED: Its cursor has changed, to a value that had been passed.
    """

    NEW = "new"
    BLIND = "blind"
    FILTERED = "filtered"


@dataclass(frozen=True)
class Compared:
    """Rows that were read, compared with the table.

    Attributes:
        news: Those that would change the table, except older versions.
        older: Those in another, older version than the table's; None if there are none.
        missed: The `Miss` and the primary key, as text, of those that were missed so far.
    """

    news: pa.Table
    older: pa.Table | None = None
    missed: list[tuple[Miss, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Full:
    """What a full read looks for, besides changes.

    Attributes:
        lag: How long before the read (or after it, by another clock) a row may have changed so that
            an older version of it says nothing, as a replica may be behind.
        cursor: The column of the cursor.
        passed: Where the next incremental sync would start: earlier ones should have brought what
            is older. None if there were none.
        filtered: Whether the read, too, asks for what changed since a value. What has no cursor and
            comes nevertheless would also come with the next incremental sync.
        began: When the last of them began, in the cursor's form: a row with a newer cursor than the
            table's should have come with it.
        now: When the read began; None for this moment.
    """

    lag: timedelta
    cursor: str = ""
    passed: Any = None
    began: Any = None
    now: datetime | None = None
    filtered: bool = False


def compare(
    stored: StoredTable, rows: pa.Table, again: Sequence[str] = (), full: Full | None = None
) -> Compared:
    """Compares `rows` with the table.

    All of them are news if rows alone do not say what is new: see `Table.takes_changes_alone`.

    Args:
        stored: The table.
        rows: As read from the API.
        again: Primary keys, as text, of rows that are news even if the table has them.
        full: What a full read looks for; None for an incremental one.
    """
    table, existing = stored.table, {c.name: c.type for c in stored.columns()}
    rows = catalog.storable(stored.connection, rows)
    comparable = {*existing} & {*rows.column_names}
    if not table.takes_changes_alone or not {*table.primary_key} <= comparable:
        return Compared(rows)
    names = {*existing, *rows.column_names} - {*table.primary_key, *DLT_COLUMNS}
    differs = {n: _differs(n, existing.get(n), n in rows.column_names) for n in names}
    changed = [*differs.values()]
    parameters: dict[str, Any] = {}
    if again:
        parameters["again"] = list(again)
        changed.append(f"list_contains($again, {key_as_text_sql(table.primary_key, 'r')})")
    is_new = f"t.{quoted(table.primary_key[0])} IS NULL"
    is_back = f"t.{DELETED_AT} IS NOT NULL" if DELETED_AT in existing else "false"
    older, missed, times = "false", "NULL", None
    if table.newest_first in comparable:
        newest, times = quoted(str(table.newest_first)), stored.times(str(table.newest_first))
        older = f"r.{newest} < t.{newest}"
        if existing[str(table.newest_first)] == "VARCHAR":
            # Texts with different offsets do not sort by time, and others not at all.
            older = f"{times.sql('r')} < {times.sql('t')}" if times else "false"
        older = f"coalesce({older}, false) AND NOT {is_back}"
        if times and not full:  # a time in the future is a mistake, and so is a text that is none
            parameters["tomorrow"] = times.at(datetime.now(timezone.utc) + timedelta(days=1))
            older += f" AND coalesce({times.sql('t')} <= $tomorrow, false)"
    if full and full.passed is not None and full.cursor in comparable:
        parameters |= {"passed": full.passed, "last": full.began}
        cursor = quoted(full.cursor)
        is_old = f"coalesce(r.{cursor} < $passed, {str(not full.filtered).lower()})"
        ours = " OR ".join(differs[n] for n in table.typed if n in differs) or "false"
        missed = (
            f"CASE WHEN ({older}) OR {is_back} THEN NULL "
            f"WHEN {is_new} AND {is_old} THEN '{Miss.NEW.value}' "
            f"WHEN {is_new} OR NOT ({ours}) THEN NULL "
            f"WHEN r.{cursor} IS NOT DISTINCT FROM t.{cursor} "
            f"AND {is_old} THEN '{Miss.BLIND.value}' "
            f"WHEN r.{cursor} > t.{cursor} AND r.{cursor} < $last THEN '{Miss.FILTERED.value}' END"
        )
    wanted = f"{is_new} OR {is_back} OR {' OR '.join(changed) or 'false'}"
    if full and times:
        began = full.now or datetime.now(timezone.utc)
        parameters["since"] = times.at(began - full.lag)
        parameters["until"] = times.at(began + full.lag)
        behind = f"coalesce({times.sql('t')} BETWEEN $since AND $until, false)"
        wanted = f"({wanted}) AND NOT ({older} AND {behind})"
    there = catalog.near(
        stored.connection, table.qualified, rows.select(table.primary_key), existing
    )
    # The query only returns positions, so that the rows keep their types.
    positions = pa.array(range(len(rows)), pa.int64())
    stored.connection.register("_rows", rows.append_column(POSITION, positions))
    found = stored.connection.sql(
        f"SELECT r.{quoted(POSITION)}, {older} AS older, {missed}::VARCHAR AS missed FROM _rows r "
        f"LEFT JOIN {there} t ON {same_key(table.primary_key, 't', 'r')} "
        f"WHERE {wanted} ORDER BY ALL",
        params=parameters or None,
    ).to_arrow_table()
    stored.connection.unregister("_rows")
    news, stale = found.filter(pc.invert(found["older"])), found.filter(found["older"])
    misses = found.filter(pc.is_valid(found["missed"]))
    keys = keys_as_text(rows.select(table.primary_key).take(misses[POSITION]), table.primary_key)
    return Compared(
        rows if len(news) == len(rows) else rows.take(news[POSITION]),
        rows.take(stale[POSITION]) if len(stale) else None,
        [*zip(map(Miss, misses["missed"].to_pylist()), keys, strict=True)],
    )


def _differs(name: str, kind: str | None, is_read: bool) -> str:
    """SQL: whether a column differs in a row `r` that was read and the table's row `t`."""
    old, new = f"t.{quoted(name)}" if kind else "NULL", f"r.{quoted(name)}" if is_read else "NULL"
    return f"{old}{'::VARCHAR' if kind == 'JSON' else ''} IS DISTINCT FROM {new}"
