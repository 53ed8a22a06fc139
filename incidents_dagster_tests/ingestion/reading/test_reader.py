"""Reading again where rows moved, catching up with what changed meanwhile, and the proof of it."""

import base64
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from fakes.messages import Asked
from fakes.pages import CURSOR, LINK, OFFSET, PAGE, Pages
from fakes.web import Web
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.reading.pages import Pages as Shown
from incidents_dagster.ingestion.reading.proof import Proof
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import open_sync, run_sync
from incidents_dagster.ingestion.tables import Since
from incidents_dagster_tests.ingestion.one_resource import read, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]

ROWS = list(range(12))
TIME = {"data_type": "timestamp", "dedup_sort": "desc"}


def _synced() -> Proof:
    """Syncs resource `x`; returns what its reading proved."""
    with open_sync(load_settings(), lambda _: None) as sync:
        sync.pipeline.run(sync.source, loader_file_format="parquet")
        return sync.changes["x"].proof


# --- Reading again -------------------------------------------------------------------------------


def _pop(rows: list[Any]) -> None:
    rows.pop(0)


# after which answers the first row goes → readings, whether that is proven
AGAIN: dict[str, tuple[set[int], int, bool]] = {
    "nothing moves": (set(), 2, True),
    "once, between pages": ({1}, 3, True),
    "once, between readings": ({4}, 3, True),
    "always": ({1, 5, 9}, 3, False),
}


@pytest.mark.parametrize("when", AGAIN)
@pytest.mark.parametrize("kind", ["page", "offset"])
@pytest.mark.sample(2)
def test_pages_that_cannot_overlap_are_read_until_two_readings_agree(
    listen: Listen, configure: Configure, when: str, kind: str
) -> None:
    after, readings, proven = AGAIN[when]
    pages = Pages([*range(14)])
    pages.edits = dict.fromkeys(after, _pop)
    section = resource(listen(pages).base_url, PAGE if kind == "page" else OFFSET)
    done = read(configure(**section, completeness={"overlap_pages": False}))
    assert (done.proof.readings, done.proof.proven) == (readings, proven)
    assert {*pages.rows} <= {*done.ids}
    assert done.proof.rows == (len(pages.rows) if proven else 11)
    assert bool(done.said) == (readings == 3)
    if not proven:
        assert "records keep moving between pages" in str(done.proof)


def test_links_by_place_are_read_twice_and_cursors_once(
    listen: Listen, configure: Configure
) -> None:
    readings = {}
    for name, paginator in {"offset=5": LINK, "after": LINK, "cursor": CURSOR}.items():
        pages = Pages([*ROWS])
        param = name.partition("=")[0]
        pages.reshape = lambda body, param=param: {
            **body,
            "next": body["next"]
            and {
                "offset": f"/x?offset={body['next'][1:]}",
                "after": f"/x?after={body['next']}",
                "cursor": body["next"],
            }[param],
        }
        done = read(configure(**resource(listen(pages).base_url, paginator)))
        assert {*done.ids} == {*ROWS}
        readings[name] = done.proof.readings
    assert readings == {"offset=5": 2, "after": 1, "cursor": 1}


