"""The kinds of damage that `damage` does to files, as data, and the syncs that meet them."""

import codecs
import json
import os
import resource
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from faults.running.forks import Tell, one_sync
from faults.running.project import Project
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import open_sync

NOBODY = 65534  # the user whose rights are tried, where the harness runs as root
KB = 1024


def sql(statement: str) -> Callable[[Project], None]:
    """Damage by an SQL statement."""

    def damage(project: Project) -> None:
        with duckdb.connect(str(project.database)) as connection:
            connection.execute(statement)

    return damage


def stored(table: str, column: str, change: Callable[[str], str]) -> Callable[[Project], None]:
    """Damage of what dlt has stored in a column."""

    def damage(project: Project) -> None:
        with duckdb.connect(str(project.database)) as connection:
            for (value,) in connection.execute(f"SELECT {column} FROM {table}").fetchall():
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {column} = ?", [change(value), value]
                )

    return damage


def with_engine(version: int) -> Callable[[str], str]:
    """A stored schema as of another version of dlt."""
    return lambda text: json.dumps({**json.loads(text), "engine_version": version})


def over(at: int, new: bytes, wal: bool = False) -> Callable[[Project], None]:
    """Damage by bytes over those that are there; from the middle on where `at` is negative."""

    def damage(project: Project) -> None:
        if wal:
            _leave_wal(project)
        file = log(project) if wal else project.database
        data = bytearray(file.read_bytes())
        begin = at if at >= 0 else len(data) // 2
        data[begin : begin + len(new)] = new
        file.write_bytes(data)

    return damage


def cut(share: float, wal: bool = False) -> Callable[[Project], None]:
    """Damage by an end that is missing."""

    def damage(project: Project) -> None:
        if wal:
            _leave_wal(project)
        file = log(project) if wal else project.database
        os.truncate(file, int(share * file.stat().st_size))

    return damage


def log(project: Project) -> Path:
    """DuckDB's write-ahead log."""
    return Path(f"{project.database}.wal")


def _beside(project: Project, suffix: str) -> Path:
    return Path(f"{project.database}{suffix}")


def _leave_wal(project: Project, file: Path | None = None) -> None:
    """What a writer leaves that is killed: a log that no checkpoint has emptied."""
    copy = project.folder / "copy.duckdb"
    with duckdb.connect(str(file or project.database)) as connection:
        connection.execute("SET checkpoint_threshold = '1gb'")
        connection.execute(
            "CREATE TABLE mine AS SELECT range AS n, md5(range::VARCHAR) AS h FROM range(3000)"
        )
        connection.execute("UPDATE mine SET h = 'x' WHERE n % 2 = 0")
        shutil.copy(log(project) if file is None else Path(f"{file}.wal"), copy)
        shutil.copy(file or project.database, f"{copy}.main")
    shutil.move(f"{copy}.main", file or project.database)
    shutil.move(copy, log(project) if file is None else Path(f"{file}.wal"))


def _foreign_wal(project: Project) -> None:
    other = project.folder / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("CREATE TABLE theirs (n INTEGER)")
    with duckdb.connect(str(other)) as connection:
        connection.execute("INSERT INTO theirs VALUES (1)")
        shutil.copy(f"{other}.wal", log(project))


def _checksum(block: bytes) -> int:
    """DuckDB's checksum of a header block."""
    mask, result = 2**64 - 1, 5381
    for at in range(0, len(block), 8):
        result ^= int.from_bytes(block[at : at + 8], "little") * 0xBF58476D1CE4E5B9 & mask
    return result


def _newer(project: Project) -> None:
    data = bytearray(project.database.read_bytes())
    data[12:20] = (9_999).to_bytes(8, "little")
    data[:8] = _checksum(bytes(data[8:4096])).to_bytes(8, "little")
    project.database.write_bytes(data)


def _garbage_folder(project: Project) -> None:
    folder = _beside(project, ".dlt") / "incidents"
    (folder / "normalize" / "extracted").mkdir(parents=True)
    for name in ("state.json", "trace.pickle", "normalize/extracted/1.2", "schemas"):
        (folder / name).write_bytes(b"\0 no JSON, no pickle")


def _folder_in_place_of(file: Path) -> None:
    file.unlink(missing_ok=True)
    file.mkdir()
    (file / "something").touch()


def _dangling(project: Project) -> None:
    project.database.unlink()
    project.database.symlink_to(project.folder / "elsewhere" / "real.duckdb")


def half_a_sync(_: Tell) -> None:
    """Leaves a load package of now behind."""
    with open_sync(load_settings(), lambda _: None) as sync:
        sync.pipeline.extract(sync.source)
        sync.pipeline.normalize()
        os._exit(9)


def limited_sync(tell: Tell, size: int) -> str | None:
    """One sync in which no file gets larger than `size` bytes, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return one_sync(tell)


def humble_sync(tell: Tell) -> str | None:
    """One sync without root's rights."""
    codecs.lookup("utf-16-be")  # while Python's own files can still be read
    if os.geteuid() == 0:
        os.setuid(NOBODY)
    return one_sync(tell)


