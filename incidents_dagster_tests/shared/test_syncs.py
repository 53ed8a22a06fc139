"""Syncs into a shared store, as people start them: checks, view, tables, page, SQL, doctor."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from fakes.incidents import incident
from fakes.postgres import PASSWORD
from incidents_dagster.cli import main
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.incidents_view import incidents
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.peek import first_changes
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.insight.assets import insight_tables
from incidents_dagster.report.assets import incident_report
from incidents_dagster_tests.results import failure, log_lines, shown
from incidents_dagster_tests.shared.database import Database

Rows = list[dict[str, Any]]
Sync = Callable[..., dg.ExecuteInProcessResult]
Query = Callable[[str], list[Any]]
LATER = "2026-11-20T00:00:00+00:00"


def test_a_sync_through_dagster_and_one_without_news(
    api: DemoServer, shared: Database, sync: Sync, instance: dg.DagsterInstance
) -> None:
    first = sync()
    assert first.success, failure(first)
    assert shared.count() == 250
    checks = {one.check_name: one.passed for one in first.get_asset_check_evaluations()}
    assert len(checks) > 5
    # The incidents of the fake API are old.
    assert [name for name, passed in checks.items() if not passed] == ["newest_change_is_recent"]
    seen = shown(first)
    assert seen["database"] == f"postgresql://127.0.0.1:{shared.cluster.port}/{shared.name}"
    assert seen["dagster/table_name"] == f"{shared.name}.incidents.incident_data"
    again = sync()
    assert again.success, failure(again)
    assert shared.count() == 250
    assert shown(again)["rows_loaded"] == 0
    said = "\n".join(log_lines(first, instance) + log_lines(again, instance))
    assert "250 rows" in said
    assert PASSWORD not in said


def test_a_sync_brings_what_is_new_and_what_has_changed(
    api: DemoServer, rows: Rows, shared: Database, sync: Sync
) -> None:
    assert sync().success
    rows[4] = incident(5, status="resolved", updated_at=LATER)
    rows.append(incident(251, updated_at=LATER))
    result = sync()
    assert shown(result)["rows_loaded"] == 2
    assert shared.count() == 251
    assert shared.ask("SELECT id FROM incidents.incident_data WHERE status = 'resolved'") == [
        ("INC-0005",)
    ]
    log = "SELECT id, status, seen_before IS NULL FROM incidents.change_log WHERE entry > 250"
    assert shared.ask(f"{log} ORDER BY id") == [
        ("INC-0005", "resolved", False),
        ("INC-0251", "triggered", False),
    ]
    assert shared.count(table="incidents.syncs") == 2


def test_what_is_gone_is_marked_as_deleted_and_what_is_back_is_not(
    api: DemoServer, rows: Rows, shared: Database
) -> None:
    run_sync(load_settings())
    gone = rows.pop(0)
    run_sync(load_settings(), mode=Mode.RECONCILE)
    marked = "SELECT id FROM incidents.incident_data WHERE deleted_at IS NOT NULL"
    assert shared.ask(marked) == [("INC-0001",)]
    rows.insert(0, gone)
    run_sync(load_settings(), mode=Mode.RECONCILE)
    assert shared.ask(marked) == []
    of_it = "SELECT deleted FROM incidents.change_log WHERE id = 'INC-0001' ORDER BY entry"
    assert shared.ask(of_it) == [(False,), (True,), (False,)]


def test_what_cannot_be_loaded_goes_to_the_quarantine_until_it_is_good(
    api: DemoServer, rows: Rows, shared: Database, sync: Sync
) -> None:
    rows[0]["updated_at"] = "soon"
    assert sync().success
    ((record_id, reason),) = shared.ask("SELECT record_id, reason FROM incidents.quarantine")
    assert record_id == "INC-0001"
    assert "updated_at" in reason
    assert shared.count() == 249
    rows[0]["updated_at"] = LATER
    result = sync()
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert checks["quarantine_is_empty"]
    assert shared.count() == 250


def test_a_row_cannot_be_there_twice(api: DemoServer, shared: Database) -> None:
    run_sync(load_settings())
    indexes = shared.ask("SELECT indexdef FROM pg_indexes WHERE tablename = 'incident_data'")
    assert any("UNIQUE" in one and "(id)" in one for (one,) in indexes)


def test_a_table_that_was_dropped_by_hand_is_made_again(api: DemoServer, shared: Database) -> None:
    run_sync(load_settings())
    shared.ask("DROP TABLE incidents.incident_data CASCADE")
    run_sync(load_settings())
    assert shared.count() == 250
    shared.ask("DROP SCHEMA incidents CASCADE")
    run_sync(load_settings())
    assert shared.count() == 250


@pytest.mark.usefixtures("api")
def test_view_tables_and_page_are_made_of_it(
    rows: Rows, shared: Database, sync: Sync, query: Query, tmp_path: Path
) -> None:
    assert sync().success
    rows[0] = incident(1, status="resolved", updated_at=LATER)
    assert sync().success
    for _ in range(2):  # the second one finds the tables
        assert dg.materialize([incidents, insight_tables, incident_report]).success
    counts = "SELECT count(*), count(*) FILTER (phase = 'closed') FROM incidents.incidents"
    assert query(counts) == [(250, 1)]
    assert query("SELECT count(*) FROM insight.incident_lifecycle") == [(250,)]
    assert query("SELECT count(*) > 0 FROM insight.survival") == [(True,)]
    # Others ask PostgreSQL itself.
    assert shared.count(table="incidents.incidents") == 250
    assert shared.count(table="insight.incident_lifecycle") == 250
    assert (tmp_path / "report" / "index.html").read_text().startswith("<!DOCTYPE html>")


def test_make_sql_shows_tables_and_answers(api: DemoServer, shared: Database) -> None:
    run_sync(load_settings())
    shown = CliRunner().invoke(main, ["sql"])
    assert "incident_data" in shown.output, shown.output
    count = "SELECT count(*) AS n FROM incidents.incident_data"
    assert "250" in CliRunner().invoke(main, ["sql", count]).output
    text = "SELECT service->>'name' AS name FROM incidents.incident_data LIMIT 1"
    assert "Checkout" in CliRunner().invoke(main, ["sql", text]).output


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM store.incidents.incident_data",
        "DELETE FROM incidents.incident_data",
        "CALL postgres_execute('store', 'DELETE FROM incidents.incident_data')",
        "CREATE TABLE store.incidents.mine (n INT)",
    ],
)
def test_make_sql_changes_nothing(api: DemoServer, shared: Database, statement: str) -> None:
    run_sync(load_settings())
    refused = CliRunner().invoke(main, ["sql", statement])
    assert refused.exit_code == 1, refused.output
    assert shared.count() == 250
    assert shared.ask("SELECT to_regclass('incidents.mine')") == [(None,)]


def test_make_sql_shows_no_secret(api: DemoServer, shared: Database) -> None:
    run_sync(load_settings())
    for asked in ("FROM duckdb_secrets()", "FROM duckdb_databases()", "SHOW DATABASES"):
        assert PASSWORD not in CliRunner().invoke(main, ["sql", asked]).output


def test_an_empty_store_says_that_there_is_none(api: DemoServer, shared: Database) -> None:
    """Also beside somebody else's tables of dlt."""
    shared.ask("CREATE SCHEMA other; CREATE TABLE other._dlt_loads (load_id TEXT)")
    refused = CliRunner().invoke(main, ["sql"])
    assert refused.exit_code == 1
    assert "sync first" in refused.output


