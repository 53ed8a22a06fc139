"""Each preset against its vendor's dialect: complete, twice, with changes between, nothing leaked.

The dialects are data files of their own, written from the vendors' documentation.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from docs.vendor_pages import DOCS, PROVED, rendered
from fakes.vendor import Vendor, dialects
from fakes.vendor_rows import Incident
from fakes.web import Web
from incidents_dagster.ingestion import presets
from incidents_dagster.ingestion.doctor.examine import examine
from incidents_dagster.ingestion.doctor.findings import Level
from incidents_dagster.ingestion.http.retries import RETRIED_STATUSES
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster_tests.expected import expected, open_ones

INCIDENTS = 2_500


class Emulated:
    """A vendor's API, and the syncs of its preset with the fewest settings that a user makes."""

    def __init__(self, vendor: Vendor, web: Web, said: list[str]) -> None:
        self.vendor, self.web, self._said = vendor, web, said

    def sync(self, mode: Mode = Mode.INCREMENTAL) -> None:
        self.web.asked.clear()
        run_sync(load_settings(), self._said.append, mode)

    def expected(self) -> dict[str, dict[str, Any]]:
        """id → the columns that the list tells about."""
        return expected(self.vendor)

    def columns(self) -> list[str]:
        """The columns that the list tells about, of all rows or of some."""
        return sorted({name for row in self.expected().values() for name in row})


@pytest.fixture
def emulated(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    waits: list[float],
    write_config: Callable[[str], None],
) -> Iterator[Emulated]:
    vendor = Vendor(request.param, INCIDENTS)
    given = vendor.dialect.get("given", {})
    with Web(vendor) as web:
        vendor.base_url = web.base_url
        write_config(f'[sources.incidents]\npreset = "{request.param}"\n')
        base_url = web.base_url + given.get("base_path", "")
        monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", base_url)
        monkeypatch.setenv("SOURCES__INCIDENTS__REQUESTS_PER_MINUTE", "0")
        secret = vendor.dialect["auth"].get("secret", "api_key")
        monkeypatch.setenv(secret.upper(), vendor.key)
        for name, value in given.get("environment", {}).items():
            filled = value.replace("{key}", vendor.key).replace("{base_url}", web.base_url)
            monkeypatch.setenv(name, filled)
        yield Emulated(vendor, web, [])


def rows_of(query: Callable[[str], list[Any]], columns: list[str]) -> dict[str, dict[str, Any]]:
    found = query(
        f"SELECT id, {', '.join(columns)} FROM incidents.incident_data WHERE deleted_at IS NULL"
    )
    rows = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in found}
    assert len(rows) == len(found)
    for row in rows.values():
        for name, value in row.items():
            if isinstance(value, datetime):
                row[name] = value.astimezone(timezone.utc)
    return rows


def check(
    emulated: Emulated, query: Callable[[str], list[Any]], maybe: frozenset[str] = frozenset()
) -> None:
    """Checks the table; `maybe`: ids that it may have although the API lacks them."""
    expected, columns = emulated.expected(), emulated.columns()
    rows = rows_of(query, columns)
    assert rows.keys() - maybe == expected.keys()
    for key, told in expected.items():
        assert {name: rows[key][name] for name in told} == told, key


def by_creation(vendor: Vendor) -> set[int] | None:
    """The numbers of incidents that are open, if the preset asks for those again; else None."""
    if presets.load(vendor.name, "").asks_for != "created":
        return None
    return {*open_ones(vendor)}