@pytest.mark.parametrize("kind", ["page number", "row number", "base64 of an offset", "token"])
def test_places_are_seen_for_what_they_are_whatever_they_are_called(
    listen: Listen, configure: Configure, kind: str
) -> None:
    def spelled(at: int) -> str:
        if kind == "page number":
            return str(at // 5 + 1)
        if kind == "row number":
            return str(at)
        text = f"offset:{at}" if kind == "base64 of an offset" else f"o{at}-\x01"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    tokens = {spelled(at): at for at in (5, 10)}

    def answer(asked: Asked) -> Any:
        at = tokens.get(asked.query.get("p", ""), 0)
        following = f"/x?p={spelled(at + 5)}" if at < 10 else None
        return {"data": [{"id": n} for n in ROWS[at : at + 5]], "next": following}

    done = read(configure(**resource(listen(answer).base_url, LINK)))
    assert {*done.ids} == {*ROWS}
    assert done.proof.readings == (1 if kind == "token" else 2)


# pages, what happens between them → whether the reading is proven
GROWING: dict[str, tuple[Any, Callable[[list[Any]], Any], bool]] = {
    "an update moves a row to the end": (CURSOR, lambda rows: rows.append(rows[0]), True),
    "one more at the end": (PAGE, lambda rows: rows.append(len(rows)), False),
}


@pytest.mark.parametrize("what", GROWING)
def test_a_total_that_does_not_fit_the_rows_for_good_reason_is_no_error(
    listen: Listen, configure: Configure, what: str
) -> None:
    paginator, edit, proven = GROWING[what]
    pages = Pages([*ROWS])
    pages.reshape = lambda body: {**body, "total": len(set(pages.rows))}
    pages.edits = dict.fromkeys([2] if proven else [2, 5, 8], edit)
    done = read(configure(**resource(listen(pages).base_url, paginator)))
    assert {*done.ids} == {*pages.rows}
    assert done.proof.proven == proven


def test_one_page_is_one_moment(listen: Listen, configure: Configure) -> None:
    pages = Pages([1, 2, 3])
    pages.reshape = lambda body: {**body, "pages": 1}
    settings = configure(**resource(listen(pages).base_url, {**PAGE, "total_path": "pages"}))
    proof = read(settings).proof
    assert (proof.readings, proof.pages, proof.proven) == (1, 1, True)


def test_a_reading_that_could_not_be_finished_is_begun_again(
    listen: Listen, configure: Configure
) -> None:
    pages = Pages([*ROWS])
    # A total that is not reached: two rows went before the pages that would have them.
    pages.reshape = lambda body: {**body, "total": 14 if len(pages.asked) < 4 else 12}
    done = read(configure(**resource(listen(pages).base_url, CURSOR)))
    assert (done.proof.readings, done.proof.proven) == (2, True)
    assert (done.proof.rows, done.proof.pages, done.proof.expected) == (12, 6, 12)
    assert done.said == [
        "x: 12 records were read, but the API reports 14; reading from the beginning."
    ]


def test_an_incomplete_reading_ends_the_sync_and_leaves_the_table(
    listen: Listen, configure: Configure, query: Query
) -> None:
    pages = Pages([*range(6)])
    configure(**resource(listen(pages).base_url, OFFSET))
    assert _synced().proven
    before = query("FROM incidents.x ORDER BY id")
    pages.rows.extend(range(6, 12))
    pages.reshape = lambda body: {**body, "total": 12, "data": body["data"][:1]}
    del pages.rows[8:]  # a ceiling
    with pytest.raises(Exception, match="Pipeline") as failed:
        run_sync(load_settings(), lambda _: None)
    assert explain(failed.value) == (
        "x could not be read completely: 8 records were read, but the API reports 12. "
        "Tried 3 times, nothing was loaded. Check the paginator, primary_key and [completeness] in "
        ".dlt/config.toml, or sync at a quieter time."
    )
    assert query("FROM incidents.x ORDER BY id") == before
    pages.reshape = lambda body: {**body, "total": 8}
    assert str(_synced()) == "proven: 8 records in 2 pages; the last page and the total agree"
    assert query("SELECT count(*) FROM incidents.x") == [(8,)]


# --- Catching up ---------------------------------------------------------------------------------

BEGAN = datetime(2026, 11, 2, 12, tzinfo=timezone.utc)


class Clock:
    """An API of records with a time `at`, whose clock and slowness a test sets."""

    def __init__(self, configure: Configure, listen: Listen, monkeypatch: Any) -> None:
        self.pages = Pages([{"id": n, "at": "2026-11-01T00:00:00Z"} for n in ROWS])
        self.edits: dict[int, Callable[[list[Any]], Any]] = {}  # as those of `Pages`
        self.since: list[str | None] = []
        self.took = [0.0]  # seconds of each reading; the last for all that follow
        web = listen(self)
        incremental = {"cursor_path": "at", "start_param": "since", "lag": 60}
        section = resource(web.base_url, OFFSET, incremental=incremental)
        section["resources"][0]["columns"] = {"at": TIME}
        self.settings = configure(**section)
        web.date = self._date
        monkeypatch.setattr(Shown, "seconds", property(lambda _: self._seconds()))

    def __call__(self, asked: Asked) -> Any:
        since = asked.query.get("since")
        if asked.query["offset"] == "0":
            self.since.append(since)
        every = self.pages.rows
        self.pages.rows = [row for row in every if since is None or row["at"] >= since]
        body = self.pages(asked)
        self.pages.rows = every
        if edit := self.edits.get(len(self.pages.asked)):
            edit(every)
        return body

    def _date(self) -> str:
        now = BEGAN + timedelta(seconds=max(0, len(self.pages.asked) - 1))
        return f"{now:%a, %d %b %Y %H:%M:%S} GMT"

    def _seconds(self) -> float:
        return self.took.pop(0) if len(self.took) > 1 else self.took[0]


@pytest.fixture
def clock(configure: Configure, listen: Listen, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(configure, listen, monkeypatch)


@pytest.mark.parametrize(("took", "again"), [(30.0, False), (30.1, True)])
def test_a_reading_of_more_than_half_the_lag_asks_for_what_changed_meanwhile(
    clock: Clock, took: float, again: bool
) -> None:
    clock.took = [took, 0]
    done = read(clock.settings)
    assert clock.since == [None, *(["2026-11-02T11:59:00Z"] if again else [])]
    assert (done.proof.rows, done.proof.readings) == (12, 1)
    assert bool(done.said) == again


def test_catching_up_is_bounded_and_ends_with_a_page_that_shows_one_moment(clock: Clock) -> None:
    clock.took = [1000.0]
    late = [{"id": n, "at": "2026-11-02T12:00:30Z"} for n in range(100, 107)]
    clock.pages.rows += late
    done = read(clock.settings)
    # Seven records are two pages: there may be news each time, and not for ever.
    assert len(clock.since) == 1 + 5
    assert clock.since[1:] == sorted(map(str, clock.since[1:]))
    assert {*done.ids} >= {*ROWS, *range(100, 107)}
    assert done.proof.rows == 19
    assert "reading what changed meanwhile takes longer" in str(done.proof), "no materialization"
    del clock.pages.rows[-6:]
    clock.pages.reshape = lambda body: {**body, "total": len(clock.pages.rows)}
    clock.since.clear()
    read(clock.settings)
    assert len(clock.since) == 2


def test_what_changes_while_pages_are_read_arrives_with_the_same_sync(
    clock: Clock, query: Query
) -> None:
    clock.took = [300.0, 0]
    update = {"id": 3, "at": "2026-11-02T12:00:00Z", "v": "new"}
    clock.edits[3] = lambda rows: rows.insert(0, update)
    assert _synced().proven
    assert query("SELECT v FROM incidents.x WHERE id = '3'") == [("new",)]


# --- Which version stays -------------------------------------------------------------------------


def _at(seconds: int) -> str:
    return f"{BEGAN + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


# versions of one record in the order of reading: seconds since the API's clock → which stays
VERSIONS: dict[str, tuple[list[int], int]] = {
    "the same moment, just now": ([0, 0], 1),
    "the same moment, a minute ago": ([-59, -59], 1),
    "the newer one first": ([0, -30], 0),
    "the newer one last": ([-30, 0], 1),
    "the newer one first, an old one last": ([0, -9000], 0),
    "an old one first, the newer one last": ([-9000, 0], 1),
    "old ones, the newer one first": ([-8000, -9000], 0),
    "three": ([0, -5, 0], 2),
}


@pytest.mark.parametrize("what", VERSIONS)
@pytest.mark.sample(2)
def test_of_versions_in_one_sync_the_newest_stays_and_of_equal_ones_the_last_read(
    clock: Clock, query: Query, what: str
) -> None:
    seconds, stays = VERSIONS[what]
    versions = [{"id": "1", "at": _at(s), "v": n} for n, s in enumerate(seconds)]
    others = [{"id": f"x{n}", "at": _at(-9000), "v": n} for n in range(8)]
    clock.pages.rows = [versions[0], *others, *versions[1:]]
    assert _synced().distinct == 9
    assert query("SELECT v FROM incidents.x WHERE id = '1'") == [(stays,)]
    assert query("SELECT count(*) FROM incidents.x") == [(9,)]


# --- The proof -----------------------------------------------------------------------------------


def test_a_proof_tells_of_the_last_reading(clock: Clock) -> None:
    proof = _synced()
    assert (proof.since, proof.rows, proof.distinct, proof.quarantined) == (None, 12, 12, 0)
    assert proof.began == BEGAN
    clock.pages.reshape = lambda body: {**body, "total": len(clock.pages.rows)}
    clock.pages.rows.append({"id": 99, "at": "2026-11-01T00:00:30Z"})
    clock.pages.rows.append({"id": 100, "at": "2026-10-01T00:00:00Z"})  # below what is asked for
    proof = _synced()
    assert proof.since == Since("at", "2026-10-31T23:59:00Z")
    assert proof.expected == 13
    assert (proof.rows, proof.distinct, proof.readings) == (13, 13, 1)


def test_records_that_are_read_twice_are_counted_once(
    listen: Listen, configure: Configure, query: Query
) -> None:
    pages = Pages([{"id": n} for n in range(9)] + [{"id": None}])
    web = listen(pages)
    configure(**resource(web.base_url, PAGE), quarantine_share=0.02)
    proof = _synced()
    assert (proof.readings, proof.rows, proof.distinct) == (2, 10, 9)
    assert "10 records in 6 pages, read twice as pages are requested by their place" in str(proof)
    assert query("SELECT count(*) FROM incidents.quarantine") == [(1,)]


ROW = {"id": 3, "at": "2026-01-01T00:00:00Z"}
NEWER = {**ROW, "at": "2026-01-02T00:00:00Z"}
# what stands in the place of record 8, whether the API gives a total → whether that is a sync
IN_PLACE: dict[str, tuple[Any, str, bool]] = {
    "a record that came before": (ROW, "total", False),
    "a newer version of it": (NEWER, "total", True),
    "a record without an id": ({"id": None, "at": ROW["at"]}, "total", True),
}


@pytest.mark.parametrize("paginator", [CURSOR, OFFSET], ids=["cursor", "offset"])
@pytest.mark.parametrize("what", IN_PLACE)
@pytest.mark.sample(2)
def test_a_record_that_comes_twice_does_not_count_for_another(
    listen: Listen, configure: Configure, query: Query, what: str, paginator: Any
) -> None:
    other, total_path, green = IN_PLACE[what]
    pages = Pages([{**ROW, "id": n} for n in range(12)])
    pages.rows[8] = other
    pages.reshape = lambda body: {**body, "total": 12}
    section = resource(listen(pages).base_url, paginator)
    section["resources"][0]["columns"] = {"at": TIME}
    settings = configure(**section, completeness={"total_path": total_path}, quarantine_share=0.5)
    said: list[str] = []
    if green:
        run_sync(settings, said.append)
        assert not said
        return
    with pytest.raises(PipelineStepFailed) as failure:
        run_sync(settings, said.append)
    assert "the API reports 12 records, but only 11 distinct ones arrived. Tried 3" in explain(
        failure.value
    )
    assert "completeness.total_path" in explain(failure.value)
    assert [
        line for line in said if "from the beginning" in line
    ]  # it may have been a list that moved
    assert query("SELECT 1 FROM duckdb_tables() WHERE table_name = 'x'") == []


@pytest.mark.parametrize("paginator", [CURSOR, OFFSET, PAGE], ids=["cursor", "offset", "page"])
def test_a_record_that_comes_twice_is_a_doubt_if_there_is_no_total(
    listen: Listen, configure: Configure, paginator: Any
) -> None:
    pages = Pages([{**ROW, "id": n} for n in range(12)])
    pages.rows[8] = ROW
    section = resource(listen(pages).base_url, paginator)
    section["resources"][0]["columns"] = {"at": TIME}
    found = read(configure(**section))
    assert "1 records arrived twice in the same version" in str(found.proof)
    assert (found.proof.readings, found.proof.proven) == (3, False)
    pages.rows[8] = NEWER
    assert read(configure(**section)).proof.proven


def test_a_record_that_comes_twice_once_is_read_again(
    listen: Listen, configure: Configure, query: Query
) -> None:
    pages = Pages([{"id": n} for n in range(12)])
    wrong = [3, *range(1, 12)]
    pages.reshape = lambda body: {
        **body,
        "total": 12,
        "data": [{"id": wrong[r["id"]]} for r in body["data"]]
        if len(pages.asked) <= 3
        else body["data"],
    }
    configure(**resource(listen(pages).base_url, CURSOR))
    proof = _synced()
    assert (proof.proven, proof.distinct, proof.expected) == (True, 12, 12)
    assert query("SELECT count(*) FROM incidents.x") == [(12,)]


def test_no_record_is_proven_too(listen: Listen, configure: Configure) -> None:
    pages = Pages([])
    configure(**resource(listen(pages).base_url, OFFSET))
    proof = _synced()
    assert (proof.proven, proof.rows, proof.distinct) == (True, 0, 0)
