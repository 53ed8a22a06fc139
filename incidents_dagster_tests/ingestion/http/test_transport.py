"""Which failures are retried and how long apart, what is counted and never sent."""

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from starlette.responses import Response
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from fakes.incidents import incident
from fakes.messages import Asked, Reply
from fakes.misbehaviour import HANG_UP, SILENCE
from fakes.web import Web
from incidents_dagster.demo_api.app import DroppedConnection
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.http.transport import ApiAdapter, open_session
from incidents_dagster.ingestion.reading.source import open_api
from incidents_dagster.ingestion.settings import Settings, load_settings

Listen = Callable[[Callable[[Asked], Any]], Web]

ROWS = [incident(n) for n in range(1, 151)]
# What to check is in the message: a word of it for each status that is not retried.
NOT_RETRIED = {
    400: "endpoint.params",
    401: "check the secret",
    403: "permissions",
    404: "endpoint.path",
    408: "refused",
    409: "refused",
    410: "refused",
    422: "refused",
    501: "endpoint.method",
    505: "failing",
}


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """Two pages."""
    return list(ROWS)


def _fetch(settings: Settings | None = None) -> tuple[list[Any], int, str | None]:
    """Records, requests counted, and what went wrong in one message."""
    records: list[Any] = []
    with open_api(settings or load_settings(), lambda _: None) as opened:
        try:
            records.extend(opened.records(next(iter(opened.declared.resources))))
        except Exception as error:
            return records, opened.adapter.requests_made, explain(error)
    return records, opened.adapter.requests_made, None


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_fault_is_retried_three_times(
    api: DemoServer, waits: list[float], status: int
) -> None:
    api.faults.answers.extend(Response("<p>body-of-answer</p>", status) for _ in range(9))
    records, counted, message = _fetch()
    assert (api.faults.request_count, counted, waits) == (4, 4, [2, 4, 8])
    assert not records
    assert message
    assert f"{api.base_url}/v1/incidents returned {status} " in message
    assert "(tried 4 times)" in message
    assert "body-of-answer" not in message


@pytest.mark.parametrize(("status", "advice"), NOT_RETRIED.items())
def test_a_lasting_fault_fails_at_once(
    api: DemoServer, waits: list[float], status: int, advice: str
) -> None:
    api.faults.answers.append(Response("<p>body-of-answer</p>", status))
    records, counted, message = _fetch()
    assert (api.faults.request_count, counted, waits) == (1, 1, [])
    assert not records
    assert message
    assert f"{api.base_url}/v1/incidents returned {status} " in message
    assert advice in message
    assert "tried" not in message
    assert "body-of-answer" not in message


@pytest.mark.parametrize("failures", [1, 3])
@pytest.mark.parametrize(
    "answer", [lambda: Response(status_code=503), DroppedConnection], ids=["503", "dropped"]
)
def test_a_retry_that_succeeds_brings_every_row(
    api: DemoServer, waits: list[float], failures: int, answer: Callable[[], Response]
) -> None:
    api.faults.answers.extend(answer() for _ in range(failures))
    records, counted, message = _fetch()
    assert message is None
    assert [row["id"] for row in records] == [row["id"] for row in ROWS]
    assert counted == api.faults.request_count == 2 + failures
    assert waits == [2, 4, 8][:failures]


