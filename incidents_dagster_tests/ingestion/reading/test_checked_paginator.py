"""What the pages of one walk say together: loops, totals, the end, and what cannot be proven."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.messages import Asked, Reply
from fakes.pages import CURSOR, LINK, OFFSET, PAGE, Pages
from fakes.web import Web
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.reading.checked_paginator import MOST_EMPTY_PAGES
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster_tests.ingestion.one_resource import read, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]

ROWS = list(range(12))
A = [{"id": "a"}]

# --- Loops ---------------------------------------------------------------------------------------


def _number(asked: Asked) -> int:
    return int(asked.query.get("after", "0").removeprefix("c"))


AGAIN = "the API's next page has already been read"
REPEATS = "the API repeats records that it has already sent"
# paginator, what the API answers → what is told, how many requests at most
LOOPS: dict[str, tuple[Any, Callable[[Asked], Any], str, int]] = {
    "a constant cursor": (
        CURSOR,
        lambda asked: {"data": [{"id": str(asked.query)}], "next": 1},
        AGAIN,
        3 * 2,
    ),
    "a cursor that comes back": (
        CURSOR,
        lambda asked: {"data": [{"id": _number(asked)}], "next": (_number(asked) + 1) % 3 or 1},
        AGAIN,
        3 * 4,
    ),
    "a link to itself": (
        LINK,
        lambda asked: {"data": A, "next": "/x"},
        REPEATS,
        3 * 2,
    ),
    "links in a circle": (
        LINK,
        lambda asked: {"data": [{"id": asked.path}], "next": "/y" if asked.path == "/x" else "/x"},
        REPEATS,
        3 * 3,
    ),
    "new cursors, one page": (
        CURSOR,
        lambda asked: {"data": A, "next": _number(asked) + 1},
        f"{REPEATS}, as if it ignored 'after' in the request. ",
        3 * 2,
    ),
    "new cursors, pages in a circle": (
        CURSOR,
        lambda asked: {"data": [{"id": _number(asked) % 7}], "next": _number(asked) + 1},
        REPEATS,
        3 * 8,
    ),
    "page numbers are ignored": (
        PAGE,
        lambda asked: {"data": A},
        f"{REPEATS}, as if it ignored 'page' in the request or base_page were wrong. ",
        3 * 2,
    ),
    "new cursors, and nothing ever": (
        CURSOR,
        lambda asked: {"data": [], "next": _number(asked) + 1},
        f"sent {MOST_EMPTY_PAGES + 1} empty pages in a row, and names yet another",
        MOST_EMPTY_PAGES + 1,
    ),
}


@pytest.mark.parametrize("what", LOOPS)
def test_a_loop_is_an_error_after_a_few_requests(
    listen: Listen, configure: Configure, what: str
) -> None:
    paginator, answer, told, most = LOOPS[what]
    web = listen(answer)
    with pytest.raises(Exception, match="x") as failed:
        read(configure(**resource(web.base_url, paginator)))
    assert told in explain(failed.value)
    assert len(web.asked) <= most


def test_pages_without_rows_are_walked_over(listen: Listen, configure: Configure) -> None:
    # An API whose filter works page by page.
    full = {0, 15, 30}
    web = listen(
        lambda asked: {
            "data": [{"id": _number(asked)}] if _number(asked) in full else [],
            "next": f"c{_number(asked) + 1}" if _number(asked) < 31 else None,
        }
    )
    done = read(configure(**resource(web.base_url, CURSOR)))
    assert (done.ids, done.proof.pages, done.proof.proven) == ([0, 15, 30], 32, True)


# --- The end -------------------------------------------------------------------------------------


def _ceiling(body: dict[str, Any]) -> dict[str, Any]:
    data = [row for row in body["data"] if row["id"] < 8]
    return {"data": data, "total": len(ROWS), "next": body["next"] if len(data) == 5 else None}


# paginator, what becomes of each answer → the message; None where it is proven, with `expected`
ENDS: dict[str, tuple[Any, Callable[[dict[str, Any]], Any], str | None, int | None]] = {
    "a total that agrees": (OFFSET, lambda body: {**body, "total": 12}, None, 12),
    "a total as text": (OFFSET, lambda body: {**body, "total": "12"}, None, 12),
    "a total of the page": (OFFSET, lambda body: {**body, "total": len(body["data"])}, None, None),
    "a total of nothing": (OFFSET, lambda body: {**body, "total": 0}, None, None),
    "no total": (OFFSET, lambda body: body, None, None),
    "a total of true": (OFFSET, lambda body: {**body, "total": True}, None, None),
    "a fraction": (OFFSET, lambda body: {**body, "total": 12.5}, None, None),
    "an object of totals": (OFFSET, lambda body: {**body, "total": {"value": 12}}, None, None),
    "a negative total": (OFFSET, lambda body: {**body, "total": -1}, None, None),
    "a total that is larger": (
        OFFSET,
        lambda body: {**body, "total": 13},
        "12 records were read, but the API reports 13",
        None,
    ),
    "a ceiling": (
        OFFSET,
        _ceiling,
        "8 records were read, but the API reports 12",
        None,
    ),
    "a ceiling of cursors": (CURSOR, _ceiling, "8 records were read, but the API reports 12", None),
    "no more": (OFFSET, lambda body: {**body, "more": bool(body["next"])}, None, None),
    "more at the end": (
        OFFSET,
        lambda body: {**body, "more": True},
        "The API says there are more records but gives no way to reach them: 12 were read",
        None,
    ),
    "more behind the last cursor": (
        CURSOR,
        lambda body: {**body, "more": True},
        "but gives no way to reach them: 12 were read, nothing was loaded",
        None,
    ),
    "more on a single page": (
        "single_page",
        lambda body: {**body, "more": True},
        "but gives no way to reach them: 5 were read",
        None,
    ),
    "a total on a single page": (
        "single_page",
        lambda body: {**body, "total": 12},
        "5 records were read, but the API reports 12",
        None,
    ),
    "a total and page numbers": (PAGE, lambda body: {**body, "total": 12}, None, 12),
    "a larger total and page numbers": (
        PAGE,
        lambda body: {**body, "total": 15},
        "12 records were read, but the API reports 15",
        None,
    ),
    "a total that counts pages": (
        {**PAGE, "total_path": "total"},
        lambda body: {**body, "total": 3},
        None,
        None,
    ),
    "a next link that is a number": (
        LINK,
        lambda body: {**body, "next": 7},
        "names a next page in a way that cannot be followed, so nothing was loaded",
        None,
    ),
    "an empty list for a next link, beside the total": (
        LINK,
        lambda body: {**body, "next": [], "total": 5},
        "names a next page in a way that cannot be followed, so nothing was loaded",
        None,
    ),
    "a next link that is an object": (
        LINK,
        lambda body: {**body, "next": {"href": "/x"}},
        "names a next page in a way that cannot be followed, so nothing was loaded",
        None,
    ),
    "a total beyond belief on one page": (
        CURSOR,
        lambda body: {**body, "total": 10**20 if body["data"][0]["id"] == 5 else 12},
        "12 records were read, but the API reports 100,000,000,000,000,000,000",
        None,
    ),
    "a total and cursors": (CURSOR, lambda body: {**body, "total": 12}, None, 12),
}


@pytest.mark.parametrize("what", ENDS)
@pytest.mark.sample(10)
def test_the_end_is_held_against_what_the_api_says(
    listen: Listen, configure: Configure, what: str
) -> None:
    paginator, reshape, told, expected = ENDS[what]
    pages = Pages([*ROWS])
    pages.reshape = reshape
    settings = configure(**resource(listen(pages).base_url, paginator))
    if told is None:
        done = read(settings)
        assert set(done.ids) == {*ROWS}
        assert (done.proof.proven, done.proof.rows) == (True, 12)
        assert done.proof.expected == expected
    else:
        with pytest.raises(Exception, match="x") as failed:
            read(settings)
        assert told in explain(failed.value)
        assert len(pages.asked) <= 15


def test_where_the_api_says_so_is_a_setting(listen: Listen, configure: Configure) -> None:
    pages = Pages([*ROWS])
    pages.reshape = lambda body: {
        **body,
        "total": 99,
        "more": True,
        "meta": {"count": 12, "rest": None},
    }
    settings = configure(
        **resource(listen(pages).base_url, CURSOR),
        completeness={"total_path": "meta.count", "more_path": "$.meta.rest"},
    )
    assert read(settings).proof.expected == 12
    # Nowhere is a place, too.
    settings = configure(
        **resource(listen(pages).base_url, CURSOR),
        completeness={"total_path": "", "more_path": ""},
    )
    assert (read(settings).proof.expected, read(settings).proof.proven) == (None, True)


# paginator, what becomes of each answer → how the end was known
HOWS: dict[str, tuple[Any, Callable[[dict[str, Any]], Any], str]] = {
    "offset": (OFFSET, lambda body: body, "a page with nothing new"),
    "total": (
        OFFSET,
        lambda body: {**body, "total": 12},
        "the last page and the total agree",
    ),
    "has_more": (
        {**OFFSET, "has_more_path": "m"},
        lambda body: {**body, "m": bool(body["next"])},
        "the API says there are no more",
    ),
    "page": (PAGE, lambda body: body, "an empty page"),
    "pages": (
        {**PAGE, "total_path": "pages"},
        lambda body: {**body, "pages": 3},
        "the number of pages",
    ),
    "cursor": (CURSOR, lambda body: body, "the API names no next page"),
    "single": ("single_page", lambda body: {**body, "next": None}, "a single page"),
}


@pytest.mark.parametrize("what", HOWS)
def test_the_proof_says_how_the_end_was_known(
    listen: Listen, configure: Configure, what: str
) -> None:
    paginator, reshape, how = HOWS[what]
    pages = Pages([*ROWS])
    pages.reshape = reshape
    proof = read(configure(**resource(listen(pages).base_url, paginator))).proof
    assert (proof.how, proof.proven) == (how, True)
    assert str(proof).endswith(how)


# paginator, what becomes of each answer → why it is not proven
UNPROVEN: dict[str, tuple[Any, Callable[[dict[str, Any]], Any], str]] = {
    "no paginator": (
        None,
        lambda body: {"data": body["data"]},
        "no paginator is set, and nothing says whether there are more pages",
    ),
    "a maximum": (
        {**OFFSET, "maximum_offset": 9},
        lambda body: {**body, "total": 12},
        "the paginator is configured to stop at a maximum",
    ),
    "a maximum page": (
        {**PAGE, "maximum_page": 2},
        lambda body: body,
        "the paginator is configured to stop at a maximum",
    ),
}


@pytest.mark.parametrize("what", UNPROVEN)
def test_what_cannot_be_proven_is_called_so(
    listen: Listen, configure: Configure, what: str
) -> None:
    paginator, reshape, why = UNPROVEN[what]
    pages = Pages([*ROWS])
    pages.reshape = reshape
    proof = read(configure(**resource(listen(pages).base_url, paginator))).proof
    assert (proof.proven, str(proof)) == (False, f"unproven: {why}")


@pytest.mark.parametrize("extra", [{"total": 5}, {"next": "/x?after=c5"}], ids=str)
def test_no_paginator_and_a_sign_of_the_end_is_proven(
    listen: Listen, configure: Configure, extra: dict[str, Any]
) -> None:
    pages = Pages([*ROWS])
    pages.reshape = lambda body: {
        "data": body["data"],
        **({} if len(pages.asked) > 1 and "next" in extra else extra),
    }
    if "next" in extra:
        pages.cap = 6
        extra["next"] = "/x?after=c6"
    done = read(configure(**resource(listen(pages).base_url, None)))
    assert done.proof.proven
    assert done.ids == (ROWS if "next" in extra else ROWS[:5])


# --- Several walks -------------------------------------------------------------------------------


def _children(configure: Configure, web: Web, **more: Any) -> Settings:
    parents = {"path": "/p", "data_selector": "data", "paginator": "single_page"}
    endpoint = {"path": "/of/{resources.parents.id}/x", "data_selector": "data", **more}
    return configure(
        client={"base_url": web.base_url},
        resources=[
            {"name": "parents", "endpoint": parents},
            {"name": "x", "primary_key": "id", "endpoint": {"paginator": OFFSET, **endpoint}},
        ],
    )


@pytest.mark.parametrize("lie", [0, 1])
def test_the_walks_of_a_resource_are_one_reading(
    listen: Listen, configure: Configure, lie: int
) -> None:
    served = {"1": Pages([*range(7)]), "2": Pages([*range(10, 13)])}

    def answer(asked: Asked) -> Any:
        if asked.path == "/p":
            return {"data": [{"id": 1}, {"id": 2}], "total": 2}
        pages = served[asked.path.split("/")[2]]
        return {**pages(asked), "total": len(pages.rows) + lie}

    settings = _children(configure, listen(answer))
    if lie:
        with pytest.raises(Exception, match="7 records were read, but the API reports"):
            read(settings)
    else:
        done = read(settings)
        assert done.ids == [*range(7), 10, 11, 12]
        proof = done.proof
        assert (proof.rows, proof.expected, proof.pages, proof.proven) == (10, 10, 3, True)


@pytest.mark.parametrize("sign", ["more", "total", "empty page"])
def test_a_last_page_may_name_itself_if_something_else_shows_the_end(
    listen: Listen, configure: Configure, sign: str
) -> None:
    rows = [{"id": n} for n in range(25)]
    beside = {"more": {"more": False}, "total": {"total": 25}, "empty page": {}}[sign]

    def answer(asked: Asked) -> Any:
        first = int(asked.query.get("after", "0"))
        last = first + 10 >= len(rows) + (10 if sign == "empty page" else 0)
        following = first if last else first + 10
        found = rows[first : first + 10]
        return {"data": found, "next": f"{following}", **(beside if last else {})}

    done = read(configure(**resource(listen(answer).base_url, CURSOR)))
    assert done.proof.proven
    assert {*done.ids} == {*range(25)}


def test_a_total_that_falls_by_many_is_no_total(listen: Listen, configure: Configure) -> None:
    rows = [{"id": n} for n in range(60)]

    def answer(asked: Asked) -> Any:
        first = int(asked.query.get("offset", 0))
        return {"data": rows[first : first + 10], "total": 60 if first == 0 else 40}

    settings = configure(**resource(listen(answer).base_url, {**OFFSET, "limit": 10}))
    with pytest.raises(Exception, match="the API's total fell by 20 while pages were read"):
        read(settings)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_path_seen_in_one_list_is_evidence_for_the_others(
    listen: Listen, configure: Configure, order: tuple[int, int]
) -> None:
    def answer(asked: Asked) -> Any:
        if asked.path == "/p":
            return {"data": [{"id": n} for n in order], "total": 2}
        if "/2/" in asked.path:  # a page as full as the other list's
            return {"data": [{"id": n} for n in range(10, 15)]}
        if "after" in asked.query:
            return {"data": [{"id": 5}]}
        return {"data": [{"id": n} for n in range(5)], "next": "c2"}

    cursor = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}
    done = read(_children(configure, listen(answer), paginator=cursor))
    assert done.proof.proven
    assert len(done.ids) == 11


def test_pages_that_break_off_are_an_error(listen: Listen, configure: Configure) -> None:
    pages = Pages([*ROWS])
    web = listen(lambda asked: Reply(status=404) if pages.asked else pages(asked))
    ignored = [{"status_code": 404, "action": "ignore"}]
    settings = configure(**resource(web.base_url, OFFSET, response_actions=ignored))
    with pytest.raises(Exception, match="x: the API's list broke off before its end"):
        read(settings)


def test_no_child_list_is_asked_for_of_a_parent_that_drop_where_leaves_out(
    listen: Listen, configure: Configure
) -> None:
    asked_for: list[str] = []

    def answer(asked: Asked) -> Any:
        asked_for.append(asked.path)
        if asked.path == "/p":
            return {"data": [{"id": n, "kind": "pull" if n % 2 else ""} for n in range(4)]}
        parent = int(asked.path.split("/")[2])
        return {"data": [{"id": 10 * parent + n} for n in range(3)], "total": 3}

    settings = _children(configure, listen(answer))
    settings.api["resources"][0]["drop_where"] = {"kind": "pull"}
    done = read(settings)
    assert done.ids == [0, 1, 2, 20, 21, 22]
    assert done.proof.proven
    assert [path for path in asked_for if path != "/p"] == ["/of/0/x", "/of/2/x"]


def test_a_resource_whose_parents_are_all_left_out_has_no_records(
    listen: Listen, configure: Configure
) -> None:
    settings = _children(configure, listen(lambda asked: {"data": [{"id": 1, "kind": "pull"}]}))
    settings.api["resources"][0]["drop_where"] = {"kind": "pull"}
    done = read(settings)
    assert done.ids == []
    assert done.proof.proven


# --- Where the total is --------------------------------------------------------------------------


@pytest.mark.parametrize(("own", "proven"), [({}, False), ({"total_path": ""}, True)])
def test_a_resource_may_have_its_total_elsewhere_than_the_others(
    listen: Listen, configure: Configure, own: Any, proven: bool
) -> None:
    rows = [{"id": n} for n in range(20)]

    def answer(asked: Asked) -> Any:
        first = int(asked.query.get("after", 0))
        following = f"{first + 10}" if first + 10 < len(rows) else None
        return {"data": rows[first : first + 10], "next": following}

    section = resource(listen(answer).base_url, CURSOR)
    section["resources"][0]["completeness"] = own
    settings = configure(**section, completeness={"total_path": "meta.count"})
    done = read(settings)
    assert done.proof.proven is proven
    assert {*done.ids} == {*range(20)}


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"total": "n"}, "'total' in resources[0].completeness of [sources.incidents] of "),
        ({"total": "n"}, "did you mean 'total_path'?"),
        ({"total_path": 5}, "resources[0].completeness.total_path in [sources.incidents] of "),
        ({"total_path": 5}, "must be text, not 5."),
        ({"more_path": "a[["}, "more_path 'a[[' is not a JSONPath"),
        ("n", "resources[0].completeness in "),
    ],
)
def test_a_mistake_in_a_resource_s_completeness_is_named(
    configure: Configure, own: Any, told: str
) -> None:
    section = resource("http://127.0.0.1:9", "single_page")
    section["resources"][0]["completeness"] = own
    with pytest.raises(SettingsError) as refused:
        declared_source(configure(**section))
    assert told in str(refused.value)
