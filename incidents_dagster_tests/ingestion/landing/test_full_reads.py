"""A full, proven read is the truth, and tells what incremental syncs have missed."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.ingestion.landing.changes import Changes, Mode
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import FILE_FORMAT, open_sync
from incidents_dagster_tests.ingestion.one_resource import INCREMENTAL, TIME, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def at(minutes: float) -> str:
    return f"{NOW + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


class Api:
    """Twenty records, the last of which changed an hour before NOW, and syncs of them."""

    def __init__(self, configure: Configure, listen: Listen, query: Query) -> None:
        self._query = query
        self.rows = {f"{n}": {"id": f"{n}", "at": at(n - 80), "v": "a"} for n in range(20)}
        self.filtered_by: Callable[[dict[str, Any]], str] = lambda row: str(row["at"])
        self.now, self.said = NOW, list[str]()
        paginator = {"type": "cursor", "cursor_path": "next"}
        section = resource(listen(self).base_url, paginator, incremental=INCREMENTAL)
        section["resources"][0]["columns"] = {"at": TIME, "v": {"data_type": "text"}}
        configure(**section)

    def __call__(self, asked: Asked) -> Any:
        since = asked.query.get("since", "")
        found = [row for row in self.rows.values() if self.filtered_by(row) >= since]
        headers = {"Date": format_datetime(self.now, usegmt=True)}
        return Reply({"data": found, "next": None}, headers=headers)

    def put(self, key: str, v: str, minutes: float) -> None:
        self.rows[key] = {"id": key, "at": at(minutes), "v": v}

    def sync(self, mode: Mode = Mode.INCREMENTAL) -> Changes:
        self.said.clear()
        with open_sync(load_settings(), self.said.append, mode) as sync:
            sync.pipeline.run(sync.source, loader_file_format=FILE_FORMAT)
            return sync.changes["x"]

    def value(self, key: str) -> str:
        ((found,),) = self._query(f"SELECT v FROM incidents.x WHERE id = '{key}'")
        return str(found)


@pytest.fixture
def it(configure: Configure, listen: Listen, query: Query) -> Api:
    api = Api(configure, listen, query)
    api.sync()
    return api


def test_an_older_version_replaces_a_newer_one_once(it: Api) -> None:
    it.put("3", "restored", -500)
    it.put("4", "restored", -600)
    assert it.sync().reverted == 0
    assert it.value("3") == "a", "an incremental sync does not ask for it"
    assert it.sync(Mode.FULL_REFRESH).reverted == 2
    assert "2 rows are older at the API than they were in the table" in it.said[-1]
    assert (it.value("3"), it.value("4")) == ("restored", "restored")
    assert it.sync(Mode.RECONCILE).reverted == 0


def test_what_changed_within_the_lag_may_be_older_at_a_replica(it: Api) -> None:
    it.put("3", "new", -0.5)
    it.sync()
    it.put("3", "a replica's", -77)
    assert it.sync(Mode.RECONCILE).reverted == 0
    assert it.value("3") == "new"
    it.now += timedelta(minutes=10)
    assert it.sync(Mode.RECONCILE).reverted == 1
    assert it.value("3") == "a replica's"


def test_a_time_ahead_of_the_clock_is_put_right(it: Api) -> None:
    it.put("3", "ahead", 60 * 24)
    it.sync()
    assert it.value("3") == "ahead"
    it.put("3", "right", -1)
    it.sync(Mode.RECONCILE)
    assert it.value("3") == "right"


def test_of_two_versions_in_one_read_the_newer_one_counts(it: Api) -> None:
    it.put("3", "new", -40)
    it.sync()
    it.rows["older"] = {"id": "3", "at": at(-78), "v": "older"}
    it.sync(Mode.FULL_REFRESH)
    assert it.value("3") == "new"


def _blind(it: Api) -> None:
    it.rows["4"]["v"] = "b"
    it.rows["5"]["v"] = "b"


def _backdated(it: Api) -> None:
    it.put("20", "a", -200)


def _by_creation(it: Api) -> None:
    created = {key: row["at"] for key, row in it.rows.items()}
    it.filtered_by = lambda row: created[row["id"]]
    it.put("4", "b", -50)
    it.put("5", "b", -49)


# what happens at the API → how many rows are missed, in which way, one of them
MISSED: dict[str, tuple[Callable[[Api], None], dict[str, Any]]] = {
    "a cursor that stays": (_blind, {"rows": 2, "kind": "blind", "example": "4"}),
    "a new record of an old time": (_backdated, {"rows": 1, "kind": "new", "example": "20"}),
    "a filter on the creation": (_by_creation, {"rows": 2, "kind": "filtered", "example": "4"}),
}


@pytest.mark.parametrize("what", MISSED)
def test_a_full_read_tells_what_incremental_syncs_have_missed(it: Api, what: str) -> None:
    happens, missed = MISSED[what]
    happens(it)
    assert it.sync().missed == {}
    assert it.sync(Mode.RECONCILE).missed == missed
    assert it.sync(Mode.RECONCILE).missed == {}


def test_what_was_missed_is_told_until_the_next_full_read(it: Api) -> None:
    _blind(it)
    assert it.sync(Mode.RECONCILE).missed
    assert it.sync().missed
    assert it.sync(Mode.RECONCILE).missed == {}


def test_links_that_are_signed_anew_and_ordinary_changes_are_not_missed(it: Api) -> None:
    for n, row in enumerate(it.rows.values()):
        row |= {"link": f"/x?sig={n}", "views": n}
    it.sync(Mode.RECONCILE)
    for n, row in enumerate(it.rows.values()):
        row |= {"link": f"/x?sig={n + 1}", "views": n + 1}
    it.put("7", "b", 1)
    assert it.sync(Mode.RECONCILE).missed == {}


def test_a_filter_that_is_ignored_is_told(it: Api) -> None:
    it.filtered_by = lambda _: "~"
    it.put("3", "b", 0)
    it.sync()
    assert "the API may ignore since" in it.said[-1]
