"""Roles that may read the shared store, made by the command `allow-reader`."""

from collections.abc import Callable
from typing import Any, TypeAlias

import click.testing
import dagster as dg
import duckdb
import pytest

from incidents_dagster.cli import main
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.warehouse import postgres_views
from incidents_dagster.ingestion.warehouse.catalog import relations
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster_tests.shared.conftest import forget
from incidents_dagster_tests.shared.database import Database

Checked: TypeAlias = Callable[[], dg.ExecuteInProcessResult]


def test_a_role_may_read_what_is_there_and_what_comes_and_writes_nothing(
    shared: Database, api: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync: Callable[[], Any] = lambda: run_sync(load_settings(), lambda _: None)  # noqa: E731
    sync()
    role = f"reader_{shared.name.split()[-1]}"
    shared.ask(f"ALTER DATABASE \"{shared.name}\" SET log_statement = 'all'")
    said = click.testing.CliRunner().invoke(main, ["allow-reader", role]).output
    assert said.startswith(f"{role} may read postgresql://127.0.0.1:")
    password = said.split("Password: ")[1].strip()
    assert f'CREATE ROLE "{role}"' in shared.cluster.log
    assert password not in shared.cluster.log
    shared.ask("CREATE SCHEMA later; CREATE TABLE later.x AS SELECT 1 AS n")

    forget()
    monkeypatch.setenv("WAREHOUSE__URL", shared.url_of(role))
    monkeypatch.setenv("WAREHOUSE__PASSWORD", password)
    with configured_store().read(1) as connection:
        counted = "SELECT (SELECT count(*) FROM incidents.incident_data), (SELECT n FROM later.x)"
        assert connection.execute(counted).fetchall() == [(250, 1)]
    with (
        configured_store().connect(1) as connection,
        pytest.raises(duckdb.Error, match="permission denied"),
    ):
        connection.execute("DELETE FROM incidents.syncs")
    forget()
    shared.ask(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_whoever_only_reads_cannot_write_though_the_role_may(
    shared: Database, api: DemoServer
) -> None:
    run_sync(load_settings(), lambda _: None)
    with (
        configured_store().connect(1, read_only=True) as connection,
        pytest.raises(duckdb.Error, match="read-only"),
    ):
        connection.execute("DELETE FROM store.incidents.syncs")


def test_a_reader_can_read_every_table_and_view_that_it_sees(
    shared: Database, api: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if others create one while it connects."""
    run_sync(load_settings(), lambda _: None)
    use = postgres_views.use

    def use_and_create_one(*given: Any) -> None:
        use(*given)
        shared.ask("CREATE OR REPLACE VIEW incidents.later AS SELECT 1 AS n")

    monkeypatch.setattr(postgres_views, "use", use_and_create_one)
    for _ in range(2):
        with configured_store().read(1) as connection:
            there = [one.name for one in relations(connection, "incidents")]
            for name in there:
                connection.execute(f"FROM incidents.{name}").fetchall()
    assert "later" in there


def test_whoever_connects_anew_has_the_views(
    shared: Database, api: DemoServer, query: Callable[[str], list[Any]]
) -> None:
    run_sync(load_settings(), lambda _: None)
    for _ in range(2):
        assert query("SELECT count(*) FROM incidents.incident_data") == [(250,)]
        forget()


@pytest.mark.usefixtures("api")
def test_rows_that_many_questions_look_at_are_fetched_once(shared: Database) -> None:
    run_sync(load_settings())
    store = configured_store()
    with store.connect(1, read_only=True) as connection:
        kept = store.kept(connection, "SELECT id, status FROM incidents.incident_data")
        assert kept == store.kept(connection, "SELECT id, status FROM incidents.incident_data")
        shared.ask("DELETE FROM incidents.incident_data")
        assert connection.execute(f"SELECT count(status) FROM {kept}").fetchall() == [(250,)]
    assert shared.count() == 0


@pytest.mark.usefixtures("api")
def test_a_check_shows_the_rows_that_it_found_and_how_to_find_them(
    shared: Database, checked: Checked, query: Callable[[str], list[Any]]
) -> None:
    run_sync(load_settings())
    shared.ask("UPDATE incidents.incident_data SET status = NULL WHERE id = 'INC-0007'")
    found = {one.check_name: one for one in checked().get_asset_check_evaluations()}
    (wrong,) = (one for name, one in found.items() if name == "statuses_are_present")
    assert not wrong.passed
    assert wrong.metadata["sample"].value == "INC-0007"
    assert query(str(wrong.metadata["sql"].value)) == [("INC-0007",)]
    assert found["ids_are_unique"].passed
