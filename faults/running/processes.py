"""Cases in processes of their own, no longer than they may take, and without waits."""

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from incidents_dagster.ingestion.http.pace import Pace


class HungError(BaseException):
    """A case took longer than it may; no `Exception`, so that nothing on the way keeps it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises `HungError` in the main thread where this lasts longer."""

    def stop(*_: object) -> None:
        raise HungError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def in_processes(case: Callable[[Any], Any], cases: Iterable[Any], processes: int = 2) -> list[Any]:
    """What `case`, a function of a module, returns for each of `cases`, in their order.

    Each process has an environment, settings and databases of its own.
    """
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        return list(pool.map(case, cases))


def in_own_processes(
    case: Callable[[Any], Any], cases: Iterable[Any], modules: list[str], processes: int = 2
) -> list[Any]:
    """As `in_processes`, and each case in a process that no other case has been in.

    Starting Python and importing takes seconds, so they are forked from one that has imported
    `modules` and has done nothing else.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(modules)
    with context.Pool(processes, maxtasksperchild=1) as pool:
        return pool.map(case, cases, chunksize=1)


@contextmanager
def no_waits() -> Iterator[None]:
    """The waits of retries take no time."""
    no_time = SimpleNamespace(sleep=lambda _: None)
    with patch("tenacity.nap.time", no_time), patch.object(Pace, "sleep", lambda *_: None):
        yield
