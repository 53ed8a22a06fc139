"""What every test stands on: a sealed environment, a real API, a copy of the project."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import dlt
import duckdb
import pytest

from fakes.incidents import incident
from incidents_dagster.assets import apis, synced
from incidents_dagster.checks import source_checks
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.embedded_elt import DagsterDltResource
from incidents_dagster.ingestion.http.pace import Pace
from incidents_dagster.ingestion.settings import PROJECT_ROOT
from incidents_dagster.resources import IncidentsDuckDB

NOT_COPIED = (
    *(".git", ".venv*", "data", "secrets.toml", "logs", ".logs_queue"),
    *(".*_cache", ".hypothesis", "*.egg-info"),
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test marked `sample(n)`, all cases but the first `n` are `thorough`, and the `rest`.

    What takes longest comes first, so that no worker is left alone with it at the end.
    """
    items.sort(key=lambda item: not any(map(item.get_closest_marker, ("slow", "browser"))))
    cases: Counter[str] = Counter()
    for item in items:
        if marker := item.get_closest_marker("sample"):
            test = item.nodeid.partition("[")[0]
            cases[test] += 1
            if cases[test] > marker.args[0]:
                item.add_marker(pytest.mark.thorough)
                item.add_marker(pytest.mark.rest)


@pytest.fixture(autouse=True)
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Takes the developer's own settings, secrets and data out of the test's sight."""
    for name in list(os.environ):
        if name.startswith(("SOURCES__", "WAREHOUSE__", "DLT_", "DAGSTER_")) or name == "API_KEY":
            monkeypatch.delenv(name)
    shutil.copytree(
        PROJECT_ROOT / ".dlt", tmp_path / ".dlt", ignore=shutil.ignore_patterns("secrets.toml")
    )
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", str(tmp_path / "warehouse.duckdb"))
    dlt.current.run_context().reload()
    yield
    monkeypatch.undo()
    dlt.current.run_context().reload()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The DuckDB file that the test's syncs write."""
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def query(database: Path) -> Callable[[str], list[Any]]:
    """Answers an SQL query on the file that the syncs wrote, times in UTC."""

    def execute(sql: str) -> list[Any]:
        with duckdb.connect(str(database), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    return execute


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """The incidents that `api` serves; a test may change the list while it runs."""
    return [incident(n) for n in range(1, 251)]


@pytest.fixture
def api(rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Iterator[DemoServer]:
    """A real incident API on loopback that serves `rows`, and the settings that lead to it."""
    with DemoServer(incidents=lambda: rows) as server:
        monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", server.base_url)
        monkeypatch.setenv("API_KEY", server.api_key)
        yield server


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[[str], None]:
    """Replaces the test's .dlt/config.toml."""

    def write(text: str) -> None:
        (tmp_path / ".dlt" / "config.toml").write_text(text)
        dlt.current.run_context().reload()

    return write


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replaces the clock that retries sleep by; collects how long each wait would have been."""
    slept: list[float] = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=slept.append))
    monkeypatch.setattr(Pace, "sleep", lambda _, seconds: slept.append(seconds))
    return slept


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project with the environment of this test run, for its commands to run in."""
    copy = tmp_path / "checkout"
    shutil.copytree(PROJECT_ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (copy / ".venv").symlink_to(sys.prefix)
    # Older than what is installed, so that make does not install the copy in its place.
    for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        os.utime(copy / name, (0, 0))
    return copy


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance of this test alone, with real storage in memory."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def sync(database: Path, instance: dg.DagsterInstance) -> Callable[..., dg.ExecuteInProcessResult]:
    """Runs the asset and its checks on `instance`, into `database`."""

    def run(**config: Any) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [*apis, *synced, *source_checks],
            resources={
                "dlt": DagsterDltResource(),
                "duckdb": IncidentsDuckDB(database=str(database)),
            },
            instance=instance,
            run_config={"ops": {"incidents_dlt": {"config": config}}},
            raise_on_error=False,
        )

    return run
