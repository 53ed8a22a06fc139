"""`make dev` as its user meets it: the pages in a real browser, and Ctrl-C.

The browser is Debian's chromium. UPDATE_SCREENSHOT=1 puts the pictures that the README shows into
docs/.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from fakes.configuration import written_out
from fakes.dagster_dev import BARE_DEV, STOP_SECONDS, DagsterDev, dagster_dev, wait_until
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.settings import PROJECT_ROOT
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster_tests.report.looks import see_it_in_dagster, see_the_page

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
# As root in a container there is no sandbox; the others keep chromium from calling home.
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAGE_SECONDS = 60
RUN_SECONDS = 180
SENSOR_SECONDS = 120  # a tick comes every 30

DESCRIPTIONS = {
    "id": "Identifies the incident in the API; the primary key.",
    "status": "The incident's status, as the API names it.",
    "created_at": "When the incident was opened, UTC.",
    "updated_at": "When the incident last changed, UTC.",
    "phase": "open, acknowledged, closed, or other for what is no incident any more; null for a "
    "status that phases does not name. From status.",
    "deleted_at": "When a full read no longer found the row; null while the API has it.",
}
CHECKS = (
    "ids_are_unique",
    "ids_are_not_null",
    "newest_change_is_recent",
    "statuses_are_present",
    "created_is_not_after_updated",
    "timestamps_are_not_in_the_future",
    "table_matches_source",
    "incremental_misses_nothing",
    "quarantine_is_empty",
    "statuses_have_a_phase",
)
# automation → whether it is on from the start
AUTOMATIONS = {
    "incident_change_sensor": False,
    "insight_sensor": True,
    "incidents_reconcile_weekly": True,
    "incidents_sync_hourly": True,
    "old_runs_sensor": True,
    "sync_failure_sensor": True,
}


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Debian's chromium. Where there is none, the test is skipped; with CI set, it fails."""
    executable = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if executable is None:
        missing = f"no {', '.join(CHROMIUMS)} on PATH; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, headless=True, args=list(CHROMIUM_ARGUMENTS)
        )
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What went wrong in the page, filled by `page`."""
    return []


@pytest.fixture
def page(browser: Browser, complaints: list[str]) -> Page:
    """An empty page that keeps its complaints."""
    page = browser.new_page(
        viewport={"width": 1400, "height": 1000}, locale="en-US", timezone_id="UTC"
    )
    page.set_default_timeout(PAGE_SECONDS * 1000)
    expect.set_options(timeout=PAGE_SECONDS * 1000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("response", lambda r: complaints.append(r.url) if r.status >= 400 else None)
    return page


@pytest.mark.browser
def test_the_browser_shows_the_asset_and_materializes_it(
    checkout: Path, tmp_path: Path, page: Page, complaints: list[str]
) -> None:
    with dagster_dev(checkout, FRESHNESS_DAEMON_INTERVAL_SECONDS="2") as ui:
        see_the_definition(page, ui)

        page.get_by_role("button", name=re.compile("Materialize$")).click()
        expect(toasts(page)).to_have_text(re.compile("^Launched run "))
        see_the_sync_pass(page, ui, checkout)
        expect(cell(page, "id", 2)).to_contain_text("VARCHAR")
        screenshot(page, tmp_path, "asset")

        see_the_checks(page, ui)
        see_the_materialization(page, ui)
        see_the_automations(page, ui)
        see_the_report(page, ui, checkout, tmp_path)
    assert complaints == []


@pytest.mark.browser
def test_the_browser_shows_the_lineage_from_each_api_to_the_view(
    checkout: Path, tmp_path: Path, page: Page, complaints: list[str]
) -> None:
    sources = ("incidents", "tickets", "status_page")
    config = checkout / ".dlt" / "config.toml"
    more = "".join(f'[sources.{name}]\npreset = "default"\n' for name in sources[1:])
    also = f"also = {json.dumps(sources[1:])}"
    config.write_text(config.read_text().replace("#also = []", also) + more)
    with dagster_dev(checkout) as ui:
        for run_id in [ui.launch(jobName=f"{name}_sync") for name in sources]:
            assert ui.ended(run_id) == "SUCCESS"
        page.goto(f"{ui.url}/assets/incidents?view=lineage&lineageScope=upstream&lineageDepth=2")
        graph = page.locator("foreignObject")
        for name, count in {"incident_api": 3, "incident_data": 3, "incidents": 1}.items():
            assets = graph.get_by_text(name, exact=True)
            expect(assets).to_have_count(count + (name in sources))  # and a group of that name
        for name in sources:
            expect(graph.get_by_text(name, exact=True).first).to_be_visible()
        expect(graph.get_by_text("Materialized", exact=True)).to_have_count(4)
        quiet(page)
        screenshot(page, tmp_path, "lineage")
    assert complaints == []


def see_the_definition(page: Page, ui: DagsterDev) -> None:
    """The asset before its first materialization."""
    page.goto(f"{ui.url}/assets/incident_data")
    expect(labelled(page, "Latest materialization")).to_have_text("Never materialized")
    table = page.locator("code").get_by_text("incidents.incident_data", exact=True)
    expect(page.get_by_role("paragraph").filter(has=table)).to_be_visible()
    for column, description in DESCRIPTIONS.items():
        expect(cell(page, column, 3)).to_have_text(description)
    expect(labelled(page, "Group")).to_have_text("incidents")
    expect(labelled(page, "Schedules")).to_contain_text("2 schedules")


def see_the_sync_pass(page: Page, ui: DagsterDev, checkout: Path) -> None:
    """The overview once the run has ended, on a fresh page without toasts."""
    done = labelled(page, "Latest materialization").get_by_role("img", name="run_success")
    expect(done).to_be_visible(timeout=RUN_SECONDS * 1000)
    wait_until(lambda: passes(page, ui), PAGE_SECONDS, "checks and freshness policy pass")

    with IncidentsDuckDB(database=str(checkout / "data/demo.duckdb")).get_connection() as db:
        (count,) = db.execute("SELECT count(*) FROM incidents.incident_data").fetchall()[0]
    assert count > 0
    expect(labelled(page, "Row count")).to_have_text(f"{count:,}")


def passes(page: Page, ui: DagsterDev) -> bool:
    """Whether a newly loaded overview says that all is well; it does not update all by itself."""
    page.goto(f"{ui.url}/assets/incident_data")
    checks = labelled(page, "Latest check results")
    expect(checks).to_have_text(str(len(CHECKS)))
    try:
        expect(checks.get_by_role("img", name="check_circle")).to_be_visible(timeout=5000)
        freshness = labelled(page, "Freshness policy")
        expect(freshness).to_have_text("Passing", timeout=5000)
    except AssertionError:
        return False
    expect(toasts(page)).to_have_count(0)
    return True


def screenshot(page: Page, tmp_path: Path, name: str) -> None:
    """The page as a picture."""
    page.evaluate("document.fonts.ready")
    page.screenshot(path=picture_of(name, tmp_path), animations="disabled")


def picture_of(name: str, tmp_path: Path) -> Path:
    """Where a picture goes."""
    wanted = os.environ.get("UPDATE_SCREENSHOT") == "1"
    return (PROJECT_ROOT / "docs" if wanted else tmp_path) / f"{name}.png"


def see_the_checks(page: Page, ui: DagsterDev) -> None:
    """Every check by its name, passed."""
    page.goto(f"{ui.url}/assets/incident_data?view=checks")
    expect(page.get_by_text(f"Checks ({len(CHECKS)})")).to_be_visible()
    for name in CHECKS:
        entry = page.get_by_title(name, exact=True).locator("xpath=..")
        expect(entry).to_contain_text("Succeeded")
    quiet(page)


def see_the_materialization(page: Page, ui: DagsterDev) -> None:
    """What the sync reported of itself."""
    page.goto(f"{ui.url}/assets/incident_data?view=events")
    for key in ("rows_loaded", "pages", "requests"):
        expect(cell(page, key, 2)).to_have_text(re.compile("^[1-9][0-9,]*$"))
    expect(cell(page, "load_id", 2)).to_have_text(re.compile(r"^[0-9]+\.[0-9]+$"))
    preview = cell(page, "preview", 2)
    expect(preview.get_by_role("columnheader", name="updated_at")).to_be_visible()
    expect(preview.get_by_role("cell", name=re.compile("^INC-"))).to_have_count(5)
    quiet(page)


def see_the_automations(page: Page, ui: DagsterDev) -> None:
    """Schedule and sensors, and whether they are on."""
    page.goto(f"{ui.url}/automation")
    for name, is_on in AUTOMATIONS.items():
        link = page.locator(f"a[href$='/{name}']")
        expect(link).to_contain_text(name)
        # The switch has no name; it is the last box of the row.
        switch = link.locator("xpath=..").get_by_role("checkbox").last
        expect(switch).to_be_checked(checked=is_on)
    expect(page.locator("a[href^='/locations/']")).to_have_count(len(AUTOMATIONS))
    quiet(page)


def see_the_report(page: Page, ui: DagsterDev, checkout: Path, tmp_path: Path) -> None:
    """What the incidents say, in Dagster and as a page without a network."""
    view = ui.launch(assetSelection=[{"path": ["incidents"]}])
    assert ui.ended(view) == "SUCCESS"
    assert ui.ended(ui.launch(jobName="insight_refresh")) == "SUCCESS"
    see_it_in_dagster(page, ui.url)
    browser = page.context.browser
    assert browser
    written = checkout / "data" / "report" / "index.html"
    see_the_page(browser, written, picture_of("report", tmp_path))


def labelled(page: Page, label: str) -> Locator:
    """What stands under a label of the overview."""
    return page.locator(f"xpath=//span[normalize-space()='{label}']/following-sibling::*[1]").first


def cell(page: Page, key: str, number: int) -> Locator:
    """Cell `number`, from 1 on, of the table row whose first cell is `key`."""
    return page.locator(f"xpath=//tr[td[1][normalize-space()='{key}']]/td[{number}]")


def toasts(page: Page) -> Locator:
    """Dagster's messages in the corner of the page."""
    return page.locator("[class*=toastMessage]")


