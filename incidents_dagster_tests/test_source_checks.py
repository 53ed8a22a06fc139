"""The checks that are more than SQL: what the last sync read, the quarantine, and phases."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from fakes.incidents import incident
from incidents_dagster.checks import checks_for, not_applicable, source_checks
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster.source_checks import SOURCE_CHECKS, Subject
from incidents_dagster.sources import SOURCES

Sync = Callable[..., dg.ExecuteInProcessResult]
MATCHES, EMPTY = "table_matches_source", "quarantine_is_empty"


def found(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    """The check `name` as the run has evaluated it; none of these two fails a run."""
    assert result.success
    (check,) = (c for c in result.get_asset_check_evaluations() if c.check_name == name)
    assert check.severity == dg.AssetCheckSeverity.WARN
    return check


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM {t} WHERE id = 'INC-0001'", "249 rows in the table, 250 read"),
        ("INSERT INTO {t} BY NAME SELECT * REPLACE ('X' AS id) FROM {t} LIMIT 1", "251 rows"),
        ("UPDATE {t} SET deleted_at = now() WHERE id = 'INC-0001'", "249 rows"),
    ],
)
@pytest.mark.sample(1)
def test_a_table_that_somebody_changed_does_not_match(
    statement: str,
    told: str,
    sync: Sync,
    instance: dg.DagsterInstance,
    database: Path,
) -> None:
    check = found(sync(), MATCHES)
    assert check.passed
    assert (check.metadata["rows"].value, check.metadata["ids_read"].value) == (250, 250)
    with duckdb.connect(str(database)) as connection:
        connection.execute(statement.format(t="incidents.incident_data"))
    again = dg.materialize(
        source_checks,
        resources={"duckdb": IncidentsDuckDB(database=str(database))},
        selection=dg.AssetSelection.all_asset_checks(),
        instance=instance,
    )
    check = found(again, MATCHES)
    assert not check.passed
    assert told in (check.description or "")
    with duckdb.connect(str(database), read_only=True) as connection:
        counted = connection.execute(str(check.metadata["sql"].value)).fetchone()
    assert counted == (check.metadata["rows"].value,)


@pytest.mark.thorough
def test_after_an_incremental_sync_it_compares_what_was_asked_for(
    api: DemoServer, rows: list[dict[str, Any]], sync: Sync
) -> None:
    sync()
    rows.append(incident(251))
    check = found(sync(), MATCHES)
    assert check.passed
    assert (check.metadata["rows"].value, check.metadata["ids_read"].value) == (17, 17)
    del rows[-2]  # in reach of the next sync, and not the table's newest, which would tell
    check = found(sync(), MATCHES)
    assert not check.passed
    assert "incidents_reconcile" in (check.description or "")
    assert found(sync(reconcile=True), MATCHES).passed


@pytest.mark.thorough
def test_the_quarantine_is_empty_again_when_a_good_version_has_come(
    api: DemoServer, rows: list[dict[str, Any]], sync: Sync
) -> None:
    assert found(sync(), EMPTY).passed
    rows.append(incident(251, status={"odd": True}))
    result = sync()
    check = found(result, EMPTY)
    assert not check.passed
    assert check.metadata["records"].value == 1
    assert "status" in (check.description or "")
    assert found(result, MATCHES).passed
    rows[-1] = incident(251)
    assert found(sync(), EMPTY).passed


@pytest.mark.usefixtures("api")
def test_each_database_is_compared_with_its_own_last_sync(
    rows: list[dict[str, Any]],
    sync: Sync,
    instance: dg.DagsterInstance,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def check_alone(file: Path) -> dg.AssetCheckEvaluation:
        checked = dg.materialize(
            source_checks,
            resources={"duckdb": IncidentsDuckDB(database=str(file))},
            selection=dg.AssetSelection.all_asset_checks(),
            instance=instance,
        )
        return found(checked, MATCHES)

    sync()
    other = database.with_name("other.duckdb")
    other.write_bytes(database.read_bytes())
    assert f"into {other} is on record" in (check_alone(other).description or "")

    del rows[100:]
    database.rename(database.with_name("first.duckdb"))
    sync()  # another database, of another API, at the path of the first
    check = check_alone(database)
    assert check.passed
    assert check.metadata["ids_read"].value == 100
    monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", str(other))
    assert not check_alone(other).passed


def phases(
    *rows: tuple[str | None, ...], columns: str = "status TEXT, phase TEXT"
) -> tuple[str, dict[str, Any]]:
    """What the check of phases finds in a table with these rows."""
    (check,) = (check for check in SOURCE_CHECKS if check.name == "statuses_have_a_phase")
    table = Table("x", ["id"], {"id": {}, "status": {}, "phase": {}})
    with duckdb.connect() as connection:
        connection.execute(f"CREATE SCHEMA incidents; CREATE TABLE incidents.x ({columns})")
        for row in rows:
            connection.execute(f"INSERT INTO incidents.x VALUES ({', '.join('?' * len(row))})", row)
        source = replace(SOURCES["incidents"], tables={"x": table})
        instance = dg.DagsterInstance.ephemeral()
        return check.find(Subject(source, "x", connection, configured_store(), instance, ["id"]))


def test_a_status_without_a_phase_is_counted_and_named() -> None:
    assert phases(("a", "open"), ("b", "other"))[0] == ""
    problem, metadata = phases(("a", "open"), ("new", None), ("new", None), (None, None))
    assert problem.startswith("3 rows have a status without a phase: 'new' (2), null (1). Add")
    assert metadata["unmapped_statuses"] == 2


def test_a_table_that_was_loaded_before_there_were_phases_is_told() -> None:
    assert phases(columns="status TEXT")[0] == (
        '"incidents"."x" has no column phase. Materialize x first.'
    )
    assert phases((None,), columns="phase TEXT")[0].startswith("1 rows have a status without")


def test_only_a_table_with_phases_has_the_check() -> None:
    plain = Table("x", ["id"], {"id": {}, "status": {}})
    assert "statuses_have_a_phase" not in {*checks_for(plain), *not_applicable(plain)}
    assert "statuses_have_a_phase" in checks_for(Table("x", ["id"], {"id": {}, "phase": {}}))
