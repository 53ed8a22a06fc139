"""Where Dagster keeps its history: relative paths in dagster.yaml count from its own folder.

Dagster counts them from the current directory, so that a daemon started elsewhere would begin a
history there. dagster.yaml names these three classes; `pruning` deletes old runs.
"""

import os
from pathlib import Path
from typing import Any

import dagster as dg

# Dagster has the interfaces of its storage in public, but not what it keeps in SQLite and in files.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage


def in_home(base_dir: str) -> str:
    """`base_dir` in DAGSTER_HOME.

    Without DAGSTER_HOME, Dagster has found dagster.yaml in the current directory.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or "").expanduser()
    return str((home / Path(base_dir).expanduser()).absolute())


class History(DagsterSqliteStorage):
    """Runs, events, schedules and sensors, in SQLite."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "History":
        """Called by Dagster."""
        return cls.from_local(in_home(config_value["base_dir"]), inst_data)


class Artifacts(LocalArtifactStorage):
    """What assets return, in files."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "Artifacts":
        """Called by Dagster."""
        return cls(in_home(config_value["base_dir"]), inst_data)


class ComputeLogs(LocalComputeLogManager):
    """What runs print, in files."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "ComputeLogs":
        """Called by Dagster."""
        return cls(**{**config_value, "base_dir": in_home(config_value["base_dir"])})


def forget(instance: dg.DagsterInstance, run_id: str) -> None:
    """Deletes a run: its events, what it printed, and its file."""
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    events = instance.event_log_storage
    if isinstance(events, SqliteEventLogStorage):  # Dagster only empties it, which frees no space
        shard = events.path_for_shard(run_id)
        for file in (shard, f"{shard}-wal", f"{shard}-shm"):
            Path(file).unlink(missing_ok=True)
