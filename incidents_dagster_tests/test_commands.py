"""The commands of the Makefile, run as a person runs them, in a copy of the project."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from fakes.configuration import written_out
from fakes.dagster_dev import wait_until
from fakes.incidents import incident
from incidents_dagster.assets import apis, synced
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.embedded_elt import DagsterDltResource
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster.run import Outcome, conclude, report, why_failed

TARGETS = {
    *("help", "run", "reconcile", "dev", "sql", "demo-api", "check"),
    *("test", "test-slow", "test-most", "test-newest", "bench", "faults"),
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


@contextmanager
def interruptible(checkout: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m incidents_dagster …`, which Ctrl-C reaches."""
    # A test run in the background may ignore Ctrl-C, and its children would inherit that.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = subprocess.Popen(
        [sys.executable, "-m", "incidents_dagster", *arguments],
        cwd=checkout,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, previous)
    try:
        yield command
    finally:
        command.kill()
        command.communicate()


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
    assert first.stdout.startswith("API:      demo API (no base_url is configured)\n")
    assert "incidents_sync succeeded" in first.stdout
    assert "Notified" not in first.stdout
    assert first.stdout.count("passed") == 10
    assert "  complete  proven: " in first.stdout
    file = checkout / "data" / "demo.duckdb"
    assert f"\nDatabase: {file}\nincident_data:\n" in first.stdout

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
    first = f"API:      {api.base_url}\nDatabase: {file}\n"
    assert process.stdout.startswith(first)
    assert "250 new" in process.stdout
    asked = make(
        checkout,
        "sql",
        "Q=SELECT 'n=' || count(*) AS n FROM incidents.incident_data",
        INCIDENTS_DUCKDB_PATH=str(file),
    )
    assert "n=250" in asked.stdout
    assert asked.stderr == first
    assert not list((checkout / "data").glob("*.duckdb"))


