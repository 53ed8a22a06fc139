"""Makes the tables of the schema `insight` in the store, all in one transaction.

Readers see the tables as they were, or all of them as they are now.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb

from incidents_dagster.ingestion.errors import NoDatabaseError, SettingsError
from incidents_dagster.ingestion.rows.filled import Filled
from incidents_dagster.ingestion.settings import Insight, hours_of
from incidents_dagster.ingestion.tables import FILLED, FIRST, INCIDENTS, Table, quoted
from incidents_dagster.ingestion.warehouse import change_log, sync_log
from incidents_dagster.ingestion.warehouse.catalog import relations
from incidents_dagster.ingestion.warehouse.store import Store
from incidents_dagster.insight.rules import RULES, Found
from incidents_dagster.insight.sql_files import INPUTS, SCHEMA, SqlFile, sql_files

MADE_BY = "Made by incidents_dagster."


@dataclass(frozen=True)
class Built:
    """What was made.

    Attributes:
        rows: Table → its rows; views are left out.
        found: What each of `RULES` found.
    """

    rows: dict[str, int]
    found: list[Found]


def build(
    store: Store,
    tables: Sequence[Table],
    settings: Insight,
    seconds: float,
    report: Callable[[str], None] | None = None,
) -> Built:
    """Makes all tables anew, and checks them.

    Args:
        store: Where the tables are.
        tables: The incidents of each source.
        settings: Time zone, business and sleep hours.
        seconds: How long to wait for other processes that are in the way.
        report: Receives a line if there is a wait.

    Raises:
        DatabaseBusyError: Another process was in the way for longer.
        NoDatabaseError: No source has synced yet.
        SettingsError: The schema has something of these names that somebody else has made.
    """
    store.require_rows()
    with store.making(SCHEMA, list(INPUTS), seconds, report) as connection:
        _check_inputs(connection, store.name)
        _refuse_others(connection)
        _prepare(connection, tables, settings)
        sync_log.create(connection)
        change_log.create(connection)
        rows = {}
        for name, file in sql_files().items():
            _make(connection, file)
            if not file.is_view:
                counted = connection.execute(f"SELECT count(*) FROM {SCHEMA}.{name}").fetchall()
                rows[name] = counted[0][0]
        found = [rule.find(connection) for rule in RULES]
    return Built(rows, found)


def phases_of(table: Table) -> dict[str | None, str]:
    """Status, casefolded → its phase; None → the phase of what the API's list no longer has.

    Empty if the phase depends on more than the status.
    """
    phase, status = table.declared.get("phase", {}), table.declared.get("status", {})
    if FILLED not in phase:
        return {}
    by, of = Filled(**phase[FILLED]), status.get(FILLED, {"paths": ["status"]})
    found: dict[str | None, str] = {}
    if by.paths == of["paths"]:
        found.update(by.phases)
    if table.absent_phase:
        found[None] = table.absent_phase
    return found


def _check_inputs(connection: duckdb.DuckDBPyConnection, store: str) -> None:
    if (INCIDENTS, "view") not in {(one.name, one.kind) for one in relations(connection, FIRST)}:
        raise NoDatabaseError(
            f"{store} has no view {FIRST}.{INCIDENTS} yet: sync first (make run)."
        )


def _refuse_others(connection: duckdb.DuckDBPyConnection) -> None:
    for one in relations(connection, SCHEMA):
        if one.name in sql_files() and not one.comment.endswith(MADE_BY):
            raise SettingsError(
                f"{SCHEMA}.{one.name}, the name of a table of this project, is that of a "
                f"{one.kind} which it has not made. Rename it: ALTER {one.kind.upper()} "
                f"{SCHEMA}.{one.name} RENAME TO another_name."
            )


def _prepare(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[Table], settings: Insight
) -> None:
    """What the SQL needs besides tables: the time zone, hours, and the phases of statuses."""
    connection.execute("SET TimeZone = 'UTC'")
    values = {
        "timezone": settings.timezone,
        "business_days": settings.weekdays,
        "business_hours": hours_of(settings.business_hours),
        "sleep_hours": hours_of(settings.sleep_hours),
    }
    for name, value in values.items():
        connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
    connection.execute("CREATE TEMP TABLE phases (source VARCHAR, status VARCHAR, phase VARCHAR)")
    rows = [(t.schema, status, phase) for t in tables for status, phase in phases_of(t).items()]
    if rows:
        connection.executemany("INSERT INTO phases VALUES (?, ?, ?)", rows)


def _make(connection: duckdb.DuckDBPyConnection, file: SqlFile) -> None:
    kind, name = "VIEW" if file.is_view else "TABLE", f"{SCHEMA}.{file.name}"
    connection.execute(f"CREATE OR REPLACE {kind} {name} AS {file.query}")
    connection.execute(f"COMMENT ON {kind} {name} IS {_text(f'{file.description} {MADE_BY}')}")
    for column, described in file.columns.items():
        connection.execute(f"COMMENT ON COLUMN {name}.{quoted(column)} IS {_text(described)}")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