def _mode(mode: int, suffix: str) -> Callable[[Project], None]:
    def damage(project: Project) -> None:
        for path in (project.folder, *project.folder.rglob("*")):
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)
        _beside(project, suffix).chmod(mode)

    return damage


def _folder_read_only(project: Project) -> None:
    _mode(0o600, "")(project)
    project.folder.chmod(0o500)


V, L, S = "incidents._dlt_version", "incidents._dlt_loads", "incidents._dlt_pipeline_state"
DROPPED = "DROP TABLE incidents.incident_data"
# What is done to the files between two syncs, and by which kind of sync that is met.
DAMAGE: dict[str, Callable[[Project], Any]] = {
    "dlt's working folder is full of garbage": _garbage_folder,
    "dlt's working folder is a file": lambda p: _beside(p, ".dlt").write_text("x"),
    "dlt's working folder is a dangling link": lambda p: _beside(p, ".dlt").symlink_to("/nowhere"),
    "dlt's data folder is a file": lambda p: [
        shutil.rmtree(p.folder / "dlt", ignore_errors=True),
        (p.folder / "dlt").write_text("x"),
    ],
    "the lock file is left over, with a process in it": (
        lambda p: _beside(p, ".lock").write_text("1")
    ),
    "the lock file is a folder": lambda p: _folder_in_place_of(_beside(p, ".lock")),
    "the table was dropped": sql(DROPPED),
    "a declared column was dropped": sql("ALTER TABLE incidents.incident_data DROP status"),
    "the table was emptied": sql("DELETE FROM incidents.incident_data"),
    "the schema was dropped": sql("DROP SCHEMA incidents CASCADE"),
    "the schema holds no table": sql("DROP SCHEMA incidents CASCADE; CREATE SCHEMA incidents"),
    "_dlt_version was emptied": sql(f"DELETE FROM {V}"),
    "_dlt_version was dropped": sql(f"DROP TABLE {V}"),
    "_dlt_loads was dropped": sql(f"DROP TABLE {L}"),
    "_dlt_pipeline_state was dropped": sql(f"DROP TABLE {S}"),
    "dlt's tables were dropped": sql(f"DROP TABLE {V}; DROP TABLE {L}; DROP TABLE {S}"),
    "dlt's tables alone are left": sql(
        DROPPED + "; DROP SCHEMA IF EXISTS _dlt_incidents_staging CASCADE"
    ),
    "_dlt_version lacks a column": sql(f"ALTER TABLE {V} DROP version_hash"),
    "_dlt_pipeline_state lacks a column": sql(f"ALTER TABLE {S} DROP state"),
    "the stored schema is no JSON": stored(V, "schema", lambda text: text[:50]),
    "the stored schema is of a newer dlt": stored(V, "schema", with_engine(99)),
    "the stored schema is of an older dlt": stored(V, "schema", with_engine(5)),
    "the stored state is unreadable": stored(S, "state", lambda text: text[:20]),
    "staging is left over, with other columns": sql(
        "DROP SCHEMA IF EXISTS _dlt_incidents_staging CASCADE; "
        "CREATE SCHEMA _dlt_incidents_staging; "
        "CREATE TABLE _dlt_incidents_staging.incident_data (id INTEGER, status BIGINT NOT NULL)"
    ),
    "the database is empty, 0 bytes": lambda p: os.truncate(p.database, 0),
    "the database was being made: 8 KB": lambda p: os.truncate(p.database, 8 * KB),
    "the database is gone, its log is not": lambda p: [_leave_wal(p), p.database.unlink()],
    "the database is a dangling link": _dangling,
    "the database is no DuckDB file": lambda p: p.database.write_bytes(b"id,status\n" * 5000),
    "the database is cut in half": cut(0.5),
    "the database's first block is overwritten": over(12 * KB + 100, b"x" * 200),
    "the database's header is overwritten": over(100, b"x" * 200),
    "the database is zeros": over(0, bytes(64 * KB)),
    "the database is of a newer DuckDB": _newer,
    "the database is a folder": lambda p: _folder_in_place_of(p.database),
    "the database has a second name": lambda p: os.link(p.database, p.folder / "second.duckdb"),
    "a killed writer's log is there": _leave_wal,
    "the log is cut in half": cut(0.5, wal=True),
    "the log is overwritten in the middle": over(-1, b"x" * 200, wal=True),
    "the log is garbage": lambda p: log(p).write_bytes(b"garbage" * 100),
    "the log is another database's": _foreign_wal,
    "the log is a folder": lambda p: _folder_in_place_of(log(p)),
}
# The same, met by a process without root's rights, or on a disk that is full.
LIMITED: dict[str, tuple[Callable[[Project], Any], Callable[[Tell], Any]]] = {
    "the database is read-only": (_mode(0o400, ""), humble_sync),
    "the database is unreadable": (_mode(0o000, ""), humble_sync),
    "the lock file is unreadable": (_mode(0o000, ".lock"), humble_sync),
    "the folder is read-only": (_folder_read_only, humble_sync),
    "the disk is full: dlt's first files": (lambda _: None, partial(limited_sync, size=100)),
    "the disk is full: dlt's rows": (lambda _: None, partial(limited_sync, size=8 * KB)),
    "the disk is full: the database": (lambda _: None, partial(limited_sync, size=50 * KB)),
}
