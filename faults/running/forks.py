"""Syncs in processes of their own, each forked from one that has imported everything.

Starting Python and importing dlt takes a second, a fork some milliseconds. What the processes do
is for the sections to say.
"""

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from faults.sources import FIRST
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync

PATIENCE = 120.0  # seconds that any of the processes may take

Tell = Callable[[Any], None]
Work = Callable[[Tell], Any]


class Child:
    """A process at work.

    Attributes:
        pid: Its number.
        told: What it has told so far, in order.
        result: What its work returned; None until then, and for a killed one.
        ended: Whether its work came to its end.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.pid: int = connection.recv()
        self.told: list[Any] = []
        self.result: Any = None
        self.ended = False

    def hears(self, wanted: Callable[[Any], bool] = lambda _: False) -> bool:
        """Listens until it tells something `wanted`; False where the process is gone by then.

        Raises:
            TimeoutError: It takes longer than `PATIENCE`, and was killed.
        """
        deadline = time.monotonic() + PATIENCE
        try:
            while self._connection.poll(max(0.0, deadline - time.monotonic())):
                kind, value = self._connection.recv()
                if kind == "result":
                    self.result, self.ended = value, True
                    continue
                self.told.append(value)
                if wanted(value):
                    return True
        except (EOFError, ConnectionResetError):
            return False
        self.kill()
        raise TimeoutError(f"A process has not ended within {PATIENCE:.0f} s.")

    def kill(self) -> None:
        """SIGKILL, where the process is still there; returns when it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.hears()


class Forks:
    """The process that the others are forked from; see `forks`."""

    def __init__(self, orders: Connection, listener: Listener) -> None:
        self._orders, self._listener = orders, listener

    def start(self, work: Work, **environment: str) -> Child:
        """Starts a process with `environment` on top that calls `work`, which must be picklable."""
        self._orders.send((work, environment))
        return Child(self._listener.accept())

    def sync(self, source: str = FIRST, **environment: str) -> str | None:
        """One whole sync in a process of its own: None where it was green, else its message."""
        child = self.start(partial(one_sync, source=source), **environment)
        child.hears()
        return child.result if child.ended else "the process died"


@contextmanager
def forks() -> Iterator[Forks]:
    """Starts the process, with the environment as it is now, and ends it."""
    spawn = get_context("spawn")
    with TemporaryDirectory() as folder, Listener(str(Path(folder) / "socket")) as listener:
        theirs, ours = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_parent, args=(theirs, listener.address), daemon=True)
        process.start()
        theirs.close()
        try:
            yield Forks(ours, listener)
        finally:
            ours.close()
            process.join(10)
            if process.is_alive():
                process.kill()


def _parent(orders: Connection, address: Any) -> None:
    # Never opens a database, nor starts a thread: neither would survive a fork.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    declared_source(load_settings())  # imports what is imported late
    while True:
        try:
            work, environment = orders.recv()
        except EOFError:
            return
        if os.fork() == 0:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.environ.update(environment)
            _child(work, Client(address))


def _child(work: Work, connection: Connection) -> NoReturn:
    try:
        connection.send(os.getpid())
        connection.send(("result", work(lambda value: connection.send(("told", value)))))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def one_sync(tell: Tell, source: str = FIRST) -> str | None:
    """One sync: None where it was green, else its one message, as a user would see it."""
    try:
        run_sync(load_settings(source), tell)
    except Exception as error:
        return redact(explain(error))
    return None
