"""A full, proven read is the truth, and tells what incremental syncs have missed."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster_tests.ingestion.changing_api import (
    NOW,
    ChangingApi,
    Configure,
    Listen,
    Query,
    iso,
)


def at(minutes: float) -> str:
    return iso(NOW + timedelta(minutes=minutes))


@pytest.fixture
def it(configure: Configure, listen: Listen, query: Query) -> ChangingApi:
    """Twenty records, the last of which changed an hour before NOW, in the table too."""
    api = ChangingApi(configure, listen, query)
    api.reads()
    for n in range(20):
        api.put(f"{n}", "a", at(n - 80))
    api.sync()
    return api


def test_an_older_version_replaces_a_newer_one_once(it: ChangingApi) -> None:
    it.put("3", "restored", at(-500))
    it.put("4", "restored", at(-600))
    assert it.sync().reverted == 0
    assert it.loaded["3"] == "a", "an incremental sync does not ask for it"
    assert it.sync(Mode.FULL_REFRESH).reverted == 2
    assert "2 rows are older at the API than they were in the table" in it.said[-1]
    assert (it.loaded["3"], it.loaded["4"]) == ("restored", "restored")
    assert it.sync(Mode.RECONCILE).reverted == 0


def test_what_changed_within_the_lag_may_be_older_at_a_replica(it: ChangingApi) -> None:
    it.put("3", "new", at(-0.5))
    it.sync()
    it.put("3", "a replica's", at(-77))
    assert it.sync(Mode.RECONCILE).reverted == 0
    assert it.loaded["3"] == "new"
    it.now += timedelta(minutes=10)
    assert it.sync(Mode.RECONCILE).reverted == 1
    assert it.loaded["3"] == "a replica's"


def test_a_time_ahead_of_the_clock_is_put_right(it: ChangingApi) -> None:
    it.put("3", "ahead", at(60 * 24))
    it.sync()
    assert it.loaded["3"] == "ahead"
    it.put("3", "right", at(-1))
    it.sync(Mode.RECONCILE)
    assert it.loaded["3"] == "right"


def test_of_two_versions_in_one_read_the_newer_one_counts(it: ChangingApi) -> None:
    it.put("3", "new", at(-40))
    it.sync()
    it.rows["older"] = {"id": "3", "at": at(-78), "v": "older"}
    it.sync(Mode.FULL_REFRESH)
    assert it.loaded["3"] == "new"


def _blind(it: ChangingApi) -> None:
    it.rows["4"]["v"] = "b"
    it.rows["5"]["v"] = "b"


def _backdated(it: ChangingApi) -> None:
    it.put("20", "a", at(-200))


def _by_creation(it: ChangingApi) -> None:
    created = {key: row["at"] for key, row in it.rows.items()}
    it.keeps = lambda row, since: created.get(row["id"], row["at"]) >= since
    it.put("4", "b", at(-50))
    it.put("5", "b", at(-49))


# what happens at the API → how many rows are missed, in which way, one of them
MISSED: dict[str, tuple[Callable[[ChangingApi], None], dict[str, Any]]] = {
    "a cursor that stays": (_blind, {"rows": 2, "kind": "blind", "example": "4"}),
    "a new record of an old time": (_backdated, {"rows": 1, "kind": "new", "example": "20"}),
    "a filter on the creation": (_by_creation, {"rows": 2, "kind": "filtered", "example": "4"}),
}


@pytest.mark.parametrize("what", MISSED)
def test_a_full_read_tells_what_incremental_syncs_have_missed(it: ChangingApi, what: str) -> None:
    happens, missed = MISSED[what]
    happens(it)
    assert it.sync().missed == {}
    assert it.sync(Mode.RECONCILE).missed == missed
    assert it.sync(Mode.RECONCILE).missed == {}


def test_what_was_missed_is_told_until_the_next_full_read(it: ChangingApi) -> None:
    _blind(it)
    assert it.sync(Mode.RECONCILE).missed
    assert it.sync().missed
    assert it.sync(Mode.RECONCILE).missed == {}


def test_what_comes_without_a_cursor_though_it_is_asked_for_one_is_not_missed(
    it: ChangingApi,
) -> None:
    it.reads(initial_value=at(-1_000))
    it.rows["3"]["at"] = None
    it.sync()
    it.rows["3"]["v"] = "b"
    it.rows["new"] = {"id": "new", "at": None, "v": "a"}
    assert it.sync(Mode.RECONCILE).missed == {}
    assert it.loaded == it.there


def test_links_that_are_signed_anew_and_ordinary_changes_are_not_missed(it: ChangingApi) -> None:
    for n, row in enumerate(it.rows.values()):
        row |= {"link": f"/x?sig={n}", "views": n}
    it.sync(Mode.RECONCILE)
    for n, row in enumerate(it.rows.values()):
        row |= {"link": f"/x?sig={n + 1}", "views": n + 1}
    it.put("7", "b", at(1))
    assert it.sync(Mode.RECONCILE).missed == {}


def test_a_filter_that_is_ignored_is_told(it: ChangingApi) -> None:
    it.keeps = lambda row, since: True
    it.put("3", "b", at(0))
    it.sync()
    assert "the API may ignore since" in it.said[-1]
