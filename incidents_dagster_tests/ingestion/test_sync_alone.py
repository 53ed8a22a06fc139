"""A sync alone on its file: lock, working folder, killed predecessors, readers, and no Dagster."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from filelock import FileLock

from fakes.incidents import incident
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion import sync as sync_module
from incidents_dagster.ingestion.errors import DatabaseBusyError, SettingsError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.settings import PROJECT_ROOT, load_settings
from incidents_dagster.ingestion.sync import open_sync, run_sync
from incidents_dagster.ingestion.warehouse.file_destination import FileClient

Rows = list[dict[str, Any]]

IN_THE_MIDDLE = """
import os, signal
from incidents_dagster.ingestion.sync import open_sync
from incidents_dagster.ingestion.settings import load_settings
with open_sync(load_settings(), print) as sync:
    sync.pipeline.extract(sync.source)
    sync.pipeline.normalize()
    os.kill(os.getpid(), signal.SIGKILL)
"""
WHOLE_SYNC = """
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.settings import load_settings
run_sync(load_settings())
"""
HOLDER = """
import sys, duckdb
try:
    with duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read_only"):
        print("open", flush=True)
        sys.stdin.read()
except duckdb.IOException:
    pass
"""
WITHOUT_DAGSTER = """
import sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith("dagster"):
            raise ImportError("behind the wall: " + name)
