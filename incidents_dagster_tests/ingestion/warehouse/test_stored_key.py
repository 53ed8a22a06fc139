"""Another primary key than the table's is refused before anything is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.peek import first_changes
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster_tests.ingestion.one_resource import resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Read = Callable[..., Settings]

ROWS = [{"id": n, "number": n + 100, "team": "a"} for n in range(3)]


@pytest.fixture
def web(listen: Listen) -> Web:
    return listen(lambda _: {"data": ROWS})


@pytest.fixture
def reads(web: Web, configure: Callable[..., Settings]) -> Read:
    def with_key(key: Any, disposition: str = "merge") -> Settings:
        section = resource(web.base_url, "single_page")
        section["resources"][0] |= {"primary_key": key, "write_disposition": disposition}
        return configure(**section)

    return with_key


def _refusal(settings: Settings, mode: Mode = Mode.INCREMENTAL) -> str:
    with pytest.raises(Exception, match="primary_key") as failed:
        run_sync(settings, lambda _: None, mode)
    return explain(failed.value)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("number", "the configured primary_key is 'number', but the table incidents.x has the "),
        ("uuid", "incidents.x has no column 'uuid'; its primary key is 'id', so nothing was read."),
        (["id", "team"], "the configured primary_key is 'id', 'team', but the table"),
        ([], "the configured primary_key is none, but the table incidents.x has the primary key"),
    ],
)
def test_another_key_is_refused_with_the_cure(
    reads: Read, web: Web, database: Path, key: Any, told: str
) -> None:
    run_sync(reads("id"))
    web.asked.clear()
    message = _refusal(reads(key))
    assert _refusal(reads(key), Mode.RECONCILE) == message
    assert told in message
    assert "Set primary_key back to 'id' in .dlt/config.toml" in message
    assert f"or move {database} away" in message
    assert web.asked == []
    run_sync(reads("id"))


def test_without_the_file_any_key_will_do(reads: Read, database: Path) -> None:
    run_sync(reads("id"))
    database.unlink()
    run_sync(reads("number"))


def test_the_same_key_in_another_spelling_or_order_is_the_same(reads: Read) -> None:
    run_sync(reads(["id", "team"]))
    run_sync(reads(["team", "Id"]))


def test_a_table_that_is_replaced_may_get_another_key(reads: Read) -> None:
    run_sync(reads("id", "replace"))
    run_sync(reads("number", "replace"))


def test_a_table_that_dlt_knows_nothing_about_is_judged_by_its_columns(
    reads: Read, database: Path
) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA incidents; CREATE TABLE incidents.x (number VARCHAR)")
    message = _refusal(reads("id"))
    assert "incidents.x has no column 'id', so nothing was read. Set primary_key in " in message


def test_the_change_sensor_says_so_too(reads: Read, web: Web) -> None:
    run_sync(reads("id"))
    web.asked.clear()
    with pytest.raises(Exception, match="the configured primary_key is 'number'"):
        first_changes(reads("number"))
    assert web.asked == []
