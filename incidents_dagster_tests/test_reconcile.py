"""The job incidents_reconcile: marks what is gone from the API, on good ground alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from incidents_dagster.assets import apis, synced
from incidents_dagster.checks import source_checks
from incidents_dagster.embedded_elt import DagsterDltResource
from incidents_dagster.incidents_view import incidents
from incidents_dagster.jobs import reconcile_jobs
from incidents_dagster.read_copy import read_copy
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster_tests.results import failure, log_lines, shown

Reconcile = Callable[[], dg.ExecuteInProcessResult]
Sync = Callable[..., dg.ExecuteInProcessResult]
MAXIMUM = "SOURCES__INCIDENTS__CLIENT__PAGINATOR__MAXIMUM_OFFSET"
GONE = {"INC-0001", "INC-0002", "INC-0003"}


@pytest.fixture
def reconcile(database: Path, instance: dg.DagsterInstance) -> Reconcile:
    """Runs the job as it is defined, into `database`."""
    resources = {
        "dlt": DagsterDltResource(),
        "duckdb": IncidentsDuckDB(database=str(database)),
    }
    job = dg.Definitions(
        assets=[*apis, *synced, incidents, read_copy],
        asset_checks=source_checks,
        jobs=[*reconcile_jobs.values()],
        resources=resources,
    ).resolve_job_def("incidents_reconcile")
    return lambda: job.execute_in_process(instance=instance, raise_on_error=False)


@pytest.fixture
def marked(database: Path) -> Callable[[], set[str]]:
    """Tells the ids of the rows that are marked as deleted."""
    return lambda: _marked(database)


def _marked(database: Path) -> set[str]:
    with duckdb.connect(str(database), read_only=True) as connection:
        sql = "SELECT id FROM incidents.incident_data WHERE deleted_at IS NOT NULL"
        return {row[0] for row in connection.execute(sql).fetchall()}


@pytest.mark.usefixtures("api")
def test_it_marks_what_is_gone_and_takes_the_mark_from_what_is_back(
    rows: list[dict[str, Any]],
    sync: Sync,
    reconcile: Reconcile,
    marked: Callable[[], set[str]],
    instance: dg.DagsterInstance,
) -> None:
    sync()
    first, *others = rows
    rows[:] = [row for row in others if row["id"] not in GONE]
    # What was read incrementally says nothing of the rest.
    assert sync().success
    assert marked() == set()

    result = reconcile()
    assert result.success
    metadata = shown(result)
    assert metadata["completeness"].startswith("proven: 247 records")
    assert (metadata["rows_newly_deleted"], metadata["rows_deleted"]) == (3, 3)
    assert (metadata["rows_new"], metadata["rows_changed"]) == (0, 0)
    assert metadata["dagster/row_count"] == 247
    assert marked() == GONE
    assert any("3 deleted at the API" in line for line in log_lines(result, instance))

    rows.insert(0, first)
    metadata = shown(reconcile())
    assert (metadata["rows_newly_deleted"], metadata["rows_deleted"]) == (0, 2)
    assert metadata["dagster/row_count"] == 248
    assert marked() == GONE - {first["id"]}


@dataclass(frozen=True)
class NoGround:
    """A reading that nothing may be marked after.

    Attributes:
        left: Records that are left at the API, of 250.
        why: What the failure says.
        maximum: The paginator's maximum_offset, as text; empty for none.
    """

    left: int
    why: str
    maximum: str = ""


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    "case",
    [
        NoGround(0, "the API returned no records"),
        NoGround(
            100, "150 of the table's 250 rows are missing from the API, more than deleted_share"
        ),
        NoGround(249, "unproven: the paginator is configured to stop at a maximum", "100"),
    ],
    ids=["empty", "too small", "unproven"],
)
@pytest.mark.sample(1)
def test_a_reading_that_is_no_ground_for_it_fails_and_changes_nothing(
    case: NoGround,
    rows: list[dict[str, Any]],
    sync: Sync,
    reconcile: Reconcile,
    marked: Callable[[], set[str]],
) -> None:
    sync()
    del rows[case.left :]
    with pytest.MonkeyPatch.context() as environment:
        if case.maximum:
            environment.setenv(MAXIMUM, case.maximum)
        result = reconcile()
        assert not result.success
        assert f"incident_data cannot be reconciled, nothing was loaded: {case.why}" in failure(
            result
        )
        assert not result.get_asset_materialization_events()
        # Another full reading does not insist.
        assert sync(full_refresh=True).success
    assert marked() == set()
