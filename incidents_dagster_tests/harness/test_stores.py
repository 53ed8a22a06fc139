"""The databases of the fault matrix's projects."""

from pathlib import Path

import duckdb
import pytest

from faults.running.project import Project
from faults.running.stores import FileRows, OnAFileError, Rows


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    rows = FileRows(tmp_path / "warehouse.duckdb")
    with rows.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS n")
    kept = rows.keep(tmp_path)
    with rows.connect() as connection:
        connection.execute("UPDATE t SET n = 2")

    rows.start_from(kept)

    with rows.connect(read_only=True) as connection:
        assert connection.execute("FROM t").fetchall() == [(1,)]
    rows.empty()
    assert not rows.is_there()
    assert Path(kept).exists()


class Elsewhere(Rows):
    """Rows that are in no file."""

    def environment(self) -> dict[str, str]:
        return {}

    def empty(self) -> None: ...

    def keep(self, folder: Path) -> str:
        return ""

    def start_from(self, kept: str) -> None: ...

    def connect(self, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        return duckdb.connect()

    def is_there(self) -> bool:
        return True

    def remove(self) -> None: ...


def test_a_case_about_the_file_is_told_that_there_is_none(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.stored = Elsewhere()

    with pytest.raises(OnAFileError):
        _ = project.database
    with pytest.raises(OnAFileError):
        project.database = tmp_path / "other.duckdb"
