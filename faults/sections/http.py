"""Faults of HTTP: each one met by a sync, with its requests and waits counted."""

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from fakes.incident_pages import IncidentPages
from fakes.incidents import incident
from fakes.web import Web
from faults.cases.http import CASES, MOST_BYTES, TLS, Case
from faults.judging.outcome import Outcome, Result, judged
from faults.running.project import Project, in_project
from incidents_dagster.ingestion.http.pace import Pace
from incidents_dagster.ingestion.http.transport import ApiAdapter, open_session
from incidents_dagster.ingestion.reading import source

TITLE = "HTTP"
WHAT = (
    "A server on loopback that works at the level of bytes and connections answers a sync as each "
    "case says, and rightly from then on. The table is compared with the source after the sync, "
    "and again after a second one without a fault, which has to make them equal. The requests that "
    "were sent, those that arrived, and the waits between them are compared with what the case "
    "expects, one by one; the clock that retries sleep by is replaced."
)
NEWEST = datetime(2026, 5, 1, tzinfo=timezone.utc)
ROWS = 250
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass
class Counts:
    """Of one sync: requests sent, and the waits before they were sent again, in seconds."""

    requests: int
    waits: list[float]


def run(part: bool) -> Result:
    """Every case, or every third."""
    result, counted, waited = Result(), 0, list[float]()
    with (
        IncidentPages() as server,
        _sealed(),
        in_project(server.base_url) as project,
    ):
        server.rows = [_incident(n, NEWEST - timedelta(hours=n)) for n in range(ROWS)]
        assert project.sync() is None
        for number, case in enumerate(CASES[::7] if part else CASES, start=1):
            for row in range(0, ROWS, ROWS // 5):  # something to bring, in every sync
                server.rows[row] = _incident(row, NEWEST + timedelta(hours=number))
            outcome, counts = _outcome(case, project, server)
            result.outcomes.append(outcome)
            counted += counts.requests
            waited += counts.waits
    result.figures = {
        "HTTP faults injected": len(result.outcomes),
        "requests counted": counted,
        "waits counted": len(waited),
        "seconds of waits, not slept": round(sum(waited)),
    }
    return result


def _outcome(case: Case, project: Project, server: IncidentPages) -> tuple[Outcome, Counts]:
    server.asked.clear()
    server.script = lambda number, _: case.fault(number)
    before = project.versions("status", "title")
    with _faulty(case, server) as (faulty, counts):
        message = project.sync(full_refresh=case.pages > 1)
    arrived = len(faulty.asked)
    source_now = {row["id"]: (row["status"], row["title"]) for row in server.rows}
    outcome = judged(case.name, message, before, project.versions("status", "title"), source_now)
    server.script = lambda *_: None
    afterwards = project.sync()
    healed = project.versions("status", "title") == source_now
    expected = (
        ("verdict", outcome.verdict, case.verdict),
        ("requests", counts.requests, case.requests),
        ("arrived", arrived, case.requests if case.arrived is None else case.arrived),
        ("waits", [round(s, 1) for s in counts.waits], list(case.waits)),
        ("message", case.says if case.says in (message or "") else message, case.says),
        ("next sync", afterwards, None),
        ("next table", healed, True),
    )
    odd = [f"{what}: {got!r}, not {wanted!r}" for what, got, wanted in expected if got != wanted]
    if odd:
        return Outcome(case.name, "wrong", f"{'; '.join(odd)} ({message})"), counts
    waits = ", ".join(f"{seconds:g}" for seconds in case.waits)
    told = f"{counts.requests} requests" + (f", waits {waits} s" if waits else "")
    return Outcome(case.name, outcome.verdict, f"{told}. {message or ''}"), counts


@contextmanager
def _faulty(case: Case, api: IncidentPages) -> Iterator[tuple[Web, Counts]]:
    """All that the case changes about the world, and what is counted in it."""
    counts = Counts(0, [])
    send = ApiAdapter.send

    def counting(self: ApiAdapter, *args: Any, **kwargs: Any) -> Any:
        counts.requests += 1
        return send(self, *args, **kwargs)

    def opened(fetch_ahead: int, per_minute: float, _: float, *others: Any) -> Any:
        return open_session(fetch_ahead, per_minute, case.minutes, *others)

    with ExitStack() as stack:
        server: Web = api
        if case.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / f"{case.tls}.pem")
            server = stack.enter_context(Web(api.answer, api.script, context))
        places = {"port": server.port, "nobody": stack.enter_context(_nobody())}
        address = case.address.format(**places)
        environment = {n: v.format(**places) for n, v in case.environment.items()}
        environment["SOURCES__INCIDENTS__CLIENT__BASE_URL"] = address
        for patched in (
            patch.dict(os.environ, environment),
            patch("tenacity.nap.time", SimpleNamespace(sleep=counts.waits.append)),
            patch.object(Pace, "sleep", lambda _, seconds: counts.waits.append(seconds)),
            patch.object(ApiAdapter, "send", counting),
            patch.object(source, "open_session", opened),
            patch("incidents_dagster.ingestion.http.fetch_ahead.READ_SECONDS", case.read_seconds),
            patch("incidents_dagster.ingestion.http.responses.MB", MOST_BYTES // 100),
        ):
            stack.enter_context(patched)
        yield server, counts


@contextmanager
def _nobody() -> Iterator[int]:
    """A port that refuses every connection."""
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        yield bound_but_not_listening.getsockname()[1]


@contextmanager
def _sealed() -> Iterator[None]:
    """Without the proxies and the authorities of whoever runs this."""
    with patch.dict(os.environ):
        for name in (*PROXIES, *BUNDLES):
            os.environ.pop(name, None)
            os.environ.pop(name.lower(), None)
        yield


def _incident(number: int, updated: datetime) -> dict[str, Any]:
    return incident(
        number,
        title=f"Déjà vu — incident {number}",
        status=f"since {updated:%d %H:%M}",
        created_at=NEWEST.isoformat(),
        updated_at=updated.isoformat(),
    )
