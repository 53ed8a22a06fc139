"""`dagster dev` for section `leaks`: ticks of sensors, a webhook that fails, GraphQL over HTTP.

A copy of the project runs as a user has it. The change sensor finds rows and asks for a run; from
then on the API refuses the key and repeats it, the run fails, and the webhook is told of it.
"""

import json
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tomlkit

from fakes.configuration import written_out
from fakes.dagster_dev import BARE_DEV, REPOSITORY, dagster_dev, wait_until
from fakes.messages import Asked, Reply
from fakes.web import Web
from faults.cases.leaks import Case, Place, good, refused
from faults.judging.outcome import Outcome
from faults.judging.search import Search
from faults.running.project import ROOT
from faults.running.stores import rows_of_project

NOT_COPIED = (
    *(".git", ".venv*", "data", "secrets.toml", "logs", ".logs_queue", ".*_cache", "docs"),
    *("faults", "bench", "fakes", "reporting", "incidents_dagster_tests"),
)
SECONDS = 150.0
WEBHOOK_PATH = "/hooks/w3bh00k-QJX7ZK2M5PLT"
LOGS = "\npython_logs: {managed_python_loggers: [root], python_log_level: DEBUG}\n"
START = """mutation($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) {
    __typename } }"""
TICKS = """query($repository: RepositorySelector!) {
  sensorsOrError(repositorySelector: $repository) { ... on Sensors { results { name sensorState {
    ticks(limit: 50) { status skipReason runIds logKey error { message stack }
      logEvents { events { message } } } } } } } }"""
RUNS = """query { runsOrError { ... on Runs { results { runId status runConfigYaml
    tags { key value } eventConnection(limit: 1000) { events { __typename
      ... on MessageEvent { message level } ... on ErrorEvent { error { message stack } }
      ... on LogsCapturedEvent { fileKey } } } } } }
  assetNodes { assetKey { path } description metadataEntries { label description
    ... on TextMetadataEntry { text } ... on JsonMetadataEntry { jsonString } } }
  workspaceOrError { ... on Workspace { locationEntries { name displayMetadata { key value } } } }
  instance { info daemonHealth { allDaemonStatuses { daemonType lastHeartbeatErrors { message
    stack } } } } }"""
CAPTURED = """query($key: [String!]!) { capturedLogs(logKey: $key) { stdout stderr } }"""


def in_the_ui() -> tuple[list[Outcome], Search]:
    """Three outcomes, and what was searched."""
    case = Case("dagster dev", "query, odd name", refused(401))
    search = Search([*case.secrets, WEBHOOK_PATH])
    notes: dict[str, list[str]] = {"ticks of a sensor": [], "a webhook that fails": []}
    with TemporaryDirectory() as name, ExitStack() as stack:
        stored = rows_of_project(Path(name))
        stack.callback(stored.remove)
        search.also(stored.secrets)
        place = Place(case, "http://127.0.0.1:9")
        asked_first: list[Asked] = []

        def answer(asked: Asked) -> Any:
            if "sort" in asked.query and len(asked_first) < 1:  # the sensor's question
                asked_first.append(asked)
                return good(place, asked)
            return place.answer(asked)

        api = stack.enter_context(Web(answer))
        webhook = stack.enter_context(Web(lambda asked: Reply({"hook": asked.path}, 500)))
        place.api = api.base_url
        checkout = _copy(Path(name), place)
        environment = {
            **stored.environment(),
            **place.environment(),
            "SOURCES__INCIDENTS__WEBHOOK_URL": webhook.base_url + WEBHOOK_PATH,
            "RUNTIME__LOG_LEVEL": "DEBUG",
            "TMPDIR": name,
        }
        with dagster_dev(checkout, *BARE_DEV, **environment) as ui:
            ui.ask(START, sensor={**REPOSITORY, "sensorName": "incident_change_sensor"})
            wait_until(lambda: bool(webhook.asked), SECONDS, "the webhook was told")
            ticks = [""]

            def skipped() -> bool:
                ticks[0] = json.dumps(ui.ask(TICKS, repository=REPOSITORY))
                return "returned 401" in ticks[0] and "Delivery to webhook_url" in ticks[0]

            wait_until(skipped, SECONDS, "a tick was skipped, and the webhook's failure logged")
            told = ui.ask(RUNS)
            keys = [
                event["fileKey"].split("/")
                for run in told["runsOrError"]["results"]
                for event in run["eventConnection"]["events"]
                if event.get("fileKey")
            ]
            told["captured"] = [ui.ask(CAPTURED, key=key) for key in keys]
        for what, text in {
            "ticks of a sensor": ticks[0],
            "a webhook that fails": repr(webhook.asked[0].body),
        }.items():
            before = len(search.found)
            search.text(what, text)
            notes[what] = search.found[before:]
        before = len(search.found)
        search.text("GraphQL", json.dumps(told, ensure_ascii=False))
        search.folder(Path(name))
        search.values("the server's tables", stored.texts())
        notes["GraphQL, event log, compute logs, all files"] = search.found[before:]
        if case.key not in repr(api.asked):
            notes["ticks of a sensor"].append("the secret did not arrive")
    return [
        Outcome(f"dagster dev: {what}", "wrong" if found else "red", "; ".join(found[:5]))
        for what, found in notes.items()
    ], search


def _copy(folder: Path, place: Place) -> Path:
    checkout = folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (checkout / ".venv").symlink_to(sys.prefix)
    with (checkout / "dagster.yaml").open("a") as file:
        file.write(LOGS)
    config = checkout / ".dlt" / "config.toml"
    settings = tomlkit.parse(written_out()).unwrap()
    section = settings["sources"]["incidents"]
    place.configure(section)
    section["change_sensor"]["interval_seconds"] = 1
    config.write_text(tomlkit.dumps(settings))
    return checkout
