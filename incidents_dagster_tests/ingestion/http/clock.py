"""A clock for `Pace` that no test has to wait for, and how long a test waits where it must."""

import threading

import pytest

from incidents_dagster.ingestion.http import pace

PATIENCE = 30.0  # most that a test waits for something that must happen
A_MOMENT = 0.1  # time enough for what must not happen to show


class Clock:
    """The clock of every `Pace` made from now on; it only moves when somebody waits for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(pace, "monotonic", lambda: self.now)
        monkeypatch.setattr(pace, "Condition", self._condition)

    def _condition(self) -> threading.Condition:
        clock = self

        class Condition(threading.Condition):
            def wait(self, timeout: float | None = None) -> bool:
                if timeout is None:
                    return super().wait(PATIENCE)
                clock.now += timeout
                return False

        return Condition()
