"""When the next request may start: one pace for all threads that call the same API.

`fetch_ahead` decides which requests there are, `retries` which are repeated.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from threading import Condition, Event
from time import monotonic


class Pace:
    """At most `at_once` requests at a time, and `per_minute` attempts; 0: no limit.

    A thread that waits here gets a CancelledError once `unwanted()` is true or `close` is called.
    """

    def __init__(self, at_once: int = 1, per_minute: float = 0) -> None:
        self._places = at_once
        self._interval = 60 / per_minute if per_minute else 0.0
        self._next_start = 0.0
        self._pauses = 0
        self._closed = Event()
        self._changed = Condition()

    @contextmanager
    def place(self, unwanted: Callable[[], bool]) -> Iterator[None]:
        """Waits for one of the `at_once` places, and keeps it for all attempts of one request."""
        with self._changed:
            while not self._places:
                self._check(unwanted)
                self._changed.wait()
            self._places -= 1
        try:
            yield
        finally:
            with self._changed:
                self._places += 1
                self._changed.notify_all()

    def attempt(self, unwanted: Callable[[], bool]) -> None:
        """Returns when an attempt may start: not during a pause, and evenly spaced."""
        with self._changed:
            self._check(unwanted)
            while self._pauses or (left := self._next_start - monotonic()) > 0:
                self._changed.wait(None if self._pauses else left)
                self._check(unwanted)
            self._next_start = monotonic() + self._interval

    @contextmanager
    def pause(self) -> Iterator[None]:
        """No attempt starts, on any thread, while this lasts."""
        with self._changed:
            self._pauses += 1
        try:
            yield
        finally:
            with self._changed:
                self._pauses -= 1
                self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Like time.sleep, but `close` ends it."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Ends all waits, and lets no more attempts start."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()

    def _check(self, unwanted: Callable[[], bool]) -> None:
        if self._closed.is_set() or unwanted():
            raise CancelledError("Nobody is waiting for this response any more.")
