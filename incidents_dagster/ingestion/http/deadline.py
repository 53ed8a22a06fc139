"""The deadline of a sync for reading the API, whatever a request is doing then.

A request's read timeout ends the wait for a silent server; the deadline also ends a response that
drips, and a list without an end. `transport` says what is closed then.
"""

from collections.abc import Callable
from threading import Event, Thread
from time import monotonic

from incidents_dagster.ingestion.errors import IngestionError

AGAIN_SECONDS = 0.5  # again, for a connection that was still being opened
SETTING = "max_minutes in .dlt/config.toml"


class OutOfTimeError(IngestionError):
    """The sync reads for longer than `max_minutes`, or would have to."""


class Deadline:
    """Counts from its creation.

    Args:
        minutes: How long a sync may read.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = monotonic) -> None:
        self._minutes = minutes
        self._clock = clock
        self._started = clock()
        self._over = Event()

    def left(self) -> float:
        """Seconds until the deadline, 0 after it."""
        return max(0.0, self._started + self._minutes * 60 - self._clock())

    def check(self, address: str) -> None:
        """Does nothing before the deadline.

        Args:
            address: What the sync is requesting; its query is not shown.

        Raises:
            OutOfTimeError: The deadline has passed.
        """
        if not self.left():
            asked = address.split("?", maxsplit=1)[0]
            minutes = (self._clock() - self._started) / 60
            raise OutOfTimeError(
                f"The sync was stopped after {minutes:,.1f} minutes ({SETTING} is "
                f"{self._minutes:g}) while requesting {asked}. Find out why the API is so slow, "
                "or raise the setting."
            )

    def allow(self, seconds: float, address: str) -> None:
        """Does nothing if a wait of `seconds` ends before the deadline.

        Raises:
            OutOfTimeError: It would not, so there is no point in starting it.
        """
        if seconds > self.left():
            asked = address.split("?", maxsplit=1)[0]
            raise OutOfTimeError(
                f"{asked} asks to wait {seconds:,.0f} seconds before the next request, but only "
                f"{self.left():,.0f} seconds are left of this sync ({SETTING} is "
                f"{self._minutes:g}). Try again later, sync less often, or raise the setting."
            )

    def watch(self, end: Callable[[], None]) -> None:
        """Calls `end` at the deadline, and repeatedly after it, until `close`."""
        Thread(None, self._wait, "deadline", (end,), daemon=True).start()

    def close(self) -> None:
        """Stops watching, as the sync has ended; idempotent."""
        self._over.set()

    def _wait(self, end: Callable[[], None]) -> None:
        seconds = self.left()
        while not self._over.wait(seconds):
            end()
            seconds = AGAIN_SECONDS