@pytest.mark.thorough
@pytest.mark.usefixtures("at_home")
def test_a_missing_key_is_one_message_and_no_success(
    checkout: Path, api: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("API_KEY")
    process = make(checkout, "run")
    assert process.returncode != 0
    line, from_make = process.stderr.splitlines()
    assert line.startswith("incidents_sync FAILED")
    assert "api_key is missing" in line
    assert re.match(r"make(\[\d+\])?: \*\*\*", from_make)
    assert "Notified: by sync_failure_sensor" in process.stdout
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
    assert "variable SOURCES__INCIDENTS__CLIENT__PAGINATOR__LIMITT" in process.stderr
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
    assert "ids_are_unique: 1 offending: GONE" in process.stdout
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
    assert any(line.startswith("  WARN      not proven complete") for line in told)
    assert "  passed    ids_are_unique" in told


@pytest.mark.usefixtures("api")
def test_the_report_counts_records_once_and_tells_why_they_were_read_twice(
    sync: Callable[..., dg.ExecuteInProcessResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__COMPLETENESS__OVERLAP_PAGES", "false")
    told = list(report(sync()))
    assert "  rows      250 read twice, 250 in all" in told
    again = "read twice as pages are requested by their place in the list; "
    assert any(
        line.startswith("  complete  proven: 250 records in ") and again in line for line in told
    )


@pytest.mark.thorough
@pytest.mark.usefixtures("at_home", "api")
def test_checks_that_do_not_apply_are_told(checkout: Path) -> None:
    config = checkout / ".dlt" / "config.toml"
    config.write_text(
        written_out().replace("resources.columns.status]", "resources.columns.state]")
    )
    process = make(checkout, "run")
    assert process.returncode == 0, process.stderr
    why = "columns.status is not configured"
    assert f"  no check  statuses_are_present: {why}\n" in process.stdout
    assert f"incident_data: not applicable: statuses_are_present ({why})." in process.stderr


@pytest.mark.usefixtures("api")
def test_a_check_of_severity_error_fails_the_command_and_is_described(
    sync: Callable[..., dg.ExecuteInProcessResult],
    database: Path,
    instance: dg.DagsterInstance,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @dg.asset_check(asset="incident_data", description="All is well.")
    def own(_: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    sync()
    result = dg.materialize(
        [*apis, *synced, own],
        resources={
            "dlt": DagsterDltResource(),
            "duckdb": IncidentsDuckDB(database=str(database)),
        },
        instance=instance,
    )
    assert result.success
    described = {spec.key: spec.description for spec in own.check_specs}
    assert "  ERROR     own: All is well." in list(report(result, described))
    assert "  ERROR     own" in list(report(result))
    assert conclude(Outcome("ad_hoc", [], why_failed(result), "1 s")) == 1
    said = capsys.readouterr()
    assert said.err.endswith("FAILED in 1 s: these checks failed: own.\n")
    assert said.out.startswith("Notified: by sync_failure_sensor")


@pytest.mark.thorough
def test_everything_is_read_again_and_reconciled_by_option(
    checkout: Path, api: DemoServer, rows: list[dict[str, Any]]
) -> None:
    assert make(checkout, "run").returncode == 0
    del rows[:2]
    again = make(checkout, "run", "ARGS=--full-refresh")
    assert "  rows      248 read, 248 in all" in again.stdout, again.stderr
    assert "2 deleted at the API" in again.stdout
    del rows[:3]
    reconcile = make(checkout, "reconcile")
    assert "  changes   0 new, 0 changed, 3 deleted at the API" in reconcile.stdout
    assert "incidents_reconcile succeeded" in reconcile.stdout

    # The job refuses to mark all that is left; a sync, even a full one, would not fail.
    rows.clear()
    both = make(checkout, "run", "ARGS=--full-refresh --reconcile")
    assert both.returncode != 0
    assert "incidents_reconcile FAILED" in both.stderr


@pytest.mark.thorough
def test_the_job_is_what_dagster_executes_too(
    checkout: Path, api: DemoServer, rows: list[dict[str, Any]], database: Path
) -> None:
    assert make(checkout, "run").returncode == 0
    del rows[:2]
    command = ["job", "execute", "-m", "incidents_dagster.definitions", "-j", "incidents_reconcile"]
    process = subprocess.run(
        [checkout / ".venv/bin/dagster", *command],
        cwd=checkout,
        env={**os.environ, "DAGSTER_HOME": str(checkout)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    with duckdb.connect(str(database), read_only=True) as connection:
        (gone,) = connection.execute(
            "SELECT count(*) FROM incidents.incident_data WHERE deleted_at IS NOT NULL"
        ).fetchall()
    assert gone == (2,)


def test_ctrl_c_while_dagster_is_imported_ends_with_130_and_no_traceback(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # a line on standard error for each import
    with interruptible(checkout, "sync") as command:
        assert command.stderr
        while " dagster" not in (line := command.stderr.readline()):
            assert line, "it ended before it had begun"
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=60)
    assert command.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.thorough
def test_ctrl_c_ends_a_sync_with_130_and_one_line(checkout: Path, api: DemoServer) -> None:
    api.faults.latency = 60
    with interruptible(checkout, "sync") as command:
        wait_until(lambda: len(api.requests) > 0, 60, "the first request")
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=60)
    assert command.returncode == 130
    assert errors.startswith("incidents_sync was interrupted after ")
    assert errors.count("\n") == 1


def test_ctrl_c_ends_a_query_with_130_and_no_traceback(checkout: Path, database: Path) -> None:
    duckdb.connect(str(database)).execute("CREATE TABLE t AS SELECT 1").close()
    endless = "FROM range(1000000000) a, range(1000000000) b SELECT sum(hash(a.range + b.range))"
    with interruptible(checkout, "sql", f"SELECT 'begun'; {endless}") as command:
        assert command.stdout
        while "begun" not in (line := command.stdout.readline()):
            assert line, "it ended before it had begun"
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=60)
    assert (command.returncode, errors.count("\n")) == (130, 2)


def test_a_query_waits_for_the_file_and_says_for_whom(checkout: Path, database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 'n=' || 7 AS n")
        with interruptible(checkout, "sql", "FROM t") as command:
            assert command.stderr
            assert command.stderr.readline().startswith("API:")
            assert command.stderr.readline() == f"Database: {database}\n"
            told = command.stderr.readline()
            connection.close()
            answer, errors = command.communicate(timeout=60)
    assert f"{database} is open in another process (PID {os.getpid()}, " in told
    assert "waiting for it" in told
    assert (command.returncode, errors) == (0, "")
    assert "n=7" in answer


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
    several = make(checkout, "sql", "Q=SET threads=1; SELECT ';1' AS c; SELECT 2 AS d", **file)
    assert several.stdout.startswith("OK.\n┌")
    assert "';1'" not in several.stdout
    assert ";1" in several.stdout
    assert " 2 " in several.stdout
    assert "column_types" in make(checkout, "sql", **file).stdout
    wrong = make(checkout, "sql", "Q=SELECT nothing FROM (SELECT 1)", **file)
    *_, line, _ = wrong.stderr.splitlines()
    assert line.startswith('Binder Error: Referenced column "nothing" not found')
    assert wrong.returncode != 0


@pytest.mark.usefixtures("at_home")
@pytest.mark.thorough
def test_the_demo_and_an_own_api_have_a_file_each(
    checkout: Path, api: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "SOURCES__INCIDENTS__CLIENT__BASE_URL"):
        monkeypatch.delenv(name)
    own = {"SOURCES__INCIDENTS__CLIENT__BASE_URL": api.base_url, "API_KEY": api.api_key}
    assert make(checkout, "run").returncode == 0
    process = make(checkout, "run", **own)
    assert "  rows      250 read, 250 in all" in process.stdout, process.stderr
    query = "Q=SELECT 'n=' || count(*) FROM incidents.incident_data"
    assert "n=250" in make(checkout, "sql", query, **own).stdout
    asked = make(checkout, "sql", query)
    assert "n=1" in asked.stdout
    assert "demo.duckdb" in asked.stderr


def test_a_query_is_answered_even_if_the_settings_are_wrong(checkout: Path, database: Path) -> None:
    duckdb.connect(str(database)).close()
    secret = "https://user:pass-word@example.com"
    asked = make(checkout, "sql", "Q=SELECT 'n=1'", SOURCES__INCIDENTS__CLIENT__BASE_URL=secret)
    assert "n=1" in asked.stdout
    api, file = asked.stderr.splitlines()
    assert api.startswith("API:      unknown (client.base_url in ")
    assert "pass-word" not in api
    assert file == f"Database: {database}"


def test_make_help_lists_every_command(checkout: Path) -> None:
    listed = {line.split()[1] for line in make(checkout, "help").stdout.splitlines()}
    assert listed >= TARGETS
    assert make(checkout).stdout == make(checkout, "help").stdout