def test_each_page_has_its_own_three_retries(listen: Listen, waits: list[float]) -> None:
    seen: dict[str, int] = {}

    def answer(asked: Asked) -> Any:
        offset = asked.query["offset"]
        seen[offset] = seen.get(offset, 0) + 1
        if seen[offset] <= 3:
            return Reply(status=503)
        return {"data": ROWS[int(offset) : int(offset) + 100]}

    web = listen(answer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", web.base_url)
        patch.setenv("API_KEY", "k")
        records, counted, message = _fetch()
    assert (len(records), counted, message) == (150, 12, None)
    assert waits == [2, 4, 8] * 3


def test_retry_after_in_seconds_goes_before_the_waits(api: DemoServer, waits: list[float]) -> None:
    for status, seconds in [(429, "7"), (503, "1"), (503, "30")]:
        api.faults.answers.append(Response(status_code=status, headers={"Retry-After": seconds}))
    records, _, _ = _fetch()
    assert waits == [7, 1, 30]
    assert len(records) == len(ROWS)


def test_retry_after_as_a_date_goes_before_the_waits(api: DemoServer, waits: list[float]) -> None:
    then = format_datetime(datetime.now(timezone.utc) + timedelta(minutes=4), usegmt=True)
    api.faults.answers.append(Response(status_code=429, headers={"Retry-After": then}))
    assert len(_fetch()[0]) == len(ROWS)
    # As much of the four minutes as is left by now.
    assert len(waits) == 1
    assert 120 < waits[0] <= 240


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"ratelimit-reset": "9"}, 9),
        ({"X-RateLimit-Reset": "9"}, 9),
        ({"X-RateLimit-Reset-After": "1.5"}, 1.5),
        ({"X-Sentry-Rate-Limit-Reset": "{then}"}, 61),
        ({"X-Rate-Limit-Reset": "{then}000"}, 61),
        ({"ratelimit-reset": "9", "Retry-After": "3"}, 3),
        ({"ratelimit-reset": "soon"}, 2),
        ({"ratelimit-reset": "0"}, 2),
        ({"X-RateLimit-Remaining": "0"}, 2),
    ],
)
def test_a_vendor_s_own_header_says_how_long_to_wait(
    listen: Listen, waits: list[float], headers: dict[str, str], waited: float
) -> None:
    now = datetime.now(timezone.utc)
    then = str(int(now.timestamp()) + 60)
    told = {name: value.replace("{then}", then) for name, value in headers.items()}
    told["Date"] = format_datetime(now, usegmt=True)
    replies = [Reply(status=429, headers=told), Reply({})]
    web = listen(lambda _: replies.pop(0))
    session, _ = open_session()
    with closing(session):
        assert session.get(web.base_url).ok
    assert waits == [waited]


def test_a_reset_in_an_answer_that_was_not_refused_for_it_is_ignored(
    listen: Listen, waits: list[float]
) -> None:
    replies = [Reply(status=503, headers={"ratelimit-reset": "50"}), Reply({})]
    web = listen(lambda _: replies.pop(0))
    session, _ = open_session()
    with closing(session):
        assert session.get(web.base_url).ok
    assert waits == [2]


@pytest.mark.parametrize(
    ("also", "status", "headers", "tries"),
    [
        ([], 420, {}, 1),
        ([420], 420, {}, 4),
        ([403], 403, {}, 1),
        ([403], 403, {"x-ratelimit-remaining": "0"}, 4),
        ([403], 403, {"x-ratelimit-remaining": "7"}, 1),
        ([403], 403, {"Retry-After": "1"}, 4),
        ([], 403, {"x-ratelimit-remaining": "0"}, 1),
    ],
)
@pytest.mark.usefixtures("waits")
def test_other_statuses_mean_too_many_only_if_the_settings_say_so(
    listen: Listen, also: list[int], status: int, headers: dict[str, str], tries: int
) -> None:
    web = listen(lambda _: Reply(status=status, headers=headers))
    session, _ = open_session(retry_also=also)
    with closing(session):
        assert session.get(web.base_url).status_code == status
    assert len(web.asked) == tries


