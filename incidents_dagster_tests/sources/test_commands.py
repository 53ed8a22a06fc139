"""The commands with several sources: init adds one, doctor and sync go through all or take one."""

import json

import dlt
import pytest
import tomlkit

from incidents_dagster.cli import main
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster_tests.sources.conftest import Sources


def test_init_adds_a_source_and_says_where_its_secret_goes(
    sources: Sources, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.plain("incidents", 1, "k3y-1")
    with pytest.raises(SystemExit) as ended:
        main(["init", "pagerduty", "tickets"])
    assert not ended.value.code
    said = capsys.readouterr().out
    assert 'PagerDuty: preset = "pagerduty" in [sources.tickets] of ' in said
    assert "api_key in [sources.tickets] of " in said
    assert "or the environment variable SOURCES__TICKETS__API_KEY" in said
    config = tomlkit.parse((sources.folder / ".dlt" / "config.toml").read_text()).unwrap()
    assert config["sources"]["incidents"]["also"] == ["tickets"]
    assert config["sources"]["tickets"] == {"preset": "pagerduty"}
    dlt.current.run_context().reload()
    assert load_settings("tickets").preset == "pagerduty"


@pytest.mark.parametrize("name", ["insight", "Tickets", "jira_staging"])
def test_init_refuses_a_name_that_no_source_can_have(
    sources: Sources, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    sources.plain("incidents", 1, "k3y-1")
    before = (sources.folder / ".dlt" / "config.toml").read_text()
    with pytest.raises(SystemExit) as ended:
        main(["init", "pagerduty", name])
    assert f"{name!r} cannot be a source's name" in str(ended.value.code)
    assert (sources.folder / ".dlt" / "config.toml").read_text() == before


def test_doctor_goes_through_all_sources_or_takes_one(
    sources: Sources, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.plain("incidents", 3, "k3y-1")
    tickets = sources.plain("tickets", 3, "k3y-2")
    tickets.key = "another"
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    assert ended.value.code == 1
    said = capsys.readouterr().out
    first, second = said.split("tickets:\n")
    assert first.startswith("incidents:\n")
    assert first.endswith("A sync of this source can be proven: yes\n")
    assert "A sync of this source can be proven: no" in second
    assert "returned 401" in second
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "incidents", "--json"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["provable"] is True
    with pytest.raises(SystemExit):
        main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {name: one["provable"] for name, one in found.items()} == {
        "incidents": True,
        "tickets": False,
    }


def test_sync_takes_one_source_and_names_those_that_there_are(sources: Sources) -> None:
    first = sources.plain("incidents", 3, "k3y-1")
    sources.plain("tickets", 2, "k3y-2")
    done = sources.command("sync", "--source=tickets")
    assert done.returncode == 0, done.stderr
    assert "tickets_sync succeeded in " in done.stdout
    assert "incidents: 2 rows, 2 of tickets." in done.stdout
    assert "1 of 1 sources succeeded" in done.stdout
    assert first.web.asked == []
    unknown = sources.command("sync", "--source=ticket")
    assert unknown.returncode == 1
    assert "there is no source 'ticket': known are incidents, tickets." in unknown.stderr


@pytest.mark.thorough
def test_wrong_settings_of_one_source_fail_its_job_alone(sources: Sources) -> None:
    sources.plain("incidents", 3, "k3y-1")
    sources.plain("tickets", 2, "k3y-2")
    sources.section["tickets"]["fetch_ahead"] = "many"
    sources.write()
    done = sources.command("sync")
    assert done.returncode == 1
    assert "incidents_sync succeeded in " in done.stdout
    assert "tickets_sync FAILED in " in done.stdout
    assert "fetch_ahead in [sources.tickets] of " in done.stdout
    assert "must be a whole number, not 'many'." in done.stdout
