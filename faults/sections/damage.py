"""Damaged files, one kind after the other: healed, or one line with the cure."""

import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from fakes.incidents import KEY
from fakes.source import VERSION, Source
from faults.cases.damage import DAMAGE, LIMITED, half_a_sync
from faults.judging.outcome import Outcome, Result, clear
from faults.running.forks import Forks, Tell, forks
from faults.running.project import Project, in_project
from incidents_dagster.demo_api.server import DemoServer

TITLE = "Damaged files"
WHAT = (
    "One sync, then a file is damaged, the source changes, and the next sync runs. It must be "
    "green, and the table equal to the source; or it must fail with one line that says what to do, "
    "and be right after exactly that was done. Where the table was lost with the database, all is "
    "read anew."
)

ROWS = 400

# What a message says is to be done, and how that is done.
CURES: dict[str, Callable[[Project, re.Match[str]], Any]] = {
    r"move it away, and (?P<log>\S+\.wal) if it exists": (
        lambda project, said: [_away(project.database), _away(Path(said["log"]))]
    ),
    r"log (?P<log>\S+\.wal) cannot be read: move it away": lambda _, said: _away(Path(said["log"])),
    r"move the file away": lambda project, _: _away(project.database),
    r"(?P<file>\S+) is a folder: (move it away|remove it)": (
        lambda _, said: _away(Path(said["file"]))
    ),
    r"free some space": lambda *_: None,  # the limit was the killed process's own
    r"allow it": lambda project, _: _allow(project),
    r"make that a symbolic link or a copy": lambda project, _: _copy_second_name(project),
}


def _away(file: Path) -> None:
    if file.exists() or file.is_symlink():
        file.rename(file.with_name(file.name + ".away"))


def _allow(project: Project) -> None:
    for path in (project.folder, *project.folder.rglob("*")):
        path.chmod(0o700)


def _copy_second_name(project: Project) -> None:
    second = project.folder / "second.duckdb"
    second.unlink()
    shutil.copy(project.database, second)


def run(part: bool) -> Result:
    """The section."""
    result, served = Result(), [list[dict[str, Any]]()]
    with (
        DemoServer(incidents=lambda: served[-1], api_key=KEY) as api,
        in_project(api.base_url) as project,
        forks() as processes,
    ):

        def one(case: str, damage: Callable[[Project], Any], sync: Callable[[], Any]) -> None:
            source = Source(len(result.outcomes), ROWS)
            _begin(project)
            served[:] = [source.records()]
            first = project.sync()
            assert first is None, first
            damage(project)
            source.change()
            served[:] = [source.records()]
            result.outcomes.append(_judged(case, project, source, sync()))

        def pending(project: Project) -> None:
            processes.start(half_a_sync).hears()

        one("a killed sync's load package is there", pending, project.sync)
        for case, damage in list(DAMAGE.items())[:: 5 if part else 1]:
            one(case, damage, project.sync)
        for case, (damage, work) in list(LIMITED.items())[:: 3 if part else 1]:
            one(case, damage, partial(_in_process, processes, work))
    verdicts = [outcome.verdict for outcome in result.outcomes]
    result.figures = {"kinds of damage": len(verdicts), "healed": verdicts.count("right")}
    result.figures["one line with the cure"] = verdicts.count("red")
    return result


def _begin(project: Project) -> None:
    _allow(project)
    for path in project.folder.iterdir():
        if path.name != ".dlt":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _in_process(processes: Forks, work: Callable[[Tell], Any]) -> str | None:
    child = processes.start(work)
    child.hears()
    return child.result if child.ended else "the process died"


def _judged(case: str, project: Project, source: Source, message: str | None) -> Outcome:
    note = (message or "").replace(f"{project.folder}/", "").replace(str(project.folder), "")
    if message is not None:
        found_cures = ((cure, re.search(words, message)) for words, cure in CURES.items())
        cure, said = next(((cure, said) for cure, said in found_cures if said), (None, None))
        if cure is None or said is None or not clear(message):
            return Outcome(case, "wrong", f"no cure in: {message}")
        cure(project, said)
        if again := project.sync():
            return Outcome(case, "wrong", f"{message} After that: {again}")
    try:
        found = project.versions(*VERSION)
    except duckdb.Error as error:
        return Outcome(case, "wrong", f"{note} The table cannot be read: {error}")
    if found != source.versions():
        return Outcome(case, "wrong", f"{note} The table is not what the source is.")
    return Outcome(case, "red" if message else "right", note)
