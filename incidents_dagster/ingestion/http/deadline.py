"""The moment by which a sync must have ended, wherever it is then.

The per-read timeout of a request ends a server that is silent; this ends one that drips, and a
walk that goes on and on. What there is to end is the session's business, in `fetch_ahead`.
"""

from collections.abc import Callable
from threading import Event, Thread
from time import monotonic

from incidents_dagster.ingestion.errors import IngestionError

AGAIN_SECONDS = 0.5  # a connection that was being made at the deadline is ended by the next try
SETTING = "max_minutes in [sources.incidents]"


class OutOfTimeError(IngestionError):
    """The sync lasts longer than `max_minutes`, or would have to."""


class Deadline:
    """Counts from when it is made.

    Args:
        minutes: How long a sync may last.
        clock: Seconds that only go forward.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = monotonic) -> None:
        self._minutes = minutes
        self._clock = clock
        self._started = clock()
        self._over = Event()

    def left(self) -> float:
        """Seconds until the deadline, 0 from then on."""
        return max(0.0, self._started + self._minutes * 60 - self._clock())

    def check(self, address: str) -> None:
        """Harmless before the deadline.

        Args:
            address: Where the sync is; a query in it is not shown.

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
        """Harmless where a wait of `seconds` ends before the deadline.

        Raises:
            OutOfTimeError: It does not, so that there is no sense in beginning it.
        """
        if seconds > self.left():
            asked = address.split("?", maxsplit=1)[0]
            raise OutOfTimeError(
                f"{asked} asks to wait {seconds:,.0f} seconds before the next request, but only "
                f"{self.left():,.0f} seconds are left of this sync ({SETTING} is "
                f"{self._minutes:g}). Try again later, sync less often, or raise the setting."
            )

    def watch(self, end: Callable[[], None]) -> None:
        """Calls `end` at the deadline and again and again from then on, until `close`."""
        Thread(None, self._wait, "deadline", (end,), daemon=True).start()

    def close(self) -> None:
        """The sync has ended; harmless when repeated."""
        self._over.set()

    def _wait(self, end: Callable[[], None]) -> None:
        seconds = self.left()
        while not self._over.wait(seconds):
            end()
            seconds = AGAIN_SECONDS
