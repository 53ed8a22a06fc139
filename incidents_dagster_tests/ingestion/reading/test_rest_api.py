"""What rest_api takes is taken here, over a real server; what it refuses is refused by name."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import Settings

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Fetch = Callable[[Settings, str], list[Any]]

ROWS = [{"id": n} for n in range(5)]
FIRST, SECOND, THIRD = ROWS[:2], ROWS[2:4], ROWS[4:]


def _pages(asked: Asked, name: str, first: int) -> list[Any]:
    number = int(asked.query.get(name, first)) - first
    return [FIRST, SECOND, THIRD, []][min(number, 3)]


def _cursor(asked: Asked) -> Any:
    pages = {"": (FIRST, "b"), "b": (SECOND, "c"), "c": (THIRD, None)}
    data, following = pages[asked.query.get("after", "")]
    return {"data": data, "meta": {"after": following}}


def _link(asked: Asked) -> Any:
    page = int(asked.query.get("p", 1))
    following = f"/x?p={page + 1}" if page < 3 else None
    return {"data": [FIRST, SECOND, THIRD][page - 1], "links": {"next": following}}


def _header_link(asked: Asked) -> Any:
    page = int(asked.query.get("p", 1))
    following = f"<http://{asked.headers['host']}/x?p={page + 1}>; rel=next"
    return Reply([FIRST, SECOND, THIRD][page - 1], headers={"Link": following} if page < 3 else {})


def _header_cursor(asked: Asked) -> Any:
    pages = {"": (FIRST, "b"), "b": (SECOND, "c"), "c": (THIRD, "")}
    data, following = pages[asked.query.get("cursor", "")]
    return Reply(data, headers={"Next": following} if following else {})


PAGINATORS: dict[str, tuple[Any, str, Callable[[Asked], Any]]] = {
    "single_page": ("single_page", "$", lambda _: ROWS),
    "single_page as a table": ({"type": "single_page"}, "$", lambda _: ROWS),
    "auto finds a link": ("auto", "data", _link),
    "none": (None, "data", _link),
    "offset with a total": (
        {"type": "offset", "limit": 2, "offset_param": "skip", "limit_param": "take"},
        "data",
        lambda asked: {"total": 5, "data": ROWS[int(asked.query["skip"]) :][:2]},
    ),
    "offset with has_more": (
        {"type": "offset", "limit": 2, "total_path": "", "has_more_path": "more"},
        "data",
        lambda asked: {
            "data": ROWS[int(asked.query["offset"]) :][:2],
            "more": int(asked.query["offset"]) < 4,
        },
    ),
    "page_number": (
        {"type": "page_number", "base_page": 1, "total_path": ""},
        "$",
        lambda asked: _pages(asked, "page", 1),
    ),
    "page_number with a total": (
        {"type": "page_number", "page_param": "p", "total_path": "pages"},
        "data",
        lambda asked: {"data": _pages(asked, "p", 0), "pages": 3},
    ),
    "cursor": (
        {"type": "cursor", "cursor_path": "meta.after", "cursor_param": "after"},
        "data",
        _cursor,
    ),
    "json_link": ({"type": "json_link", "next_url_path": "links.next"}, "data", _link),
    "header_link": ({"type": "header_link"}, "$", _header_link),
    "header_cursor": (
        {"type": "header_cursor", "cursor_key": "Next", "cursor_param": "cursor"},
        "$",
        _header_cursor,
    ),
}


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        *((kind, "endpoint") for kind in PAGINATORS),
        *((kind, "client") for kind in ("single_page", "cursor", "auto finds a link")),
        *((kind, "resource_defaults") for kind in ("page_number", "json_link")),
    ],
)
def test_every_paginator_brings_every_row(
    listen: Listen, configure: Configure, fetch: Fetch, kind: str, place: str
) -> None:
    paginator, selector, answer = PAGINATORS[kind]
    given = {} if paginator is None else {"paginator": paginator}
    web = listen(answer)
    settings = configure(
        client={"base_url": web.base_url, **(given if place == "client" else {})},
        resource_defaults={"endpoint": given if place == "resource_defaults" else {}},
        resources=[
            {
                "name": "x",
                "endpoint": {
                    "path": "/x",
                    "data_selector": selector,
                    **(given if place == "endpoint" else {}),
                },
            }
        ],
    )
    assert fetch(settings, "x") == ROWS


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("alerts", "/alerts"),
        ({"name": "alerts"}, "/alerts"),
        ({"name": "alerts", "endpoint": "/v2/alerts"}, "/v2/alerts"),
        ({"name": "alerts", "endpoint": {"path": "v2/alerts"}}, "/v2/alerts"),
        ({"name": "alerts", "endpoint": {"method": "GET"}}, "/alerts"),
    ],
)
def test_a_resource_may_be_given_in_short(
    listen: Listen, configure: Configure, fetch: Fetch, resource: Any, path: str
) -> None:
    web = listen(lambda _: ROWS)
    client = {"base_url": web.base_url, "paginator": "single_page"}
    assert fetch(configure(client=client, resources=[resource]), "alerts") == ROWS
    assert [asked.path for asked in web.asked] == [path]


def test_headers_params_and_body_arrive(listen: Listen, configure: Configure, fetch: Fetch) -> None:
    web = listen(lambda _: {"items": ROWS})
    endpoint = {
        "path": "/search",
        "method": "POST",
        "params": {"team": "a b", "page[size]": 50},
        "headers": {"X-Endpoint": "2"},
        "json": {"query": {"status": "open"}},
        "data_selector": "items",
    }
    settings = configure(
        client={
            "base_url": web.base_url,
            "headers": {"X-Client": "1"},
            "paginator": "single_page",
        },
        resource_defaults={"endpoint": {"params": {"sort": "id"}}},
        resources=[{"name": "x", "endpoint": endpoint}],
    )
    assert fetch(settings, "x") == ROWS
    asked = web.asked[0]
    assert (asked.method, asked.body) == ("POST", '{"query": {"status": "open"}}')
    assert asked.query == {"team": "a b", "page[size]": "50", "sort": "id"}
    assert (asked.headers["x-client"], asked.headers["x-endpoint"]) == ("1", "2")


def test_response_actions_may_ignore_an_answer(
    listen: Listen, configure: Configure, fetch: Fetch
) -> None:
    web = listen(lambda _: Reply({"error": "none yet"}, 404))
    endpoint = {"path": "/x", "response_actions": [{"status_code": 404, "action": "ignore"}]}
    client = {"base_url": web.base_url, "paginator": "single_page"}
    resources = [{"name": "x", "endpoint": endpoint}]
    assert fetch(configure(client=client, resources=resources), "x") == []


def test_each_endpoint_may_have_its_own_auth(
    listen: Listen, configure: Configure, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "k3y")
    monkeypatch.setenv("TOKEN", "t0ken")
    web = listen(lambda _: ROWS)
    client = {
        "base_url": web.base_url,
        "auth": {"type": "api_key", "name": "key", "location": "query"},
        "paginator": "single_page",
    }
    resources = ["a", {"name": "b", "endpoint": {"path": "/b", "auth": "bearer"}}]
    settings = configure(client=client, resources=resources)
    for name in settings.resource_names:
        assert fetch(settings, name) == ROWS
    first, second = web.asked
    assert (first.query, first.headers.get("authorization")) == ({"key": "k3y"}, None)
    assert (second.query, second.headers["authorization"]) == ({}, "Bearer t0ken")


def test_an_api_without_auth_needs_no_secret(
    listen: Listen, configure: Configure, fetch: Fetch
) -> None:
    web = listen(lambda _: ROWS)
    client = {"base_url": web.base_url, "paginator": "single_page"}
    assert fetch(configure(client=client, resources=["x"]), "x") == ROWS
    assert "authorization" not in web.asked[0].headers


@pytest.mark.parametrize("form", ["placeholder", "resolve"])
def test_a_child_resource_is_asked_once_for_each_parent(
    listen: Listen, configure: Configure, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("API_KEY", "k3y")
    pages = {"/v1/incidents": ROWS[:2], "/v1/incidents/0/notes": [{"text": "a"}]}
    web = listen(lambda asked: pages.get(asked.path, []))
    endpoint: dict[str, Any] = {"path": "/v1/incidents/{resources.incident_data.id}/notes"}
    if form == "resolve":
        parent = {"type": "resolve", "resource": "incident_data", "field": "id"}
        endpoint = {"path": "/v1/incidents/{incident}/notes", "params": {"incident": parent}}
    settings = configure(
        client={
            "base_url": web.base_url,
            "auth": {"type": "api_key", "name": "key", "location": "query"},
            "paginator": "single_page",
        },
        resources=[
            {"name": "incident_data", "endpoint": "/v1/incidents"},
            {"name": "notes", "include_from_parent": ["id"], "endpoint": endpoint},
        ],
    )
    assert list(declared_source(settings).resources) == ["incident_data", "notes"]
    assert fetch(settings, "notes") == [{"text": "a", "_incident_data_id": 0}]
    assert [(asked.path, asked.query) for asked in web.asked] == [
        (path, {"key": "k3y"}) for path in [*pages, "/v1/incidents/1/notes"]
    ]
