"""What several workers hold: one run of a source at a time, and no run that is lost."""

import os
import signal
from typing import Any

from fakes.dagster_dev import wait_until
from fakes.deployment import Deployment
from fakes.incidents import incident
from incidents_dagster.names import SOURCE_TAG, sync_job
from incidents_dagster_tests.deploy.conftest import HeldApi
from incidents_dagster_tests.shared.database import Database

RUNS = """{ runsOrError { ... on Runs { results {
    runId jobName status startTime endTime tags { key value } } } } }"""
TWO_DAEMONS = "daemon is still sending heartbeats"
WAIT_SECONDS = 180.0
ROUND = "QueuedRunCoordinatorDaemon"


def runs(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Run → what the history says about it."""
    results = deployment.ui.ask(RUNS)["runsOrError"]["results"]
    for run in results:
        run["tags"] = {tag["key"]: tag["value"] for tag in run["tags"]}
    return {run["runId"]: run for run in results}


def under_way(deployment: Deployment) -> list[str]:
    """The runs that have not ended."""
    ends = ("SUCCESS", "FAILURE", "CANCELED")
    return [run for run, one in runs(deployment).items() if one["status"] not in ends]


def ended_again(deployment: Deployment, run: str) -> str:
    """How the run that repeats a failed one has ended."""

    def again() -> list[str]:
        found = runs(deployment).values()
        return [one["runId"] for one in found if one["tags"].get("dagster/parent_run_id") == run]

    wait_until(lambda: bool(again()), WAIT_SECONDS, f"{run} is tried again")
    (repeated,) = again()
    # Else it would not wait for other runs of its source.
    assert SOURCE_TAG in runs(deployment)[repeated]["tags"]
    return deployment.ui.ended(repeated)


def rounds(deployment: Deployment) -> int:
    """How often the daemon has looked at the queue while there was something in it."""
    return deployment.log("daemon").read_text().count(ROUND)


def test_sources_sync_at_once_and_each_of_them_alone(
    deployment: Deployment, rows: Database, apis: dict[str, HeldApi]
) -> None:
    ui = deployment.ui
    for api in apis.values():
        api.hold()
    first = [ui.launch(jobName=sync_job(source)) for source in apis]
    for source, api in apis.items():
        assert api.asked.wait(WAIT_SECONDS), f"{source} was not asked while the others were"
    second = [ui.launch(jobName=sync_job("pages"))]
    # As from the page of an asset: such a run has no tag.
    second.append(ui.launch(jobName="__ASSET_JOB", assetSelection=[{"path": ["incident_data"]}]))
    before = rounds(deployment)
    wait_until(lambda: rounds(deployment) > before + 2, WAIT_SECONDS, "the queue was looked at")
    found = runs(deployment)
    assert [found[run]["status"] for run in first] == ["STARTED", "STARTED"]
    assert [found[run]["status"] for run in second] == ["QUEUED", "QUEUED"]
    for api in apis.values():
        api.release()
    assert [ui.ended(run) for run in first + second] == ["SUCCESS"] * 4
    found = runs(deployment)
    assert [found[run]["tags"].get(SOURCE_TAG) for run in first] == [*apis]
    for earlier, later in ((first[1], second[0]), (first[0], second[1])):
        assert found[earlier]["endTime"] <= found[later]["startTime"]
    for source, api in apis.items():
        assert rows.count(table=f"{source}.incident_data") == len(api.rows)


def test_a_run_that_is_killed_while_it_loads_is_done_again(
    deployment: Deployment, rows: Database, apis: dict[str, HeldApi]
) -> None:
    ui, table = deployment.ui, "incidents.incident_data"
    if not runs(deployment):
        ui.sync()
    api = apis["incidents"]
    api.rows = [incident(n, version=1) for n in range(1, 301)]
    with rows.cluster.locked(rows.name, table):
        run = ui.launch()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_until(lambda: rows.ask(waiting)[0][0] > 0, WAIT_SECONDS, "the load waits")
        for process in deployment.run_processes():
            os.kill(process, signal.SIGKILL)
        assert ui.ended(run) == "FAILURE"

    assert ended_again(deployment, run) == "SUCCESS"
    assert rows.count(table=table) == 300
    assert rows.count("status = 'version 1'", table) == 300


def test_a_second_web_server_serves_the_same(
    deployment: Deployment, apis: dict[str, HeldApi]
) -> None:
    deployment.start("web2")
    second = deployment.web_server("web2")
    wait_until(second.serves, WAIT_SECONDS, f"{second.url} serves")
    run = second.launch(jobName=sync_job("pages"))
    assert deployment.ui.ended(run) == "SUCCESS"
    deployment.stop("web2")


def test_a_second_daemon_is_told_of_and_takes_no_rows(
    deployment: Deployment, rows: Database, apis: dict[str, HeldApi]
) -> None:
    """Both may launch a run; it then counts as failed, goes on all the same, and is repeated.
    docs/deploy.md says to have one."""
    deployment.start("daemon2")
    seen = deployment.log("daemon2")
    wait_until(lambda: "SensorDaemon" in seen.read_text(), WAIT_SECONDS, "the second daemon works")
    for api in apis.values():
        api.rows = [incident(n, version=3) for n in range(1, 271)]
    for run in [deployment.ui.launch(jobName=sync_job(source)) for source in apis]:
        deployment.ui.ended(run)
    wait_until(lambda: TWO_DAEMONS in seen.read_text(), WAIT_SECONDS, "it is told of")
    deployment.stop("daemon2")
    wait_until(lambda: not under_way(deployment), WAIT_SECONDS, "all runs have ended")
    for source in apis:
        assert rows.count("status = 'version 3'", f"{source}.incident_data") == 270


def test_runs_that_end_with_their_code_server_hold_up_no_others(
    deployment: Deployment, rows: Database, apis: dict[str, HeldApi]
) -> None:
    ui, api = deployment.ui, apis["pages"]
    api.rows = [incident(n, version=4) for n in range(1, 281)]
    api.hold()
    lost = ui.launch(jobName=sync_job("pages"))
    assert api.asked.wait(WAIT_SECONDS)
    waiting = ui.launch(jobName=sync_job("pages"))
    deployment.kill("code")
    api.release()
    deployment.start_code_server()
    assert (ui.status(lost), ui.status(waiting)) == ("STARTED", "QUEUED")
    ended = deployment.ran("python", "-m", "incidents_dagster", "end-lost-runs")
    assert ended.stdout == f"Run {lost} was lost, and has failed.\n", ended.stderr
    assert ui.status(lost) == "FAILURE"
    assert ui.ended(waiting) == "SUCCESS"
    assert rows.count("status = 'version 4'", "pages.incident_data") == 280


def test_each_ends_quickly_and_says_before_that_it_is_well(deployment: Deployment) -> None:
    code = deployment.environment["INCIDENTS_CODE_SERVER_PORT"]
    well = (
        ("dagster", "api", "grpc-health-check", "-p", code),
        ("dagster-daemon", "liveness-check"),
    )
    for command in well:
        said = deployment.ran(*command)
        assert said.returncode == 0, said.stderr
    for role in ("web", "daemon", "code"):
        deployment.stop(role)  # within STOP_SECONDS
        assert deployment.running[role].returncode == 0
    assert deployment.ran(*well[0]).returncode
