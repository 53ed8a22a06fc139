"""Delivers what waits: to each receiver in order, and again later to one that has failed.

A receiver is tried again at the next tick, and then at ever longer intervals, up to
`LONGEST_WAIT`; `told` says how long a message is kept. Each has a process of its own, `send`, so
that none stops another, and a tick ends in time.
"""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from incidents_dagster.alerts.receivers import Known, Receiver
from incidents_dagster.alerts.send import DONE
from incidents_dagster.alerts.told import Memory, Waiting
from incidents_dagster.ingestion.plain_text import without_mentions
from incidents_dagster.ingestion.settings import PROJECT_ROOT

# Dagster ends a tick after 60 s: no process begins later than the first, or takes longer than the
# second.
BEGINS_WITHIN, ENDS_AFTER = 20.0, 15.0
AT_ONCE = 8
LONGEST_WAIT = 1800.0
SEND = [sys.executable, "-m", "incidents_dagster.alerts.send"]


@dataclass(frozen=True)
class Sent:
    """What became of the messages to one receiver.

    Attributes:
        arrived: How many did, from the first on.
        why: Why the next one did not; empty if all arrived.
    """

    arrived: int
    why: str = ""


def deliver(memory: Memory, known: Known, now: float, log: logging.Logger) -> None:
    """Delivers what waits, as far as possible, and takes it out of the memory.

    Args:
        memory: What waits, and which receivers have failed before.
        known: The receivers.
        now: Seconds since 1970.
        log: Is told which receiver failed.
    """
    due: dict[Receiver, list[Waiting]] = {}
    for message in memory.waiting:
        for receiver in _lacking(message, known):
            due.setdefault(receiver, []).append(message)
    tried = {r: messages for r, messages in due.items() if _retry_at(memory, r) <= now}
    for receiver, outcome in _sent_to_all(tried).items():
        for message in tried[receiver][: outcome.arrived]:
            message.done.append(receiver.name)
        if not outcome.why:
            memory.retries.pop(receiver.name, None)
            continue
        since, _ = memory.retries.get(receiver.name, (now, now))
        since = now if outcome.arrived else since
        memory.retries[receiver.name] = since, now + min((now - since) / 2, LONGEST_WAIT)
        log.error(
            f"Delivery to {receiver.name} failed: {outcome.why}. Alerts that wait for it, and are "
            f"sent again: {len(tried[receiver]) - outcome.arrived}."
        )
    # If the settings do not say who is told, that is told later.
    memory.waiting = [
        one for one in memory.waiting if known.receivers(one.source) is None or _lacking(one, known)
    ]
    for one in memory.give_up(now):
        log.error(f"Given up, as a receiver has failed for too long: {one.text}")
    names = {receiver.name for receiver in due}
    memory.retries = {name: when for name, when in memory.retries.items() if name in names}


def _lacking(message: Waiting, known: Known) -> list[Receiver]:
    """The receivers that still have to get a message."""
    every = known.receivers(message.source) or ()
    return [receiver for receiver in every if receiver.name not in message.done]


def _retry_at(memory: Memory, receiver: Receiver) -> float:
    return memory.retries.get(receiver.name, (0.0, 0.0))[1]


def _sent_to_all(jobs: Mapping[Receiver, Sequence[Waiting]]) -> dict[Receiver, Sent]:
    deadline = time.monotonic() + BEGINS_WITHIN

    def sent(receiver: Receiver) -> Sent:
        if time.monotonic() > deadline:
            return Sent(0, "the others took too long")
        return _sent(receiver, jobs[receiver])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(jobs, pool.map(sent, jobs), strict=True))


def _sent(receiver: Receiver, messages: Sequence[Waiting]) -> Sent:
    told = [
        {
            "level": message.level,
            "title": without_mentions(message.title),
            "body": without_mentions(message.body),
            "text": without_mentions(message.text),
        }
        for message in messages
    ]
    job = json.dumps({"by": receiver.by, "url": receiver.url, "messages": told})
    try:
        # The address is in no argument, which other users of the machine could read.
        ended = subprocess.run(
            SEND,
            input=job.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=ENDS_AFTER,
            cwd=PROJECT_ROOT,
            check=False,
        )
        output, why = ended.stdout, f"its process ended with status {ended.returncode}"
    except subprocess.TimeoutExpired as late:
        output, why = late.stdout or b"", f"it took longer than {ENDS_AFTER:g} s"
    lines = output.decode(errors="replace").splitlines()
    if (arrived := lines.count(DONE)) == len(messages):
        return Sent(arrived)
    return Sent(arrived, lines[-1] if lines and lines[-1] != DONE else why)
