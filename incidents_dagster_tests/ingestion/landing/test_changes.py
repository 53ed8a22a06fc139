"""The small question: which rows of one page the table has not, and what is asked for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from fakes.incidents import incident
from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import DatabaseBusyError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.peek import first_changes
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.warehouse.duckdb_file import alone_on

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Rows = list[dict[str, Any]]

LATER = "2026-11-05T00:00:00+00:00"
TIME = {"data_type": "timestamp"}


def _sync() -> None:
    run_sync(load_settings(), lambda _: None)


def _news() -> list[str]:
    """The ids of the rows that are new or changed."""
    return sorted(map(str, first_changes(load_settings())[0].to_pydict().get("id", [])))


def test_without_a_table_a_page_is_new_and_nothing_is_made(api: DemoServer, database: Path) -> None:
    assert len(_news()) == len(_news()) == 100
    assert not database.exists()


def test_after_a_sync_nothing_is_new_and_a_question_is_one_request(
    api: DemoServer, rows: Rows
) -> None:
    _sync()
    del api.requests[:]
    assert _news() == []
    assert [asked.query for asked in api.requests] == [
        # Where the next sync would start, the newest change first.
        {
            "limit": "100",
            "offset": "0",
            "sort": "-updated_at",
            "updated_since": "2026-11-01T03:55:00Z",
        }
    ]
    api.faults.page_cap = 1
    rows.extend(incident(n, updated_at=LATER) for n in (998, 999))
    assert _news() == ["INC-0998"], "the first page's"
    assert len(api.requests) == 2


def test_new_and_changed_rows_are_news_until_they_are_synced(api: DemoServer, rows: Rows) -> None:
    _sync()
    rows.append(incident(999, updated_at=LATER))
    rows[7] = {**rows[7], "updated_at": LATER, "status": "resolved"}
    rows[8] = {**rows[8], "updated_at": LATER, "in_a_new_column": {"a": 1}}
    assert _news() == _news() == ["INC-0008", "INC-0009", "INC-0999"]
    _sync()
    assert _news() == []
    rows[7] = {**rows[7], "status": "changed again within the same second"}
    assert _news() == ["INC-0008"]


def test_what_is_deleted_or_older_is_no_news(api: DemoServer, rows: Rows) -> None:
    _sync()
    rows[-1] = {**rows[-1], "updated_at": "2026-11-01T04:09:30+00:00", "status": "gone back"}
    assert _news() == []
    del rows[-1]
    assert _news() == []


def test_an_empty_api_has_nothing_new_until_it_has(api: DemoServer, rows: Rows) -> None:
    rows.clear()
    assert _news() == []
    rows.append(incident(1))
    assert _news() == ["INC-0001"]


@pytest.mark.parametrize(
    ("endpoint", "asked"),
    [
        (
            {"incremental": {"cursor_path": "at", "start_param": "since", "lag": 3600}},
            {"since": "2026-10-31T23:00:00Z"},
        ),
        (
            {
                "incremental": {"cursor_path": "at", "initial_value": "2026-01-01"},
                "params": {"q": "{incremental.start_value:%Y-%m-%d}"},
            },
            {"q": "2026-11-01"},
        ),
        ({}, {}),
    ],
    ids=["start_param", "placeholder", "without"],
)
@pytest.mark.sample(1)
def test_the_question_starts_where_a_sync_would_with_its_own_parameters_on_top(
    listen: Listen, configure: Configure, endpoint: dict[str, Any], asked: dict[str, str]
) -> None:
    page = [{"id": "1", "at": "2026-11-01T00:00:00Z"}]
    web = listen(lambda _: page)
    endpoint = {"path": "/x", **endpoint, "params": {"order": "id", **endpoint.get("params", {})}}
    configure(
        client={"base_url": web.base_url, "paginator": "single_page"},
        resource_defaults={"primary_key": "id", "write_disposition": "merge"},
        resources=[{"name": "x", "columns": {"at": TIME}, "endpoint": endpoint}],
        change_sensor={"params": {"order": "-at", "few": 1}},
    )
    _sync()
    page.append({"id": "2", "at": "2026-11-02T00:00:00Z"})
    assert _news() == ["2"]
    assert web.asked[0].query["order"] == "id"
    assert web.asked[-1].query == {"order": "-at", "few": "1", **asked}


def test_only_the_first_page_of_the_main_resource_is_asked_for(
    listen: Listen, configure: Configure
) -> None:
    web = listen(
        lambda asked: {"data": [{"id": 1}], "next": None if "p" in asked.query else "/main?p=2"}
    )
    paginator = {"type": "json_link", "next_url_path": "next"}
    configure(
        client={"base_url": web.base_url, "paginator": paginator},
        resource_defaults={"endpoint": {"data_selector": "data"}},
        resources=["main", "other", {"name": "child", "endpoint": "/main/{resources.main.id}"}],
    )
    assert _news() == ["1"]
    assert [asked.path for asked in web.asked] == ["/main"]


def test_records_that_cannot_be_loaded_are_no_news(listen: Listen, configure: Configure) -> None:
    web = listen(lambda _: ["text", {"id": None}, {"id": 1}])
    client = {"base_url": web.base_url, "paginator": "single_page"}
    configure(client=client, resources=[{"name": "x", "primary_key": "id"}])
    assert _news() == ["1"]


@pytest.mark.parametrize("answer", [{"error": "busy"}, {"rows": []}, {"data": None}], ids=str)
def test_an_answer_that_is_none_is_an_error_as_in_a_sync(
    listen: Listen, configure: Configure, answer: Any
) -> None:
    web = listen(lambda _: answer)
    configure(
        client={"base_url": web.base_url, "paginator": "single_page"},
        resources=[{"name": "x", "endpoint": {"path": "/x", "data_selector": "data"}}],
    )
    with pytest.raises(Exception, match="x") as failed:
        _news()
    assert "nothing was loaded" in explain(failed.value)


def test_while_a_sync_runs_nothing_is_asked(api: DemoServer, database: Path) -> None:
    with alone_on(database, "incidents", seconds=1), pytest.raises(DatabaseBusyError):
        _news()
    assert api.requests == []


@pytest.mark.parametrize("status", [401, 500])
def test_a_failure_is_raised_and_changes_nothing(
    api: DemoServer, rows: Rows, waits: list[float], status: int
) -> None:
    rows[3:] = []
    api.faults.answers.extend(Response(status_code=status) for _ in range(4))
    with pytest.raises(Exception, match=str(status)) as failed:
        _news()
    assert f"returned {status} " in explain(failed.value)
    api.faults.answers.clear()
    assert len(_news()) == 3


def test_a_passing_failure_is_retried(api: DemoServer, waits: list[float]) -> None:
    api.faults.answers.append(Response(status_code=503))
    assert len(_news()) == 100
    assert waits == [2]
