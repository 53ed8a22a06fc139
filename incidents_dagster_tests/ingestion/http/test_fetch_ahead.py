"""Pages fetched ahead: the rows, errors and requests of dlt's own walk, several at a time."""

import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.config_setup import create_paginator
from hypothesis import given, settings
from hypothesis import strategies as st
from requests import Request
from tenacity import Retrying, stop_after_attempt

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.ingestion.http.deadline import Deadline
from incidents_dagster.ingestion.http.fetch_ahead import AheadSession
from incidents_dagster.ingestion.http.pace import Pace
from incidents_dagster.ingestion.http.transport import open_session
from incidents_dagster.ingestion.reading import pages_ahead, paginators
from incidents_dagster_tests.ingestion.http.clock import A_MOMENT, PATIENCE, Clock

Listen = Callable[[Callable[[Asked], Any]], Web]

LIMIT = 3
ROWS = [{"id": n} for n in range(23)]  # eight pages

OFFSET = {"type": "offset", "limit": LIMIT, "total_path": ""}
TOTAL = {**OFFSET, "total_path": "total"}
PAGE = {"type": "page_number", "total_path": "pages"}
KINDS: dict[str, dict[str, Any]] = {
    "offset": OFFSET,
    "offset with a total": TOTAL,
    "offset in the body": {
        **TOTAL,
        "offset_body_path": "page.offset",
        "limit_body_path": "page.limit",
    },
    "offset up to a maximum": {**OFFSET, "maximum_offset": 9},
    "page": PAGE,
    "page from one on": {**PAGE, "base_page": 1, "page_param": "p"},
    "page in the body": {**PAGE, "page_body_path": "page.number"},
    "page up to a maximum": {**PAGE, "total_path": "", "maximum_page": 4},
}


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetches ahead however fast the API on loopback answers."""
    monkeypatch.setattr(pages_ahead, "WORTH_SECONDS", 0.0)


class Api:
    """Serves `rows`, asked for in any of the ways of `KINDS`; a test changes it in place.

    Attributes:
        hold: Gets each first row's number, on the server's thread, before it is answered.
        answers: First row's number → answers before the real one.
        reshape: Gets each `{"data": …, "total": …, "pages": …}` and returns what to send.
        asked: First rows' numbers, in the order of arrival.
        most: Most requests at once.
    """

    def __init__(self, rows: list[Any] | None = None, limit: int = LIMIT) -> None:
        self.rows = ROWS if rows is None else rows
        self.limit = limit
        self.cap = limit
        self.hold: Callable[[int], Any] = lambda _: None
        self.answers: dict[int, list[Any]] = {}
        self.reshape: Callable[[dict[str, Any]], Any] = lambda body: body
        self.asked: list[int] = []
        self.most = self._now = 0
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Any:
        body = json.loads(asked.body)["page"] if asked.body else {}
        told = {**asked.query, **body}
        first = int(told["offset"]) if "offset" in told else self._number(told) * self.limit
        with self._lock:
            self.asked.append(first)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            self.hold(first)
        finally:
            with self._lock:
                self._now -= 1
        if self.answers.get(first):
            return self.answers[first].pop(0)
        pages = -(-len(self.rows) // self.limit)
        page = self.rows[first : first + min(self.limit, self.cap)]
        return self.reshape({"data": page, "total": len(self.rows), "pages": pages})

    @staticmethod
    def _number(told: dict[str, Any]) -> int:
        return int(told["p"]) - 1 if "p" in told else int(told.get("page", told.get("number")))


@dataclass
class Walked:
    """What a walk brought: rows, the first rows' numbers that were asked for, the error."""

    rows: list[Any]
    asked: list[int]
    status: int | None
    most: int = 0


def _client(web: Web, session: Any, paginator: Any, **more: Any) -> RESTClient:
    return RESTClient(
        web.base_url, session=session, paginator=paginator, data_selector="data", **more
    )


def _total(response: requests.Response) -> int | None:
    answer = response.json()
    total = answer.get("total") if isinstance(answer, dict) else None
    return total if type(total) is int else None  # True passes isinstance


def _pages(client: RESTClient, kind: dict[str, Any]) -> Iterator[Any]:
    in_body = any(name.endswith("body_path") for name in kind)
    return client.paginate("/x", method="POST" if in_body else "GET", json={} if in_body else None)


