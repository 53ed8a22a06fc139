"""What the demo API answers over real HTTP, and that every switch of `Faults` works."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from starlette.responses import Response

from incidents_dagster.demo_api import app
from incidents_dagster.demo_api.app import DroppedConnection
from incidents_dagster.demo_api.server import DemoServer

KEY = "key-of-the-test"


def _row(n: int, created: str, updated: str) -> dict[str, Any]:
    return {
        "id": f"INC-{n}",
        "created_at": f"2026-09-01T{created}Z",
        "updated_at": f"2026-09-01T{updated}Z",
    }


# Neither in order of creation nor of update; 3 and 1 were created at once, 4 has a fraction.
ROWS = [
    _row(3, "10:00:00", "12:00:00"),
    _row(1, "10:00:00", "14:00:00"),
    _row(2, "09:00:00", "13:00:00"),
    _row(4, "11:00:00", "13:00:00.500"),
]


@pytest.fixture(scope="module")
def shared() -> Iterator[DemoServer]:
    """A server for tests that leave its switches alone."""
    with DemoServer(incidents=lambda: ROWS, api_key=KEY) as running:
        yield running


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(incidents=lambda: ROWS, api_key=KEY) as running:
        yield running


def _get(server: DemoServer, query: str = "", key: str | None = KEY) -> requests.Response:
    params = {} if key is None else {"api_key": key}
    url = f"{server.base_url}/v1/incidents?{query}"
    return requests.get(url, params=params, timeout=30)


def _ids(answer: requests.Response) -> list[str]:
    assert answer.ok, answer.text
    return [row["id"].removeprefix("INC-") for row in answer.json()["data"]]


def _error(answer: requests.Response, status: int) -> dict[str, str]:
    assert answer.status_code == status
    error: dict[str, str] = answer.json()["error"]
    assert set(error) == {"code", "message"}
    return error


def test_a_page_holds_whole_rows_and_the_total(shared: DemoServer) -> None:
    assert _get(shared, "limit=1").json() == {"data": [ROWS[2]], "total": 4}


@pytest.mark.parametrize("key", [None, "", "mistaken", KEY + "x", KEY.upper()])
def test_a_request_without_the_key_is_refused(shared: DemoServer, key: str | None) -> None:
    answer = _get(shared, key=key)
    assert _error(answer, 401)["code"] == "unauthorized"
    assert not key or key not in answer.text
    assert KEY not in answer.text


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/incidents/", "/v1/incidents/INC-1", "//x"])
def test_other_paths_are_not_found(shared: DemoServer, path: str) -> None:
    answer = requests.get(shared.base_url + path, params={"api_key": KEY}, timeout=30)
    assert _error(answer, 404)["code"] == "not_found"


def test_other_methods_are_refused(shared: DemoServer) -> None:
    answer = requests.post(f"{shared.base_url}/v1/incidents", timeout=30)
    assert _error(answer, 405)["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("", "2134"),
        ("sort=created_at", "2134"),
        ("sort=-created_at", "4132"),
        ("sort=updated_at", "3241"),
        ("sort=-updated_at", "1423"),
        ("sort=id", "1234"),
        ("sort=-id", "4321"),
    ],
)
def test_sorting_breaks_ties_by_id(shared: DemoServer, sort: str, ids: str) -> None:
    assert _ids(_get(shared, sort)) == list(ids)


@pytest.mark.parametrize(
    ("since", "ids"),
    [
        ("2026-09-01T13:00:00Z", "214"),
        ("2026-09-01T13:00:00%2B00:00", "214"),
        ("2026-09-01T13:00:00+00:00", "214"),
        ("2026-09-01T15:00:00+02:00", "214"),
        ("2026-09-01T13:00:00.001Z", "14"),
        ("2026-09-01T13:00:01Z", "1"),
        ("2026-09-01T14:00:01", ""),
        ("2026-09-01", "2134"),
        ("0001-01-01T00:00:00%2B23:59", "2134"),
    ],
)
def test_updated_since_is_inclusive_and_counts(shared: DemoServer, since: str, ids: str) -> None:
    answer = _get(shared, f"updated_since={since}")
    assert _ids(answer) == list(ids)
    assert answer.json()["total"] == len(ids)


def test_filter_sorting_and_paging_work_together(shared: DemoServer) -> None:
    query = "updated_since=2026-09-01T13:00:00Z&sort=-updated_at&offset=1&limit=1"
    answer = _get(shared, query)
    assert (_ids(answer), answer.json()["total"]) == (["4"], 3)


def test_pages_are_25_rows_and_at_most_100() -> None:
    rows = [_row(1000 + n, "10:00:00", "10:00:00") for n in range(130)]
    with DemoServer(incidents=lambda: rows, api_key=KEY) as server:
        ids = [row["id"].removeprefix("INC-") for row in rows]
        assert _ids(_get(server)) == ids[:25]
        assert _ids(_get(server, "limit=500")) == ids[:100]
        assert _ids(_get(server, "limit=500&offset=100")) == ids[100:]
        assert _ids(_get(server, "offset=130")) == []


@pytest.mark.parametrize("name", ["offset", "limit", "updated_since", "sort"])
@pytest.mark.parametrize("value", ["", "-1", "x", "1.5", "1_0", "9" * 5000])
def test_a_bad_parameter_is_named(shared: DemoServer, name: str, value: str) -> None:
    assert name in _error(_get(shared, f"{name}={value}"), 400)["message"]


@pytest.mark.parametrize(
    ("name", "value"), [("limit", "0"), ("sort", "--id"), ("sort", "status"), ("offset", "%C2%B2")]
)
def test_more_bad_parameters_are_named(shared: DemoServer, name: str, value: str) -> None:
    assert name in _error(_get(shared, f"{name}={value}"), 400)["message"]


def test_requests_are_remembered_in_order_without_the_key(server: DemoServer) -> None:
    before = time.monotonic()
    _get(server, "limit=2&sort=-id")
    _get(server, key="wrong")
    requests.get(f"{server.base_url}/other", timeout=30)
    after = time.monotonic()
    seen = server.requests
    assert [request.path for request in seen] == ["/v1/incidents", "/v1/incidents", "/other"]
    assert [request.query for request in seen] == [{"limit": "2", "sort": "-id"}, {}, {}]
    assert before <= seen[0].at <= seen[1].at <= seen[2].at <= after
    assert server.faults.request_count == len(seen)
    assert KEY not in repr(seen)


def test_only_the_latest_requests_are_remembered(
    server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "REMEMBERED_REQUESTS", 2)
    for n in range(5):
        _get(server, f"offset={n}")
    assert [request.query for request in server.requests] == [{"offset": "3"}, {"offset": "4"}]
    assert server.faults.request_count == len(range(5))


def test_scripted_answers_come_first_and_once(server: DemoServer) -> None:
    limited = Response(status_code=429, headers={"Retry-After": "7"})
    page = Response("<h1>Maintenance</h1>", status_code=503, media_type="text/html")
    server.faults.answers.extend([limited, page])
    first, second, third = _get(server, key="wrong"), _get(server, "limit=x"), _get(server)
    assert (first.status_code, first.headers["Retry-After"]) == (429, "7")
    assert (second.status_code, second.text) == (503, "<h1>Maintenance</h1>")
    assert third.ok
    assert not server.faults.answers


def test_a_dropped_connection_breaks_the_answer_off(server: DemoServer) -> None:
    server.faults.answers.append(DroppedConnection())
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        _get(server)
    assert _get(server).ok


def test_latency_delays_every_answer(server: DemoServer) -> None:
    server.faults.latency = 0.3
    server.faults.answers.append(Response(status_code=500))
    for _ in range(2):
        before = time.monotonic()
        _get(server)
        assert time.monotonic() - before >= server.faults.latency * 0.9


def test_page_cap_limits_pages_silently(server: DemoServer) -> None:
    server.faults.page_cap = 2
    answer = _get(server, "limit=50")
    assert (_ids(answer), answer.json()["total"]) == (["2", "1"], 4)


@pytest.mark.parametrize(
    "lie", [None, [], {}, {"data": None}, {"data": {}, "total": 4}, {"error": {"code": "x"}}]
)
def test_reshape_decides_the_body(server: DemoServer, lie: Any) -> None:
    server.faults.reshape = lambda answer: lie
    answer = _get(server)
    assert (answer.status_code, answer.json()) == (200, lie)


def test_reshape_gets_the_answer_to_edit(server: DemoServer) -> None:
    def rename(answer: dict[str, Any]) -> dict[str, Any]:
        answer["data"][0]["id"] = "INC-edited"
        return {**answer, "total": 999}

    server.faults.reshape = rename
    answer = _get(server)
    assert (_ids(answer), answer.json()["total"]) == (["edited", "1", "3", "4"], 999)
    server.faults.reshape = None
    assert _ids(_get(server)) == ["2", "1", "3", "4"]


@pytest.mark.parametrize("body", [b'{"data": [', b"<html>busy</html>", b"", b"\xff"])
def test_raw_body_replaces_the_json(server: DemoServer, body: bytes) -> None:
    server.faults.raw_body = body
    answer = _get(server)
    assert (answer.status_code, answer.content) == (200, body)
    _error(_get(server, key="wrong"), 401)


def test_deletions_between_pages_make_offset_paging_skip(server: DemoServer) -> None:
    server.faults.moving = "delete"
    assert _ids(_get(server, "limit=2")) == ["2", "1"]
    _error(_get(server, key="wrong"), 401)
    assert _ids(_get(server, "limit=2&offset=2")) == ["4"]
    server.faults.moving = None
    assert _ids(_get(server)) == ["3", "4"]
    assert server.faults.deleted == {"INC-2", "INC-1"}


def test_insertions_between_pages_make_offset_paging_repeat(server: DemoServer) -> None:
    server.faults.moving = "insert"
    assert _ids(_get(server, "limit=2")) == ["2", "1"]
    assert _ids(_get(server, "limit=2&offset=2")) == ["1", "3"]
    server.faults.moving = None
    rows = _get(server, "sort=-id").json()
    assert [row["id"] for row in rows["data"][:2]] == ["NEW-2", "NEW-1"]
    assert rows["total"] == len(ROWS) + 2
    assert rows["data"][:2] == server.faults.inserted
    assert _ids(_get(server, "updated_since=2026-09-01T14:00:00Z")) == ["1"]


@pytest.mark.parametrize("moving", ["delete", "insert"])
def test_an_empty_list_does_not_move(server: DemoServer, moving: Any) -> None:
    server.faults.moving = moving
    for _ in range(2):
        assert _ids(_get(server, "updated_since=2030-01-01")) == []
    server.faults.moving = None
    assert _ids(_get(server)) == ["2", "1", "3", "4"]
