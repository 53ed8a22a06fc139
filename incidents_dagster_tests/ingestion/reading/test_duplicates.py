"""Records that share a primary key: versions of one record, or others that would be lost."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.incidents import incident
from fakes.messages import Asked
from fakes.pages import CURSOR, OFFSET, PAGE, Pages
from fakes.web import Web
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.rows import batches
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
        "records share 20 of its values, such as '0' (different id, created_at, title) and '1' "
        "(different id, created_at, title). Set primary_key to a field, or a list of fields, that "
        "no two records share."
    )


def alerts(count: int, **fields: Callable[[int], Any]) -> Records:
    """Alerts of few services, without another id or a time at which they began."""
    return [
        {
            "number": n % 12,
            "service": {"name": f"service {n % 3}"},
            "service_id": f"s{n % 3}",
            "status": "open",
            "severity": n * n % 5,
            "title": f"Alert {n}",
            "updated_at": f"2026-11-01T{n // 60:02}:{n % 60:02}:00Z",
            **{name: value(n) for name, value in fields.items()},
        }
        for n in range(count)
    ]


TEXTS: Any = {"text": lambda n: f"{n}", "host": lambda n: f"h{n}"}
LOSING: dict[str, tuple[str, Records]] = {
    "a number that repeats on each page": ("number", alerts(60)),
    "a service that has a name and a link": (
        "service_id",
        alerts(60, name=lambda n: f"service {n % 3}", link=lambda n: f"/services/{n % 3}"),
    ),
    "two alerts, most fields of which differ": ("number", alerts(13, **TEXTS)),
    "whole numbers and the same ones as text": (
        "key",
        alerts(60, key=lambda n: n if n < 30 else f"{n - 30}"),
    ),
    "two alerts that only began at different times": (
        "number",
        alerts(13, title=lambda n: f"{n % 12}", starts_at=lambda n: f"2026-11-01T00:{n:02}:00Z"),
    ),
}


@pytest.mark.parametrize("paginator", [CURSOR, ONE_PAGE, OFFSET, PAGE], ids=repr)
@pytest.mark.sample(5)
@pytest.mark.parametrize("case", LOSING)
def test_without_another_id_the_fields_that_tell_records_apart_show_it(
    sync: Callable[..., str], query: Query, case: str, paginator: Any
) -> None:
    key, records = LOSING[case]
    said = sync(records, paginator, key)
    assert f"primary_key = {key} does not identify records" in said
    assert "(different starts_at)" in said or ", title" in said or "(different title" in said
    assert query("FROM duckdb_tables() WHERE table_name = 'x'") == []


def test_records_that_are_read_in_several_batches_are_compared(
    sync: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_ROWS", 5)
    said = sync(alerts(60), CURSOR, "number")
    assert "different records share 12 of its values" in said


def test_what_is_the_same_in_most_records_tells_nothing(sync: Callable[..., str]) -> None:
    same: Any = dict.fromkeys("abcdef", lambda n: "same")
    assert "number does not identify" in sync(alerts(13, **TEXTS, **same), ONE_PAGE, "number")


def test_a_key_in_another_script_is_named_as_it_is_configured(sync: Callable[..., str]) -> None:
    records = [{"Номер": n % 2, "id": n, "Имя": f"{n}"} for n in range(4)]
    assert "primary_key = Номер does" in sync(records, ONE_PAGE, "Номер")


def versions(count: int, **fields: Any) -> Records:
    """Versions of four incidents, each with an id of its own."""
    return [{**incident(n % 4, n), "number": n % 4, "id": f"v{n}", **fields} for n in range(count)]


ONCE = [incident(n) for n in range(12)]
AGAIN: dict[str, tuple[str, Any, Records]] = {
    "the same record twice on a page": ("id", ONE_PAGE, [*ONCE, ONCE[3]]),
    "the same record on two pages, with another link": (
        "id",
        CURSOR,
        [{**one, "link": f"{n}", "views": n} for n, one in enumerate([*ONCE, ONCE[3]])],
    ),
    "a starred one twice on a page, with another flag and link": (
        "id",
        ONE_PAGE,
        [{**ONCE[4], "starred": True, "link": "/starred/4"}]
        + [{**one, "starred": False, "link": f"/{n}"} for n, one in enumerate(ONCE)],
    ),
    "a newer version on a later page": ("id", CURSOR, [*ONCE, incident(3, 1, title="renamed")]),
    "a newer version, of which nothing says when it began": (
        "number",
        CURSOR,
        [
            *alerts(12),
            {**alerts(4)[3], "status": "done", "severity": 9, "updated_at": "2027-01-01"},
        ],
    ),
    "a list of versions": ("id", ONE_PAGE, [incident(n % 3, n) for n in range(9)]),
    "a list of versions, newest first": ("id", CURSOR, [incident(n % 3, 9 - n) for n in range(9)]),
    "versions with ids of their own": ("number", ONE_PAGE, versions(12)),
    "versions with ids of their own, and a new title": (
        "number",
        CURSOR,
        versions(12)[:-1] + versions(12, title="new")[-1:],
    ),
    "the same key as a number and as text": (
        "number",
        ONE_PAGE,
        [*alerts(12), {**alerts(1)[0], "number": "0"}],
    ),
    "bad records": ("id", ONE_PAGE, [*ONCE, {"id": None}, {"id": None, "a": 1}, {"id": [1]}]),
}


@pytest.mark.parametrize("case", AGAIN)
@pytest.mark.sample(8)
def test_a_record_may_arrive_again(sync: Callable[..., str], query: Query, case: str) -> None:
    key, paginator, records = AGAIN[case]
    assert sync(records, paginator, key) == ""
    keys = {str(one[key]) for one in records if isinstance(one[key], (str, int))}
    assert {row[0] for row in query(f"SELECT {key} FROM incidents.x")} == keys


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
    assert "such as '0' (different id, created_at, title) and '1'" in sync(
        records, CURSOR, "number"
    )
    assert "such as '0' (different created_at, title)" in sync(
        without(records, "id"), CURSOR, "number"
    )
