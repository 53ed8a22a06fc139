"""Several syncs at once, and a reader beside them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from fakes.incidents import KEY
from fakes.source import VERSION, Source
from faults.judging.outcome import Outcome, Result
from faults.running.forks import Forks, Tell, forks, one_sync
from faults.running.project import Project, in_project
from faults.running.stores import FILE, URL, OnAFileError, ServerRows, opened
from incidents_dagster.demo_api.server import DemoServer

TITLE = "Several at once"
WHAT = (
    "Two to four processes sync at once: into one database, under several names of it; or each "
    "into its own, with one data folder of dlt's. The source changes meanwhile, and a reader opens "
    "and closes the database all the time. Each must be green or say clearly why not; what a green "
    "one was served must be in the table, in that version or a later one; and a last sync must "
    "make the table equal the source. Then readers that do not let go of the file."
)

ROUNDS = 5
ROWS = 300
NEVER = ("", datetime.min.replace(tzinfo=timezone.utc))
BUSY = ("Could not set lock", "does not exist")  # of the file, and of the table at first
Versions = dict[str, tuple[Any, ...]]


class Api:
    """The source behind a server: changes all the time, and remembers what it has served."""

    def __init__(self, seed: int) -> None:
        self.seed, self.source = seed, Source(seed, ROWS, live=True)
        self.served: dict[str, str] = {}  # id → its latest updated_at
        self._guard = threading.Lock()

    def records(self) -> list[dict[str, Any]]:
        """For the server."""
        with self._guard:
            return self.source.records()

    def versions(self) -> Versions:
        """What the source holds now."""
        with self._guard:
            return self.source.versions()

    def remember(self, body: dict[str, Any]) -> dict[str, Any]:
        """Takes note of an answer."""
        for row in body["data"]:
            latest = self.served.get(row["id"], "")
            self.served[row["id"]] = max(latest, row["updated_at"])
        return body

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Small changes, a third of a second apart."""
        stopped = threading.Event()

        def change() -> None:
            while not stopped.wait(0.3):
                with self._guard:
                    self.source.change(0.01, 0.05)

        thread = threading.Thread(target=change)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()


def restless_reader(_: Tell, database: str, stop: str) -> tuple[int, list[str]]:
    """Opens and closes the database until the file `stop` is there.

    Returns:
        How often it could read, and what went wrong, but for the file's being held.
    """
    reads, errors = 0, []
    while not Path(stop).exists():
        try:
            with opened(database) as connection:
                connection.execute("SELECT count(*) FROM incidents.incident_data").fetchall()
            reads += 1
        except duckdb.Error as error:
            if not any(word in str(error) for word in BUSY):
                errors.append(str(error))
        time.sleep(0.02)
    return reads, errors


def holder(tell: Tell, database: str, stop: str, read_only: bool) -> None:
    """Holds the database until the file `stop` is there."""
    with duckdb.connect(database, read_only=read_only):
        tell("held")
        while not Path(stop).exists():
            time.sleep(0.02)


@dataclass
class Crowd:
    """Processes that sync at once, round after round, and a reader.

    Attributes:
        api: The source, which changes meanwhile.
        places: The environment of each process.
        reads: How often the reader could read.
        syncs: How many there were.
        green: How many of them were green.
        lost: Rows that a green sync was served and that the table has not, or has older.
    """

    api: Api
    places: list[dict[str, str]]
    reads: int = 0
    syncs: int = 0
    green: int = 0
    lost: int = 0

    def round(self, processes: Forks, stop: Path, last: bool) -> Outcome:
        """All at once; where it is the last, with a whole sync when nothing changes any more."""
        where = "one database under several names" if self._one else "one data folder of dlt's"
        case = f"seed {self.api.seed}: {len(self.places)} processes, {where}, {stop.stem}"
        reader = processes.start(
            partial(restless_reader, database=_database(self.places[0]), stop=str(stop))
        )
        wrong, green = [], []
        with self.api.changing():
            began = self.api.versions()
            for place, child in [(p, processes.start(one_sync, **p)) for p in self.places]:
                child.hears()
                if not child.ended:
                    wrong.append("a process died")
                elif child.result is None:
                    green.append(_database(place))
                elif "sync again" not in child.result and "try again" not in child.result:
                    wrong.append(f"not clear: {child.result}")
        stop.touch()
        reader.hears()
        reads, errors = reader.result if reader.ended else (0, ["the reader died"])
        wrong += errors
        lost = 0
        for database in {*green[:1]} if self._one else green:
            table = _table(database)
            lost += sum(table.get(i, NEVER)[1] < at for i, (_, at) in began.items())
            if self._one and len(green) == len(self.places):  # whose every answer counts
                lost += sum(
                    table.get(i, NEVER)[1] < datetime.fromisoformat(at)
                    for i, at in self.api.served.items()
                )
        for place in (self.places[:1] if self._one else self.places) if last else ():
            if message := processes.sync(**place):
                wrong.append(f"the last sync failed: {message}")
            elif _table(_database(place)) != self.api.source.versions():
                wrong.append("after the last sync the table is not what the source is")
        self.reads, self.syncs = self.reads + reads, self.syncs + len(self.places)
        self.green, self.lost = self.green + len(green), self.lost + lost
        return Outcome(case, "wrong" if wrong or lost else "right", "; ".join(wrong))

    @property
    def _one(self) -> bool:
        return len({_database(place) for place in self.places}) == 1