@pytest.mark.parametrize("emulated", dialects(), indirect=True)
@pytest.mark.sample(4)
def test_a_preset_reads_its_vendor_completely_again_and_again(
    emulated: Emulated, query: Callable[[str], list[Any]], waits: list[float], tmp_path: Path
) -> None:
    vendor = emulated.vendor
    emulated.sync()
    check(emulated, query)
    emulated.sync()
    check(emulated, query)

    now, statuses = vendor.now(), len(vendor.dialect["statuses"])
    late = by_creation(vendor)  # an API that filters by creation shows only these late
    for number in range(3, INCIDENTS, 250):  # of any age
        incident = vendor.incidents[number]
        if late is not None and number not in late:
            continue
        vendor.incidents[number] = incident.later((incident.status + 1) % statuses, now)
    before = emulated.expected().keys()
    for number in (7, INCIDENTS - 1):
        del vendor.incidents[number]
    gone = frozenset(before - emulated.expected().keys())
    vendor.incidents[INCIDENTS + 1] = Incident.first(INCIDENTS + 1, statuses)
    refused = vendor.dialect.get("limit", {}).get("reply", {"status": 429})["status"]
    vendor.throttled = int(refused in (*RETRIED_STATUSES, *load_settings().retry_also))
    emulated.sync()
    assert vendor.throttled == 0
    check(emulated, query, maybe=gone)  # only a full read shows deletions
    emulated.sync(Mode.RECONCILE)
    check(emulated, query)

    for file in tmp_path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [one for one in (vendor.key, vendor.token) if one.encode() in content], file
    _compare_with_docs(vendor, emulated.columns())


@pytest.mark.parametrize(
    "emulated", [n for n in dialects() if len(presets.load(n, "").names) > 1], indirect=True
)
@pytest.mark.sample(2)
def test_the_further_resources_of_a_preset_are_read_if_they_are_named(
    emulated: Emulated, query: Callable[[str], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = emulated.vendor
    for number in range(21, INCIDENTS + 1):  # some lists are read for each incident
        del vendor.incidents[number]
    names = presets.load(vendor.name, "").names
    monkeypatch.setenv("SOURCES__INCIDENTS__RESOURCES", json.dumps(names))
    for mode in (Mode.INCREMENTAL, Mode.INCREMENTAL, Mode.RECONCILE):
        emulated.sync(mode)
        for other in vendor.others:
            per_parent = len(emulated.expected()) if "{id}" in other.dialect["list"]["path"] else 1
            expected = len(other.incidents) * per_parent
            table = f"incidents.{other.name} WHERE deleted_at IS NULL"
            assert query(f"SELECT count(*) FROM {table}") == [(expected,)], other.name
    assert {other.name for other in vendor.others} == {*names[1:]}


@pytest.mark.parametrize("emulated", dialects(), indirect=True)
@pytest.mark.sample(6)
def test_the_doctor_finds_nothing_wrong(emulated: Emulated) -> None:
    diagnosis = examine()
    wrong = [one for one in diagnosis.findings if one.level in (Level.FAIL, Level.WARN)]
    assert wrong == []
    assert len(emulated.web.asked) <= 5
    assert [*diagnosis.lines()][-1] == "A sync of this source can be proven: yes"


@pytest.mark.parametrize("emulated", dialects(), indirect=True)
@pytest.mark.sample(2)
def test_the_doctor_tells_a_wrong_key_from_one_without_permission(emulated: Emulated) -> None:
    if not emulated.vendor.dialect["auth"].get("wrong"):
        pytest.skip("takes any request")
    key, emulated.vendor.key = emulated.vendor.key, "another"
    assert re.search(r"returned 40[13]", examine().why_unproven)
    emulated.vendor.key, emulated.vendor.may_read = key, False
    assert re.search(r"returned 40[34]", examine().why_unproven)


def _compare_with_docs(vendor: Vendor, columns: list[str]) -> None:
    """Holds what the docs say about a vendor against what was found, or writes it there."""
    kept = json.loads(PROVED.read_text()) if PROVED.exists() else {}
    found = {"incidents": INCIDENTS, "columns": ["id", *columns]}
    if os.environ.get("UPDATE_VENDORS"):
        kept[vendor.name] = found
        lines = (f"{json.dumps(name)}: {json.dumps(kept[name])}" for name in sorted(kept))
        PROVED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    assert kept.get(vendor.name) == found, "the docs are stale: make vendors"


@pytest.mark.skipif("UPDATE_VENDORS" in os.environ, reason="they are being written")
def test_the_vendors_pages_are_what_make_docs_writes() -> None:
    for file, text in rendered().items():
        assert (DOCS / file).read_text() == text, f"{file} is stale: make docs"
    assert {*DOCS.glob("vendors/*")} == {DOCS / file for file in rendered() if "/" in file}


def test_every_preset_has_a_dialect() -> None:
    assert presets.names() == dialects()
