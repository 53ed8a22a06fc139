"""A server that refuses, is gone or comes back: one message each, and never the password."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from fakes.postgres import PASSWORD
from incidents_dagster.cli import main
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import IngestionError, causes
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.ingestion.warehouse.postgres import Server
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster_tests.results import failure, log_lines
from incidents_dagster_tests.shared.database import Database

Sync = Callable[..., dg.ExecuteInProcessResult]
WRONG = "wr0ng'pass word"


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that refuses every connection."""
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        yield int(bound_but_not_listening.getsockname()[1])


def _settings(kind: str, shared: Database, nobody: int) -> dict[str, str]:
    return {
        "password": {"WAREHOUSE__PASSWORD": WRONG},
        "no password": {"WAREHOUSE__PASSWORD": ""},
        "user": {"WAREHOUSE__URL": shared.url_of("stranger")},
        "database": {"WAREHOUSE__URL": shared.cluster.url("nowhere")},
        "down": {"WAREHOUSE__URL": f"postgresql://postgres@127.0.0.1:{nobody}/x"},
        "host": {"WAREHOUSE__URL": "postgresql://postgres@nowhere.invalid/x"},
        "url": {"WAREHOUSE__URL": f"postgresql://postgres:{WRONG}@[x/y?z"},
    }[kind]


SAID = {
    "password": "refuses the user or the password: check warehouse.url",
    "no password": "refuses the user or the password: check warehouse.url",
    "user": "refuses the user or the password: check warehouse.url",
    "database": "has no such database: create it, or check warehouse.url",
    "down": "cannot be reached",
    "host": "cannot be reached",
    "url": "warehouse.url is no address of a PostgreSQL database",
}


@pytest.mark.parametrize("kind", SAID)
def test_what_is_wrong_is_one_message_without_the_password(
    api: DemoServer, shared: Database, kind: str, monkeypatch: pytest.MonkeyPatch, nobody: int
) -> None:
    for name, value in _settings(kind, shared, nobody).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(IngestionError) as failed:
        run_sync(load_settings())
    message = explain(failed.value)
    assert SAID[kind] in message
    assert "\n" not in message
    assert api.faults.request_count == 0
    said = "".join(map(repr, causes(failed.value)))
    for command in (["sql"], ["doctor"]):
        shown = CliRunner().invoke(main, command)
        assert SAID[kind] in shown.output, (command, shown.output, shown.exception)
        assert "Traceback" not in shown.output
        said += shown.output + repr(shown.exception)
    assert PASSWORD not in said
    assert WRONG not in said


def test_no_run_log_has_the_password(
    api: DemoServer,
    shared: Database,
    sync: Sync,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WAREHOUSE__PASSWORD", WRONG)
    refused = sync()
    assert not refused.success
    assert SAID["password"] in failure(refused)
    events = "".join(str(event) for event in instance.all_logs(refused.run_id))
    assert WRONG not in events + "".join(log_lines(refused, instance))


def test_neither_store_nor_server_shows_the_password(shared: Database) -> None:
    server = Server(shared.url, PASSWORD)
    inside = shared.url.replace("postgres@", "postgres:geheim@")
    shown = [repr(server), str(server), server.name, repr(configured_store())]
    shown += [repr(Server(inside)), Server(inside).name, configured_store().name]
    assert "geheim" in str(Server(inside).parts)
    assert not [one for one in shown if PASSWORD in one or "geheim" in one]


def test_an_address_may_have_options(
    api: DemoServer, shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "application_name=my%20syncs&options=-c%20statement_timeout%3D60000"
    monkeypatch.setenv("WAREHOUSE__URL", f"{shared.url}?{options}")
    run_sync(load_settings())
    assert shared.count() == 250


def test_a_server_that_was_restarted_is_used_again(
    api: DemoServer, rows: list[dict[str, Any]], shared: Database
) -> None:
    run_sync(load_settings())
    shared.cluster.stop()
    with pytest.raises(IngestionError) as failed:
        run_sync(load_settings())
    assert SAID["down"] in explain(failed.value)
    shared.cluster.start()
    run_sync(load_settings())
    assert shared.count() == 250


def test_a_user_who_may_not_write_is_told_so(
    api: DemoServer, shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sync(load_settings())
    quoted = PASSWORD.replace("'", "''")
    name = f"reader_of_{shared.name.replace(' ', '_')}"
    shared.ask(f"CREATE USER {name} PASSWORD '{quoted}'")
    try:
        monkeypatch.setenv("WAREHOUSE__URL", shared.url_of(name))
        with pytest.raises(Exception) as failed:  # noqa: PT011 - dlt's, with ours inside
            run_sync(load_settings())
        assert "does not allow that (permission denied): grant it" in explain(failed.value)
    finally:
        shared.ask(f"DROP USER {name}")


def test_a_server_that_refuses_in_a_check_fails_the_run(
    api: DemoServer,
    shared: Database,
    checked: Callable[[], dg.ExecuteInProcessResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_sync(load_settings())
    name = f"nobody_of_{shared.name.replace(' ', '_')}"
    shared.ask(f"CREATE USER {name} PASSWORD %s", PASSWORD)
    shared.ask(f"GRANT USAGE ON SCHEMA incidents TO {name}")
    try:
        monkeypatch.setenv("WAREHOUSE__URL", shared.url_of(name))
        refused = checked()
        assert not refused.get_asset_check_evaluations()
        assert "does not allow that (permission denied): grant it" in failure(refused)
    finally:
        shared.ask(f"DROP OWNED BY {name}; DROP USER {name}")


def test_a_reader_whose_server_is_gone_gets_one_message(api: DemoServer, shared: Database) -> None:
    run_sync(load_settings())
    resource = IncidentsDuckDB(database=configured_store().name)
    asked = "SELECT count(*) FROM incidents.incident_data"

    def read() -> None:
        with resource.get_connection() as connection:
            connection.begin()
            assert connection.execute(asked).fetchall() == [(250,)]
            shared.cluster.stop()
            connection.execute(asked)

    try:
        with pytest.raises(IngestionError, match="cannot be reached, or ended the connection"):
            read()
    finally:
        shared.cluster.start()
