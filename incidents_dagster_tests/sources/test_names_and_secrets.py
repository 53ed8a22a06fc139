"""Which names a further source may have, and whose secrets are whose."""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from incidents_dagster.assets import api_of, assets_of
from incidents_dagster.checks import checks_of
from incidents_dagster.embedded_elt import DagsterDltResource
from incidents_dagster.incidents_view import asset_over
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.settings import load_settings, load_sources, usual_crons
from incidents_dagster.ingestion.settings_files import source_names
from incidents_dagster.ingestion.warehouse.configured_store import database_path
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster_tests.sources.conftest import Sources

STAGING = {"_dlt_incidents_staging", "_dlt_tickets_staging"}
FIRST_KEY, SECOND_KEY = "k3y-of-the-first-0001", "k3y-of-the-other-0002"


def two(sources: Sources) -> tuple[Any, Any]:
    return sources.plain("incidents", 12, FIRST_KEY), sources.plain("tickets", 7, SECOND_KEY)


def error_of(sources: Sources, name: str) -> str:
    with pytest.raises(Exception) as failed:  # noqa: PT011  # dlt wraps ours
        sources.sync(name)
    return explain(failed.value)


def test_each_api_gets_its_own_key_and_the_schema_has_the_sources_name(sources: Sources) -> None:
    first, tickets = two(sources)
    for name in ("incidents", "tickets"):
        sources.sync(name)
    assert {asked.query["api_key"] for asked in first.web.asked} == {FIRST_KEY}
    assert {asked.query["api_key"] for asked in tickets.web.asked} == {SECOND_KEY}
    for name, count in {"incidents": 12, "tickets": 7}.items():
        assert sources.query(f"SELECT count(*) FROM {name}.incident_data") == [(count,)]
    schemas = "SELECT DISTINCT schema_name FROM duckdb_tables() WHERE NOT internal"
    assert {row[0] for row in sources.query(schemas)} - STAGING == {"incidents", "tickets"}


def test_a_source_without_its_own_secret_never_gets_that_of_the_first(sources: Sources) -> None:
    _, tickets = two(sources)
    del sources.secrets["sources"]
    sources.write()
    os.environ["API_KEY"] = FIRST_KEY
    try:
        told = error_of(sources, "tickets")
    finally:
        del os.environ["API_KEY"]
    assert told.startswith("api_key is missing: [sources.tickets.client.auth]")
    assert "the environment (SOURCES__TICKETS__API_KEY) nor in [sources.tickets] of" in told
    assert tickets.web.asked == []


def test_the_environment_has_the_secret_as_dlt_spells_it(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tickets = two(sources)
    del sources.secrets["sources"]
    sources.write()
    tickets.key = "0123456789"  # a number to dlt
    monkeypatch.setenv("SOURCES__TICKETS__API_KEY", tickets.key)
    sources.sync("tickets")
    assert {asked.query["api_key"] for asked in tickets.web.asked} == {"0123456789"}


@pytest.mark.parametrize(
    ("also", "told"),
    [
        ("tickets", "must be a list of names"),
        ([7], "must be a list of names"),
        (["Tickets"], "'Tickets' cannot be a source's name: use lower-case letters"),
        (["my__tickets"], "cannot be a source's name: use lower-case letters"),
        (["1st"], "cannot be a source's name: use lower-case letters"),
        (["x" * 41], "up to 40 characters"),
        (["insight"], "'insight' cannot be a source's name, as its schema has another meaning"),
        (["jira_staging"], "as its schema has another meaning"),
        (["main"], "as its schema has another meaning"),
        (["incidents"], "is the first source"),
        (["tickets", "tickets"], "has 'tickets' twice"),
        (["jira"], "has 'jira', and there is no [sources.jira] in"),
    ],
)
def test_a_name_that_no_source_can_have_is_refused(also: Any, told: str, sources: Sources) -> None:
    two(sources)
    sources.section["incidents"]["also"] = also
    sources.write()
    with pytest.raises(SettingsError) as refused:
        source_names()
    assert str(refused.value).startswith("also in [sources.incidents] of ")
    assert told in str(refused.value)


def test_the_file_may_not_have_the_name_of_a_source(
    sources: Sources, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    two(sources)
    link = tmp_path / "link.duckdb"
    link.symlink_to("Tickets.duckdb")
    for file in (tmp_path / "Tickets.duckdb", link):
        monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", str(file))
        with pytest.raises(
            SettingsError, match="must differ from the schemas tickets and _dlt_tickets"
        ):
            database_path()


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE tickets.mine (a INT)",
        "CREATE VIEW tickets.mine AS SELECT 1 AS a",
        "CREATE TABLE tickets.mine (_dlt_load_id TEXT); "
        "CREATE TABLE tickets._dlt_pipeline_state AS SELECT 'my_pipeline' AS pipeline_name",
    ],
)
def test_the_schema_of_somebody_else_is_left_alone(sources: Sources, made: str) -> None:
    two(sources)
    with duckdb.connect(str(sources.database)) as connection:
        connection.execute(f"CREATE SCHEMA tickets; {made}")
    told = error_of(sources, "tickets")
    assert told.startswith("The schema tickets of ")
    assert "is somebody else's" in told
    sources.sync("incidents")
    assert sources.query("SELECT count(*) FROM incidents.incident_data") == [(12,)]