def _walk(web: Web, api: Api, kind: dict[str, Any], most: int | None) -> Walked:
    """Walks with so many ahead; None walks as dlt does without us."""
    api.asked.clear()
    rows: list[Any] = []
    status = None
    session, adapter = open_session(most or 1)
    with closing(session):
        made = (
            create_paginator(kind)
            if most is None
            else paginators.paginator(kind, session, overlap=False, total=_total)
        )
        try:
            for page in _pages(_client(web, session, made), kind):
                rows += page
        except requests.HTTPError as error:
            status = error.response.status_code
    return Walked(rows, list(api.asked), status, adapter.most_in_flight)


def _eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)


def _fetching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fetch-ahead"]


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def web(listen: Listen, api: Api) -> Web:
    return listen(api)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    _eventually(lambda: not _fetching())


@pytest.mark.parametrize("most", [1, 2, 4, 16])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sample(8)
def test_rows_order_and_requests_are_those_of_the_sequential_walk(
    web: Web, api: Api, kind: str, most: int
) -> None:
    own, fetched = _walk(web, api, KINDS[kind], None), _walk(web, api, KINDS[kind], most)
    assert fetched.rows == own.rows
    # The two signs of the end spare the one request for an empty page.
    expected = own.asked[:-1] if kind == "offset" else own.asked
    assert sorted(fetched.asked) == expected
    assert fetched.most <= most


@pytest.mark.parametrize("most", [2, 4, 7])
@pytest.mark.parametrize("kind", ["offset", "page", "page from one on", "offset in the body"])
def test_so_many_are_in_flight_at_once(web: Web, api: Api, kind: str, most: int) -> None:
    together = threading.Barrier(most)
    # Nobody gets an answer before so many are there.
    api.hold = lambda first: 0 < first <= LIMIT * most and together.wait(PATIENCE)
    walked = _walk(web, api, KINDS[kind], most)
    assert walked.rows == ROWS
    assert (api.most, walked.most) == (most, most)


def test_an_api_that_answers_at_once_is_read_page_by_page(
    web: Web, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_ahead, "WORTH_SECONDS", PATIENCE)
    walked = _walk(web, api, TOTAL, 4)
    assert (walked.rows, walked.most) == (ROWS, 1)
    assert walked.asked == sorted(walked.asked)


def test_one_slow_answer_is_enough_to_go_ahead(
    web: Web, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_ahead, "WORTH_SECONDS", 0.2)
    together = threading.Barrier(2)

    def hold(first: int) -> None:
        if first == 0:
            time.sleep(0.3)
        if first in (LIMIT, 2 * LIMIT):
            together.wait(PATIENCE)

    api.hold = hold
    assert _walk(web, api, TOTAL, 2).rows == ROWS


@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_slow_walk_has_a_bounded_number_of_answers_waiting(web: Web, api: Api, most: int) -> None:
    session, _ = open_session(most)
    ahead_of_it = most if most > 1 else 0
    with closing(session):
        pages = _pages(
            _client(
                web, session, paginators.paginator(TOTAL, session, overlap=False, total=_total)
            ),
            TOTAL,
        )
        for taken, _ in enumerate(pages, start=1):
            expected = min(taken + ahead_of_it, 8)
            _eventually(lambda expected=expected: len(api.asked) >= expected)
            assert len(api.asked) == expected


def test_the_first_error_ends_the_walk_in_order(web: Web, api: Api) -> None:
    later = [9, 12]
    gone = threading.Semaphore(0)
    api.answers = {6: [Reply(status=400)], 9: [Reply(status=404)], 12: [Reply(status=401)]}

    def hold(first: int) -> None:
        if first == 6:  # is answered only after the others
            for _ in later:
                assert gone.acquire(timeout=PATIENCE)
        elif first in later:
            gone.release()

    api.hold = hold
    walked = _walk(web, api, OFFSET, 5)
    assert walked.rows == ROWS[:6]
    assert walked.status == 400
    assert set(later) < set(api.asked)


def test_an_error_behind_the_end_never_surfaces(web: Web, api: Api) -> None:
    # The total is too large; what it promises is refused.
    api.reshape = lambda body: {**body, "total": 90}
    api.answers = {first: [Reply(status=404)] for first in (27, 30, 33)}
    walked = _walk(web, api, OFFSET, 4)
    assert (walked.rows, walked.status) == (ROWS, None)


