"""What is declared without the API, what is api, and the requests of the shipped settings."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.incidents import incident
from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.reading.source import declared_source, open_api
from incidents_dagster.ingestion.settings import Settings, load_settings

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Fetch = Callable[[Settings, str], list[Any]]


def _page(asked: Asked, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    offset, limit = int(asked.query["offset"]), int(asked.query["limit"])
    return rows[offset : offset + limit]


def test_the_shipped_resource_is_declared_with_key_and_columns() -> None:
    source = declared_source(load_settings())
    schema = source.resources["incident_data"].compute_table_schema()
    assert list(source.resources) == ["incident_data"]
    assert schema["write_disposition"] == "merge"
    columns = {name: column["data_type"] for name, column in schema["columns"].items()}
    assert columns == {
        "id": "text",
        "status": "text",
        "created_at": "timestamp",
        "updated_at": "timestamp",
        "phase": "text",
        "deleted_at": "timestamp",
    }
    assert schema["columns"]["id"]["primary_key"] is True
    assert schema["columns"]["id"]["nullable"] is False


@pytest.mark.parametrize(
    "auth",
    [
        "bearer",
        {"type": "api_key", "name": "key", "location": "query"},
        {"type": "bearer"},
        {"type": "http_basic", "username": "me"},
        {"type": "oauth2_client_credentials", "access_token_url": "http://127.0.0.1:9/token"},
    ],
)
def test_declaring_needs_neither_secret_nor_network(
    listen: Listen, configure: Configure, auth: Any
) -> None:
    web = listen(lambda _: [])
    resources = ["a", {"name": "b", "endpoint": {"path": "/b", "auth": auth}}]
    settings = configure(client={"base_url": web.base_url, "auth": auth}, resources=resources)
    assert list(declared_source(settings).resources) == ["a", "b"]
    assert not web.asked


def test_declaring_and_opening_leave_the_settings_as_they_were(api: DemoServer) -> None:
    settings = load_settings()
    declared_source(settings)
    with open_api(settings, print, params={"sort": "id"}) as opened:
        list(opened.records("incident_data", "2026-11-01"))
    assert settings == load_settings()


@pytest.mark.parametrize("total", ["missing", None, 250])
def test_the_shipped_settings_make_exactly_these_requests(
    listen: Listen, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, total: Any
) -> None:
    rows = [incident(n) for n in range(250)]
    extra = {} if total == "missing" else {"total": total}
    web = listen(lambda asked: {"data": _page(asked, rows), **extra})
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", web.base_url)
    monkeypatch.setenv("API_KEY", "k3y")

    assert fetch(load_settings(), "incident_data") == rows

    # Each begins with the row that the one before ended with. The last one brings nothing else,
    # unless the total and a page that is not full agree.
    offsets = ["0", "99", "198"] + ([] if total == 250 else ["249"])
    asked = sorted(web.asked, key=lambda asked: int(asked.query["offset"]))
    assert {(a.method, a.path, a.body) for a in asked} == {("GET", "/v1/incidents", "")}
    assert [a.query for a in asked] == [
        {"offset": offset, "limit": "100", "api_key": "k3y"} for offset in offsets
    ]


def test_a_base_url_may_have_a_path_and_a_slash(
    listen: Listen, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = listen(lambda _: {"data": []})
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", f"{web.base_url}/tenant/")
    monkeypatch.setenv("API_KEY", "k3y")
    fetch(load_settings(), "incident_data")
    assert [(asked.path, asked.query["api_key"]) for asked in web.asked] == [
        ("/tenant/v1/incidents", "k3y")
    ]


def test_params_go_on_top_of_the_endpoints_own(listen: Listen, configure: Configure) -> None:
    web = listen(lambda _: [{"id": 1}])
    endpoint = {"path": "/x", "params": {"team": "a", "sort": "id"}}
    settings = configure(
        client={"base_url": web.base_url, "paginator": "single_page"},
        resources=[{"name": "x", "endpoint": endpoint}],
    )
    with open_api(settings, print, params={"sort": "-id", "since": "7"}) as opened:
        list(opened.records("x"))
    assert web.asked[0].query == {"team": "a", "sort": "-id", "since": "7"}


def test_pages_and_rows_are_counted_per_resource_and_requests_in_all(
    listen: Listen, configure: Configure
) -> None:
    sizes = {"/a": 5, "/b": 2}
    web = listen(lambda asked: _page(asked, [{"id": n} for n in range(sizes[asked.path])]))
    settings = configure(
        client={
            "base_url": web.base_url,
            "paginator": {"type": "offset", "limit": 2, "total_path": ""},
        },
        completeness={"overlap_pages": False},
        resources=["a", "b"],
    )
    with open_api(settings, print) as opened:
        for name in opened.declared.resources:
            list(opened.records(name))
    counts = {name: (progress.pages, progress.rows) for name, progress in opened.progress.items()}
    # The last page of each is empty.
    assert counts == {"a": (4, 5), "b": (2, 2)}
    assert opened.adapter.requests_made == len(web.asked) == 6


def test_the_connection_is_closed_with_the_source(api: DemoServer) -> None:
    with open_api(load_settings(), print) as opened:
        list(opened.records("incident_data").add_limit(1))
        pools = opened.adapter.poolmanager.pools
        assert len(pools)
    assert not len(pools)
