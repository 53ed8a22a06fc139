"""When an attempt may start: places, pauses of retries, attempts a minute. No clock really runs."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

import pytest

from incidents_dagster.ingestion.http import pace
from incidents_dagster.ingestion.http.pace import Pace
from incidents_dagster_tests.ingestion.http.clock import A_MOMENT, PATIENCE, Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def _wanted() -> bool:
    return False


@contextmanager
def _in_background(work: Callable[[], Any]) -> Iterator[list[Any]]:
    """What `work` returned or raised, in a list that is empty until then; it must end by itself."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield outcome
    thread.join(PATIENCE)
    assert outcome, "it never ended"


def test_attempts_are_evenly_spaced(clock: Clock) -> None:
    one = Pace(per_minute=12)
    starts = []
    for busy in (0, 0, 1, 4.5, 7, 0):
        one.attempt(_wanted)
        starts.append(clock.now)
        clock.now += busy
    # Time that went by unused is not made up for.
    assert starts == [1000, 1005, 1010, 1015, 1020, 1027]


def test_without_a_budget_nothing_waits(clock: Clock) -> None:
    one = Pace()
    for _ in range(5):
        one.attempt(_wanted)
    assert clock.now == 1000


def test_the_budget_is_one_for_all_threads(clock: Clock) -> None:
    one = Pace(at_once=4, per_minute=6)
    threads = [threading.Thread(target=one.attempt, args=(_wanted,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert clock.now == 1070


def test_no_attempt_starts_before_the_last_pause_is_over() -> None:
    one = Pace()
    first, second = one.pause(), one.pause()
    first.__enter__()
    second.__enter__()
    with _in_background(lambda: one.attempt(_wanted)) as started:
        first.__exit__(None, None, None)
        threading.Event().wait(A_MOMENT)
        assert not started
        second.__exit__(None, None, None)
    assert started == [None]


def test_a_pause_that_begins_while_the_budget_is_waited_for_holds(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Pace(per_minute=1)
    one.attempt(_wanted)
    pause = one.pause()

    class Begins:
        """The clock of the second attempt: the pause begins before its time has come."""

        def __call__(self) -> float:
            monkeypatch.setattr(pace, "monotonic", lambda: clock.now)
            pause.__enter__()
            return clock.now

    monkeypatch.setattr(pace, "monotonic", Begins())
    with _in_background(lambda: one.attempt(_wanted)) as started:
        threading.Event().wait(A_MOMENT)
        assert not started
        pause.__exit__(None, None, None)
    assert started == [None]
    assert clock.now == 1060


def test_there_are_so_many_places_and_no_more() -> None:
    one = Pace(at_once=2)
    inside, leave = threading.Semaphore(0), threading.Event()

    def hold() -> None:
        with one.place(_wanted):
            inside.release()
            leave.wait(PATIENCE)

    with _in_background(hold), _in_background(hold), _in_background(hold):
        assert inside.acquire(timeout=PATIENCE)
        assert inside.acquire(timeout=PATIENCE)
        assert not inside.acquire(timeout=A_MOMENT)
        leave.set()
        assert inside.acquire(timeout=PATIENCE)


@pytest.mark.parametrize("what", ["place", "pause", "sleep"])
def test_closing_ends_every_wait(what: str) -> None:
    one = Pace(at_once=0 if what == "place" else 1)

    def place() -> None:
        with one.place(_wanted):
            pass

    def pause() -> None:
        with one.pause():
            one.attempt(_wanted)

    waiting = {"place": place, "pause": pause, "sleep": lambda: one.sleep(3600)}[what]
    with _in_background(waiting) as ended:
        one.close()
    assert (ended == [None]) if what == "sleep" else isinstance(ended[0], CancelledError)
    with pytest.raises(CancelledError):
        one.attempt(_wanted)


def test_what_became_unwanted_does_not_start(clock: Clock) -> None:
    one = Pace(per_minute=1)
    one.attempt(_wanted)
    with pytest.raises(CancelledError):
        one.attempt(lambda: clock.now > 1000)
    one.attempt(_wanted)
    assert clock.now == 1060, "the unwanted one has used up a start"