@pytest.mark.parametrize("value", ["", "soon", "0", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_retry_after_without_sense_is_ignored(
    api: DemoServer, waits: list[float], value: str
) -> None:
    api.faults.answers.append(Response(status_code=503, headers={"Retry-After": value}))
    _fetch()
    assert waits == [2]


def test_refused_connections_are_retried_like_a_passing_fault(
    nobody: str, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", nobody)
    monkeypatch.setenv("API_KEY", "k")
    _, counted, message = _fetch()
    assert (counted, waits) == (4, [2, 4, 8])
    assert message
    assert message.startswith(f"{nobody}/v1/incidents cannot be reached: ")
    assert "refused" in message
    assert "client.base_url" in message


@pytest.mark.parametrize(
    "drop",
    [
        HANG_UP,
        Reply(b'{"data": [', headers={"Content-Length": "1000"}),
    ],
    ids=["before the answer", "within the answer"],
)
def test_dropped_connections_are_retried_like_a_passing_fault(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, waits: list[float], drop: Reply
) -> None:
    web = listen(lambda _: drop)
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", web.base_url)
    monkeypatch.setenv("API_KEY", "k")
    _, counted, message = _fetch()
    assert (len(web.asked), counted, waits) == (4, 4, [2, 4, 8])
    assert message
    assert f"{web.base_url}/v1/incidents" in message


def test_an_api_that_stays_silent_is_asked_again(listen: Listen, waits: list[float]) -> None:
    web = listen(lambda _: SILENCE)
    session, adapter = open_session()
    session.timeout = 0.05
    with pytest.raises(requests.ReadTimeout, match=r"/x did not respond in time \(ReadTimeout\)"):
        session.get(f"{web.base_url}/x")
    assert (adapter.requests_made, waits) == (4, [2, 4, 8])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(
    api: DemoServer, listen: Listen, waits: list[float], status: int
) -> None:
    other = listen(lambda _: {"data": []})
    target = {"Location": f"{other.base_url}/v2/incidents?api_key={api.api_key}"}
    api.faults.answers.append(Response(status_code=status, headers=target))
    _, counted, message = _fetch()
    assert (counted, api.faults.request_count, other.asked, waits) == (1, 1, [], [])
    assert message
    assert f"redirects to {other.base_url}/v2/incidents." in message
    assert "client.base_url" in message
    assert api.api_key not in message


def test_a_redirect_on_the_same_host_is_not_followed_either(
    api: DemoServer, waits: list[float]
) -> None:
    api.faults.answers.append(Response(status_code=308, headers={"Location": "/v1/incidents/"}))
    _, counted, message = _fetch()
    assert counted == api.faults.request_count == 1
    assert "redirects to /v1/incidents/." in str(message)


@pytest.mark.parametrize("auth", ["none", "query"])
def test_a_password_in_netrc_is_not_sent(
    listen: Listen, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, configure: Any, auth: str
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password of-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    web = listen(lambda _: [])
    assert requests.get(web.base_url, timeout=30).ok
    assert "authorization" in web.asked.pop().headers, "netrc is not in force, nothing is proven"

    client: dict[str, Any] = {"base_url": web.base_url}
    if auth == "query":
        client["auth"] = {"type": "api_key", "location": "query", "name": "k", "api_key": "k"}
    _fetch(configure(client=client, resources=["x"]))
    assert ["authorization" in asked.headers for asked in web.asked] == [False]


def test_the_adapter_serves_both_schemes() -> None:
    session, adapter = open_session()
    assert isinstance(adapter, ApiAdapter)
    assert session.get_adapter("http://api.example.com") is adapter
    assert session.get_adapter("https://api.example.com") is adapter


def test_a_connection_of_another_kind_is_kept(listen: Listen) -> None:
    """As requests has for SOCKS proxies, with arguments of their own."""
    connected = []

    class Proxied(HTTPConnection):
        def connect(self) -> None:
            connected.append(self.host)
            super().connect()

    class Pool(HTTPConnectionPool):
        ConnectionCls = Proxied

    web = listen(lambda _: {})
    session, adapter = open_session()
    with session:
        adapter.poolmanager.pool_classes_by_scheme = {"http": Pool}
        assert session.get(web.base_url).ok
    assert connected == ["127.0.0.1"]


def test_the_pool_holds_what_may_be_in_flight(listen: Listen) -> None:
    web = listen(lambda _: {})
    session, adapter = open_session(7)
    with session:
        session.get(web.base_url)
        assert adapter.poolmanager.connection_from_url(web.base_url).pool.maxsize == 7


def test_requests_are_counted_exactly_on_any_number_of_threads(listen: Listen) -> None:
    together = threading.Barrier(4)

    def answer(asked: Asked) -> Any:
        together.wait(30)
        return {}

    web = listen(answer)
    session, adapter = open_session(4)

    def ask() -> None:
        for _ in range(5):
            session.get(web.base_url)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    session.close()
    assert (adapter.requests_made, adapter.most_in_flight, len(web.asked)) == (20, 4, 20)
