"""Section `two_keys`: two sources whose keys look alike, each of which is for its own API alone.

What a scenario is and what is expected of it is in `cases.two_keys`.
"""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import tomlkit

from fakes.configuration import written_out
from fakes.web import Web
from faults.cases.leaks import ROWS
from faults.cases.two_keys import AUTHS, CASES, EVERY, Case, Side
from faults.judging.outcome import Outcome, Result
from faults.judging.search import ProcessList, Search
from faults.running.scenarios import furnished, told_by_dagster
from faults.running.scenarios import run as run_code
from faults.running.stores import rows_of_project
from faults.sources import FIRST, SECOND

TITLE = "Two keys"
WHAT = """Two sources of one project, with an API each on loopback and keys that look alike: of
which the last character differs, or of which one begins with the other; sent under the same name,
from the environment or secrets.toml. Each scenario is `python -m incidents_dagster sync`, which
syncs both at once, everything logged at DEBUG. What one API says repeats both keys, and leads to
the other one where it can. Each API may get requests with its own key alone, the fault of one
source may not disturb the other one, and afterwards neither key, nor what they share, nor what one
has on top of the other, may be in any file but secrets.toml, in the event log, in Dagster's GraphQL
answers, or in the list of processes, as in the section on secrets. Red is a scenario in which one
source fails, as expected; the other one has to be complete."""

AT_ONCE = 3
CHILD = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
import faults.running.without_waits
sys.argv[1:] = ["sync"]
runpy.run_module("incidents_dagster", run_name="__main__", alter_sys=True)
"""


def run(part: bool) -> Result:
    """All scenarios, or some of them."""
    result = Result()
    cases = CASES[:: EVERY if part else 1]
    with (
        ProcessList([secret for case in cases for secret in case.secrets]) as processes,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        done = list(pool.map(scenario, cases))
    result.outcomes = [outcome for outcome, _ in done]
    if processes.found:
        result.outcomes.append(Outcome("process list", "wrong", "; ".join(processes.found)))
    result.figures = {
        "scenarios": len(cases),
        "files searched": sum(search.files for _, search in done),
        "bytes searched": sum(search.bytes for _, search in done),
        "occurrences of a key found": sum(len(search.found) for _, search in done)
        + len(processes.found),
    }
    return result


def scenario(case: Case) -> tuple[Outcome, Search]:
    """The outcome of a scenario, and what was searched."""
    search = Search(case.secrets)
    try:
        return _tried(case, search), search
    except Exception as error:  # of the section itself: the other scenarios go on
        return Outcome(case.name, "wrong", f"{type(error).__name__}: {error}"), search


def _tried(case: Case, search: Search) -> Outcome:
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder, sides = Path(name), case.sides()
        stored = rows_of_project(folder)
        stack.callback(stored.remove)
        search.also(stored.secrets)
        apis = [stack.enter_context(Web(side.answer)) for side in sides]
        nobody = stack.enter_context(socket.socket())
        nobody.bind(("127.0.0.1", 0))
        for side, api in zip(sides, apis, strict=True):
            side.api = api.base_url
            side.nobody = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        settings = tomlkit.parse(written_out()).unwrap()
        shipped = settings["sources"][FIRST]
        settings["sources"] = {side.source: case.section(side, shipped) for side in sides}
        settings["sources"][FIRST]["also"] = [SECOND]
        furnished(folder, settings)
        environment, secrets = case.placed(sides)
        kept = folder / ".dlt" / "secrets.toml"
        kept.write_text(tomlkit.dumps(secrets))
        environment |= stored.environment()
        status, said = run_code(folder, CHILD, environment=environment)
        kept.unlink()
        search.folder(folder)
        search.values("the server's tables", stored.texts())
        search.text("GraphQL and event log", told_by_dagster(folder / "home"))
        wrong = search.places()
        for side, api in zip(sides, apis, strict=True):
            wrong += heard(case, side, api)
            wrong += _loaded(case, side, stored.count(side.source), said)
    failing = [side.source for side in sides if _fails(case, side)]
    if (status == 0) != (not failing):
        wrong.append(f"it ended with {status}: {said[-300:]}")
    if wrong:
        return Outcome(case.name, "wrong", "; ".join(wrong)[:1000])
    ends = [line.partition(" FAILED in ")[2] for line in said.splitlines()]
    messages = [end.partition(": ")[2] for end in ends if end]
    return Outcome(case.name, "red" if failing else "right", messages[0] if failing else "")


def heard(case: Case, side: Side, api: Web) -> list[str]:
    """What is wrong with the requests that an API got: each has its own key, and just that."""
    fault = case.fault_of(side.source)
    if not side.key or (fault and fault.nobody):
        return [f"{side.source} was asked {len(api.asked)} times"] if api.asked else []
    if not api.asked:
        return [f"{side.source} was not asked"]
    wrong = []
    others = Search([side.other.key] if side.other.key else [])
    for asked in api.asked:
        if AUTHS[case.auth][2](asked) != side.key:
            wrong.append(f"{side.source} was asked with another key than its own")
        told = f"{asked.target} {asked.headers} {asked.body}"
        if side.other.key and side.other.key in side.key:
            told = told.replace(side.key, "")
        others.text(f"{side.source}'s requests", told)
    return [*dict.fromkeys(wrong), *others.places()]


def _fails(case: Case, side: Side) -> bool:
    fault = case.fault_of(side.source)
    return not side.key or bool(fault and fault.red)


def _loaded(case: Case, side: Side, found: int, said: str) -> list[str]:
    """What is wrong with the rows of a source's table, so many, and with what its sync said."""
    fault = case.fault_of(side.source)
    wanted = 0 if _fails(case, side) else fault.rows if fault else len(ROWS)
    wrong = [f"{side.source} has {found} rows, not {wanted}"] if found != wanted else []
    ends = [line for line in said.splitlines() if line.startswith(f"{side.source}_sync ")]
    end = ends[0] if ends else ""
    told = fault.told if fault else ""
    if not side.key:
        told = f"[sources.{side.source}.client.auth]"
        if f"SOURCES__{side.source.upper()}__" not in end:
            wrong.append(f"{side.source} does not say where its key was looked for: {end}")
    if told not in end or (" FAILED in " in end) != _fails(case, side):
        wrong.append(f"{side.source} ended with: {end or said[-300:]}")
    return wrong
