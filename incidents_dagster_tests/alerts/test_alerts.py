"""Each kind of alert, told to a real receiver: once when it gets worse, once when it is well."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange

from incidents_dagster.alerts.told import Memory
from incidents_dagster.assets import apis, synced
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.embedded_elt import DagsterDltResource
from incidents_dagster.incidents_view import incidents
from incidents_dagster.ingestion.warehouse.all_incidents import COLUMNS
from incidents_dagster.jobs import sync_jobs
from incidents_dagster.read_copy import read_copy
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster_tests.alerts.conftest import Ears, Ticker

ASSET = dg.AssetKey("incident_data")
UI = "http://127.0.0.1:3000/runs"


@dataclass
class World:
    """Two assets and a check, which do as they are told."""

    error: BaseException | None = None
    passes: bool = True
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    def definitions(self, blocking: bool = True) -> dg.Definitions:
        """As a user has them beside the project's."""
        spec = dg.AssetCheckSpec(
            "holds", asset="first", blocking=blocking, description="All is as it should be."
        )

        @dg.asset(check_specs=[spec])
        def first() -> Any:
            if self.error:
                raise self.error
            yield dg.MaterializeResult(
                check_results=[
                    dg.AssetCheckResult(
                        passed=self.passes, severity=self.severity, description="2 rows: 17; 18"
                    )
                ]
            )

        @dg.asset(deps=[first])
        def second() -> None: ...

        jobs = [dg.define_asset_job("nightly", [first, second])]
        return dg.Definitions(assets=[first, second], jobs=jobs)


@pytest.fixture
def project(database: Path) -> dg.Definitions:
    """The project's own definitions, into this test's file."""
    return dg.Definitions(
        assets=[*apis, *synced, incidents, read_copy],
        jobs=[*sync_jobs.values()],
        resources={"dlt": DagsterDltResource(), "duckdb": IncidentsDuckDB(database=str(database))},
    )


