"""The demo API runs as long as it is asked, where no other API is configured."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from incidents_dagster.ingestion.demo import configured_or_demo
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.field_settings import COLUMNS
from incidents_dagster.ingestion.reading.source import OpenApi, declared_source, open_api
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync


def _demo_apis() -> int:
    """How many are running, those of other tests included."""
    return sum(thread.name == "demo-api" for thread in threading.enumerate())


@contextmanager
def _open() -> Iterator[OpenApi]:
    with configured_or_demo(load_settings()) as asked, open_api(asked, print) as opened:
        yield opened


def test_declaring_starts_no_demo_api() -> None:
    before = _demo_apis()
    declared_source(load_settings())
    assert _demo_apis() == before


def test_without_an_address_the_demo_api_serves_until_the_source_is_closed() -> None:
    before = _demo_apis()
    with _open() as opened:
        assert _demo_apis() == before + 1
        records = list(opened.records("incident_data"))
    assert records
    assert records[0]["id"].startswith("INC-")
    assert _demo_apis() == before


def test_the_demo_api_is_asked_with_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "of the user, for another API")
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__AUTH", "bearer")
    with _open() as opened:
        assert list(opened.records("incident_data").add_limit(1))


def test_the_demo_fills_the_columns_of_the_view_without_a_path(
    query: Callable[[str], list[Any]],
) -> None:
    run_sync(load_settings(), lambda _: None)
    types = {name: kind for name, kind, *_ in query("DESCRIBE incidents.incident_data")}
    assert {types[name] for name in ("title", "severity", "service", "team", "url")} == {"VARCHAR"}
    assert {types[name] for name, (kind, _) in COLUMNS.items() if kind == "timestamp"} == {
        "TIMESTAMP WITH TIME ZONE"
    }
    assert types["assignee"] == types["tags"] == "JSON"
    phases = query("SELECT DISTINCT status, phase FROM incidents.incident_data ORDER BY 1")
    told = {"acknowledged": "acknowledged", "resolved": "closed", "triggered": "open"}
    assert phases
    assert all(told[status] == phase for status, phase in phases)


def test_the_demo_api_is_stopped_when_the_source_fails() -> None:
    before = _demo_apis()
    with pytest.raises(RuntimeError, match="in the middle"), _open():
        raise RuntimeError("in the middle")
    assert _demo_apis() == before


def test_the_demo_api_is_stopped_when_the_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__PAGINATOR__TYPE", "ofset")
    before = _demo_apis()
    with pytest.raises(SettingsError), _open():
        pass
    assert _demo_apis() == before
