"""What is loaded of what was read: by which reading, from where on, and that it is loaded once."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from fakes.messages import Asked
from fakes.pages import CURSOR, OFFSET, PAGE, Pages, row
from fakes.web import Web
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.tables import Table
from incidents_dagster_tests.ingestion.one_resource import INCREMENTAL, MARKED, TIME, read, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]


def _incremental(address: str, paginator: Any) -> dict[str, Any]:
    section = resource(address, paginator, incremental=INCREMENTAL)
    section["resources"][0]["columns"] = {"at": TIME}
    return section


def _sync(mode: Mode = Mode.INCREMENTAL) -> list[str]:
    said: list[str] = []
    run_sync(load_settings(), said.append, mode)
    return said


def test_a_row_that_was_not_asked_for_and_comes_twice_is_in_the_table_once(
    listen: Listen, configure: Configure, query: Query
) -> None:
    # An API that filters by the day: it brings older rows, too.
    pages = Pages([row(n) for n in range(12)])
    configure(**_incremental(listen(pages).base_url, CURSOR))
    _sync()
    pages.rows[0] = row(0, "mended")
    pages.rows.append(row(0, "mended"))
    _sync()
    assert query("SELECT v FROM incidents.x WHERE id = '0'") == [("mended",)]
    assert query("SELECT count(*) FROM incidents.x") == [(12,)]


def test_what_is_not_proven_to_be_all_is_read_again_until_it_is(
    listen: Listen, configure: Configure, query: Query
) -> None:
    pages = Pages([row(n) for n in range(12)][::-1])
    asked: list[bool] = []

    def answer(request: Asked) -> Any:
        asked.append("since" in request.query)
        return {"data": pages(request)["data"]}

    address = listen(answer).base_url
    configure(**_incremental(address, None))
    _sync()
    assert query("SELECT count(*) FROM incidents.x") == [(5,)]
    configure(**_incremental(address, OFFSET))
    assert _sync() == ["x: the table is not proven complete: reading everything."]
    assert query("SELECT count(*) FROM incidents.x") == [(12,)]
    del asked[:]
    assert [line for line in _sync() if "reading everything" in line] == []
    assert set(asked) == {True}
    # What an unproven sync leaves out is not asked for by the one after it.
    configure(**_incremental(address, {**OFFSET, "maximum_offset": 4}))
    _sync()
    configure(**_incremental(address, OFFSET))
    assert "reading everything" in _sync()[0]
    assert [line for line in _sync() if "reading everything" in line] == []


@pytest.mark.parametrize(
    "settings",
    [
        {"write_disposition": "append"},
        {"write_disposition": "replace"},
        {"primary_key": None},
    ],
    ids=str,
)
@pytest.mark.sample(1)
def test_of_several_readings_one_is_loaded(
    listen: Listen, configure: Configure, query: Query, settings: dict[str, Any]
) -> None:
    pages = Pages([*range(12)])
    pages.edits[2] = lambda rows: rows.pop(0)
    section = resource(listen(pages).base_url, PAGE)
    section["resources"][0].update(settings)
    if not section["resources"][0]["primary_key"]:
        del section["resources"][0]["primary_key"]
    configure(**section)
    _sync()
    assert query("SELECT id::INT AS n FROM incidents.x ORDER BY n") == [(n,) for n in range(1, 12)]


def test_the_cursor_tells_which_version_is_newer_where_no_column_does(
    configure: Configure,
) -> None:
    section = _incremental("https://api.example.com", PAGE)
    section["resources"][0]["columns"] = {}
    assert Table.of(declared_source(configure(**section)), "x").newest_first == "at"
    section["resources"][0]["columns"] = {"n": {"dedup_sort": "desc"}}
    assert Table.of(declared_source(configure(**section)), "x").newest_first == "n"


def test_a_row_that_changes_while_pages_are_read_is_not_gone(
    listen: Listen, configure: Configure, query: Query
) -> None:
    # The newest change first: what changes moves to where it was read already.
    rows = [row(n) for n in range(12)]
    changes: list[int] = []

    def answer(asked: Asked) -> Any:
        since, cursor = asked.query.get("since", ""), asked.query.get("after", "~")
        if cursor != "~" and changes:
            now = datetime.now(timezone.utc) + timedelta(seconds=1)
            rows[changes.pop()].update(at=f"{now:%Y-%m-%dT%H:%M:%SZ}", v="changed")
        found = sorted((row for row in rows if row["at"] >= since), key=lambda row: str(row["at"]))
        left = [row for row in found[::-1] if row["at"] < cursor]
        return {"data": left[:5], "next": left[4]["at"] if len(left) > 5 else None}

    configure(**_incremental(listen(answer).base_url, CURSOR))
    _sync()
    del rows[6]
    changes.append(1)
    assert "reading what changed since" in _sync(Mode.RECONCILE)[0]
    assert query(MARKED) == [("6",)]
    assert query("SELECT v FROM incidents.x WHERE id = '1'") == [("changed",)]


def test_a_bad_record_of_a_composite_key_stops_nothing(
    listen: Listen, configure: Configure, query: Query
) -> None:
    rows: list[Any] = [{"id": f"a{n}", "part": n} for n in range(9)]
    pages = Pages(rows)
    section = resource(listen(pages).base_url, OFFSET)
    section["resources"][0].update(primary_key=["id", "part"], columns={"at": TIME})
    configure(**section, quarantine_share=0.5)
    _sync()
    rows[0] = {"id": "a0", "part": 0, "at": "yesterday"}
    rows.append({"id": "new", "part": 1})
    assert [line for line in _sync() if "reading everything" in line] == []
    assert query("SELECT count(*), count(deleted_at) FROM incidents.x") == [(10, 0)]
    assert query("SELECT count(*) FROM incidents.quarantine") == [(1,)]


def test_bad_records_count_towards_the_total(
    listen: Listen, configure: Configure, query: Query
) -> None:
    pages = Pages([{"id": None, "n": n} for n in range(12)])
    pages.reshape = lambda body: {**body, "total": 12}
    configure(**resource(listen(pages).base_url, CURSOR), quarantine_share=1.0)
    assert not [line for line in _sync() if "reading from" in line]
    assert query("SELECT count(*) FROM incidents.quarantine") == [(12,)]


def test_a_list_that_is_read_twice_has_its_bad_records_once(
    listen: Listen, configure: Configure, query: Query
) -> None:
    records = [{"id": None if n < 6 else n, "n": n} for n in range(30)]
    configure(**resource(listen(Pages(records)).base_url, PAGE), quarantine_share=0.1)
    _sync()
    assert query("SELECT count(*) FROM incidents.x") == [(24,)]
    assert query("SELECT count(*) FROM incidents.quarantine") == [(6,)]


def test_doubts_about_the_parents_are_doubts_about_their_children(
    listen: Listen, configure: Configure
) -> None:
    pages = Pages([*range(12)])

    def answer(asked: Asked) -> Any:
        parent = asked.path.removeprefix("/x").strip("/")
        return {"data": [{"id": f"{parent}-1"}]} if parent else pages(asked)

    proofs = {}
    section = resource(listen(answer).base_url, PAGE)
    for name, paginator in {"twice": PAGE, "cut": {**OFFSET, "maximum_offset": 5}}.items():
        section["resources"][0]["endpoint"]["paginator"] = paginator
        child = {
            "name": "y",
            "endpoint": {
                "path": "/x/{resources.x.id}",
                "data_selector": "data",
                "paginator": "single_page",
            },
        }
        settings = configure(**{**section, "resources": [section["resources"][0], child]})
        proofs[name] = read(settings, name="y").proof
    assert (proofs["twice"].readings, proofs["twice"].proven) == (2, True)
    assert str(proofs["cut"]) == "unproven: the paginator is configured to stop at a maximum"
    pages.rows.clear()
    section["resources"][0]["endpoint"]["paginator"] = OFFSET
    settings = configure(**{**section, "resources": [section["resources"][0], child]})
    assert read(settings, name="y").proof.proven, "no parents have no children"
