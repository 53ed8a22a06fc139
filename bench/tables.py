"""What happens to tables off the clock: `python -m bench.tables COMMAND DATABASE TOTAL …`.

In a process of its own, because the one that starts the peers has to stay small.
"""

import sys
from collections.abc import Callable

import duckdb

from bench.server import CHANGED_STATUS, NEWEST, STATUSES

EXPECTED = f"""
    SELECT 'inc-' || lpad(i::VARCHAR, 7, '0') AS id,
        CASE WHEN fresh THEN '{CHANGED_STATUS}' ELSE {list(STATUSES)}[i % {len(STATUSES)} + 1] END
            AS status,
        to_timestamp({int(NEWEST.timestamp())} + 60 * CASE WHEN fresh
            THEN $changed - i // $step ELSE -i END) AS updated_at, i
    FROM (SELECT range AS i, i % $step = 0 AND i // $step < $changed AS fresh FROM range($total))"""
CHECKSUM = """SELECT count(*), count(DISTINCT id),
    sum(hash(id, status, epoch(updated_at::TIMESTAMPTZ)::BIGINT)) FROM """

# Incidents 0 to 99 hold the newest, so dlt's cursor is that of the whole table.
MULTIPLY = (
    """INSERT INTO incidents.incident_data BY NAME
    SELECT row.* REPLACE (e.id AS id, i AS number, e.status AS status, e.updated_at AS updated_at,
        'r' || i AS _dlt_id)
    FROM ({0}) e JOIN incidents.incident_data row ON row.number = i % 100 WHERE i >= 100""",
    """INSERT INTO incidents.incident_data__tags BY NAME
    SELECT tag.* REPLACE
        (row._dlt_id AS _dlt_parent_id, row._dlt_id || tag._dlt_list_idx AS _dlt_id)
    FROM incidents.incident_data row
    JOIN incidents.incident_data first ON first.number = row.number % 100 AND row.number >= 100
    JOIN incidents.incident_data__tags tag ON tag._dlt_parent_id = first._dlt_id""",
)


def numbers(total: int, changed: int = 0) -> dict[str, int]:
    """The parameters of `EXPECTED`."""
    return {"total": total, "changed": changed, "step": total // changed if changed else total}


def verify(database: str, total: int, changed: int) -> None:
    """Compares count, distinct ids and a checksum of id, status and updated_at with the formula.

    Raises:
        AssertionError: They differ.
    """
    with duckdb.connect(database, read_only=True) as connection:
        found = connection.execute(CHECKSUM + "incidents.incident_data").fetchone()
        parameters = numbers(total, changed)
        due = connection.execute(f"{CHECKSUM} ({EXPECTED})", parameters).fetchone()
    assert found == due, f"the table is not right: {found}, not {due}"


def multiply(database: str, total: int) -> None:
    """Brings plain dlt's table from 100 incidents to `total`: its own load takes minutes."""
    with duckdb.connect(database) as connection:
        rows, tags = MULTIPLY
        connection.execute(rows.format(EXPECTED), numbers(total))
        connection.execute(tags)


def generate(database: str, total: int) -> None:
    """A table of `total` incidents with DuckDB's range()."""
    with duckdb.connect(database) as connection:
        connection.execute("CREATE SCHEMA incidents")
        sql = f"CREATE TABLE incidents.incident_data AS SELECT * EXCLUDE i FROM ({EXPECTED})"
        connection.execute(sql, numbers(total))


if __name__ == "__main__":
    command, file, *counts = sys.argv[1:]
    commands: dict[str, Callable[..., None]] = {
        "verify": verify,
        "multiply": multiply,
        "generate": generate,
    }
    commands[command](file, *map(int, counts))
