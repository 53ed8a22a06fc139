"""A sync ends by its deadline, wherever it is: in a wait, in headers or bodies that drip."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from requests import Request

from fakes.messages import Fault
from fakes.misbehaviour import dripping, endless, raw, status
from fakes.web import Web
from incidents_dagster.ingestion.http.deadline import Deadline, OutOfTimeError
from incidents_dagster.ingestion.http.fetch_ahead import AheadSession
from incidents_dagster.ingestion.http.transport import open_session

PATIENCE = 30.0  # most that a sync may take to end; its deadlines here are a second away
SOON = 0.01  # minutes

HEAD = b"HTTP/1.1 200 OK\r\n"
SLOW = {
    "headers": dripping("headers", 0.05, lambda _: 0),
    "body": dripping("body", 0.05, lambda answer: len(answer.wire()) - len(answer.content)),
    # Cut off at the deadline, it looks like a whole answer.
    "body without a length": endless("body", HEAD + b"\r\n{}", b" ", 0.05),
    "interim answers": endless("interim", b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
    "nothing": raw("nothing", b"", "hold"),
}


@contextmanager
def _serving(fault: Fault | None) -> Iterator[tuple[str, Web]]:
    with Web(lambda _: {"data": list(range(1000))}, lambda *_: fault) as server:
        yield f"{server.base_url}/x?api_key=s3cr3t", server


def _ask_twice(session: AheadSession, address: str) -> None:
    for _ in range(2):
        session.get(address)


def test_before_the_deadline_nothing_happens_and_after_it_all_is_told() -> None:
    now = [100.0]
    one = Deadline(25, lambda: now[0])
    now[0] += 1499
    one.check("http://api/x")
    one.allow(1, "http://api/x")
    assert one.left() == 1
    now[0] += 61
    assert one.left() == 0
    with pytest.raises(OutOfTimeError) as ended:
        one.check("http://api/x?api_key=s3cr3t")
    assert str(ended.value) == (
        "The sync was stopped after 26.0 minutes (max_minutes in .dlt/config.toml is 25) while "
        "requesting http://api/x. Find out why the API is so slow, or raise the setting."
    )


@pytest.mark.parametrize("slow", SLOW)
@pytest.mark.sample(2)
def test_an_answer_that_does_not_come_to_an_end_ends_at_the_deadline(slow: str) -> None:
    session, adapter = open_session(max_minutes=SOON)
    with _serving(SLOW[slow]) as (address, server), closing(session):
        started = time.monotonic()
        with pytest.raises(OutOfTimeError, match=r"while requesting http://127.0.0.1:\d+/x\. "):
            session.get(address)
        assert time.monotonic() - started < PATIENCE
        assert len(server.asked) == adapter.requests_made == 1


def test_an_answer_in_the_background_ends_at_the_deadline() -> None:
    session, _ = open_session(fetch_ahead=2, max_minutes=SOON)
    with _serving(SLOW["body"]) as (address, _), closing(session):
        walk = Request("GET", address)
        page = session.prepare_request(walk)
        session.keep(walk, [page])
        with pytest.raises(OutOfTimeError):
            session.send(page)


def test_a_wait_that_leads_beyond_the_deadline_is_not_begun(waits: list[float]) -> None:
    session, adapter = open_session()
    with _serving(status(429, "Retry-After: 3600")) as (address, _), closing(session):
        with pytest.raises(OutOfTimeError) as ended:
            session.get(address)
        assert adapter.requests_made == 1
    assert not waits
    assert "/x asks to wait 3,600 seconds before the next request, but only 1," in str(ended.value)
    assert "s3cr3t" not in str(ended.value)


def test_a_long_retry_after_that_fits_is_waited_for_in_full(waits: list[float]) -> None:
    session, _ = open_session()
    with _serving(status(429, "Retry-After: 1200")) as (address, _), closing(session):
        session.get(address)
    assert waits == [1200] * 3


@pytest.mark.parametrize("value", ["9" * 5000, "Thu, 31 Dec 99999 00:00:00 GMT"])
def test_a_retry_after_that_no_number_holds_is_ignored(waits: list[float], value: str) -> None:
    session, _ = open_session()
    with _serving(status(503, f"Retry-After: {value}")) as (address, _), closing(session):
        session.get(address)
    assert waits == [2, 4, 8]


def test_waiting_for_the_budget_ends_at_the_deadline() -> None:
    session, adapter = open_session(requests_per_minute=1, max_minutes=SOON)
    with _serving(None) as (address, _), closing(session):
        with pytest.raises(OutOfTimeError):
            _ask_twice(session, address)
        assert adapter.requests_made == 1


def test_after_the_deadline_nothing_is_asked() -> None:
    session, adapter = open_session(max_minutes=0)
    with _serving(None) as (address, server), closing(session):
        with pytest.raises(OutOfTimeError):
            session.get(address)
        assert not server.asked
    assert adapter.requests_made <= 1


def test_a_closed_session_leaves_no_thread() -> None:
    before = {thread for thread in threading.enumerate() if thread.name == "deadline"}
    session, _ = open_session()
    (watching,) = (
        thread
        for thread in threading.enumerate()
        if thread.name == "deadline" and thread not in before
    )
    session.close()
    watching.join(PATIENCE)
    assert not watching.is_alive()
