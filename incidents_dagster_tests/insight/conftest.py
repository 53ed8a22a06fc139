"""Fixtures of the tests of the tables of `insight`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from incidents_dagster_tests.insight.seen import Seen


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    """A source whose syncs have seen nothing yet."""
    return Seen(tmp_path / "warehouse.duckdb")


@pytest.fixture
def answers(seen: Seen) -> Callable[[str], list[Any]]:
    """Runs SQL on the file, times in UTC."""

    def answer(sql: str) -> list[Any]:
        with duckdb.connect(str(seen.file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    return answer
