"""The log of changes held against the table: the last entry of each incident is what its row says.

Works on the file alone, with the columns of the default settings.
"""

from collections.abc import Callable
from typing import Any

Query = Callable[[str], list[tuple[Any, ...]]]

STATE = ("status", "deleted")
# What the table says now, and what the log said last.
ROWS = "SELECT id, status, deleted_at IS NOT NULL AS deleted FROM {schema}.incident_data"
LAST = (
    "SELECT * FROM incidents.change_log WHERE source = '{schema}' "
    "QUALIFY row_number() OVER (PARTITION BY id ORDER BY entry DESC) = 1"
)
DIFFER = " OR ".join(f"t.{one} IS DISTINCT FROM l.{one}" for one in STATE)
SAME = " AND ".join(f"{one} IS NOT DISTINCT FROM lag({one}) OVER w" for one in STATE)


def log_amiss(query: Query) -> str:
    """What the log has otherwise than the table, or twice; nothing if they agree.

    Args:
        query: Runs SQL on the file, with the source's schema for `{schema}`.
    """
    rows = query("SELECT count(*) FROM {schema}.incident_data")
    if not rows or not rows[0][0]:
        return ""
    found = query(
        f"SELECT count(*), min(coalesce(t.id, l.id)) FROM ({ROWS}) t FULL JOIN ({LAST}) l "
        f"USING (id) WHERE t.id IS NULL OR l.id IS NULL OR {DIFFER}"
    )
    if not found:
        return "there is no log of changes"
    if found[0][0]:
        return f"the log of changes has {found[0][0]} rows otherwise than the table: {found[0][1]}"
    twice = query(
        "SELECT count(*), min(id) FROM "
        f"(SELECT id, lag(entry) OVER w IS NOT NULL AND {SAME} AS same FROM incidents.change_log "
        "WHERE source = '{schema}' WINDOW w AS (PARTITION BY id ORDER BY entry)) WHERE same"
    )
    return f"{twice[0][0]} entries are there twice: {twice[0][1]}" if twice[0][0] else ""
