"""`make faults`: runs the sections, keeps what came of them, writes docs/reliability.md."""

import argparse
import importlib
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from faults.judging.outcome import Result, steady
from faults.report import write
from faults.running.project import ROOT
from faults.running.stores import SERVER
from reporting.provenance import machine, now
from reporting.results import read
from reporting.results import write as keep

# In this order in the report.
SECTIONS = (
    "traps",
    "ordinary",
    "http",
    "answers",
    "mutate",
    "paging",
    "kills",
    "windows",
    "damage",
    "together",
    "leaks",
    "two_keys",
    "day",
)
# What is not tried on a server.
ABOUT_THE_FILE = ("damage",)


def main() -> int:
    """Runs what the command line asks for; 1 where an outcome is wrong."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--sections", default=",".join(SECTIONS), help="default: all")
    parser.add_argument("--part", action="store_true", help="a sample of each, writes no report")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="default: docs")
    parser.add_argument(
        "--store",
        metavar="postgresql://user@host:port/postgres",
        help="a server on which each project gets a database of its own, its password in "
        "PGPASSWORD; writes no report",
    )
    given = parser.parse_args()
    if given.store:
        os.environ[SERVER] = given.store  # for the processes of the sections
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "reliability.json"
    results = read(kept)
    wrong: list[str] = []
    for name in given.sections.split(","):
        if given.store and name in ABOUT_THE_FILE:
            print(f"{name}: left out, as it is about the DuckDB file", flush=True)
            continue
        section = importlib.import_module(f"faults.sections.{name}")
        started = time.monotonic()
        result: Result = section.run(given.part)
        seconds = time.monotonic() - started
        verdicts = [outcome.verdict for outcome in result.outcomes]
        kinds = ["right", "red", "wrong", *(["left out"] if "left out" in verdicts else [])]
        counts = ", ".join(f"{verdicts.count(v)} {v}" for v in kinds)
        print(f"{name}: {counts}, in {seconds:.0f} s", flush=True)
        for figure, number in result.figures.items():
            print(f"  {figure}: {number:,}", flush=True)
        out = [o.case for o in result.outcomes if o.verdict == "left out"]
        print(*(f"  LEFT OUT {one}" for one in out), sep="\n", end="\n" if out else "", flush=True)
        bad = [f"{o.case}: {o.note}" for o in result.outcomes if o.verdict == "wrong"]
        print(*(f"  WRONG {one}" for one in bad), sep="\n", end="\n" if bad else "", flush=True)
        wrong += [f"{name}, {one}" for one in bad]
        results[name] = {
            "when": now(),
            "machine": machine(),
            "seconds": round(seconds),
            "outcomes": [asdict(o) | {"note": steady(o.note)} for o in result.outcomes],
            "figures": result.figures,
        }
        if not given.part and not given.store:  # now, as a later section may be stopped
            keep(results, kept)
            write(results, given.out)
    # Said again at the end: the end is what a log keeps.
    for one in wrong:
        print(f"WRONG {one}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