def test_errors_in_the_background_are_retried(web: Web, api: Api, waits: list[float]) -> None:
    api.answers = {
        6: [Reply(status=503), Reply(status=500)],
        12: [Reply(status=429, headers={"Retry-After": "7"})],
    }
    walked = _walk(web, api, TOTAL, 4)
    assert walked.rows == ROWS
    assert sorted(walked.asked) == sorted([*range(0, 23, 3), 6, 6, 12])
    assert sorted(waits) == [2, 4, 7]


def test_a_page_has_three_retries_in_the_background_too(
    web: Web, api: Api, waits: list[float]
) -> None:
    api.answers = {6: [Reply(status=503)] * 9}
    walked = _walk(web, api, TOTAL, 3)
    assert (walked.rows, walked.status) == (ROWS[:6], 503)
    assert api.asked.count(6) == 4
    assert waits == [2, 4, 8]


@pytest.mark.parametrize("status", [429, 503])
def test_one_that_is_told_to_wait_pauses_all(
    web: Web, api: Api, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    api.answers = {6: [Reply(status=status, headers={"Retry-After": "30"})]}
    pausing, over = threading.Event(), threading.Event()
    told: list[float] = []
    # It is told to wait only after the others of its time have been sent.
    api.hold = lambda first: first != 6 or _eventually(lambda: len(api.asked) >= 4)

    def sleep(_: Pace, seconds: float) -> None:
        told.append(seconds)
        pausing.set()
        assert over.wait(PATIENCE)

    monkeypatch.setattr(Pace, "sleep", sleep)
    session, _ = open_session(3)
    with closing(session):
        pages = _pages(
            _client(
                web, session, paginators.paginator(TOTAL, session, overlap=False, total=_total)
            ),
            TOTAL,
        )
        next(pages)
        assert pausing.wait(PATIENCE)
        # Taking the second page makes room for one more; it may not start.
        next(pages)
        _eventually(lambda: len(_fetching()) == 2)
        threading.Event().wait(A_MOMENT)
        assert sorted(api.asked) == [0, 3, 6, 9]
        over.set()
        assert [row for page in pages for row in page] == ROWS[6:]
    assert told == [30]


def test_the_budget_holds_for_retries_and_pages_ahead(
    web: Web, api: Api, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    api.answers = {6: [Reply(status=503)]}
    session, adapter = open_session(4, requests_per_minute=6)
    with closing(session):
        pages = _pages(
            _client(
                web, session, paginators.paginator(TOTAL, session, overlap=False, total=_total)
            ),
            TOTAL,
        )
        assert [row for page in pages for row in page] == ROWS
    assert adapter.requests_made == len(api.asked) == 9
    assert clock.now == 1000 + 8 * 10


SEQUENTIAL: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], Any]]] = {
    "no total": (OFFSET, lambda body: {"data": body["data"]}),
    "a total that is a text": (OFFSET, lambda body: {**body, "total": "23"}),
    "a total that is a bool": (OFFSET, lambda body: {**body, "total": True}),
    "a total that is no whole number": (OFFSET, lambda body: {**body, "total": 23.0}),
    "a total of null": (OFFSET, lambda body: {**body, "total": None}),
    "a negative total": (OFFSET, lambda body: {**body, "total": -1}),
    "a total of the page alone": (OFFSET, lambda body: {**body, "total": len(body["data"])}),
    "only has_more": (
        {**OFFSET, "has_more_path": "more"},
        lambda body: {"data": body["data"], "more": ROWS[-1] not in body["data"]},
    ),
    "pages without a total": ({**PAGE, "total_path": ""}, lambda body: body),
}


@pytest.mark.parametrize("case", SEQUENTIAL)
def test_without_a_known_end_pages_are_fetched_one_by_one(web: Web, api: Api, case: str) -> None:
    kind, api.reshape = SEQUENTIAL[case]
    own, fetched = _walk(web, api, kind, None), _walk(web, api, kind, 4)
    # Offsets go on by the rows that came, so the empty page is asked for right behind the last row.
    asked = (
        [min(first, len(ROWS)) for first in own.asked] if kind["type"] == "offset" else own.asked
    )
    assert fetched == Walked(ROWS, asked, None, most=1)
    assert not _fetching()


def test_a_list_at_the_top_has_no_total(web: Web, api: Api) -> None:
    api.reshape = lambda body: body["data"]
    session, adapter = open_session(4)
    with closing(session):
        client = RESTClient(
            web.base_url,
            session=session,
            paginator=paginators.paginator(OFFSET, session, overlap=False, total=_total),
            data_selector="$",
        )
        assert [row for page in client.paginate("/x") for row in page] == ROWS
    assert adapter.most_in_flight == 1


