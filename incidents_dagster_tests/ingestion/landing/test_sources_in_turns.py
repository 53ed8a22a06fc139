"""What was found out about one source is not taken for another's."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.messages import Asked
from fakes.pages import row
from fakes.web import Web
from incidents_dagster.ingestion.landing.changes import Changes, Mode
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import FILE_FORMAT, open_sync
from incidents_dagster_tests.ingestion.one_resource import INCREMENTAL, TIME, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]

CURSOR = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}


class Api:
    """Teams, each with records and what surrounds them."""

    def __init__(self, configure: Configure, listen: Listen, query: Query) -> None:
        self._configure, self._query = configure, query
        self.teams: dict[str, list[dict[str, Any]]] = {"a": [row(n, minute=n) for n in range(60)]}
        self.beside: dict[str, dict[str, Any]] = {}
        self.address = listen(self).base_url
        self.said: list[str] = []

    def __call__(self, asked: Asked) -> Any:
        team, since = asked.query.get("team", "a"), asked.query.get("since", "")
        found = [r for r in self.teams[team] if r["at"] >= since]
        return {"data": found, **self.beside.get(team, {"next": None})}

    def sync(self, mode: Mode = Mode.INCREMENTAL, team: str = "a", **more: Any) -> Changes:
        section = resource(self.address, CURSOR, incremental=INCREMENTAL, params={"team": team})
        section["resources"][0]["columns"] = {"at": TIME}
        self._configure(**section, **more)
        self.said.clear()
        with open_sync(load_settings(), self.said.append, mode) as sync:
            sync.pipeline.run(sync.source, loader_file_format=FILE_FORMAT)
            return sync.changes["x"]

    @property
    def present(self) -> int:
        ((count,),) = self._query("SELECT count(*) FROM incidents.x WHERE deleted_at IS NULL")
        return int(count)


@pytest.fixture
def it(configure: Configure, listen: Listen, query: Query) -> Api:
    return Api(configure, listen, query)


def test_rows_of_a_source_that_was_tried_once_do_not_stay(it: Api) -> None:
    it.sync()
    older = [{**row(n), "at": f"2026-10-01T00:{n - 100:02}:00Z"} for n in range(100, 130)]
    it.teams["b"] = [*it.teams["a"][:40], *older]
    it.sync(team="b")
    assert it.present == 90
    for _ in range(3):
        it.sync()
    assert it.present == 60
    assert it.sync(Mode.RECONCILE).gone.beyond_window == 0


def test_a_path_that_another_source_had_is_not_seen(it: Api) -> None:
    it.sync()
    it.teams["b"] = it.teams["a"][:50]
    it.beside["b"] = {"pagination": {"next_cursor": "c50"}}
    assert not it.sync(team="b").proof.proven
    assert not it.sync(team="b").proof.proven
    assert it.present == 60


def test_a_path_that_is_gone_from_the_responses_is_no_end(it: Api) -> None:
    it.sync()
    it.teams["a"] = it.teams["a"][:50]
    it.beside["a"] = {"next_cursor": "c50"}
    proof = it.sync(Mode.FULL_REFRESH).proof
    assert "no response has cursor_path 'next', but there is next_cursor" in str(proof)
    it.beside["a"] = {"next": None, "has_more": True}
    assert not it.sync(Mode.FULL_REFRESH).proof.proven
    assert it.present == 60


def test_a_window_beyond_deleted_share_is_recognized(it: Api) -> None:
    it.sync()
    it.teams["a"] = it.teams["a"][45:]
    it.sync(Mode.FULL_REFRESH)
    assert it.sync(Mode.RECONCILE).gone.beyond_window == 45
    assert it.present == 60


def test_deletions_wait_visibly_and_without_a_chain_of_full_reads(it: Api) -> None:
    it.sync()
    every = it.teams["a"]
    it.teams["a"] = every[:30] + every[45:]
    assert it.sync(Mode.RECONCILE).waiting == 15
    it.teams["a"] = every[:5] + every[45:]
    assert it.sync().full
    assert not it.sync().full
    assert it.present == 60


def test_an_unproven_source_can_be_adopted_if_it_is_accepted(it: Api) -> None:
    it.sync()
    it.teams["b"] = [row(n, minute=n - 80) for n in range(100, 130)]
    it.beside["b"] = {}
    with pytest.raises(Exception, match="--adopt"):
        it.sync(team="b", accept_unproven=True)
    it.sync(Mode.ADOPT, team="b", accept_unproven=True)
    assert it.present == 90
    it.sync(team="b", accept_unproven=True)