def test_a_failed_sync_of_the_command_line(
    ears: Ears,
    tick: Ticker,
    project: dg.Definitions,
    api: DemoServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("API_KEY", "not-the-right-key")
    run_id = tick.run(project, "incidents_sync")
    tick(project)
    (told,) = ears.heard()
    first, *more = told.splitlines()
    assert first.startswith(f"incidents_sync failed (run {run_id}): ")
    assert "returned 401 Unauthorized: the key was refused" in first
    assert more == ["Assets: incident_data", f"{UI}/{run_id}"]
    assert "not-the-right-key" not in told

    tick.run(project, "incidents_sync")
    assert "Wrong now: incidents_sync." in tick(project)
    monkeypatch.setenv("API_KEY", api.api_key)
    run_id = tick.run(project, "incidents_sync")
    tick.clock.later(60)
    assert "Wrong now: nothing." in tick(project)
    tick(project)
    assert ears.heard() == [
        f"incidents_sync succeeds again (run {run_id}): after 60 minutes.\n{UI}/{run_id}"
    ]


def test_the_first_tick_tells_what_is_wrong_now_and_nothing_old(ears: Ears, tick: Ticker) -> None:
    world = World(error=dg.Failure("was once"))
    definitions = world.definitions()
    tick.run(definitions, "nightly")
    world.error = None
    tick.run(definitions, "nightly")
    tick(definitions)
    assert ears.heard() == []


def test_a_blocking_check_is_told_as_itself(ears: Ears, tick: Ticker) -> None:
    world = World(passes=False)
    definitions = world.definitions()
    run_id = tick.run(definitions, "nightly")
    tick(definitions)
    tick(definitions)
    assert ears.heard() == [
        f"first: holds failed (run {run_id}): 2 rows: 17; 18\n"
        f"It passes when: All is as it should be.\n{UI}/{run_id}"
    ]
    # It was not evaluated: that the run failed is news, and the check is what it was.
    world.error = ValueError("no\nway")
    failed = tick.run(definitions, "nightly")
    tick(definitions)
    assert ears.heard() == [
        f"nightly failed (run {failed}): ValueError: no way\nAssets: first\n{UI}/{failed}"
    ]
    world.error, world.passes = None, True
    tick.run(definitions, "nightly")
    tick(definitions)
    titles = [told.partition(" (")[0] for told in ears.heard()]
    assert titles == ["nightly succeeds again", "first: holds passes again"]


def test_a_check_that_the_last_run_did_not_reach_is_told_too(ears: Ears, tick: Ticker) -> None:
    """Dagster's UI reads checks from where `failed_checks` does, which is not public."""
    world = World(passes=False)
    definitions = world.definitions()
    run_id = tick.run(definitions, "nightly")
    world.error = dg.Failure("no")
    failed = tick.run(definitions, "nightly")
    tick(definitions)
    titles = [told.partition(": no")[0].partition(": 2")[0] for told in ears.heard()]
    assert titles == [f"nightly failed (run {failed})", f"first: holds failed (run {run_id})"]


def test_a_warning_that_becomes_an_error_is_told_twice(ears: Ears, tick: Ticker) -> None:
    world = World(passes=False, severity=dg.AssetCheckSeverity.WARN)
    definitions = world.definitions(blocking=False)
    heard = []
    for severity in ("WARN", "WARN", "ERROR", "WARN", "ERROR"):
        world.severity = dg.AssetCheckSeverity(severity)
        tick.run(definitions, "nightly")
        tick(definitions)
        heard.append([told.partition(" (")[0] for told in ears.heard()])
    assert heard == [["first: holds warns"], [], ["first: holds failed"], [], []]


def test_selected_assets_have_their_names(ears: Ears, tick: Ticker) -> None:
    world = World()
    definitions = world.definitions()
    every = "__ASSET_JOB"
    world.error = RuntimeError("outside")
    world.error.__cause__ = KeyError("inside")
    run_id = tick.run(definitions, every, asset_selection=[dg.AssetKey("first")])
    tick(definitions)
    assert ears.heard() == [
        f"Run of first failed (run {run_id}): KeyError: 'inside'\nAssets: first\n{UI}/{run_id}"
    ]
    world.error = None
    tick.run(definitions, every, asset_selection=[dg.AssetKey("second")])
    tick(definitions)
    assert ears.heard() == []
    tick.run(definitions, "nightly")
    tick(definitions)
    assert ears.heard() == ["Run of first succeeds again: after 1 minute."]


def test_a_run_that_never_began(ears: Ears, tick: Ticker) -> None:
    definitions = World().definitions()
    begun = tick.instance.create_run_for_job(definitions.resolve_job_def("nightly"))
    tick.instance.report_run_failed(begun, "This run has been waiting for 120 seconds.")
    tick(definitions)
    (told,) = ears.heard()
    assert told.startswith(f"nightly failed (run {begun.run_id}): This run has been waiting")


def test_lost_freshness(ears: Ears, tick: Ticker, project: dg.Definitions) -> None:
    tick.instance.report_runless_asset_event(dg.AssetMaterialization(ASSET))
    tick.clock.later(100)

    def becomes(state: FreshnessState) -> list[str]:
        change = FreshnessStateChange(
            key=ASSET,
            new_state=state,
            previous_state=FreshnessState.UNKNOWN,
            state_change_timestamp=tick.clock.time(),
        )
        tick.instance._report_runless_asset_event(change)  # as Dagster's daemon does
        tick(project)
        tick(project)
        return ears.heard()

    assert becomes(FreshnessState.PASS) == []
    (told,) = becomes(FreshnessState.WARN)
    assert "incident_data: freshness warns" in told
    assert ": last materialized 100 minutes ago, at 20" in told
    (told,) = becomes(FreshnessState.FAIL)
    assert "incident_data: freshness failed" in told
    (told,) = becomes(FreshnessState.PASS)
    assert told.startswith("incident_data: freshness passes again")
    assert becomes(FreshnessState.PASS) == []


def test_syncs_that_stay_unproven(
    ears: Ears,
    tick: Ticker,
    project: dg.Definitions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__ALERTS__UNPROVEN_MINUTES", "30")
    monkeypatch.setenv("SOURCES__INCIDENTS__ALERTS__UI_URL", "https://ui.example.com/")
    tick.instance.report_runless_asset_event(dg.AssetMaterialization(ASSET))
    tick.clock.later(31)
    tick(project)
    assert ears.heard() == [], "no sync ran: freshness tells that"
    said = {"proof": "unproven", "completeness": "unproven: there may be more"}
    tick.instance.report_runless_asset_event(dg.AssetObservation(ASSET, metadata=said))
    tick.clock.later(-31)
    tick(project)
    assert ears.heard() == [], "not for long"
    tick.clock.later(31)
    tick(project)
    tick(project)
    (told,) = ears.heard()
    assert told.startswith("incident_data: completeness is unproven")
    assert "; unproven since: 1. The last of these: unproven: there may be more" in told
    tick.instance.report_runless_asset_event(dg.AssetMaterialization(ASSET))
    tick(project)
    (told,) = ears.heard()
    assert told.startswith("incident_data: completeness is proven again")


def test_incidents_that_stay_open(
    ears: Ears,
    tick: Ticker,
    project: dg.Definitions,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hours = json.dumps({"SEV1": 4, "any": 48})
    monkeypatch.setenv("SOURCES__INCIDENTS__ALERTS__OPEN_HOURS", hours)
    monkeypatch.setenv("API_KEY", "k3y-of-the-api")
    tick(project)  # without a file

    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in COLUMNS.items())
    with duckdb.connect(str(database)) as file:
        file.execute(f"CREATE SCHEMA incidents; CREATE TABLE of_all ({columns})")
        file.execute("CREATE VIEW incidents.incidents AS FROM of_all")

    def opened(id: str, severity: str | None, hours_ago: float, **more: str | None) -> None:
        values = {
            "source": "incidents",
            "id": id,
            "title": f"<!here> {id}\x1b[31m of k3y-of-the-api",
            "url": f"https://x/{id}",
            "phase": "open",
            "severity": severity,
            **more,
        }
        with duckdb.connect(str(database)) as file:
            file.execute(
                f"INSERT INTO of_all ({', '.join(values)}, created_at) "
                f"SELECT {', '.join('?' * len(values))}, now() - to_seconds(?)",
                [*values.values(), (hours_ago - tick.clock.ahead / 3600) * 3600],
            )

    opened("1", "Sev1", 30)
    opened("2", "sev1 ", 5, phase="acknowledged")
    opened("3", "sev1", 3.5)
    opened("4", "sev1", 9, phase="closed")
    opened("5", "sev1", 9, source="tickets")
    opened("6", None, 47)
    opened("7", "sev1", 9, deleted_at="2026-11-01")
    tick(project)
    tick(project)
    (told,) = ears.heard()
    assert told.replace("\u200b", "").splitlines() == [
        "incidents: incidents of severity sev1 open for over 4 h: 2, the longest for 30 hours",
        "- 1 <!here> 1 of *** https://x/1",
        "- 2 <!here> 2 of *** https://x/2",
    ]
    assert "<!here>" not in told

    tick.clock.later(90)
    tick(project)
    others, sev1 = ears.heard()
    assert sev1.splitlines()[0].endswith(": 3, the longest for 32 hours")
    assert [line[:3] for line in sev1.splitlines()[1:]] == ["- 3"]
    assert others.startswith("incidents: incidents of any other severity open for over 48 h: 1,")

    with duckdb.connect(str(database)) as busy:
        busy.execute("DELETE FROM of_all")
        assert "incidents of severity sev1" in tick(project)
    assert ears.heard() == []
    tick(project)
    assert {told.split(":")[1] for told in ears.heard()} == {
        " incidents of severity sev1 are no longer open for too long",
        " incidents of any other severity are no longer open for too long",
    }
    assert Memory.of(tick.cursor) == Memory()


def test_what_is_gone_is_forgotten_without_a_word(
    ears: Ears, tick: Ticker, project: dg.Definitions
) -> None:
    definitions = World(error=dg.Failure("no")).definitions()
    tick.run(definitions, "nightly")
    tick(definitions)
    assert len(ears.heard()) == 1
    tick(project)
    assert ears.heard() == []
    assert Memory.of(tick.cursor) == Memory()
