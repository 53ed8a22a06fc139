"""The files of `deploy/`, held against the code and against each other. Nothing is started."""

import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from incidents_dagster import history
from incidents_dagster.ingestion.settings import PROJECT_ROOT
from incidents_dagster.ingestion.warehouse.configured_store import KEYS
from incidents_dagster.jobs import reconcile_jobs, sync_jobs
from incidents_dagster.names import SOURCE_TAG

DEPLOY = PROJECT_ROOT / "deploy"
DAGSTERS = version("dagster")


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


INSTANCE = loaded(DEPLOY / "dagster.yaml")
VALUES = loaded(DEPLOY / "helm-values.yaml")
COMPOSE = loaded(DEPLOY / "compose.yaml")
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()


def test_runs_are_limited_by_the_tag_that_the_jobs_have() -> None:
    (limit,) = INSTANCE["concurrency"]["runs"]["tag_concurrency_limits"]
    assert limit == {"key": SOURCE_TAG, "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    for jobs in (sync_jobs, reconcile_jobs):
        # As `tags`: those that are `run_tags` are only on the runs that the UI starts.
        assert {name: job.tags for name, job in jobs.items()} == {
            name: {SOURCE_TAG: name} for name in jobs
        }


def test_what_one_machine_has_several_workers_have_too() -> None:
    alone = loaded(PROJECT_ROOT / "dagster.yaml")
    for name in ("run_retries", "retention", "freshness", "telemetry", "nux"):
        assert INSTANCE[name] == alone[name]
    assert INSTANCE["concurrency"]["pools"] == alone["concurrency"]["pools"]
    assert INSTANCE["run_monitoring"].items() >= alone["run_monitoring"].items()
    assert hasattr(history, INSTANCE["compute_logs"]["class"])


def test_kubernetes_gets_the_same_instance() -> None:
    given = VALUES["additionalInstanceConfig"]
    same = ("concurrency", "run_monitoring", "run_retries", "retention", "freshness", "nux")
    assert given == {name: INSTANCE[name] for name in same}
    assert VALUES["telemetry"] == INSTANCE["telemetry"]
    # Dagster refuses limits in two places, and the chart's own would not be all of these.
    daemon = VALUES["dagsterDaemon"]
    assert not any(daemon["runCoordinator"]["config"]["queuedRunCoordinator"].values())
    assert not daemon["runMonitoring"]["enabled"]
    assert not daemon["runRetries"]["enabled"]


def test_the_versions_are_those_of_the_lock() -> None:
    assert VALUES["dagsterWebserver"]["image"]["tag"] == DAGSTERS
    assert VALUES["dagsterDaemon"]["image"]["tag"] == DAGSTERS
    assert f"--version {DAGSTERS}" in (DEPLOY / "helm-values.yaml").read_text()
    lock = (PROJECT_ROOT / "requirements-shared.lock").read_text()
    minor, patch = re.match(r"1\.(\d+)\.(\d+)", DAGSTERS).groups()  # type: ignore[union-attr]
    assert f"dagster-postgres==0.{int(minor) + 16}.{patch} " in lock
    project = re.search('^version = "(.+)"', (PROJECT_ROOT / "pyproject.toml").read_text(), re.M)
    (image,) = (one["image"] for one in VALUES["dagster-user-deployments"]["deployments"])
    assert project
    assert image["tag"] == project[1]
    assert COMPOSE["x-image"]["image"].endswith(f":{project[1]}")


def test_the_variables_are_those_that_are_read() -> None:
    read = {f"WAREHOUSE__{key.upper()}" for key in KEYS}
    read |= set(re.findall(r"env: (\w+)", (DEPLOY / "dagster.yaml").read_text()))
    read |= set(re.findall(r"env: (\w+)", (DEPLOY / "workspace.yaml").read_text()))
    read |= {"DAGSTER_DAEMON_HEARTBEAT_TOLERANCE"}  # of Dagster itself
    image = set(re.findall(r"^\s+(\w+)=", CONTAINERFILE, re.M))
    for service in ("code", "daemon", "web"):
        given = COMPOSE["services"][service]["environment"]
        assert set(given) <= read
        needed = {"DAGSTER_POSTGRES_URL", "DAGSTER_COMPUTE_LOGS", "INCIDENTS_CODE_SERVER_PORT"}
        assert needed <= {*given} | image
    (code,) = VALUES["dagster-user-deployments"]["deployments"]
    assert {one["name"] for one in code["env"]} <= read


def test_nothing_of_it_is_root_or_has_a_secret() -> None:
    assert re.findall(r"^USER (.+)", CONTAINERFILE, re.M) == ["10001"]
    assert "secrets.toml" not in CONTAINERFILE
    for service in COMPOSE["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert {"healthcheck", "stop_grace_period", "deploy"} <= {*service}
    assert not re.search(r"://\w+:\w+@", (DEPLOY / "compose.yaml").read_text())
    for role in (
        VALUES["dagsterWebserver"],
        VALUES["dagsterDaemon"],
        *VALUES["dagster-user-deployments"]["deployments"],
    ):
        assert role["podSecurityContext"]["runAsNonRoot"]
        assert role["resources"]["requests"]["memory"]
        assert role["livenessProbe"]


def test_secrets_come_from_files(tmp_path: Path) -> None:
    awkward = 'two words, "$x" and `y`'
    (tmp_path / "API_KEY").write_text(f"{awkward}\n")
    (tmp_path / "PRESENT").write_text("of the file")
    (tmp_path / "not-a-variable").write_text("ignored")
    (tmp_path / "FOLDER").mkdir()
    said = subprocess.run(
        [DEPLOY / "entrypoint.sh", "sh", "-c", 'echo "$API_KEY|$PRESENT"'],
        env={"PATH": "/usr/bin:/bin", "SECRETS_FOLDER": str(tmp_path), "PRESENT": "of before"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == f"{awkward}|of before\n"
    assert not said.stderr
