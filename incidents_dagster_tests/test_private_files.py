"""Who may read the database, its log and lock, and Dagster's history."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.private_files import keep_private
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import open_sync

ORDINARY = 0o022  # what most systems start with


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """As a user's shell has it."""
    before = os.umask(ORDINARY)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("given", "folder"), [("", 0o700), ("027", 0o750)])
@pytest.mark.sample(1)
def test_all_of_data_is_its_users_alone(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, given: str, folder: int
) -> None:
    for name in ("DLT_PROJECT_DIR", "DLT_DATA_DIR", "INCIDENTS_DUCKDB_PATH"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("INCIDENTS_UMASK", given)
    subprocess.run(
        [sys.executable, "-m", "incidents_dagster", "sync"],
        cwd=checkout,
        check=True,
        capture_output=True,
        timeout=180,
    )
    data = checkout / "data"
    found = [data, *data.rglob("*")]
    assert {".duckdb", ".lock", ".db"} <= {path.suffix for path in found}
    copy = data / "demo.read.duckdb"  # nobody writes to it
    modes = {path: 0o777 if path.is_dir() else 0o666 for path in found} | {copy: 0o444}
    wanted = {path: folder & most for path, most in modes.items()}
    assert {path: mode(path) for path in found} == wanted


def test_the_files_beside_the_database_are_private_while_a_sync_runs(
    api: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "elsewhere" / "deep" / "warehouse.duckdb"
    monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", str(database))
    with open_sync(load_settings(), print) as sync:
        sync.pipeline.run(sync.source)
        with duckdb.connect(str(database)) as connection:
            connection.execute("CREATE TABLE t AS SELECT 1")
            assert database.with_name("warehouse.duckdb.wal").exists()
            open_to_others = [
                path for path in tmp_path.glob("elsewhere/**/*") if mode(path) & 0o077
            ]
    assert not open_to_others
    assert mode(database.parent.parent) == mode(database.parent) == 0o700


@pytest.mark.parametrize(
    ("given", "present", "then"),
    [
        ("", 0o022, 0o077),
        ("", 0o177, 0o177),
        ("027", 0o022, 0o027),
        ("0002", 0o077, 0o002),
        ("rwx", 0o022, 0o077),
    ],
)
def test_the_users_own_umask_is_respected(
    monkeypatch: pytest.MonkeyPatch, given: str, present: int, then: int
) -> None:
    monkeypatch.setenv("INCIDENTS_UMASK", given)
    os.umask(present)
    keep_private()
    assert os.umask(ORDINARY) == then


def test_a_wrong_umask_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCIDENTS_UMASK", "private")
    with pytest.raises(SettingsError, match="INCIDENTS_UMASK must be an octal umask, such as 027"):
        load_settings()