@pytest.mark.parametrize("kind", ["offset", "offset with a total"])
@pytest.mark.parametrize("lie", [0, 3, 4, 22, 24, 60, -5])
@pytest.mark.parametrize("cap", [LIMIT, 2])
@pytest.mark.sample(7)
def test_a_total_that_lies_ends_no_walk_by_itself(
    web: Web, api: Api, kind: str, lie: int, cap: int
) -> None:
    api.reshape = lambda body: {**body, "total": lie}
    api.cap = cap
    fetched = _walk(web, api, KINDS[kind], 4)
    assert fetched.rows == ROWS
    walk = {*range(0, len(ROWS), cap), len(ROWS)}
    assert all(first < lie for first in {*fetched.asked} - walk)
    assert len(fetched.asked) == len(set(fetched.asked))


def test_a_server_that_caps_its_pages_is_asked_for_none_in_vain(web: Web, api: Api) -> None:
    api.cap = 2
    walked = _walk(web, api, TOTAL, 4)
    assert (walked.rows, sorted(walked.asked)) == (ROWS, [*range(0, 23, 2)])
    assert walked.most > 1


@pytest.mark.parametrize(
    ("total", "rows", "spared"),
    [
        (None, 23, True),  # the truth
        (None, 21, False),  # the last page is full: it may not be the last
        (22, 23, False),
        (24, 23, False),
        (2, 23, False),  # what the last page holds
        ("23", 23, False),
        (True, 1, False),
        (1, 1, True),
        (23.0, 23, False),
    ],
)
def test_two_signs_of_the_end_that_agree_spare_the_empty_page(
    web: Web, api: Api, total: Any, rows: int, spared: bool
) -> None:
    api.rows = ROWS[:rows]
    api.reshape = lambda body: {**body, "total": rows if total is None else total}
    for most in (1, 4):
        fetched = _walk(web, api, OFFSET, most)
        assert fetched.rows == ROWS[:rows]
        assert sorted(fetched.asked) == [*range(0, rows, LIMIT), *([] if spared else [rows])]


def test_has_more_is_believed_against_the_two_signs(web: Web, api: Api) -> None:
    # The server caps its pages at two: a short page, and a total that the first page meets.
    api.cap = 2
    api.reshape = lambda body: {**body, "total": 2, "more": bool(body["data"])}
    walked = _walk(web, api, {**OFFSET, "has_more_path": "more"}, 4)
    assert (walked.rows, walked.asked) == (ROWS, [*range(0, 23, 2), 23])


def test_nothing_is_fetched_ahead_where_there_is_no_more(web: Web, api: Api) -> None:
    api.reshape = lambda body: {**body, "more": False}
    assert _walk(web, api, {**TOTAL, "has_more_path": "more"}, 4).asked == [0]


def test_a_total_that_shrinks_ends_the_fetching_and_not_the_walk(web: Web, api: Api) -> None:
    api.reshape = lambda body: {**body, "total": 90 if ROWS[0] in body["data"] else 7}
    walked = _walk(web, api, TOTAL, 2)
    # Beyond the seventh row the walk asks alone, and until there is no more.
    assert (walked.rows, walked.asked[3:]) == (ROWS, [*range(9, 23, 3), 23])
    assert sorted(walked.asked[:3]) == [0, 3, 6]


def test_the_next_walk_starts_anew(web: Web, api: Api) -> None:
    """rest_api uses an endpoint's paginator again without copying it."""
    session, _ = open_session(4)
    with closing(session):
        made = paginators.paginator(TOTAL, session, overlap=False, total=_total)
        client = _client(web, session, None)
        for _ in range(2):
            pages = client.paginate("/x", paginator=made)
            assert [row for page in pages for row in page] == ROWS
        assert sorted(api.asked) == sorted([*range(0, 23, 3)] * 2)
        # What a walk that was broken off knew of the end is not true any more.
        next(client.paginate("/x", paginator=made))
        _eventually(lambda: not _fetching())
        api.rows = ROWS[:2]
        api.asked.clear()
        api.hold = lambda _: threading.Event().wait(A_MOMENT)
        assert list(client.paginate("/x", paginator=made)) == [ROWS[:2]]
        assert api.asked == [0]


