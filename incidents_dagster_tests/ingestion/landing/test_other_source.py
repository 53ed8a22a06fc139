"""A table knows what it was read from: rows of another source never stay silently."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fakes.messages import Asked
from fakes.pages import CURSOR, Pages, row
from fakes.web import Web
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.reading.source_id import source_ids
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster_tests.ingestion.one_resource import INCREMENTAL, TIME, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]

PRESENT = "SELECT id FROM incidents.x WHERE deleted_at IS NULL ORDER BY id::INT"


class Api:
    """Rows of an API that understands `since` and `team`, and syncs of it."""

    def __init__(self, configure: Configure, listen: Listen, query: Query) -> None:
        self._configure, self._query = configure, query
        self.rows = [{**row(n), "team": n % 2} for n in range(20)]
        self.address = listen(self).base_url
        self.asked: list[dict[str, str]] = []
        self.said: list[str] = []

    def __call__(self, asked: Asked) -> Any:
        self.asked.append(asked.query)
        since, team = asked.query.get("since", ""), asked.query.get("team")
        found = [r for r in self.rows if r["at"] >= since and team in (None, str(r["team"]))]
        return Pages(found)(asked)

    def sync(self, mode: Mode = Mode.INCREMENTAL, **endpoint: Any) -> list[int]:
        """The ids that are present after a sync with settings of the endpoint."""
        address, paginator = (
            endpoint.pop("address", self.address),
            endpoint.pop("paginator", CURSOR),
        )
        section = resource(address, paginator, **endpoint)
        section["resources"][0]["endpoint"].setdefault("incremental", INCREMENTAL)
        section["resources"][0]["columns"] = {"at": TIME}
        self._configure(**section)
        self.asked.clear()
        self.said.clear()
        run_sync(load_settings(), self.said.append, mode)
        return [int(key) for (key,) in self._query(PRESENT)]

    @property
    def everything(self) -> bool:
        """Whether the last sync asked for everything."""
        return any("since" not in query for query in self.asked)


@pytest.fixture
def it(configure: Configure, listen: Listen, query: Query) -> Api:
    return Api(configure, listen, query)


def test_a_filter_that_is_removed_brings_the_rest(it: Api) -> None:
    assert it.sync(params={"team": "1"}) == [*range(1, 20, 2)]
    assert it.sync() == [*range(20)]
    assert "other settings: reading everything." in it.said[0]
    it.sync()
    assert not it.everything


def test_a_filter_that_is_added_marks_the_rest_after_a_second_look(it: Api) -> None:
    it.sync()
    it.sync(params={"team": "1"})
    assert it.sync(params={"team": "1"}) == [*range(1, 20, 2)]
    it.sync(params={"team": "1"})
    assert not it.everything


SAME: dict[str, dict[str, Any]] = {
    "page size": {"params": {"limit": 4}},
    "lag": {"incremental": {**INCREMENTAL, "lag": 90}},
    "the same paginator, spelled out": {"paginator": {**CURSOR, "cursor_param": "after"}},
}


@pytest.mark.parametrize("what", SAME)
@pytest.mark.sample(1)
def test_what_does_not_decide_which_records_come_costs_no_full_read(it: Api, what: str) -> None:
    it.sync()
    it.sync(**SAME[what])
    assert not it.everything


OTHERS: dict[str, dict[str, Any]] = {
    "path": {"path": "/y"},
    "query in the path": {"path": "/x?team=1"},
    "a name without a value": {"path": "/x?open_only"},
    "an empty value": {"path": "/x?state="},
    "params": {"params": {"status": "open"}},
    "a window in records": {"params": {"records": "30"}},
    "method": {"method": "POST", "json": {}},
    "headers": {"headers": {"X-Account": "2"}},
    "cursor": {"incremental": {**INCREMENTAL, "start_param": "from"}},
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.sample(2)
def test_what_decides_which_records_come_makes_another_source(
    it: Api, configure: Configure, what: str
) -> None:
    def of(**endpoint: Any) -> Any:
        section = resource(it.address, CURSOR, **{"incremental": INCREMENTAL, **endpoint})
        settings = configure(**section)
        return source_ids(settings, declared_source(settings))["x"]

    assert of() == of(headers={"Authorization": "Bearer abc"}, params={"api_key": "k", "limit": 5})
    assert of() != of(**OTHERS[what])
    assert of(path="/x?team=1&team=2") != of(path="/x?team=3&team=2")


def test_another_api_is_refused_until_it_is_adopted(it: Api, listen: Listen, query: Query) -> None:
    it.sync()
    before = query("FROM incidents.x ORDER BY id")
    other = listen(Pages([row(n, "b", minute=n - 90) for n in range(100, 106)])).base_url
    for _ in range(2):
        with pytest.raises(Exception, match="Pipeline") as failed:
            it.sync(address=other)
        told = explain(failed.value)
        assert told.startswith(f"x: the table has the rows of {it.address}/x: 20 of the table's 20")
        assert "make run ARGS=--adopt" in told
        assert query("FROM incidents.x ORDER BY id") == before
    assert it.sync(Mode.ADOPT, address=other) == [*range(100, 106)]
    assert it.sync(address=other) == [*range(100, 106)]
    assert not it.everything


def test_another_address_of_the_same_api_is_accepted_once_proven(it: Api, listen: Listen) -> None:
    it.sync()
    moved = listen(it).base_url
    assert it.sync(address=moved) == [*range(20)]
    assert it.everything
    it.sync(address=moved)
    assert not it.everything


def test_rows_of_an_unproven_first_read_have_a_source_too(it: Api, listen: Listen) -> None:
    it.sync(paginator={"type": "offset", "limit": 5, "total_path": "", "maximum_offset": 5})
    other = listen(Pages([row(n, "b", minute=n - 90) for n in range(100, 106)])).base_url
    with pytest.raises(Exception, match="Pipeline"):
        it.sync(address=other)


def test_a_table_of_an_earlier_release_gets_its_source_with_a_full_read(
    it: Api, database: Path, query: Query
) -> None:
    it.sync()
    with duckdb.connect(str(database)) as connection:
        connection.execute("DELETE FROM incidents._dlt_pipeline_state")
    assert it.sync() == [*range(20)]
    assert it.everything
    it.sync()
    assert not it.everything


@pytest.mark.parametrize("what", ["append", "replace"])
def test_a_table_that_is_not_merged(it: Api, configure: Configure, query: Query, what: str) -> None:
    def sync(**settings: Any) -> None:
        section = resource(it.address, CURSOR)
        section["resources"][0]["write_disposition"] = what
        run_sync(configure(**section, **settings), print)

    sync()
    it.rows.clear()
    if what == "append":
        sync()
        assert query("SELECT count(*) FROM incidents.x") == [(20,)]
        return
    with pytest.raises(Exception, match="Pipeline") as failed:
        sync()
    assert "x is not replaced, nothing was loaded: the API returned no records" in explain(
        failed.value
    )
    assert query("SELECT count(*) FROM incidents.x") == [(20,)]
    it.rows.append({**row(0), "team": 0, "id": None})
    with pytest.raises(Exception, match="Pipeline") as failed:
        sync(allow_empty=True)
    assert "none of 1 records could be loaded" in explain(failed.value)
    it.rows.clear()
    sync(allow_empty=True)
    assert query("SELECT count(*) FROM incidents.x") == [(0,)]
