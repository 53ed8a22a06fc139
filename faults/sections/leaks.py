"""Section `leaks`: secrets in every kind of auth, whatever goes wrong, and a search for them.

What a scenario is and what is expected of it is in `cases.leaks`, how a secret is looked for in
`judging.search`, `dagster dev` in `cases.leaks_ui`; two keys have section `two_keys`.
"""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import tomlkit

from fakes.configuration import written_out
from fakes.web import Web
from faults.cases.leaks import CASES, PART, Case, Place
from faults.cases.leaks_ui import in_the_ui
from faults.judging.outcome import Outcome, Result
from faults.judging.search import ProcessList, Search, control
from faults.running.scenarios import Process, furnished, told_by_dagster, wait_for
from faults.running.scenarios import run as run_code
from faults.running.stores import URL, Rows, rows_of_project
from faults.sources import FIRST

TITLE = "Secrets"
WHAT = """Each scenario is `python -m incidents_dagster` as a process of its own, with its own
settings, DAGSTER_HOME, DuckDB file and secrets, everything logged at DEBUG (dlt, urllib3, and all
Python loggers into Dagster's event log). The API repeats every request that it gets in its answer.
Afterwards every file below the scenario's folder (also unpacked: SQLite's blobs, DuckDB's tables,
parquet, dlt's state), the event log, Dagster's GraphQL answers and what other hosts received are
searched for the secrets, plain, percent-encoded, as JSON escapes it, in base64 and in UTF-16; so is
the list of processes, all the while. A scenario is right or red, as expected, only if nothing was
found, and the secret had reached the API wherever that can be reached. In a control, secrets are
planted in files, and the search has to find every one. Core dumps are the system's business, and
switched off here."""

AT_ONCE = 3
# As a user starts it, but the waits of retries take no time.
CHILD = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
import faults.running.without_waits
if "timeout" in sys.argv[1:]:
    from requests.adapters import HTTPAdapter
    send = HTTPAdapter.send
    HTTPAdapter.send = lambda self, request, **kw: send(self, request, **{**kw, "timeout": 0.3})
if "uncaught" in sys.argv[1:]:
    from incidents_dagster.ingestion.reading import source
    def records(api, *_, **__):
        raise SystemError(api)
    source.OpenApi.records = records
sys.argv[1:] = ["sync"]
runpy.run_module("incidents_dagster", run_name="__main__", alter_sys=True)
"""


def run(part: bool) -> Result:
    """All scenarios, or one of each kind of auth; the control is counted apart."""
    result = Result()
    cases = [case for case in CASES if not part or case.name in PART]
    secrets = [secret for case in cases for secret in case.secrets]
    with ProcessList(secrets) as processes, ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(_scenario, case) for case in cases]
        done = [] if part else [in_the_ui()]  # it sets signals, which only this thread may
        done += [future.result() for future in running]
    for outcomes, _ in done:
        result.outcomes += outcomes
    if processes.found:
        result.outcomes.append(Outcome("process list", "wrong", "; ".join(processes.found)))
    planted, found = control()
    if planted != found:
        missed = f"{planted - found} of {planted} planted secrets were not found"
        result.outcomes.append(Outcome("control of the search", "wrong", missed))
    result.figures = {
        "scenarios": len(result.outcomes),
        "files searched": sum(search.files for _, search in done),
        "bytes searched": sum(search.bytes for _, search in done),
        "lists of processes searched": processes.lists,
        "occurrences of a secret found": sum(len(search.found) for _, search in done)
        + len(processes.found),
        "control: secrets planted": planted,
        "control: found": found,
    }
    return result


def _scenario(case: Case) -> tuple[list[Outcome], Search]:
    search = Search(case.secrets)
    try:
        return [_tried(case, search)], search
    except Exception as error:  # of the section itself: the other scenarios go on
        return [Outcome(case.name, "wrong", f"{type(error).__name__}: {error}")], search


def _tried(case: Case, search: Search) -> Outcome:
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        stored = rows_of_project(folder)
        stack.callback(stored.remove)
        search.also(stored.secrets)
        other = stack.enter_context(Web(lambda _: {"data": [], "access_token": "other"}))
        place = Place(case, other.base_url)
        api = stack.enter_context(Web(place.answer))
        nobody = stack.enter_context(socket.socket())
        nobody.bind(("127.0.0.1", 0))
        place.api, place.nobody = api.base_url, f"http://127.0.0.1:{nobody.getsockname()[1]}"
        status, said = _run(case, place, api, folder, stored)
        search.folder(folder)
        on_server = [*stored.texts()]
        search.values("the server's tables", on_server)
        if (folder / "home").exists():
            search.text("GraphQL and event log", told_by_dagster(folder / "home"))
        search.text("another host", repr(other.asked))
        seen = Search([case.key])
        seen.text(
            "the API", "".join(f"{asked!r} {asked.query} {asked.body}" for asked in api.asked)
        )
        arrived = bool(seen.found)
        rows = stored.count(FIRST)
    faults = search.places()
    if rows and URL in stored.environment() and not any("INC-1" in text for text in on_server):
        faults.append("the server's tables were not searched")
    if arrived != case.arrives:
        faults.append("the secret did not arrive" if case.arrives else "the secret was sent")
    if rows != (case.rows if case.expected == "right" else 0):
        faults.append(f"{rows} rows in the table")
    return _judged(case, status, said, faults)


def _judged(case: Case, status: int, said: str, faults: list[str]) -> Outcome:
    lines = [line for line in said.splitlines() if "incidents_sync " in line]
    message = lines[-1].partition(": ")[2] if lines else ""
    if case.told not in said:
        faults.append(f"no {case.told!r} in what it said: {said[-300:]}")
    if (status == 0) != (case.expected == "right"):
        faults.append(f"it ended with {status}, not as expected")
    if faults:
        return Outcome(case.name, "wrong", "; ".join(faults)[:1000])
    return Outcome(case.name, case.expected, message if case.expected == "red" else "")


def _run(case: Case, place: Place, api: Web, folder: Path, stored: Rows) -> tuple[int, str]:
    """Runs the scenario; its exit status and what it printed."""
    settings = tomlkit.parse(written_out()).unwrap()
    place.configure(settings["sources"]["incidents"])
    furnished(folder, settings)

    def signalled(process: Process) -> None:
        if case.signal:
            wait_for(lambda: len(api.asked) >= case.requests, process)
            process.send_signal(case.signal)

    environment = {**stored.environment(), **place.environment()}
    return run_code(folder, CHILD, *case.child, environment=environment, meanwhile=signalled)
