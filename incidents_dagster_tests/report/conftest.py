"""Fixtures of the tests of the report."""

from collections.abc import Callable
from pathlib import Path

import pytest

from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster.report.figures import Figures, read
from incidents_dagster.report.page import rendered
from incidents_dagster.report.pictures.all_pictures import pictures
from incidents_dagster_tests.insight.seen import Seen, built


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    """A source whose syncs have seen nothing yet."""
    return Seen(tmp_path / "warehouse.duckdb")


@pytest.fixture
def figures(seen: Seen) -> Callable[..., Figures]:
    """Makes the tables, of `seen` and of further sources in its file, and reads the figures."""

    def made(*others: Seen) -> Figures:
        built(seen, *others)
        return read(FileStore(seen.file), 5.0)

    return made


@pytest.fixture
def page(figures: Callable[..., Figures]) -> Callable[..., str]:
    """The page of them."""

    def made(*others: Seen) -> str:
        found = figures(*others)
        return rendered(found, pictures(found))

    return made
