"""The commands of the Makefile, run as a person runs them, in a copy of the project."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from fakes.incidents import incident
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.run import report

TARGETS = {
    *("help", "run", "dev", "sql", "demo-api", "check"),
    *("test", "test-slow", "test-duckdb2", "bench", "faults"),
}
MAXIMUM = "SOURCES__INCIDENTS__CLIENT__PAGINATOR__MAXIMUM_OFFSET"


def make(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs make in `checkout`; the environment is the test's, `environment` on top."""
    # Nothing is installed here (-o): the environment of this very test run is as new as it gets.
    return subprocess.run(
        ["make", "--no-print-directory", "-o", ".venv/run", *arguments],
        cwd=checkout,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, data and history are those of the copy."""
    for name in ("DLT_PROJECT_DIR", "DLT_DATA_DIR", "INCIDENTS_DUCKDB_PATH"):
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("at_home")
@pytest.mark.thorough
def test_make_run_syncs_the_demo_api_twice_without_duplicates(checkout: Path) -> None:
    first = make(checkout, "run")
    assert first.returncode == 0, first.stderr
    assert "incidents_sync succeeded" in first.stdout
    assert first.stdout.count("passed") == 8
    assert "  complete  proven: " in first.stdout
    file = checkout / "data" / "warehouse.duckdb"
    assert str(file) in first.stdout

    with duckdb.connect(str(file), read_only=True) as connection:
        (newest,) = connection.execute(
            "SELECT max(epoch(updated_at)) FROM incidents.incident_data"
        ).fetchall()[0]
    # The demo API changes every half minute.
    time.sleep(max(0.0, newest + 31 - time.time()))
    second = make(checkout, "run")
    assert second.returncode == 0, second.stderr
    assert " 0 changed" not in second.stdout
    with duckdb.connect(str(file), read_only=True) as connection:
        counts = connection.execute(
            "SELECT count(*), count(DISTINCT id), max(epoch(updated_at)) "
            "FROM incidents.incident_data"
        ).fetchall()[0]
    assert counts[0] == counts[1]
    assert counts[2] > newest


@pytest.mark.usefixtures("at_home")
@pytest.mark.thorough
def test_the_environment_points_make_run_at_another_api_and_file(
    checkout: Path, api: DemoServer, tmp_path: Path
) -> None:
    file = tmp_path / "elsewhere.duckdb"
    process = make(checkout, "run", INCIDENTS_DUCKDB_PATH=str(file))
    assert process.returncode == 0, process.stderr
    assert "250 new" in process.stdout
    asked = make(
        checkout,
        "sql",
        "Q=SELECT 'n=' || count(*) AS n FROM incidents.incident_data",
        INCIDENTS_DUCKDB_PATH=str(file),
    )
    assert "n=250" in asked.stdout
    assert not (checkout / "data" / "warehouse.duckdb").exists()


@pytest.mark.usefixtures("at_home")
def test_a_missing_key_is_one_message_and_no_success(
    checkout: Path, api: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("API_KEY")
    process = make(checkout, "run")
    assert process.returncode != 0
    assert "incidents_sync FAILED" in process.stderr
    assert "api_key is missing" in process.stderr
    assert "Traceback" not in process.stdout + process.stderr

    validated = subprocess.run(
        [checkout / ".venv/bin/dagster", "definitions", "validate", "-w", "workspace.yaml"],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert validated.returncode == 0, validated.stderr


@pytest.mark.usefixtures("at_home")
def test_a_wrong_setting_is_one_message(checkout: Path) -> None:
    process = make(checkout, "run", SOURCES__INCIDENTS__CLIENT__PAGINATOR__LIMITT="3")
    assert process.returncode != 0
    assert "'limitt'" in process.stderr
    assert str(checkout / ".dlt" / "config.toml") in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.thorough
def test_a_failed_check_fails_make_run_by_name(
    checkout: Path, api: DemoServer, database: Path
) -> None:
    assert make(checkout, "run").returncode == 0
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "INSERT INTO incidents.incident_data BY NAME "
            "SELECT * REPLACE ('GONE' AS id) FROM incidents.incident_data WHERE id <= 'INC-0002'"
        )
    process = make(checkout, "run")
    assert process.returncode != 0
    assert "ids_are_unique: 1 offend: GONE" in process.stdout
    assert "ids_are_unique" in process.stderr


@pytest.mark.usefixtures("api")
def test_the_report_tells_what_is_bad_gone_and_not_proven(
    rows: list[dict[str, Any]],
    sync: Callable[..., dg.ExecuteInProcessResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync()
    del rows[:2]
    rows.append(incident(251, status={"odd": True}))
    told = list(report(sync(reconcile=True)))
    assert "  rows      249 read, 1 of them quarantined, 248 in all" in told
    assert "  changes   0 new, 0 changed, 2 deleted at the API" in told
    assert any(line.startswith("  complete  proven: 249 records in 4 pages") for line in told)
    assert any(line.startswith("  WARN      quarantine_is_empty: 1 record") for line in told)

    monkeypatch.setenv(MAXIMUM, "100")
    told = list(report(sync(full_refresh=True)))
    assert "  rows      100 read, 248 in all" in told
    assert "  complete  unproven: the paginator is configured to stop at a maximum" in told
    assert any(line.startswith("  WARN      not proven to be complete") for line in told)
    assert "  passed    ids_are_unique" in told


@pytest.mark.usefixtures("at_home")
def test_make_sql_takes_any_query_and_explains_what_it_cannot_answer(
    checkout: Path, database: Path
) -> None:
    nothing_yet = make(checkout, "sql", "Q=SELECT 1")
    assert nothing_yet.returncode != 0
    assert "There is no database" in nothing_yet.stderr
    duckdb.connect(str(database)).close()
    file = {"INCIDENTS_DUCKDB_PATH": str(database)}
    answer = make(checkout, "sql", """Q=SELECT "a" || '$5' AS b FROM (SELECT 'x' AS a)""", **file)
    assert "x$5" in answer.stdout
    wrong = make(checkout, "sql", "Q=SELEKT", **file)
    assert "syntax error" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_make_help_lists_every_command(checkout: Path) -> None:
    listed = {line.split()[1] for line in make(checkout, "help").stdout.splitlines()}
    assert listed >= TARGETS
    assert make(checkout).stdout == make(checkout, "help").stdout
