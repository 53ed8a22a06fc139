"""`make bench`: runs the cases, keeps the results beside the report, writes the report.

In every repetition each peer has one run, and another one begins; results of cases that are not
run again stay as they are.
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.cases import CASES, Case, Entrant
from bench.measure import ROOT, Bench, BenchError, Server
from bench.peers.singer import installed
from reporting.provenance import machine, now
from reporting.results import read
from reporting.results import write as keep

PEERS = ("ours", "plain", "limit", "singer")


def arguments(given: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    names = ", ".join(case.name for case in CASES)
    parser.add_argument("--cases", default="", help=f"comma-separated beginnings of: {names}")
    parser.add_argument("--peers", default=",".join(PEERS), help="default: %(default)s")
    parser.add_argument("--runs", type=int, default=3, help="of each peer; default: 3")
    parser.add_argument("--million", action="store_true", help="also what takes the better of 1 h")
    parser.add_argument("--plain-runs-at-million", type=int, default=1, help="default: 1")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="default: docs")
    parser.add_argument("--render", action="store_true", help="the report alone, of kept results")
    return parser.parse_args(given)


def rounds(case: Case, entrant: Entrant, options: argparse.Namespace) -> int:
    """How many runs `entrant` has in `case`."""
    few = case.name == "full-1m" and entrant.peer == "plain"
    return min(options.runs, options.plain_runs_at_million) if few else int(options.runs)


def command(options: argparse.Namespace) -> str:
    """How to have the same again; the folder of the report is nobody's business."""
    given = {"cases": options.cases, "peers": options.peers, "runs": options.runs}
    words = [f"--{name} {value}" for name, value in given.items() if value]
    return f"make bench ARGS='{' '.join(words + ['--million'] * options.million)}'"


def absence(entrant: Entrant, options: argparse.Namespace) -> str | None:
    """Why `entrant` does not take part; None where it does."""
    if entrant.side not in options.peers.split(","):
        return "not asked for"
    return "not installed" if entrant.peer == "singer" and not installed() else None


def run_case(bench: Bench, case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """All runs of a case, the peers in turn."""
    runs: dict[str, list[dict[str, Any]]] = {}
    absent = {e.label: why for e in case.entrants if (why := absence(e, options))}
    rates: list[float] = []
    for turn in range(options.runs):
        if case.name.startswith("full"):
            rates.append(bench.server_rate(case))
        first = turn % len(case.entrants)
        for entrant in case.entrants[first:] + case.entrants[:first]:
            if entrant.label in absent or turn >= rounds(case, entrant, options):
                continue
            try:
                if not turn:
                    bench.warm_up(case, entrant)
                figures = bench.measure(case, entrant)
            except BenchError as error:
                print(f"{case.name} {entrant.label} FAILED: {error}", file=sys.stderr)
                absent[entrant.label] = "failed: " + str(error).splitlines()[-1][:200]
                continue
            runs.setdefault(entrant.label, []).append(figures)
            text = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
            print(f"{case.name}  {turn + 1}  {entrant.label:<11}{text}", file=sys.stderr)
    return {
        "title": case.title,
        "when": now(),
        "machine": machine(),
        "command": command(options),
        "pages": case.total // 100,
        "runs": runs,
        "absent": {label: why for label, why in absent.items() if label not in runs},
        "server_pages_per_s": rates,
    }


def chosen(options: argparse.Namespace) -> list[Case]:
    """The cases to run: those named, else all, those of millions only on request."""
    names = tuple(filter(None, options.cases.split(",")))
    if names:
        return [case for case in CASES if case.name.startswith(names)]
    return [case for case in CASES if options.million or not case.million]


def minutes(cases: list[Case], options: argparse.Namespace) -> float:
    """Roughly how long `cases` take."""
    seconds = sum(
        case.seconds(entrant) * rounds(case, entrant, options)
        for case in cases
        for entrant in case.entrants
        if not absence(entrant, options)
    )
    to_prepare = 120 if any(case.continued for case in cases) else 0
    return (seconds + to_prepare) / 60


def main(given: list[str]) -> int:
    """Runs what was asked for."""
    options = arguments(given)
    results = options.out / "benchmarks.json"
    cases = chosen(options)
    if not options.render:
        print(f"About {minutes(cases, options):.0f} minutes.", file=sys.stderr)
    started = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.render:
        from bench.report import write  # noqa: PLC0415  its matplotlib is in another environment

        write(results, options.out)
        return 0
    with TemporaryDirectory(prefix="bench-") as work, Server() as server:
        bench = Bench(Path(work), server)
        for case in cases:
            result = run_case(bench, case, options)
            # Read again: another bench may have run other cases meanwhile.
            keep(read(results) | {case.name: result}, results)
    print(f"Done in {(time.monotonic() - started) / 60:.0f} minutes.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