def test_who_only_looks_creates_nothing(api: DemoServer, shared: Database) -> None:
    first_changes(load_settings())
    assert "FAIL" not in CliRunner().invoke(main, ["doctor"]).output
    assert shared.ask("SELECT to_regnamespace('incidents')") == [(None,)]


def test_the_doctor_says_where_it_is_and_how_large(api: DemoServer, shared: Database) -> None:
    run_sync(load_settings())
    seen = CliRunner().invoke(main, ["doctor"])
    (line,) = (one for one in seen.output.splitlines() if "postgresql://" in one)
    assert f"postgresql://127.0.0.1:{shared.cluster.port}/{shared.name}, " in line
    assert "MB" in line
    assert PASSWORD not in seen.output


def test_what_others_have_in_the_database_stops_no_reader(
    api: DemoServer, shared: Database, query: Query
) -> None:
    run_sync(load_settings())
    shared.ask(
        'CREATE SCHEMA other; CREATE TABLE other."Foo" (a INT); CREATE TABLE other.foo (a INT); '
        "CREATE SCHEMA insight; CREATE VIEW insight.survival AS SELECT 1 AS mine; "
        "CREATE TABLE incidents._views (place BIGINT, schema VARCHAR, name VARCHAR, "
        "query VARCHAR, comment VARCHAR); "
        "INSERT INTO incidents._views VALUES (0, 'insight', 'survival', 'FROM insight.gone', ''), "
        "(1, 'insight', 'cohorts', 'FROM insight.gone', '')"
    )
    assert query("SELECT count(*) FROM incidents.incident_data") == [(250,)]
    assert query("FROM insight.survival") == [(1,)]


def test_the_definitions_load_while_the_server_is_down(
    api: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE__URL", "postgresql://nobody@127.0.0.1:9/none")
    done = subprocess.run(
        [sys.executable, "-c", "from incidents_dagster.definitions import defs"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