def test_two_resources_share_what_may_be_in_flight(listen: Listen) -> None:
    served = {"a": Api([{"id": n} for n in range(40)]), "b": Api([{"id": -n} for n in range(40)])}
    guard, now, most = threading.Lock(), [0], [0]

    def answer(asked: Asked) -> Any:
        with guard:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with guard:
            now[0] -= 1
        return served[asked.headers["x-table"]](asked)

    web = listen(answer)
    session, adapter = open_session(3)
    # The same address for both: only a header tells them apart.
    resources = [
        {
            "name": name,
            "endpoint": {
                "path": "/x",
                "headers": {"X-Table": name},
                "data_selector": "data",
                "paginator": paginators.paginator(TOTAL, session, overlap=False, total=_total),
            },
        }
        for name in served
    ]
    with closing(session):
        config: Any = {
            "client": {"base_url": web.base_url, "session": session},
            "resources": resources,
        }
        source = rest_api_source(config)
        walks = {name: iter(source.resources[name]) for name in served}
        brought: dict[str, list[Any]] = {name: [] for name in served}
        for _ in range(40):  # row by row in turns
            for name, rows in walks.items():
                brought[name].append(next(rows))
    assert brought == {name: one.rows for name, one in served.items()}
    assert most[0] <= adapter.most_in_flight == 3
    for one in served.values():
        assert sorted(one.asked) == [*range(0, 40, 3)]


@pytest.mark.parametrize("place", ["client", "endpoint"])
def test_rest_api_takes_the_paginator(web: Web, api: Api, place: str) -> None:
    session, adapter = open_session(4)
    together = threading.Barrier(4)
    api.hold = lambda first: 0 < first <= 12 and together.wait(PATIENCE)
    given = {"paginator": paginators.paginator(OFFSET, session, overlap=False, total=_total)}
    endpoint = {"path": "/x", "data_selector": "data", **(given if place == "endpoint" else {})}
    config: Any = {
        "client": {
            "base_url": web.base_url,
            "session": session,
            **(given if place == "client" else {}),
        },
        "resources": [{"name": "x", "endpoint": endpoint}],
    }
    with closing(session):
        assert list(rest_api_source(config).resources["x"]) == ROWS
    assert (adapter.requests_made, adapter.most_in_flight) == (8, 4)


def test_children_of_a_parent_walk_ahead_each(listen: Listen) -> None:
    served = {str(parent): Api([{"id": parent * 100 + n} for n in range(8)]) for parent in (1, 2)}

    def answer(asked: Asked) -> Any:
        if asked.path == "/parents":
            return {"data": [{"id": 1}, {"id": 2}]}
        return served[asked.path.split("/")[2]](asked)

    session, _ = open_session(4)
    config: Any = {
        "client": {
            "base_url": listen(answer).base_url,
            "session": session,
            "paginator": paginators.paginator(TOTAL, session, overlap=False, total=_total),
        },
        "resources": [
            {
                "name": "parents",
                "endpoint": {
                    "path": "/parents",
                    "data_selector": "data",
                    "paginator": "single_page",
                },
            },
            {
                "name": "children",
                "endpoint": {"path": "/of/{resources.parents.id}/x", "data_selector": "data"},
            },
        ],
    }
    with closing(session):
        rows = list(rest_api_source(config).resources["children"])
    assert rows == [*served["1"].rows, *served["2"].rows]
    assert [sorted(one.asked) for one in served.values()] == [[0, 3, 6]] * 2


def test_copies_share_the_session() -> None:
    session, _ = open_session(4)
    made = paginators.paginator(OFFSET, session, overlap=False, total=_total)
    config = {"client": {"session": session, "paginator": made}}
    copied = copy.deepcopy(config)["client"]
    assert copied["session"] is session
    assert copied["paginator"] is not made
    assert copied["paginator"].ahead._session is session


def test_closing_ends_a_retry_that_waits_for_minutes(web: Web, api: Api) -> None:
    api.answers = {6: [Reply(status=429, headers={"Retry-After": "250"})], 3: [Reply(status=400)]}
    # The first error comes while the other already waits.
    api.hold = lambda first: first != 3 or _eventually(paused)
    session, _ = open_session(4)
    pace = session._pace

    def paused() -> bool:
        return pace._pauses == 1

    with pytest.raises(requests.HTTPError), closing(session):
        list(
            _pages(
                _client(
                    web, session, paginators.paginator(TOTAL, session, overlap=False, total=_total)
                ),
                TOTAL,
            )
        )
    assert not _fetching()
    assert 6 in api.asked


