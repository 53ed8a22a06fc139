"""Each asset check passes on good rows, and fails by name on bad ones, with the offender shown."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from incidents_dagster.checks import (
    RULES,
    checks_for,
    checks_of,
    not_applicable,
    rules_for,
    source_checks,
)
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster.sources import SOURCES

Sync = Callable[..., dg.ExecuteInProcessResult]

NEWEST = "newest_change_is_recent"
# check → a statement that makes it fail, how many offend, and how the sample shows the offender
BREAKERS = {
    "ids_are_unique": (
        "INSERT INTO {t} FROM {t} WHERE id = 'INC-0001'",
        1,
        "INC-0001",
    ),
    "ids_are_not_null": ("UPDATE {t} SET id = NULL WHERE id = 'INC-0001'", 1, "null"),
    "statuses_are_present": (
        "UPDATE {t} SET status = ' ' WHERE id IN ('INC-0001', 'INC-0002')",
        2,
        "INC-0001; INC-0002",
    ),
    "created_is_not_after_updated": (
        "UPDATE {t} SET created_at = updated_at + INTERVAL 1 SECOND WHERE id = 'INC-0001'",
        1,
        "INC-0001",
    ),
    "timestamps_are_not_in_the_future": (
        "UPDATE {t} SET updated_at = now() + INTERVAL 1 DAY WHERE id = 'INC-0001'",
        1,
        "INC-0001",
    ),
}


FIRST = SOURCES["incidents"]
TABLE = FIRST.tables["incident_data"]


def run_checks(
    database: Path,
    newest_within_hours: float = 1e6,
    instance: dg.DagsterInstance | None = None,
) -> dg.ExecuteInProcessResult:
    """All checks; what the tests serve is recent, whatever the date of today."""
    hours = {"newest_within_hours": newest_within_hours}
    freshness = FIRST.settings.freshness.model_copy(update=hours)
    changed = FIRST.settings.model_copy(update={"freshness": freshness})
    return dg.materialize(
        [checks_of(replace(FIRST, settings=changed))],
        resources={"duckdb": IncidentsDuckDB(database=str(database))},
        selection=dg.AssetSelection.all_asset_checks(),
        instance=instance,
        raise_on_error=False,
    )


def by_name(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def test_every_rule_has_a_test() -> None:
    assert {*BREAKERS, NEWEST} == {rule.name for rule in RULES}


def test_all_pass_on_good_rows(
    api: DemoServer, sync: Sync, database: Path, instance: dg.DagsterInstance
) -> None:
    sync()
    checks = by_name(run_checks(database, instance=instance))
    assert set(checks) == {*checks_for(TABLE)}
    assert all(check.passed for check in checks.values())
    assert all(checks[rule.name].metadata["offenders"].value == 0 for rule in RULES)


@pytest.mark.parametrize("name", BREAKERS)
@pytest.mark.sample(2)
def test_fails_on_a_bad_row_and_shows_it(
    name: str, api: DemoServer, sync: Sync, database: Path
) -> None:
    sync()
    statement, count, sample = BREAKERS[name]
    with duckdb.connect(str(database)) as connection:
        # The table itself refuses a null id; somebody may have taken that away.
        connection.execute("ALTER TABLE incidents.incident_data ALTER id DROP NOT NULL")
        connection.execute(statement.format(t="incidents.incident_data"))
    result = run_checks(database)
    check = by_name(result)[name]
    assert not check.passed
    assert check.metadata["offenders"].value == count
    assert check.metadata["sample"].value == sample
    assert sample in (check.description or "")
    with duckdb.connect(str(database), read_only=True) as connection:
        offenders = connection.execute(str(check.metadata["sql"].value)).fetchall()
    assert len(offenders) == count

    blocking = name in ("ids_are_unique", "ids_are_not_null")
    assert result.success is not blocking
    wanted = dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN
    assert check.severity == wanted


@pytest.mark.thorough
def test_the_newest_change_may_be_as_old_as_the_setting_says(
    api: DemoServer, sync: Sync, database: Path
) -> None:
    sync()

    def aged(hours: int) -> dg.AssetCheckEvaluation:
        with duckdb.connect(str(database)) as connection:
            connection.execute(
                "UPDATE incidents.incident_data "
                "SET updated_at = now() - to_hours(? + (id <> ?)::INT)",
                [hours, "INC-0007"],
            )
        result = run_checks(database, newest_within_hours=168.0)
        assert result.success
        return by_name(result)[NEWEST]

    assert aged(167).passed
    late = aged(169)
    assert not late.passed
    assert late.severity == dg.AssetCheckSeverity.WARN
    assert late.metadata["offenders"].value == 1
    assert (late.description or "").startswith("1 offending: INC-0007, 20")


def test_rows_that_are_marked_as_deleted_are_not_looked_at(
    api: DemoServer, sync: Sync, database: Path
) -> None:
    sync()
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "UPDATE incidents.incident_data SET status = NULL, deleted_at = now() "
            "WHERE id < 'INC-0100'"
        )
    assert by_name(run_checks(database))["statuses_are_present"].passed


@pytest.mark.thorough
def test_the_sample_is_short(api: DemoServer, sync: Sync, database: Path) -> None:
    sync()
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE incidents.incident_data SET status = NULL")
    check = by_name(run_checks(database))["statuses_are_present"]
    assert check.metadata["offenders"].value == 250
    assert str(check.metadata["sample"].value).count("INC-") == 5


@pytest.mark.parametrize("state", ["no file", "no table"])
def test_without_a_table_there_is_an_answer(state: str, database: Path) -> None:
    if state == "no table":
        duckdb.connect(str(database)).close()
    result = run_checks(database)
    assert result.success
    checks = by_name(result)
    assert set(checks) == {*checks_for(TABLE)}
    for check in checks.values():
        assert not check.passed
        assert "Materialize incident_data first" in (check.description or "")


def test_rules_follow_the_primary_key_and_the_declared_columns() -> None:
    keyed = Table("alerts", ["region", "number"], {"region": {}, "number": {}})
    assert [rule.name for rule in rules_for(keyed)] == ["ids_are_unique", "ids_are_not_null"]
    assert checks_for(Table("log", [], {"status": {"data_type": "text"}})) == {}
    assert checks_for(Table("log", ["id"], {"id": {}}, "append")) == {}
    numbered = Table("numbered", ["id"], {"id": {}, "status": {"data_type": "bigint"}})
    assert "statuses_are_present" not in {rule.name for rule in rules_for(numbered)}


def test_checks_that_do_not_apply_come_with_what_the_configuration_lacks() -> None:
    columns = {"id": {}, "status": {"data_type": "bigint"}, "created_at": {}}
    assert not_applicable(Table("x", ["id"], columns)) == {
        "newest_change_is_recent": 'no column has dedup_sort = "desc"',
        "statuses_are_present": "columns.status.data_type is bigint, not text",
        "created_is_not_after_updated": "columns.created_at.data_type is not configured, not "
        "timestamp",
        "timestamps_are_not_in_the_future": "columns.created_at.data_type is not configured, not "
        "timestamp",
    }
    for table, why in (
        (Table("x", [], columns), "no primary_key"),
        (Table("x", ["id"], columns, "append"), "rows are appended, not merged"),
    ):
        left_out = not_applicable(table)
        assert {"ids_are_unique", "table_matches_source"} <= {*left_out}
        assert {*left_out.values()} == {why}
    assert not_applicable(TABLE) == {}


@pytest.mark.thorough
def test_a_rule_that_cannot_be_asked_fails_and_the_others_answer(
    api: DemoServer, sync: Sync, database: Path
) -> None:
    sync()
    with duckdb.connect(str(database)) as connection:
        connection.execute("ALTER TABLE incidents.incident_data DROP status")
    checks = by_name(run_checks(database))
    assert not checks["statuses_are_present"].passed
    assert "BinderException" in (checks["statuses_are_present"].description or "")
    assert checks["ids_are_unique"].passed


@pytest.mark.thorough
def test_one_check_can_run_alone(api: DemoServer, sync: Sync, database: Path) -> None:
    sync()
    key = dg.AssetCheckKey(dg.AssetKey("incident_data"), "ids_are_unique")
    result = dg.materialize(
        source_checks,
        resources={"duckdb": IncidentsDuckDB(database=str(database))},
        selection=dg.AssetSelection.checks(key),
    )
    assert set(by_name(result)) == {"ids_are_unique"}
