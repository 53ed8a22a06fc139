"""The project as several workers run it, once for all tests, with a PostgreSQL server."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

import pytest

from fakes.deployment import Deployment
from fakes.incidents import incident
from fakes.postgres import Cluster, binaries
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster_tests.shared.database import Database

SOURCES = ["incidents", "pages"]
HELD_SECONDS = 180.0


class HeldApi:
    """The API of a source, which can be held: it then answers no request.

    Attributes:
        rows: What it has.
        asked: Whether it was asked while it was held.
    """

    def __init__(self) -> None:
        self.rows = [incident(n) for n in range(1, 251)]
        self.asked = threading.Event()
        self._open = threading.Event()
        self._open.set()
        # Each server has a thread of its own, so that only this API waits.
        self.server = DemoServer(incidents=self._incidents)

    def hold(self) -> None:
        """Answers nothing from now on."""
        self.asked.clear()
        self._open.clear()

    def release(self) -> None:
        """Answers again."""
        self._open.set()

    def _incidents(self) -> list[dict[str, Any]]:
        if not self._open.is_set():
            self.asked.set()
            self._open.wait(HELD_SECONDS)
        return self.rows


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The server of the history and of the rows."""
    for module in ("psycopg2", "dagster_postgres"):
        if not find_spec(module):
            pytest.skip(f"{module} of the extra `shared` is not installed: make test-deploy")
    found = binaries()
    if found is None:
        pytest.skip("there is no PostgreSQL server: apt-get install postgresql")
    with Cluster(found) as running:
        yield running


@pytest.fixture(scope="session")
def rows(cluster: Cluster) -> Database:
    """The database of the rows."""
    cluster.ask("postgres", "CREATE DATABASE incidents")
    return Database(cluster, "incidents")


@pytest.fixture(scope="session")
def apis() -> Iterator[dict[str, HeldApi]]:
    """The API of each source."""
    with ExitStack() as stack:
        made = {source: HeldApi() for source in SOURCES}
        for api in made.values():
            stack.enter_context(api.server)
        yield made


@pytest.fixture(scope="session")
def deployment(
    cluster: Cluster,
    rows: Database,
    apis: dict[str, HeldApi],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """All of it, with the files of `deploy/`."""
    cluster.ask("postgres", "CREATE DATABASE dagster")
    environment = {
        "WAREHOUSE__URL": rows.url,
        "SOURCES__INCIDENTS__ALSO": str(SOURCES[1:]).replace("'", '"'),
    }
    for source, api in apis.items():
        of = f"SOURCES__{source.upper()}"
        environment |= {
            f"{of}__PRESET": "default",
            f"{of}__CLIENT__BASE_URL": api.server.base_url,
            f"{of}__API_KEY": api.server.api_key,
            # Only the tests start runs.
            f"{of}__SCHEDULES__SYNC_CRON": "",
            f"{of}__SCHEDULES__RECONCILE_CRON": "",
        }
    folder = tmp_path_factory.mktemp("deployment")
    with Deployment(cluster, "dagster", folder, **environment) as running:
        yield running
