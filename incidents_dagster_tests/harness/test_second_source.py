"""The harness of faults on a second source: that its judges see what must not happen."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from fakes.incident_pages import IncidentPages
from fakes.incidents import incident
from fakes.web import Web
from faults.cases import two_keys as cases
from faults.judging.search import Search
from faults.running.neighbour import KEY as FIRST_KEY
from faults.running.project import Project, in_project
from faults.sections import traps, two_keys
from faults.sources import FIRST, SECOND
from incidents_dagster.ingestion.settings_files import SourceSection
from incidents_dagster.ingestion.tables import Table

pytestmark = pytest.mark.thorough
EMPTY_SYNC, DELETED = "a sync that loads nothing", "a record deleted at the source"


@pytest.fixture
def project() -> Iterator[Project]:
    """A project of two sources; the first has been synced."""
    with IncidentPages() as api, in_project(api.base_url, source=SECOND) as project:
        api.rows = [incident(n) for n in range(1, 31)]
        yield project


def test_a_second_source_is_synced_beside_a_first_one_that_stays_as_it_was(
    project: Project,
) -> None:
    assert project.sync() is None
    assert len(project.versions("status")) == 30
    assert project.query("SELECT count(*) FROM incidents.incident_data") == [(7,)]
    assert not project.disturbed()


def test_a_project_of_one_source_has_no_neighbour() -> None:
    with IncidentPages() as api, in_project(api.base_url) as project:
        assert project.sync() is None
        assert project.command == ["sync"]
        assert not project.disturbed()


def test_a_change_of_the_first_source_is_seen(project: Project) -> None:
    project.execute("DELETE FROM incidents.incident_data WHERE id = 'INC-0003'")

    assert project.disturbed() == "['incident_data'] of the first source changed"


def test_another_table_in_the_first_sources_schema_is_seen(project: Project) -> None:
    project.execute("CREATE TABLE incidents.more AS SELECT 1 AS id")

    assert "['more']" in project.disturbed()


def test_a_request_to_the_first_sources_api_is_seen(project: Project) -> None:
    assert project.neighbour
    requests.get(f"{project.neighbour.api.base_url}/v1/incidents?api_key=another", timeout=9)

    assert "asked 1 times, with another key" in project.disturbed()


def test_the_first_sources_key_at_another_api_is_seen(project: Project) -> None:
    with Web(lambda _: {}) as other:
        requests.get(other.base_url, headers={"X-Key": FIRST_KEY}, timeout=9)

    assert "key was sent to another API" in project.disturbed()


def test_a_first_source_that_no_longer_syncs_is_seen(project: Project) -> None:
    os.environ["API_KEY"] = ""

    assert "no longer syncs: api_key is missing" in project.disturbed()


def test_a_second_source_with_the_first_ones_key_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert traps.tried(EMPTY_SYNC, SECOND).verdict == "right"

    def first_ones(self: SourceSection, field: str) -> str:
        return os.environ.get(field.upper(), "")

    monkeypatch.setattr(SourceSection, "secret", first_ones)

    assert traps.tried(EMPTY_SYNC).verdict == "right"
    assert traps.tried(EMPTY_SYNC, SECOND).verdict == "wrong"


def test_a_second_source_in_the_first_ones_schema_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = Table.of

    def of_the_first(*given: object) -> Table:
        return replace(right(*given), schema=FIRST)  # type: ignore[arg-type]

    monkeypatch.setattr(Table, "of", of_the_first)

    assert traps.tried(DELETED).verdict == "right"
    assert traps.tried(DELETED, SECOND).verdict == "wrong"


def test_every_scenario_of_two_keys_has_a_name_and_keys_of_its_own() -> None:
    every = cases.CASES
    assert len({case.name for case in every}) == len(every)
    assert len({case.keys for case in every}) == len(every)
    assert {case.at for case in every if case.fault} == {FIRST, SECOND}


@pytest.mark.parametrize("pair", [*cases.PAIRS])
def test_what_is_left_of_either_key_is_searched_for(pair: str, tmp_path: Path) -> None:
    keys = cases.PAIRS[pair]("k3yABCDEFGHIJKLMNOPQRST")
    case = cases.Case("case", keys, "query")
    shorter, longer = sorted(keys, key=len)
    left = [*keys, keys[0][:-1]] if len(shorter) == len(longer) else [*keys]
    if longer.startswith(shorter) and longer != shorter:
        left.append(longer.replace(shorter, "***"))
    for text in left:
        (tmp_path / "a.log").write_text(f"before {text} after")
        search = Search(case.secrets)
        search.folder(tmp_path)
        assert search.found, text


@pytest.mark.parametrize("pair", [*cases.PAIRS])
def test_a_request_with_the_other_key_or_with_both_is_wrong(pair: str) -> None:
    case = cases.Case("case", cases.PAIRS[pair]("k3yABCDEFGHIJKLMNOPQRST"), "header")
    first, second = case.sides()
    with Web(lambda _: {}) as api:

        def wrong(**headers: str) -> str:
            api.asked.clear()
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            requests.get(api.base_url, headers=named, timeout=9)
            return "; ".join(two_keys.heard(case, second, api))

        assert not wrong(X_Zugang=second.key)
        assert "another key" in wrong(X_Zugang=first.key)
        assert "another key" in wrong()
        assert "requests" in wrong(X_Zugang=second.key, X_Other=first.key)
