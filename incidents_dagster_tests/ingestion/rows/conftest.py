"""A table for each test of rows."""

from pathlib import Path

import pytest

from incidents_dagster_tests.ingestion.rows.loaded import Configure, Listen, Loaded


@pytest.fixture
def loaded(
    listen: Listen, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Loaded:
    return Loaded(listen, configure, tmp_path).fresh(monkeypatch)