sys.meta_path.insert(0, Wall())
"""


@contextmanager
def _process(program: str, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **{"env": environment, **options},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _wait_until(happened: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _count(database: Path, where: str = "true") -> int:
    with duckdb.connect(str(database), read_only=True) as connection:
        query = f"SELECT count(*) FROM incidents.incident_data WHERE {where}"
        return int(connection.execute(query).fetchall()[0][0])


def _working_folders(database: Path) -> list[Path]:
    return [path for path in database.parent.glob(f"{database.name}*") if path.is_dir()]


def test_the_working_folder_is_private_while_a_sync_runs_and_gone_afterwards(
    api: DemoServer, database: Path
) -> None:
    before = os.umask(0)
    try:
        with open_sync(load_settings(), print) as sync:
            sync.pipeline.run(sync.source)
            (folder,) = _working_folders(database)
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert Path(sync.pipeline.working_dir).is_relative_to(folder)
    finally:
        os.umask(before)
    assert not _working_folders(database)


def test_the_working_folder_is_gone_after_a_failure(
    api: DemoServer, database: Path, waits: list[float]
) -> None:
    api.faults.raw_body = b"not JSON"
    with pytest.raises(PipelineStepFailed):
        run_sync(load_settings(), print)
    assert not _working_folders(database)


def test_nothing_of_a_sync_is_kept_outside_the_folder_of_the_database(
    api: DemoServer, database: Path, tmp_path: Path
) -> None:
    before = set(tmp_path.iterdir())
    run_sync(load_settings(), print)
    new = {path.name for path in set(tmp_path.iterdir()) - before}
    assert new <= {database.name, f"{database.name}.lock"}


@pytest.mark.thorough
def test_a_sync_killed_before_its_load_does_not_hinder_the_next(
    api: DemoServer, rows: Rows, database: Path
) -> None:
    run_sync(load_settings(), print)
    rows[:] = [
        incident(n, status="of the killed sync", updated_at="2026-11-20T00:00:00Z")
        for n in range(1, 300)
    ]
    with _process(IN_THE_MIDDLE) as process:
        output = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, output
    assert _working_folders(database), "nothing was left behind, so nothing is proven"
    assert _count(database) == 250

    rows[:] = [incident(n, status="new", updated_at="2026-11-20T00:00:00Z") for n in range(1, 261)]
    run_sync(load_settings(), print)
    assert _count(database) == _count(database, "status = 'new'") == 260
    assert not _working_folders(database)


@pytest.mark.thorough
def test_a_sync_killed_while_it_fetches_does_not_hinder_the_next(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DemoServer(incidents=lambda: [incident(1)]) as api:
        monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", api.base_url)
        monkeypatch.setenv("API_KEY", api.api_key)
        api.faults.latency = 3600
        with _process(WHOLE_SYNC) as process:
            _wait_until(lambda: api.faults.in_flight or process.poll() is not None)
            process.send_signal(signal.SIGKILL)
            assert process.wait(60) == -signal.SIGKILL
        api.faults.latency = 0
        run_sync(load_settings(), print)
    assert _count(database) == 1


@pytest.mark.thorough
def test_a_second_sync_gives_up_when_the_first_takes_too_long(
    api: DemoServer, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__WAIT_SECONDS", "0.05")
    with open_sync(load_settings(), print):
        with pytest.raises(DatabaseBusyError) as busy:
            run_sync(load_settings(), print)
        assert _working_folders(database), "the folder of the running sync was taken away"
    assert str(database) in explain(busy.value)
    assert "then sync again" in explain(busy.value)
    assert api.faults.request_count == 0
    run_sync(load_settings(), print)
    assert _count(database) == 250


def test_without_the_lock_file_a_second_sync_still_keeps_off_the_first(
    api: DemoServer, database: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__WAIT_SECONDS", "0.05")
    with open_sync(load_settings(), print) as first:
        (lock,) = tmp_path.glob("*.lock")
        lock.unlink()
        with pytest.raises(DatabaseBusyError, match="Another sync"):
            run_sync(load_settings(), print)
        assert api.faults.request_count == 0
        first.pipeline.run(first.source)
    run_sync(load_settings(), print)
    assert _count(database) == 250


def test_a_second_sync_waits_for_the_first(
    api: DemoServer, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = FileLock(f"{database}.lock")
    first.acquire()
    asked_while_waiting = []

    def first_ends_meanwhile(_: float) -> None:
        asked_while_waiting.append(api.faults.request_count)
        first.release()

    # A lock that is taken is tried again after a sleep.
    monkeypatch.setattr(time, "sleep", first_ends_meanwhile)
    run_sync(load_settings(), print)
    assert asked_while_waiting[0] == 0
    assert _count(database) == 250


@pytest.mark.parametrize("mode", ["read_only", "read_write"])
@pytest.mark.sample(1)
def test_a_sync_names_who_holds_the_file_and_gives_up_when_that_takes_too_long(
    api: DemoServer, database: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    run_sync(load_settings(), print)
    monkeypatch.setenv("SOURCES__INCIDENTS__WAIT_SECONDS", "0.3")
    said: list[str] = []
    with _process(HOLDER, str(database), mode) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "open\n"
        named = f"{database} is open in another process (PID {holder.pid}, python"
        with pytest.raises(PipelineStepFailed) as failed:
            run_sync(load_settings(), said.append)
    message = explain(failed.value)
    assert message.startswith(named)
    assert "close it there" in message
    assert "\n" not in message
    assert next(line for line in said if "waiting" in line).startswith(named)
    run_sync(load_settings(), print)
    assert _count(database) == 250


@pytest.mark.thorough
def test_a_sync_goes_on_when_the_reader_closes_the_file(
    api: DemoServer, rows: Rows, database: Path
) -> None:
    run_sync(load_settings(), print)
    rows.append(incident(251, updated_at="2026-11-20T00:00:00Z"))
    with _process(HOLDER, str(database), "read_only") as reader:
        assert reader.stdout
        assert reader.stdout.readline() == "open\n"
        said: list[str] = []

        def close_it(line: str) -> None:
            said.append(line)
            if "waiting" in line:
                reader.communicate()

        run_sync(load_settings(), close_it)
    assert sum("waiting" in line for line in said) == 1
    assert _count(database) == 251


@pytest.mark.thorough
def test_a_reader_comes_in_between_two_pages_and_not_between_merge_and_end_of_load(
    api: DemoServer, rows: Rows, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sync(load_settings(), print)
    rows.append(incident(251, updated_at="2026-11-20T00:00:00Z"))
    attempts: dict[str, str] = {}

    def read(when: str) -> None:
        with _process(HOLDER, str(database), "read_only") as reader:
            attempts[when] = reader.communicate(timeout=60)[0]

    def while_fetching(body: dict[str, Any]) -> dict[str, Any]:
        if "fetching" not in attempts:
            read("fetching")
        return body

    api.faults.reshape = while_fetching
    enter = FileClient.__enter__

    def enter_after_a_reader(client: FileClient) -> FileClient:
        if client.hold.keep and "merged" not in attempts:
            read("merged")
        return enter(client)

    monkeypatch.setattr(FileClient, "__enter__", enter_after_a_reader)
    run_sync(load_settings(), print)
    assert attempts == {"fetching": "open\n", "merged": ""}
    assert _count(database) == 251


@pytest.mark.parametrize("link", ["file", "folder"])
@pytest.mark.sample(1)
def test_two_names_of_one_file_are_one_lock(
    api: DemoServer, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    other = tmp_path / "link.duckdb"
    if link == "file":
        other.symlink_to(database)
    else:
        (tmp_path / "link").symlink_to(tmp_path)
        other = tmp_path / "link" / database.name
    monkeypatch.setenv("SOURCES__INCIDENTS__WAIT_SECONDS", "0.05")
    with open_sync(load_settings(), print):
        monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", str(other))
        with pytest.raises(DatabaseBusyError):
            run_sync(load_settings(), print)
    run_sync(load_settings(), print)
    assert _count(database) == 250


def test_a_file_with_a_second_name_is_refused(
    api: DemoServer, database: Path, tmp_path: Path
) -> None:
    run_sync(load_settings(), print)
    os.link(database, tmp_path / "second.duckdb")
    with pytest.raises(SettingsError, match="hard link"):
        run_sync(load_settings(), print)


def test_a_sync_runs_without_dagster_from_an_empty_folder(
    api: DemoServer, database: Path, checkout: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "DLT_PROJECT_DIR"}
    environment["PYTHONPATH"] = str(checkout)
    wall = WITHOUT_DAGSTER + (
        "import incidents_dagster\n"
        "assert incidents_dagster.__file__.startswith(sys.argv[1]), incidents_dagster.__file__\n"
        "try: import dagster\n"
        "except ImportError: pass\n"
        "else: raise SystemExit('the wall has a hole')\n"
    )
    with _process(wall + WHOLE_SYNC, str(checkout), env=environment, cwd=empty) as process:
        output = process.communicate(timeout=120)
        assert process.returncode == 0, output
    assert _count(database) == 250
    assert not list(empty.iterdir())


def test_the_file_is_a_path_and_no_url_for_which_sqlalchemy_would_be_imported(
    api: DemoServer, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = database.with_name("a?b=1#c d.duckdb")
    monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", str(file))
    see = "import sys\nraise SystemExit('sqlalchemy' in sys.modules)\n"
    with _process(WHOLE_SYNC + see, cwd=PROJECT_ROOT) as process:
        output = process.communicate(timeout=120)
        assert process.returncode == 0, output
    assert _count(file) == 250


@pytest.mark.thorough
def test_every_module_of_the_ingestion_is_importable_without_dagster(tmp_path: Path) -> None:
    package = Path(sync_module.__file__).parent
    modules = [path.relative_to(package).with_suffix("") for path in package.rglob("[!_]*.py")]
    assert len(modules) > 20
    imports = "".join(
        f"import incidents_dagster.ingestion.{'.'.join(module.parts)}\n" for module in modules
    )
    with _process(WITHOUT_DAGSTER + imports, cwd=tmp_path) as process:
        output = process.communicate(timeout=120)
        assert (process.returncode, output) == (0, ("", ""))
