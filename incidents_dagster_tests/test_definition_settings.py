"""What settings change in the definitions, seen by a process that loads them anew."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.settings import PROJECT_ROOT, Name, Owner, load_settings
from incidents_dagster.insight.sql_files import sql_files
from incidents_dagster.names import REPORT
from incidents_dagster.schedules import schedules_of

LIST = """
import json
from incidents_dagster.definitions import defs
repository = defs.get_repository_def()
graph = repository.asset_graph
print(json.dumps({
    "schedules": {
        schedule.name: [
            schedule.job_name,
            schedule.cron_schedule,
            schedule.execution_timezone,
            schedule.default_status.value,
            schedule.description,
        ]
        for schedule in repository.schedule_defs
    },
    "assets": {
        key.to_user_string(): [graph.get(key).owners, graph.get(key).group_name]
        for key in graph.get_all_asset_keys()
    },
}))
"""
SYNC, RECONCILE = "incidents_sync_hourly", "incidents_reconcile_weekly"


def load(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Loads the definitions in a process of its own, with the shipped settings and these."""
    environment = {f"SOURCES__INCIDENTS__{name}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-c", LIST],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT_ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def defined(folder: Path, **settings: str) -> dict[str, Any]:
    """What a process with these settings defines."""
    process = load(folder, **settings)
    assert process.returncode == 0, process.stderr
    found: dict[str, Any] = json.loads(process.stdout)
    return found


def test_cron_zone_owners_and_group_are_those_of_the_settings(tmp_path: Path) -> None:
    found = defined(
        tmp_path,
        SCHEDULES__SYNC_CRON="*/5 * * * *",
        SCHEDULES__RECONCILE_CRON="0 4 1 * *",
        SCHEDULES__TIMEZONE="Europe/Berlin",
        OWNERS='["ann@example.com", "team:night shift"]',
        GROUP="alerts_2",
    )
    *sync, said = found["schedules"][SYNC]
    assert sync == ["incidents_sync", "*/5 * * * *", "Europe/Berlin", "RUNNING"]
    assert "`*/5 * * * *`" in said
    assert "Europe/Berlin" in said
    *reconcile, said = found["schedules"][RECONCILE]
    assert reconcile == ["incidents_reconcile", "0 4 1 * *", "Europe/Berlin", "RUNNING"]
    assert "`0 4 1 * *`" in said
    of_an_asset = [["ann@example.com", "team:night shift"], "alerts_2"]
    tables = {name: [of_an_asset[0], "insight"] for name in (*sql_files(), REPORT)}
    assert found["assets"] == tables | {
        "incident_api": of_an_asset,
        "incident_data": of_an_asset,
        "incidents": [of_an_asset[0], "incidents"],
        "read_copy": [of_an_asset[0], "incidents"],
    }


@pytest.mark.thorough
def test_an_empty_cron_leaves_the_schedule_off_until_somebody_starts_it(tmp_path: Path) -> None:
    found = defined(tmp_path, SCHEDULES__RECONCILE_CRON="", OWNERS="[]")
    *reconcile, said = found["schedules"][RECONCILE]
    assert reconcile == ["incidents_reconcile", "30 3 * * 0", "UTC", "STOPPED"]
    assert said.startswith("Off until you start it, because reconcile_cron is empty.")
    assert found["schedules"][SYNC][1:4] == ["0 * * * *", "UTC", "RUNNING"]
    assert found["assets"]["incident_data"] == [[], "incidents"]


def test_a_wrong_cron_stops_the_loading_with_one_message(tmp_path: Path) -> None:
    process = load(tmp_path, SCHEDULES__SYNC_CRON="every hour")
    assert process.returncode != 0
    last_line = process.stderr.strip().splitlines()[-1]
    assert "SettingsError: schedules.sync_cron in [sources.incidents] of " in last_line
    assert ".dlt/config.toml must be a cron expression of five fields" in last_line
    assert last_line.endswith("not 'every hour'.")
    assert "DagsterInvalid" not in process.stderr


@pytest.mark.parametrize("cron", [" ", "0 * * *", "0 0 * * * *", "0 0 30 2 *", "61 * * * *"])
@pytest.mark.parametrize("setting", ["sync_cron", "reconcile_cron"])
def test_a_cron_that_dagster_does_not_take_is_refused_by_name(setting: str, cron: str) -> None:
    settings = load_settings()
    wrong = settings.schedules.model_copy(update={setting: cron})
    with pytest.raises(SettingsError, match=f"^schedules.{setting} in .* must be a cron"):
        schedules_of(settings.model_copy(update={"schedules": wrong}))


def dagster_takes(**asset: Any) -> bool:
    """Whether Dagster defines an asset with this group or these owners."""
    try:
        dg.Definitions(assets=[dg.AssetSpec("asset", **asset)]).resolve_asset_graph()
    except (dg.DagsterInvalidDefinitionError, dg.DagsterInvariantViolationError):
        return False
    return True


def setting_takes(kind: Any, value: Any) -> bool:
    """Whether a setting of this kind may have the value."""
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


PARTS = ["team:", "on-call", "ann", "@", "example", ".", "com", " ", "é", "1", "_", "\n", "/", "-"]


@given(st.lists(st.sampled_from(PARTS)).map("".join))
def test_dagster_takes_every_owner_that_the_setting_takes(owner: str) -> None:
    if setting_takes(Owner, owner):
        assert dagster_takes(owners=[owner])


@given(st.lists(st.sampled_from(PARTS)).map("".join))
def test_dagster_and_the_setting_take_the_same_groups(group: str) -> None:
    # Dagster's pattern lets one newline through, at the end.
    assert setting_takes(Name, group) == (dagster_takes(group_name=group) and "\n" not in group)


@pytest.mark.parametrize("owner", ["team:on-call", "team:a b", "ann@example.com", "a.b+c@d-e.info"])
def test_the_setting_takes_the_usual_owners(owner: str) -> None:
    assert setting_takes(Owner, owner)
    assert dagster_takes(owners=[owner])