def test_a_resource_may_not_be_called_like_the_view(sources: Sources) -> None:
    two(sources)
    sources.section["incidents"]["resources"] = [
        {"name": "incidents", "endpoint": {"path": "/v1/incidents", "data_selector": "data"}}
    ]
    sources.write()
    with pytest.raises(SettingsError, match="incidents is the view over all sources"):
        load_settings()


def test_a_demo_beside_a_configured_api_is_refused(sources: Sources) -> None:
    two(sources)
    del sources.section["tickets"]["client"]
    sources.write()
    with pytest.raises(SettingsError, match=r"client\.base_url is missing in \[sources\.tickets\]"):
        load_settings("tickets")
    assert load_settings().base_url


def test_a_misspelt_section_of_a_source_is_told(sources: Sources) -> None:
    two(sources)
    sources.section["ticket"] = {"max_minutes": 5}
    sources.write()
    with pytest.raises(SettingsError, match=r"sources\.ticket in .* did you mean sources\.tickets"):
        load_settings("tickets")
    assert load_settings().max_minutes == 60


def test_wrong_settings_of_one_source_leave_the_others_right(sources: Sources) -> None:
    two(sources)
    sources.section["tickets"]["max_minutes"] = "soon"
    sources.write()
    found = load_sources()
    assert not isinstance(found["incidents"], SettingsError)
    assert isinstance(found["tickets"], SettingsError)
    assert "max_minutes in [sources.tickets] of" in str(found["tickets"])


def test_the_schedules_minutes_are_spread_by_name() -> None:
    crons = {f"team_{n}": usual_crons(f"team_{n}") for n in range(50)}
    minutes = {cron["sync_cron"].split()[0] for cron in crons.values()}
    assert len(minutes) > 25
    assert {cron["reconcile_cron"].split()[1] for cron in crons.values()} == set("012345")
    assert usual_crons("incidents")["sync_cron"] == "0 * * * *"
    assert usual_crons("team_1") == usual_crons("team_1")


def test_each_source_has_its_assets_checks_and_freshness(sources: Sources) -> None:
    two(sources)
    sources.section["tickets"]["freshness"] = {"warn_after_minutes": 5, "fail_after_minutes": 9}
    sources.write()
    both = [sources.source("incidents"), sources.source("tickets")]
    defs = dg.Definitions(
        assets=[*map(api_of, both), *map(assets_of, both), asset_over(both, [])],
        asset_checks=[*map(checks_of, both)],
        resources={
            "dlt": DagsterDltResource(),
            "duckdb": IncidentsDuckDB(database=str(sources.database)),
        },
    )
    graph = defs.resolve_asset_graph()
    keys = {key.to_user_string(): key for key in graph.get_all_asset_keys()}
    assert {*keys} == {
        "incident_api",
        "incident_data",
        "incidents",
        "tickets/incident_api",
        "tickets/incident_data",
    }
    assert graph.get(keys["incidents"]).parent_keys == {
        keys["incident_data"],
        keys["tickets/incident_data"],
    }
    assert graph.get(keys["tickets/incident_data"]).parent_keys == {keys["tickets/incident_api"]}
    assert graph.get(keys["tickets/incident_data"]).group_name == "tickets"
    policy: Any = graph.get(keys["tickets/incident_data"]).freshness_policy
    assert policy.fail_window.to_timedelta().total_seconds() == 9 * 60
    of_each = {
        name: {key.name for key in graph.asset_check_keys if key.asset_key == keys[name]}
        for name in ("incident_data", "tickets/incident_data")
    }
    assert of_each["incident_data"] == of_each["tickets/incident_data"]
    pools = {asset.op.name: asset.op.pool for asset in map(assets_of, both)}
    assert pools == {"incidents_dlt": "incidents_duckdb", "tickets_dlt": "tickets_duckdb"}


def test_each_source_has_a_quarantine_of_its_own(sources: Sources) -> None:
    first, tickets = two(sources)
    tickets.rows[0]["updated_at"] = "soon"
    first.rows.append({**first.rows[0], "id": None})
    for name in ("incidents", "tickets"):
        sources.sync(name)
    for name, reason in {"incidents": "id is missing", "tickets": "updated_at should be"}.items():
        ((told, count),) = sources.query(f"SELECT reason, 1 FROM {name}.quarantine")
        assert reason in told
        assert count == 1
