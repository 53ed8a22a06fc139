"""What syncs write into PostgreSQL is what the same syncs write into a file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fakes.incidents import incident
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.incidents_view import incidents
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.tables import quoted
from incidents_dagster.ingestion.warehouse import catalog
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster.ingestion.warehouse.store import Store
from incidents_dagster.insight.assets import insight_tables
from incidents_dagster.insight.sql_files import sql_files
from incidents_dagster_tests.shared.database import Database

Rows = list[dict[str, Any]]
Both = Callable[..., None]
LATER, LATEST = "2026-11-20T00:00:00+00:00", "2026-11-21T00:00:00+00:00"
# What differs between two syncs of the same records.
OF_A_SYNC = {
    "incident_data": {"_dlt_load_id", "deleted_at"},
    "change_log": {"seen_before", "sync_begun", "sync_ended"},
    "quarantine": {"_dlt_load_id", "seen_at"},
}


@pytest.fixture
def both(
    api: DemoServer, shared: Database, database: Path, monkeypatch: pytest.MonkeyPatch
) -> Both:
    """Syncs into both, and compares all that they hold."""

    def sync(mode: Mode = Mode.INCREMENTAL) -> None:
        run_sync(load_settings(), mode=mode)
        with monkeypatch.context() as into_the_file:
            into_the_file.delenv("WAREHOUSE__URL")
            run_sync(load_settings(), mode=mode)
        of_file, of_server = _held(FileStore(database)), _held(configured_store())
        assert of_server == of_file

    return sync


def _held(store: Store) -> dict[str, Any]:
    """Columns and rows of the tables that syncs write."""
    with store.read(1) as connection:
        held: dict[str, Any] = {}
        for name, own in OF_A_SYNC.items():
            columns = catalog.columns(connection, "incidents", name)
            held[name] = [(one.name, one.type, one.nullable, one.comment) for one in columns]
            if not columns:
                continue
            selected = [_sql(one.name, one.type, own) for one in columns]
            found = connection.execute(
                f"SELECT {', '.join(selected)} FROM incidents.{name} ORDER BY ALL"
            ).fetchall()
            # PostgreSQL cannot hold a NUL.
            held[f"rows of {name}"] = [
                [one.replace("\0", "") if isinstance(one, str) else one for one in row]
                for row in found
            ]
        return held


def _sql(name: str, kind: str, own: set[str]) -> str:
    """A column, in SQL; of those that tell about a sync, only whether there is a value."""
    if name in own:
        return f"{quoted(name)} IS NULL"
    return f"{quoted(name)}::VARCHAR" if kind == "JSON" else quoted(name)


def test_new_changed_and_deleted_incidents(both: Both, rows: Rows) -> None:
    both()
    both()
    rows[4] = incident(5, status="resolved", updated_at=LATER)
    rows.append(incident(251, updated_at=LATER))
    both()
    del rows[10]
    both(Mode.RECONCILE)
    both(Mode.FULL_REFRESH)


def test_records_that_cannot_be_loaded(both: Both, rows: Rows) -> None:
    rows[0]["updated_at"] = "soon"
    rows[1]["id"] = None
    rows[2]["id"] = ""
    both()
    rows[0]["updated_at"] = LATER
    both()


def test_columns_that_come_later_and_values_that_do_not_fit(both: Both, rows: Rows) -> None:
    rows[0]["age"] = 5
    both()
    rows[1] = incident(2, updated_at=LATER, age=2.5, room="a", open=True, at="2026-11-02T00:00:00Z")
    both()
    rows[2] = incident(3, updated_at=LATEST, age="old", room={"x": [1]}, open="maybe", at="noon")
    rows[3] = incident(4, updated_at=LATEST, age=7, room=None, open=False, at=None)
    both()


VALUES = {
    "emoji": '\N{FIRE ENGINE}\N{COMBINING ACUTE ACCENT} it\'s "q" \\ \\x41 %s $1 {}',
    "huge": 2**70,
    "large": 2**63 - 1,
    "small": -(2**63),
    "decimal": 0.1 + 0.2,
    "tiny": 5e-324,
    "empty": "",
    "blank": " \t\r\n ",
    "line": "a\nb\r\nc\u2028d",
    "json": {"a\0": "b\0", "n": [1, None, {"deep": "\N{FIRE ENGINE}"}], "": "", "big": 2**70},
    "list": [],
    "object": {},
    "text_null": "null",
    "long": "x" * 300_000,
    "year_1": "0001-01-01T00:00:00Z",
    "year_9999": "9999-12-31T23:59:59.999999Z",
    "backslash": "\\N",
    "infinity": "infinity",
}


def test_unusual_values(both: Both, rows: Rows, shared: Database) -> None:
    rows[:] = [incident(1, **VALUES), incident(2), incident(3)]
    both()
    rows[1:] = [incident(2, updated_at=LATER, **VALUES), incident(3, updated_at=LATER)]
    both()
    loads = "SELECT id, _dlt_load_id FROM incidents.incident_data ORDER BY id"
    before = shared.ask(loads)
    both(Mode.RECONCILE)
    assert shared.ask(loads) == before, "a row that is the same counts as changed"


def test_a_nul_is_left_out(both: Both, rows: Rows, shared: Database) -> None:
    rows[:] = [incident(1, nul="a\0b")]
    both()
    assert shared.ask("SELECT nul FROM incidents.incident_data") == [("ab",)]
    loads = "SELECT count(*) FROM incidents._dlt_loads"
    before = shared.ask(loads)
    both(Mode.FULL_REFRESH)
    assert shared.ask(loads) == before, "a text with a NUL counts as changed"


def test_unusual_keys(both: Both, rows: Rows, shared: Database) -> None:
    keys = ["it's", 'a"b', "back\\slash", "\N{FIRE ENGINE}", "a b", "ÄÖ", "%s", "NULL", "x" * 2000]
    rows[:] = [incident(1, id=key) for key in keys]
    both()
    rows[:] = [incident(1, id=key, status="resolved", updated_at=LATER) for key in keys]
    both()
    assert shared.count("status = 'resolved'") == len(keys)
    both(Mode.FULL_REFRESH)
    del rows[0]
    both(Mode.RECONCILE)


NAMES = {
    "another script": ["Статус", "状態", "حالة"],
    "case": ["Owner", "owner", "OWNER"],
    "camel case": ["createdBy", "created_by", "CreatedBy"],
    "words of SQL": ["select", "user", "group", "order", "table", "desc"],
    "PostgreSQL's own": ["ctid", "xmin", "oid", "tableoid", "cmax"],
    "signs": ['a"b', "a'b", "a.b", "a b", "%", "", "🔥", "a\\b", "a\0b"],
    "dlt's": ["_dlt_id", "_dlt_load_id", "deleted_at", "_position"],
    "long": ["l" * 63 + "a", "l" * 63 + "b", "l" * 64, "l" * 200 + "x", "l" * 200 + "y"],
    "long in another script": ["ж" * 31 + "ю", "ж" * 31 + "я", "ж" * 40, "ж" * 40 + "z"],
    "long in three bytes": ["状" * 22, "状" * 21 + "態", "状" * 23],
    "long and twice": ["Owner" * 12, "owner" * 12, "OWNER" * 12],
}


@pytest.mark.parametrize("name", NAMES)
def test_unusual_names(both: Both, rows: Rows, name: str) -> None:
    fields = {field: n for n, field in enumerate(NAMES[name])}
    rows[:] = [incident(1, **fields), incident(2)]
    both()
    fields = {field: n + 100 for n, field in enumerate(NAMES[name])}
    rows[1] = incident(2, updated_at=LATER, **fields)
    both()


def test_json_can_be_asked(both: Both, rows: Rows, shared: Database) -> None:
    rows[:] = [incident(1, odd={"a": [1, {"b": "c"}]})]
    both()
    sql = "SELECT odd->'a'->1->>'b', pg_typeof(odd)::text FROM incidents.incident_data"
    assert shared.ask(sql) == [("c", "json")]
    assert json.loads(json.dumps(shared.ask("SELECT odd FROM incidents.incident_data")[0][0])) == {
        "a": [1, {"b": "c"}]
    }


def test_the_tables_of_insight(
    both: Both, rows: Rows, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both()
    rows[0] = incident(1, status="resolved", updated_at=LATER)
    both()

    def made() -> dict[str, Any]:
        assert dg.materialize([incidents, insight_tables]).success
        with configured_store().read(1) as connection:
            columns = catalog.columns(connection, "insight")
            tables = {one.name for one in catalog.relations(connection, "insight")}
            count = "SELECT count(*) FROM insight."
            counts = {n: connection.execute(count + n).fetchall() for n in sorted(tables)}
            views = set(tables) - {n for n, file in sql_files().items() if not file.is_view}
        of_tables = [one for one in columns if one.table not in views]
        return {
            "columns": sorted((one.table, one.name, one.type, one.comment) for one in of_tables),
            "rows": counts,
        }

    of_server = made()
    monkeypatch.delenv("WAREHOUSE__URL")
    of_file = made()
    assert of_server == of_file
    assert of_server["columns"]