def run(part: bool) -> Result:
    """The section."""
    result, apis, crowds = Result(), [Api(0)], list[Crowd]()
    with (
        # Those of the last, at each request.
        DemoServer(incidents=lambda: apis[-1].records(), api_key=KEY) as server,  # noqa: PLW0108
        in_project(server.base_url) as project,
        forks() as processes,
    ):
        server.faults.reshape = lambda body: apis[-1].remember(body)  # noqa: PLW0108

        def api() -> Api:
            apis.append(Api(len(apis)))
            return apis[-1]

        for one_file in (True, False):
            for count in (3,) if part else (2, 3, 4):
                folder = project.folder / f"{len(apis)}"
                crowds.append(Crowd(api(), _places(project, folder, count, one_file)))
                for number in range(rounds := 1 if part else ROUNDS):
                    stop = folder / f"round {number + 1}"
                    result.outcomes.append(
                        crowds[-1].round(processes, stop, last=number + 1 == rounds)
                    )
        for read_only in (True, False):
            for leaves in (True, False):
                try:
                    outcome = _held(project, processes, api(), read_only, leaves)
                except OnAFileError:
                    case = f"a {'reader' if read_only else 'writer'} of the file"
                    outcome = Outcome(case, "left out", str(OnAFileError.__doc__))
                result.outcomes.append(outcome)
        result.outcomes.append(_second(project, processes, api(), server))
    result.figures = {
        "syncs at once": sum(crowd.syncs for crowd in crowds),
        "of them green": sum(crowd.green for crowd in crowds),
        "reads beside them": sum(crowd.reads for crowd in crowds),
        "acknowledged rows lost": sum(crowd.lost for crowd in crowds),
    }
    return result


def _places(project: Project, folder: Path, count: int, one_file: bool) -> list[dict[str, str]]:
    (folder / "real").mkdir(parents=True)
    if isinstance(project.stored, ServerRows):
        if one_file:
            project.stored.empty()
        return [
            {**(project.stored if one_file else project.stored.another()).environment(), **place}
            for n in range(count)
            for place in [{"DLT_DATA_DIR": str(folder / (f"dlt{n}" if one_file else "dlt"))}]
        ]
    if not one_file:
        return [
            {FILE: str(folder / f"warehouse{n}.duckdb"), "DLT_DATA_DIR": str(folder / "dlt")}
            for n in range(count)
        ]
    real, link = folder / "real" / "warehouse.duckdb", folder / "link.duckdb"
    link.symlink_to(real)
    (folder / "linked").symlink_to(folder / "real")
    names = (real, link, folder / "linked" / real.name, folder / "real" / ".." / link.name)
    return [
        {FILE: str(name), "DLT_DATA_DIR": str(folder / f"dlt{n}")}
        for n, name in enumerate(names[:count])
    ]


def _held(project: Project, processes: Forks, api: Api, read_only: bool, leaves: bool) -> Outcome:
    """A sync while another process has the database open."""
    database, stop = str(project.database), project.folder / f"{api.seed}.stop"
    kind = "reader" if read_only else "writer"
    case = f"seed {api.seed}: a {kind} {'closes the file in time' if leaves else 'stays'}"
    project.stored.empty()
    wrong = [processes.sync()]
    before = _table(database)
    api.source.change()
    holding = partial(holder, database=database, stop=str(stop), read_only=read_only)
    child = processes.start(holding)
    child.hears("held".__eq__)
    named = f"open in another process (PID {child.pid}"
    syncing = processes.start(one_sync, SOURCES__INCIDENTS__WAIT_SECONDS="60" if leaves else "1")
    if not syncing.hears(lambda line: named in line):
        wrong.append("the holder was not named while the sync waited")
    if leaves:
        stop.touch()
    syncing.hears()
    stop.touch()
    child.hears()
    if leaves:
        wrong.append(syncing.result)
    elif named not in (syncing.result or ""):
        wrong.append(f"the holder is not named: {syncing.result}")
    elif _table(database) != before:
        wrong.append("red, and the table changed")
    else:
        wrong.append(processes.sync())
    if _table(database) != api.source.versions():
        wrong.append("in the end the table is not what the source is")
    texts = [text for text in wrong if text]
    if texts:
        return Outcome(case, "wrong", "; ".join(texts))
    said = (syncing.result or "").replace(f"{project.folder}/", "").replace(str(child.pid), "…")
    return Outcome(case, "right" if leaves else "red", said)


def _second(project: Project, processes: Forks, api: Api, server: DemoServer) -> Outcome:
    """A sync while another one takes longer than it waits."""
    case = f"seed {api.seed}: a second sync, while the first takes too long"
    project.stored.empty()
    server.faults.latency = 60
    first = processes.start(one_sync)
    while not server.faults.in_flight and not first.ended:
        time.sleep(0.02)
    second = processes.sync(SOURCES__INCIDENTS__WAIT_SECONDS="0.5")
    server.faults.latency = 0
    first.kill()
    if again := processes.sync():
        return Outcome(case, "wrong", again)
    if _table(_database(project.stored.environment())) != api.source.versions():
        return Outcome(case, "wrong", "in the end the table is not what the source is")
    if "Another sync" not in (second or ""):
        return Outcome(case, "wrong", f"not clear: {second}")
    return Outcome(case, "red", (second or "").replace(f"{project.folder}/", ""))


def _database(place: dict[str, str]) -> str:
    return place.get(URL) or str(Path(place[FILE]).resolve())


def _table(database: str) -> Versions:
    with opened(database) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(
            f"SELECT id, {', '.join(VERSION)} FROM incidents.incident_data"
        ).fetchall()
    assert len({row[0] for row in found}) == len(found), "two rows share an id"
    return {row[0]: row[1:] for row in found}
