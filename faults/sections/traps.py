"""Known traps of the libraries and of incident APIs, each made to happen to a sync of ours.

One small direct case each; the other sections try the same things at random and in number.
"""

from types import SimpleNamespace
from unittest.mock import patch

from fakes.incidents import KEY, incident
from faults.cases.traps import CASES, ROWS, Bench
from faults.judging.outcome import Outcome, Result
from faults.running.processes import HungError, in_processes, limited
from faults.running.project import in_project
from faults.running.stores import OnAFileError
from faults.running.syncs import CASE_SECONDS
from faults.sources import FIRST, ON_A_SECOND_SOURCE, SECOND, counted, name_on
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.http.pace import Pace

TITLE = "Known traps"
WHAT = (
    "What dlt, Dagster, DuckDB and incident APIs are known to do to a sync that is built on them "
    "as shipped, each made to happen once to this project's sync against the demo API: 250 "
    "incidents, of which a part changes. Right is a green sync and a table that equals the "
    "source; red is one clear message and a table as before. After a red one the cause is taken "
    "away, and the next sync must be green and end equal to the source. " + ON_A_SECOND_SOURCE
)


def tried(name: str, source: str = FIRST) -> Outcome:
    """The outcome of a case, and of the sync that follows it."""
    case = name_on(source, name)
    rows = [incident(n) for n in range(1, ROWS + 1)]
    slept: list[float] = []
    with (
        DemoServer(incidents=lambda: rows, api_key=KEY) as api,
        in_project(api.base_url, source=source) as project,
        patch("tenacity.nap.time", SimpleNamespace(sleep=slept.append)),
        patch.object(Pace, "sleep", lambda _, seconds: slept.append(seconds)),
    ):
        bench = Bench(api, project, rows)
        bench.waits = slept
        try:
            with limited(CASE_SECONDS):
                wrong = CASES[name](bench)
            came, said = bench.verdict, bench.said
            api.faults.reshape = None
            project.configure(None)
            with limited(CASE_SECONDS):
                after = bench.sync("right", full_refresh=True)
            disturbed = project.disturbed()
        except HungError:
            return Outcome(case, "wrong", f"no end within {CASE_SECONDS} s")
        except OnAFileError:
            return Outcome(case, "left out", str(OnAFileError.__doc__))
        except Exception as error:  # a case must not end the others
            return Outcome(case, "wrong", f"{type(error).__name__}: {str(error)[:200]}")
    if wrong or after or disturbed:
        return Outcome(case, "wrong", wrong or disturbed or f"the next good sync: {after}")
    return Outcome(case, "red" if came == "red" else "right", said if came == "red" else "")


def tried_number(case: tuple[str, int]) -> Outcome:
    """The outcome of a case by its source and its place, which another process can be told."""
    source, number = case
    return tried([*CASES][number], source)


def run(part: bool) -> Result:
    """All of them on either source, or every tenth, and every twentieth on a second source."""
    samples = {FIRST: (0, 10), SECOND: (9, 20)} if part else {FIRST: (0, 1), SECOND: (0, 1)}
    wanted = [
        (source, number)
        for source, (first, every) in samples.items()
        for number in range(first, len(CASES), every)
    ]
    outcomes = in_processes(tried_number, wanted)
    return Result(outcomes, counted("known traps", outcomes))
