"""What is said of a sync while it runs, and what is counted."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.reading import progress
from incidents_dagster.ingestion.reading.source import open_api
from incidents_dagster.ingestion.settings import Settings, load_settings

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]

ROWS = [{"id": n} for n in range(5)]
OFFSET = {"type": "offset", "limit": 2, "total_path": ""}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[Settings], list[str]]:
    """Fetches everything and returns what was reported, each page being due for it."""

    def fetch(settings: Settings) -> list[str]:
        monkeypatch.setattr(progress, "REPORT_SECONDS", 0)
        lines: list[str] = []
        with open_api(settings, lines.append) as opened:
            for name in opened.declared.resources:
                list(opened.records(name))
        # The rate is the only thing in a line that differs from run to run.
        return [
            ", ".join(part for part in line.split(", ") if "rows/s" not in part) for line in lines
        ]

    return fetch


Told = Callable[[Settings], list[str]]


def _page(asked: Asked) -> list[Any]:
    return ROWS[int(asked.query["offset"]) :][:2]


def _settings(configure: Configure, web: Web, paginator: Any, selector: str = "data") -> Settings:
    endpoint = {"path": "/x", "data_selector": selector, "paginator": paginator}
    return configure(
        client={"base_url": web.base_url}, resources=[{"name": "x", "endpoint": endpoint}]
    )


def test_each_page_counts_with_its_share_of_the_total(api: DemoServer, told: Told) -> None:
    assert told(load_settings()) == [
        "incident_data: 1 pages, 100 rows, 40% of 250",
        "incident_data: 2 pages, 199 rows, 80% of 250",
        "incident_data: 3 pages, 250 rows, 100% of 250",
    ]


def test_a_line_has_the_rate(api: DemoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0)
    lines: list[str] = []
    with open_api(load_settings(), lines.append) as opened:
        list(opened.records("incident_data"))
    assert all(" rows/s" in line for line in lines)


@pytest.mark.parametrize(
    "total", [None, "missing", "five", True, -1, 2, 4.5, [250]], ids=lambda total: f"total={total}"
)
def test_there_is_no_share_without_a_total_that_makes_sense(
    listen: Listen, configure: Configure, told: Told, total: Any
) -> None:
    extra = {} if total == "missing" else {"total": total}
    web = listen(lambda asked: {"data": _page(asked), **extra})
    lines = told(_settings(configure, web, OFFSET))
    assert lines[1:] == [
        "x: 2 pages, 3 rows",
        "x: 3 pages, 4 rows",
        "x: 4 pages, 5 rows",
        "x: 5 pages, 5 rows",
    ]


def test_an_empty_api_with_a_total_of_zero_is_no_error(
    listen: Listen, configure: Configure, told: Told
) -> None:
    web = listen(lambda _: {"data": [], "total": 0})
    (line,) = told(_settings(configure, web, OFFSET))
    assert line.startswith("x: 1 pages, 0 rows")


def test_the_total_is_looked_up_where_the_paginator_has_it(
    listen: Listen, configure: Configure, told: Told
) -> None:
    web = listen(lambda asked: {"data": _page(asked), "meta": {"count": 5}, "total": 4})
    lines = told(_settings(configure, web, {**OFFSET, "total_path": "meta.count"}))
    assert [line.rpartition(", ")[2] for line in lines] == [
        *(f"{share}% of 5" for share in (40, 60, 80, 100)),
        "100% of 5",
    ]


def test_a_total_of_pages_is_not_taken_for_one_of_rows(
    listen: Listen, configure: Configure, told: Told
) -> None:
    web = listen(lambda _: {"data": ROWS[:2], "total": 1000})
    paginator = {"type": "page_number", "maximum_page": 1, "total_path": "total"}
    assert told(_settings(configure, web, paginator)) == ["x: 1 pages, 2 rows"]


def test_a_bare_list_has_no_share(listen: Listen, configure: Configure, told: Told) -> None:
    web = listen(_page)
    lines = told(_settings(configure, web, OFFSET, selector="$"))
    assert lines == [
        f"x: {page} pages, {rows} rows"
        for page, rows in zip(range(1, 6), [2, 3, 4, 5, 5], strict=True)
    ]


def test_large_numbers_are_grouped(listen: Listen, configure: Configure, told: Told) -> None:
    web = listen(lambda _: {"data": [{"id": n} for n in range(1234)]})
    assert told(_settings(configure, web, "single_page")) == ["x: 1 pages, 1,234 rows"]


def test_a_report_comes_every_few_seconds_and_not_with_each_page(
    api: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(progress, "time", type("Clock", (), {"monotonic": lambda: now}))
    lines: list[str] = []
    counter = progress.Progress("x", lines.append)
    assert progress.REPORT_SECONDS == 5
    for _ in range(12):
        now += 1
        counter([1, 2], None, {})
    assert [line.rpartition(",")[0] for line in lines] == [
        "x: 5 pages, 10 rows",
        "x: 10 pages, 20 rows",
    ]
    assert lines[0].endswith("2 rows/s")


def test_counts_are_kept_for_dlt_and_for_us() -> None:
    metrics: dict[str, Any] = {}
    counter = progress.Progress("x", print)
    for page in ([1, 2, 3], [], {"id": 1}):
        counter(page, None, metrics)
    assert (counter.pages, counter.rows) == (3, 4)
    assert metrics == {"pages": 3, "rows": 4}


@pytest.mark.parametrize(("repeats", "count"), [((0, 1), 2), ((), 0)])
def test_records_that_lost_a_secret_are_counted_and_told(
    listen: Listen, configure: Configure, repeats: tuple[int, ...], count: int
) -> None:
    key = "k3y-of-the-progress"
    rows = [{"id": n, "by": key if n in repeats else "else"} for n in range(5)]
    rows[4]["by"] = "***"  # the API's own

    def page(asked: Asked) -> Any:
        start = int(asked.query["offset"])
        # A link of the response is no record.
        link = f"/x?token={key}" if start < 2 else None
        return {"data": rows[start : start + 2], "self": link}

    endpoint = {"path": "/x", "data_selector": "data", "paginator": OFFSET}
    settings = configure(
        client={
            "base_url": listen(page).base_url,
            "auth": {"type": "api_key", "name": "token", "location": "query", "api_key": key},
        },
        resources=[{"name": "x", "primary_key": "id", "endpoint": endpoint}],
    )
    lines: list[str] = []
    with open_api(settings, lines.append) as opened:
        list(opened.records("x"))
        assert opened.progress["x"].redacted == count
    said = "x: the API repeats a secret in its records, which show *** instead."
    assert lines == [said] * bool(count)
