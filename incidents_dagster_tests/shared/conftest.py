"""A database of PostgreSQL for each test, as the shared store of its project."""

import itertools
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fakes.postgres import PASSWORD, Cluster, binaries
from incidents_dagster.assets import apis, synced
from incidents_dagster.checks import source_checks
from incidents_dagster.embedded_elt import DagsterDltResource
from incidents_dagster.ingestion.warehouse import postgres
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.ingestion.warehouse.postgres_store import PostgresStore
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster_tests.shared.database import Database

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One server for all tests."""
    if not find_spec("psycopg2"):
        pytest.skip("the extra `shared` is not installed: make test-shared")
    found = binaries()
    if found is None:
        pytest.skip("there is no PostgreSQL server: apt-get install postgresql")
    with Cluster(found) as running:
        yield running


@pytest.fixture
def shared(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The shared store of the test, and the settings that lead to it."""
    database = Database(cluster, f"test {next(_numbers)}")
    cluster.ask("postgres", f'CREATE DATABASE "{database.name}"')
    monkeypatch.setenv("WAREHOUSE__URL", database.url)
    monkeypatch.setenv("WAREHOUSE__PASSWORD", PASSWORD)
    monkeypatch.setattr(PostgresStore, "folder", tmp_path)
    yield database
    forget()
    cluster.ask("postgres", f'DROP DATABASE "{database.name}" WITH (FORCE)')


def forget() -> None:
    """Closes what this process has connected to."""
    while postgres._databases:
        postgres._databases.popitem()[1].close()


@pytest.fixture
def query(shared: Database) -> Callable[[str], list[Any]]:
    """Answers an SQL query as any reader of the store gets it, times in UTC."""

    def execute(sql: str) -> list[Any]:
        with configured_store().read(1) as connection:
            return connection.execute(sql).fetchall()

    return execute


@pytest.fixture
def sync(shared: Database, instance: dg.DagsterInstance) -> Callable[..., Any]:
    """Runs the asset and its checks on `instance`, into the shared store."""

    def run(**config: Any) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [*apis, *synced, *source_checks],
            resources={
                "dlt": DagsterDltResource(),
                "duckdb": IncidentsDuckDB(database=configured_store().name),
            },
            instance=instance,
            run_config={"ops": {"incidents_dlt": {"config": config}}},
            raise_on_error=False,
        )

    return run


@pytest.fixture
def checked(
    shared: Database, instance: dg.DagsterInstance
) -> Callable[[], dg.ExecuteInProcessResult]:
    """Evaluates the checks alone, on `instance`."""

    def run() -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [*apis, *synced, *source_checks],
            selection=dg.AssetSelection.checks(*source_checks),
            resources={
                "dlt": DagsterDltResource(),
                "duckdb": IncidentsDuckDB(database=configured_store().name),
            },
            instance=instance,
            raise_on_error=False,
        )

    return run
