"""`make bench-deploy`: the memory of the processes that docs/deploy.md asks resources for.

Starts a PostgreSQL server, the three processes of `deploy/` and an API on loopback, syncs twice,
and prints the most memory that each process has had.
"""

import argparse
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import Server
from fakes.dagster_dev import wait_until
from fakes.deployment import Deployment, children, most_mb
from fakes.incidents import KEY
from fakes.postgres import Cluster, binaries
from incidents_dagster.names import INSIGHT_JOB

POLL_SECONDS, END_SECONDS = 0.2, 60.0
JOBS = ("incidents_sync", "incidents_sync", INSIGHT_JOB)


class RunsWatched:
    """The most memory of the runs' processes, polled while it is entered."""

    def __init__(self, deployment: Deployment) -> None:
        self.most = 0
        self._deployment, self._over = deployment, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "RunsWatched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            for process in self._deployment.run_processes():
                self.most = max(self.most, most_mb(process))


def main(given: list[str]) -> None:
    """Measures, and prints the figures."""
    parser = argparse.ArgumentParser(prog="bench.deployed", description=__doc__)
    parser.add_argument("--incidents", type=int, default=100_000, help="default: %(default)s")
    options = parser.parse_args(given)
    found = binaries()
    if found is None:
        sys.exit("There is no PostgreSQL server: apt-get install postgresql.")
    with TemporaryDirectory() as folder, Server() as server, Cluster(found) as cluster:
        for database in ("dagster", "incidents"):
            cluster.ask("postgres", f"CREATE DATABASE {database}")
        server.ask(f"/control?total={options.incidents}")
        environment = {
            "API_KEY": KEY,
            "SOURCES__INCIDENTS__CLIENT__BASE_URL": server.base_url,
            "SOURCES__INCIDENTS__SCHEDULES__SYNC_CRON": "",
            "WAREHOUSE__URL": cluster.url("incidents"),
        }
        with Deployment(cluster, "dagster", Path(folder), **environment) as deployment:
            _all(deployment, options.incidents)


def _all(deployment: Deployment, incidents: int) -> None:
    print(f"{incidents:,} incidents; the most memory of a process, in MB")
    for job, what in zip(JOBS, ("first sync", "nothing new", "insight"), strict=True):
        with RunsWatched(deployment) as watched:
            ended = deployment.ui.ended(deployment.ui.launch(jobName=job))
            # Its process lives a little longer, and is not the next one's.
            wait_until(lambda: not deployment.run_processes(), END_SECONDS, "its process ended")
        print(f"  run, {what:<16}{watched.most:>6}  {ended}")
    for role, process in deployment.running.items():
        each = [process.pid, *(child for child in children(process.pid) if role == "code")]
        print(f"  {role:<21}{sum(map(most_mb, each)):>6}")


if __name__ == "__main__":
    main(sys.argv[1:])