def test_closing_in_the_middle_leaves_nothing(web: Web, api: Api) -> None:
    session, _ = open_session(4)
    with closing(session):
        pages = _pages(
            _client(
                web, session, paginators.paginator(TOTAL, session, overlap=False, total=_total)
            ),
            TOTAL,
        )
        next(pages)
    assert not _fetching()
    counted = len(api.asked)
    assert counted <= 5
    # Whoever goes on nevertheless gets what has come, and starts nothing new.
    with pytest.raises(CancelledError):
        list(pages)
    assert len(api.asked) == counted


def test_closing_does_not_wait_for_a_request_that_hangs(
    web: Web, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incidents_dagster.ingestion.http.fetch_ahead.CLOSING_SECONDS", 0.05)
    answer = threading.Event()
    api.hold = lambda first: first == 0 or answer.wait(PATIENCE)
    session, _ = open_session(3)
    try:
        pages = _pages(
            _client(
                web, session, paginators.paginator(TOTAL, session, overlap=False, total=_total)
            ),
            TOTAL,
        )
        next(pages)
        _eventually(lambda: len(api.asked) == 4)
        session.close()
        hanging = _fetching()
        assert len(hanging) == 3
        assert all(thread.daemon for thread in hanging)
    finally:
        answer.set()


@pytest.mark.parametrize("ended_by", ["a shorter list", "an error"])
def test_what_is_not_wanted_any_more_and_has_not_started_is_not_sent(
    web: Web, api: Api, ended_by: str
) -> None:
    pace = Pace(at_once=4)
    session = AheadSession(
        Retrying(stop=stop_after_attempt(1), reraise=True), pace, 4, Deadline(25)
    )
    walk = Request("GET", f"{web.base_url}/x")
    session.keep(walk, [])
    requests_ahead = [copy.copy(walk) for _ in range(2)]
    requests_ahead[0].params, requests_ahead[1].params = {"offset": 3}, {"offset": 6}
    pages = [session.prepare_request(request) for request in requests_ahead]
    with closing(session):
        with pace.pause():
            session.keep(walk, pages)
            under_way = list(vars(walk)["ahead"].values())
            if ended_by == "a shorter list":
                session.keep(walk, pages[:1])
            else:
                under_way[0].set_exception(ConnectionAbortedError)
                with pytest.raises(ConnectionAbortedError):
                    session.send(pages[0])
        _eventually(lambda: not _fetching())
    assert under_way[1].cancelled()
    assert api.asked == [3]


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Web, list[Api]]]:
    """One server for all examples of a property; it serves the last of the list beside it."""
    served = [Api()]
    with Web(lambda asked: served[-1](asked)) as server:  # noqa: PLW0108  the last when asked
        yield server, served


@dataclass
class Case:
    """A list, the server's faults, and how it is walked."""

    kind: str
    limit: int
    rows: int
    most: int
    fails: set[int]
    told: int | None


@settings(max_examples=30, deadline=None)
@given(
    case=st.builds(
        Case,
        kind=st.sampled_from(["offset", "offset with a total", "page", "offset in the body"]),
        limit=st.integers(1, 4),
        rows=st.integers(0, 14),
        most=st.integers(1, 6),
        fails=st.sets(st.integers(0, 14), max_size=2),
        told=st.none() | st.integers(-1, 20),
    )
)
def test_whatever_the_list_the_walk_is_the_sequential_one(
    shared: tuple[Web, list[Api]], case: Case
) -> None:
    web, served = shared
    api, kind = Api(ROWS[: case.rows], case.limit), KINDS[case.kind]
    served.append(api)
    if case.told is not None:
        api.reshape = lambda body: {**body, "total": case.told, "pages": case.told}
    if kind["type"] == "offset":
        kind = {**kind, "limit": case.limit}

    def walk(most: int | None) -> Walked:
        # A status of its own for each page, so that none is taken for another's.
        api.answers = {page * case.limit: [Reply(status=430 + page)] for page in case.fails}
        return _walk(web, api, kind, most)

    fetched = walk(case.most)
    if kind["type"] == "page_number":
        own = walk(None)
        rows, status = own.rows, own.status
    else:  # offsets go to the end, whatever the total says
        first = min((p for p in case.fails if p * case.limit <= case.rows), default=None)
        rows = api.rows if first is None else api.rows[: first * case.limit]
        status = None if first is None else 430 + first
    assert (fetched.rows, fetched.status) == (rows, status)
    assert fetched.most <= case.most
    assert len(fetched.asked) == len(set(fetched.asked))
    if status is None and case.told is None:
        assert max(fetched.asked) <= case.rows or kind["type"] == "page_number"
