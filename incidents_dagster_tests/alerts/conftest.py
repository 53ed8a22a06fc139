"""A real receiver on loopback, a clock, and the sensor, tick by tick on a real instance."""

import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.alerts.sensor import sync_failure_sensor

HOOK, TOKEN = "/hooks/s3cr3t-path-1", "T0K3N-4-th3-r3st"


class Ears:
    """A receiver: a server that records what it is told, at two addresses."""

    def __init__(self, web: Web) -> None:
        self.web = web

    @property
    def webhook(self) -> str:
        """Its address as a webhook."""
        return f"{self.web.base_url}{HOOK}"

    @property
    def apprise(self) -> str:
        """Its address as one of Apprise's services."""
        return f"json://{TOKEN}:p4ss@127.0.0.1:{self.web.port}/{TOKEN}"

    def heard(self, path: str = HOOK) -> list[str]:
        """What it was told at a path since the last call."""
        found = [json.loads(asked.body) for asked in self.web.asked if asked.path == path]
        self.web.asked[:] = [asked for asked in self.web.asked if asked.path != path]
        return [one.get("text") or f"{one['title']}: {one['message']}" for one in found]


def answer(_: Asked) -> Reply:
    return Reply(b"", 204)


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ears]:
    """A receiver that is the first source's webhook."""
    with Web(answer) as web:
        found = Ears(web)
        monkeypatch.setenv("SOURCES__INCIDENTS__WEBHOOK_URL", found.webhook)
        yield found


class Clock:
    """The sensor's clock."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return time.time() + self.ahead

    def later(self, minutes: float) -> None:
        self.ahead += minutes * 60


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replaces the sensor's clock."""
    found = Clock()
    monkeypatch.setattr("incidents_dagster.alerts.sensor.time", SimpleNamespace(time=found.time))
    return found


class Ticker:
    """Evaluates the sensor as the daemon does, and keeps its cursor."""

    def __init__(self, instance: dg.DagsterInstance, clock: Clock) -> None:
        self.instance = instance
        self.clock = clock
        self.cursor: str | None = None

    def __call__(self, definitions: dg.Definitions) -> str:
        """One tick; returns what it says."""
        context = dg.build_sensor_context(
            self.instance, cursor=self.cursor, definitions=definitions
        )
        said: Any = sync_failure_sensor(context)
        self.cursor = context.cursor
        return str(said.skip_message)

    def run(self, definitions: dg.Definitions, job: str, **options: Any) -> str:
        """Runs a job as the command line does; returns the run's id."""
        resolved = definitions.resolve_job_def(job)
        options |= {"instance": self.instance, "raise_on_error": False}
        return resolved.execute_in_process(**options).run_id


@pytest.fixture
def tick(instance: dg.DagsterInstance, clock: Clock) -> Ticker:
    return Ticker(instance, clock)
