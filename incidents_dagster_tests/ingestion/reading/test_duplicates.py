"""Records that share a primary key: versions of one record, or others that would be lost."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.incidents import incident
from fakes.messages import Asked
from fakes.pages import CURSOR, OFFSET, PAGE, Pages
from fakes.web import Web
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster_tests.ingestion.one_resource import resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]
Records = list[dict[str, Any]]
ONE_PAGE = {"type": "single_page"}
TIME = {"data_type": "timestamp", "dedup_sort": "desc"}


@pytest.fixture
def sync(listen: Listen, configure: Configure) -> Callable[..., str]:
    """Syncs records; returns the message if that failed."""

    def run(records: Records, paginator: Any, key: Any = "id", **more: Any) -> str:
        pages = Pages(records)
        if paginator is ONE_PAGE:
            pages.cap = len(records)
        section = resource(listen(pages).base_url, paginator)
        columns = more.get("columns", {"updated_at": TIME})
        section["resources"][0] |= {"primary_key": key, "columns": columns}
        try:
            run_sync(configure(**section), lambda _: None)
        except Exception as error:
            return explain(error)
        return ""

    return run


def teams(count: int) -> Records:
    """Incidents of three teams, each with numbers of its own."""
    return [{**incident(n), "number": n // 3, "team": f"team-{n % 3}"} for n in range(count)]


def without(records: Records, *names: str) -> Records:
    return [{k: v for k, v in one.items() if k not in names} for one in records]


@pytest.mark.parametrize("paginator", [ONE_PAGE, CURSOR, OFFSET, PAGE], ids=repr)
@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("key", "lost"),
    [("status", ()), ("number", ()), (["status", "number"], ()), ("number", ("id",))],
    ids=str,
)
def test_a_key_that_different_records_share_is_refused_and_nothing_is_loaded(
    sync: Callable[..., str], query: Query, paginator: Any, key: Any, lost: Any
) -> None:
    said = sync(without(teams(60), *lost), paginator, key)
    named = key if isinstance(key, str) else ", ".join(key)
    assert f"x: primary_key = {named} does not identify records, so nothing was loaded" in said
    assert "different " in said
    assert query("FROM duckdb_tables() WHERE table_name = 'x'") == []


def test_the_message_names_the_key_and_two_examples(sync: Callable[..., str]) -> None:
    assert sync(teams(60), OFFSET, "number") == (
        "x: primary_key = number does not identify records, so nothing was loaded: different "
        "records share 2 of its values, such as 0 (different id, created_at, title, …) and 1 "
        "(different id, created_at, title, …). Set primary_key to a field, or a list of fields, "
        "that no two records share."
    )


def test_without_any_lasting_field_the_records_of_a_page_show_it(sync: Callable[..., str]) -> None:
    alerts = [
        {"name": f"n{n}", "rule": f"r{n % 4}", "value": n, "on": f"h{n}", "updated_at": f"{n}"}
        for n in range(12)
    ]
    said = sync(alerts, ONE_PAGE, "rule", columns={"updated_at": {"dedup_sort": "desc"}})
    assert "'r0' (different name, value, on) and 'r1'" in said


def test_two_records_of_one_moment_and_one_version_are_not_one(sync: Callable[..., str]) -> None:
    records = [incident(1), incident(2), {**incident(1), "label": "a", "title": "other"}]
    assert "'INC-0001' (different title)" in sync(records, ONE_PAGE)
    assert "'INC-0001' (different title)" in sync(records, ONE_PAGE, columns={})
    bad: Records = [{"id": None}, {"a": 1}, {"id": [1]}, *records]
    assert "'INC-0001' (different title)" in sync(bad, ONE_PAGE)


def test_a_key_in_another_script_is_named_as_it_is_configured(sync: Callable[..., str]) -> None:
    records = [{"Номер": n % 2, "id": n, "Имя": f"{n}"} for n in range(4)]
    assert "primary_key = Номер does" in sync(records, ONE_PAGE, "Номер")


ONCE = [incident(n) for n in range(12)]
AGAIN: dict[str, tuple[Any, Records]] = {
    "the same record twice on a page": (ONE_PAGE, [*ONCE, ONCE[3]]),
    "the same record on two pages, with another link": (
        CURSOR,
        [{**one, "link": f"{n}", "views": n} for n, one in enumerate([*ONCE, ONCE[3]])],
    ),
    "a newer version on a later page": (CURSOR, [*ONCE, incident(3, 1, title="renamed")]),
    "a list of versions": (ONE_PAGE, [incident(n % 3, n) for n in range(9)]),
    "a list of versions, the newest first": (CURSOR, [incident(n % 3, 9 - n) for n in range(9)]),
    "bad records": (ONE_PAGE, [*ONCE, {"id": None}, {"id": None, "a": 1}, {"id": [1]}]),
}


@pytest.mark.parametrize("case", AGAIN)
@pytest.mark.sample(4)
def test_a_record_may_arrive_again(sync: Callable[..., str], query: Query, case: str) -> None:
    paginator, records = AGAIN[case]
    assert sync(records, paginator, columns={"updated_at": TIME}) == ""
    ids = {one["id"] for one in records if isinstance(one, dict) and isinstance(one["id"], str)}
    assert {row[0] for row in query("SELECT id FROM incidents.x")} == ids


def test_without_a_time_of_change_a_record_may_differ_on_another_page(
    sync: Callable[..., str], query: Query
) -> None:
    records = [{"id": str(n), "created_at": "2026-11-01", "views": n} for n in range(12)]
    assert sync([*records, {**records[0], "views": 99}], CURSOR, columns={}) == ""
    assert query("SELECT count(*) FROM incidents.x") == [(12,)]


def test_records_that_share_a_key_on_different_pages_are_seen_by_what_lasts(
    sync: Callable[..., str],
) -> None:
    records = [{**incident(n), "number": n % 20} for n in range(60)]
    assert "such as '0' (different id, created_at) and '1'" in sync(records, CURSOR, "number")
    assert "such as '0' (different created_at)" in sync(without(records, "id"), CURSOR, "number")