def quiet(page: Page) -> None:
    """No message and no dialog has come up."""
    expect(toasts(page)).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.slow
def test_ctrl_c_ends_make_dev_and_a_run_within_it(checkout: Path, api: DemoServer) -> None:
    api.faults.latency = 600
    with dagster_dev(checkout) as ui:
        run_id = ui.launch()
        wait_until(lambda: bool(api.requests), PAGE_SECONDS, f"{run_id} asked the API")
        assert not ui.is_gone()
        ui.interrupt()
        wait_until(ui.is_gone, STOP_SECONDS, "everything that make dev started has ended")
    log = ui.log.read_text()
    assert api.api_key not in log
    file = checkout / "data" / "warehouse.duckdb"
    before_dagster, _, _ = log.partition("dagster - ")
    assert f"API:      {api.base_url}\nDatabase: {file}\n" in before_dagster


@pytest.mark.slow
def test_a_bare_dagster_dev_is_the_same_project_with_the_same_history(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "DAGSTER_HOME" not in os.environ
    with dagster_dev(checkout, *BARE_DEV) as ui:
        run_id = ui.sync()
    assert list((checkout / "data" / "dagster" / "history").rglob(f"{run_id}*"))
    monkeypatch.setenv("DAGSTER_HOME", str(checkout))  # as `make dev` has it
    with dg.DagsterInstance.get() as instance:
        assert instance.get_run_by_id(run_id)


@pytest.mark.slow
def test_a_run_after_a_change_of_the_columns_asks_for_a_reload(
    checkout: Path, api: DemoServer
) -> None:
    asset = {"path": ["incident_data"]}
    check = {"name": "statuses_are_present", "assetKey": asset}  # which is then no more
    with dagster_dev(checkout) as ui:
        config = checkout / ".dlt" / "config.toml"
        config.write_text(written_out().replace("columns.status]", "columns.state]"))
        for selection in ({}, {"assetSelection": [asset], "assetCheckSelection": [check]}):
            run_id = ui.launch(**selection)
            assert ui.ended(run_id) == "FAILURE"
            _, _, of_this_run = ui.log.read_text().partition(run_id)
            assert "reload the code location" in of_this_run
    assert api.requests == []


@pytest.mark.slow
def test_a_file_that_is_not_toml_is_told_for_the_next_run(checkout: Path, api: DemoServer) -> None:
    with dagster_dev(checkout) as ui:

        def reports(what: str) -> bool:
            return what in ui.log.read_text()

        wait_until(
            lambda: reports("sync_failure_sensor skipped"),
            SENSOR_SECONDS,
            "the first tick",
        )
        secrets = checkout / ".dlt" / "secrets.toml"
        secrets.write_text('api_key = "s3cr3t-text\n')
        run_id = ui.launch()
        assert ui.ended(run_id) == "FAILURE"
        # Of this run, or of Dagster's second try, if that has failed by then.
        told = f"): {secrets} is not valid TOML, at line 1, column"
        wait_until(lambda: reports(told), SENSOR_SECONDS, told)
        assert not reports("s3cr3t-text")
    assert api.requests == []
