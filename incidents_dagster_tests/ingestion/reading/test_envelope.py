"""Each answer is judged before its rows count: what is refused, and in which words."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.messages import Asked
from fakes.pages import OFFSET
from fakes.web import Web
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.http.error_text import EXTRACT_CHARACTERS
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster_tests.ingestion.one_resource import read, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]

A, B = {"id": "a"}, {"id": "b"}
FAULT = "The API reported an error in a response with status 200, so nothing was loaded: "
NOTHING = "The API's response has nothing at endpoint.data_selector "

# body, data_selector → the ids
TAKEN: dict[str, tuple[Any, str | None, list[str]]] = {
    "a list": ({"data": [A, B]}, "data", ["a", "b"]),
    "an empty list": ({"data": []}, "data", []),
    "a bare list": ([A], "$", ["a"]),
    "an empty bare list": ([], "$", []),
    "a path": ({"data": {"rows": [A]}}, "data.rows", ["a"]),
    "a wildcard with several matches": ({"data": [{"x": A}, {"x": B}]}, "data[*].x", ["a", "b"]),
    "a wildcard with one match": ({"data": [{"x": A}]}, "data[*].x", ["a"]),
    "a wildcard with one match that is a list": ({"data": [{"x": [A]}]}, "data[*].x", ["a"]),
    "a wildcard with no match": ({"data": []}, "data[*].x", []),
    "any depth": ({"d": {"items": [A]}}, "$..items", ["a"]),
    "no selector": ({"items": [A], "errors": []}, None, ["a"]),
    "no selector, and nothing in the list": ({"items": []}, None, []),
    "no selector, and a bare list": ([A], None, ["a"]),
    "signs of errors that say none": (
        {"data": [A], "error": None, "errors": [], "ok": True, "success": True},
        "data",
        ["a"],
    ),
    "a code of no error": ({"data": [A], "error": {"code": 0, "m": "success"}}, "data", ["a"]),
    "a status beside rows": ({"data": [A], "status": "error"}, "data", ["a"]),
    "a status of success": ({"data": [], "status": "success"}, "data", []),
    "an API of errors": ({"errors": [A, B], "page": 1}, "errors", ["a", "b"]),
}


@pytest.mark.parametrize("what", TAKEN)
@pytest.mark.sample(8)
def test_what_has_the_expected_shape_is_taken(
    listen: Listen, configure: Configure, what: str
) -> None:
    body, selector, expected = TAKEN[what]
    web = listen(lambda asked: body)
    done = read(configure(**resource(web.base_url, "single_page", data_selector=selector)))
    assert done.ids == expected
    assert done.proof.proven


# body, data_selector → what the message says
REFUSED: dict[str, tuple[Any, str | None, str]] = {
    "an error in its place": ({"error": "down"}, "data", FAULT + "down"),
    "an error with a code": ({"error": {"code": "E5", "x": 1}}, "data", FAULT + "E5"),
    "errors beside data": ({"data": [A], "errors": [{"message": "m"}]}, "data", FAULT + "m"),
    "errors beside many": ({"data": [A, B], "errors": ["partial"]}, "data", FAULT + "partial"),
    "a code of no error and no rows": (
        {"data": [], "error": {"code": 0, "message": "m"}},
        "data",
        FAULT + "m",
    ),
    "a status of error": (
        {"data": [], "status": "error", "message": "m"},
        "data",
        FAULT + "m",
    ),
    "a status of Fail": ({"data": [], "status": "Fail"}, "data", FAULT + "no message"),
    "not ok": ({"data": [], "ok": False}, "data", FAULT + "no message"),
    "not ok, with a message": ({"ok": False, "message": "m"}, "data", FAULT + "m"),
    "no success": ({"success": False, "data": [A]}, "data", FAULT + "no message"),
    "a long error": (
        {"error": "x" * 500},
        "data",
        FAULT + "x" * EXTRACT_CHARACTERS + "…",
    ),
    "the selector is missing": ({"items": [A], "n": 1}, "data", NOTHING + "'data', "),
    "the path is missing": ({"data": {}}, "data.rows", NOTHING + "'data.rows', "),
    "the wildcard's list is missing": ({"items": []}, "data[*].x", NOTHING + "'data.*.x', "),
    "an empty object": ({}, "data", "It has no list; it has: no fields."),
    "a body of null": (None, "data", "It has no list; it has: null."),
    "fields without a list": ({"a": 1, "b": {}}, "data", "It has no list; it has: a, b."),
    "a bare list and a path": ([A], "data", 'the only list is at "$".'),
    "a bare list of nothing": ([], "data", 'the only list is at "$".'),
    "a list one level down": ({"result": {"items": [A]}}, "items", 'list is at "result.items".'),
    "a list one level up": ({"result": [A]}, "result.items", 'the only list is at "result".'),
    "a list in the object": ({"data": {"items": []}}, "data", 'the only list is at "data.items".'),
    "lists, the likeliest first": (
        {"links": ["x"], "users": [A], "meta": {"incident": [A]}},
        "incidents",
        'lists are at "meta.incident", "users", "links".',
    ),
    "a list with a name of signs": (
        {"@odata.value": [A]},
        "value",
        """the only list is at "['@odata.value']".""",
    ),
    "a list below the depth of any API": (
        {"a": {"b": {"c": {"d": {"e": {"f": [A]}}}}}},
        "data",
        "It has no list; it has: a.",
    ),
    "null": ({"data": None}, "data", "has null at endpoint.data_selector 'data', where a list"),
    "an object": ({"data": A}, "data", "has an object at endpoint.data_selector 'data'"),
    "an empty object at it": ({"data": {}}, "data", "has an object at"),
    "a text": ({"data": "none"}, "data", "has text at endpoint.data_selector 'data'"),
    "a number": ({"data": 0}, "data", "has a number at endpoint.data_selector 'data'"),
    "null at the top": (None, "$", "has null at endpoint.data_selector '$'"),
    "no selector, and errors alone": (
        {"errors": [], "took": 3},
        None,
        "the only list in the API's response is 'errors': set it to where the records are",
    ),
    "no selector, and no list": (
        {"message": "hello"},
        None,
        "has an object at endpoint.data_selector '$' (guessed, as none is set)",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.sample(10)
def test_what_has_not_is_refused_with_what_was_seen(
    listen: Listen, configure: Configure, what: str
) -> None:
    body, selector, told = REFUSED[what]
    web = listen(lambda asked: body)
    settings = configure(**resource(web.base_url, OFFSET, data_selector=selector))
    with pytest.raises(Exception, match="x") as failed:
        read(settings)
    message = explain(failed.value)
    assert told in message
    assert "\n" not in message
    assert len(web.asked) == 1, "reading again does not help"


@pytest.mark.parametrize("second", [{"error": "busy"}, {"items": []}, {"data": None}, []], ids=str)
def test_later_pages_are_judged_too(listen: Listen, configure: Configure, second: Any) -> None:
    first = {"data": [{"id": n} for n in range(5)]}
    web = listen(lambda asked: first if asked.query["offset"] == "0" else second)
    settings = configure(**resource(web.base_url, OFFSET))
    with pytest.raises(Exception, match="x") as failed:
        read(settings)
    assert "nothing was loaded" in explain(failed.value)


def test_what_an_api_says_of_its_error_goes_without_the_key(
    listen: Listen, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "k3y-of-the-test")
    web = listen(lambda asked: {"error": f"bad key {asked.query['key']},\n try another"})
    section = resource(web.base_url, OFFSET)
    section["client"]["auth"] = {"type": "api_key", "name": "key", "location": "query"}
    with pytest.raises(Exception, match="x") as failed:
        read(configure(**section))
    message = explain(failed.value)
    assert message.startswith(FAULT + "bad key ")
    assert message.endswith(", try another")
    assert "k3y-of-the-test" not in message


SINGLE = {
    "an object": ({"id": "1", "text": "a"}, [1]),
    "an object with a field error": ({"id": "1", "error": "disk full"}, [1]),
    "a list": ([{"id": "1"}, {"id": "2"}], [1, 2]),
    "null": (None, None),
    "a text": ("none", None),
}


@pytest.mark.parametrize("what", SINGLE)
def test_a_single_entity_is_one_record(listen: Listen, configure: Configure, what: str) -> None:
    body, expected = SINGLE[what]
    web = listen(lambda asked: {"data": [{"id": 7}]} if asked.path == "/parents" else body)
    endpoint = {"path": "/parents", "data_selector": "data", "paginator": "single_page"}
    settings = configure(
        client={"base_url": web.base_url},
        resources=[
            {"name": "parents", "endpoint": endpoint},
            {"name": "x", "endpoint": {"path": "/of/{resources.parents.id}"}},
        ],
    )
    if expected is None:
        with pytest.raises(Exception, match="x") as failed:
            read(settings)
        assert "endpoint.data_selector '$'" in explain(failed.value)
    else:
        done = read(settings)
        assert (done.ids, done.proof.proven) == (expected, True)


def test_an_object_is_one_record_where_a_single_page_is_configured(
    listen: Listen, configure: Configure
) -> None:
    web = listen(lambda asked: {"data": A})
    assert read(configure(**resource(web.base_url, "single_page"))).ids == ["a"]
