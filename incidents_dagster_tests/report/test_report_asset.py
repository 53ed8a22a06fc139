"""The asset `incident_report` on a real instance, after the tables, and `make report`."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import dagster as dg
import pytest
from click.testing import CliRunner

from incidents_dagster.cli import main
from incidents_dagster.definitions import defs
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.incidents_view import incidents
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.insight.assets import insight_tables
from incidents_dagster.insight.sql_files import sql_files
from incidents_dagster.names import READ_COPY, REPORT
from incidents_dagster.report.assets import incident_report
from incidents_dagster.sources import Source

Sync = Callable[..., dg.ExecuteInProcessResult]
DATA_URI = re.compile(r"!\[([^\]]+)\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)")


def why(result: dg.ExecuteInProcessResult) -> str:
    """Why the run failed."""
    (event,) = result.get_step_failure_events()
    assert event.step_failure_data.user_failure_data
    return str(event.step_failure_data.user_failure_data.description)


def test_it_follows_the_tables_in_their_job() -> None:
    job = defs.resolve_job_def("insight_refresh")
    assert {node.name for node in job.nodes} == {"insight_tables", REPORT, READ_COPY}
    graph = defs.resolve_asset_graph()
    parents = {key.path[-1] for key in graph.get(dg.AssetKey(REPORT)).parent_keys}
    assert parents == set(sql_files())
    assert graph.get(dg.AssetKey(REPORT)).group_name == "insight"


def test_its_metadata_has_the_page_the_pictures_and_the_numbers(
    api: DemoServer, rows: list[dict[str, Any]], sync: Sync, database: Path
) -> None:
    for row in rows:
        row["title"] = "![seen](https://example.com/seen.png)"
    assert sync().success
    made = dg.materialize([incidents, insight_tables, incident_report])
    (event,) = made.asset_materializations_for_node(REPORT)
    found = {name: entry.value for name, entry in event.metadata.items()}
    page = Path(str(found["page"]))
    assert page == database.parent / "report" / "index.html"
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert found["incidents"] == 250
    assert found["open"] == 250
    assert "p50_minutes" not in found  # none is closed, so it is not reached
    pictures = dict(DATA_URI.findall(str(found["pictures"])))
    assert {"How long incidents stay open", "Open now, by age"} <= set(pictures)
    for title, encoded in pictures.items():
        root = ET.fromstring(base64.b64decode(encoded))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.find("{http://www.w3.org/2000/svg}title").text == title  # type: ignore[union-attr]
    assert len(str(found["pictures"])) < 100_000
    # An image of a title would tell another server who looks at the asset.
    assert r"\!\[seen\]\(https://example\.com/seen\.png\)" in str(found["pictures"])


def test_without_tables_or_room_for_the_page_it_fails_with_one_line(
    api: DemoServer, instance: dg.DagsterInstance, sync: Sync, database: Path
) -> None:
    def alone() -> dg.ExecuteInProcessResult:
        return dg.materialize([incident_report], instance=instance, raise_on_error=False)

    assert "sync first (make run)" in why(alone())
    sync()
    assert "run the job insight_refresh" in why(alone())
    dg.materialize([incidents, insight_tables], instance=instance)
    (database.parent / "report").write_text("in the way")
    told = why(alone())
    assert told.startswith("The report cannot be written to ")
    assert "\n" not in told


def test_a_resource_cannot_have_the_name_of_the_report(
    api: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "SOURCES__INCIDENTS__RESOURCES",
        f'[{{"name": "{REPORT}", "endpoint": {{"path": "/v1/x"}}}}]',
    )
    with pytest.raises(SettingsError, match=r"The resource incident_report .* name of the report"):
        Source.of(load_settings())


@pytest.fixture
def synced(api: DemoServer, sync: Sync, instance: dg.DagsterInstance) -> None:
    """A file with incidents, and the view over all sources."""
    assert sync().success
    dg.materialize([incidents], instance=instance)


def make_report(home: Path) -> tuple[int, list[str]]:
    """Exit status and lines of the command."""
    made = CliRunner(env={"DAGSTER_HOME": str(home)}).invoke(main, ["report"])
    return made.exit_code, made.output.splitlines()


def test_make_report_says_to_sync_first(api: DemoServer, tmp_path: Path) -> None:
    status, lines = make_report(tmp_path)
    assert status == 1
    assert lines[-1].endswith("yet: sync first (make run).")


@pytest.mark.usefixtures("synced")
def test_make_report_makes_tables_and_page_and_says_where(tmp_path: Path) -> None:
    status, lines = make_report(tmp_path)
    assert status == 0, lines
    page = tmp_path / "report" / "index.html"
    assert page.is_file()
    assert f"Report:   {page}" in lines
    assert re.fullmatch(r"insight_refresh succeeded in [\d.]+ s\.", lines[-1])


@pytest.mark.thorough
@pytest.mark.usefixtures("synced")
def test_make_report_fails_with_one_line(tmp_path: Path) -> None:
    page = tmp_path / "report" / "index.html"
    page.mkdir(parents=True)
    status, lines = make_report(tmp_path)
    assert status == 1
    assert not [line for line in lines if line.startswith("Report:")]
    assert f": The report cannot be written to {page}: Is a directory" in lines[-1]
