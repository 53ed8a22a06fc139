"""A path that no response has proves nothing, unless something else shows the list to be whole."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster_tests.ingestion.one_resource import read, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]

ROWS = [{"id": str(n)} for n in range(1, 51)]
FULL = {"per_page": 50}
MORE_ROWS = {"per_page": 100}


def link(path: str) -> dict[str, Any]:
    return {"type": "json_link", "next_url_path": path}


def cursor(path: str) -> dict[str, Any]:
    return {"type": "cursor", "cursor_path": path, "cursor_param": "after"}


HEADER_LINK = {"type": "header_link"}
HEADER_CURSOR = {"type": "header_cursor", "cursor_key": "X-Next", "cursor_param": "after"}

# What the configuration says, what the API sends beside its fifty records, its headers, what the
# request asks for → what the proof says is there instead.
WRONG: dict[str, tuple[Any, dict[str, Any], dict[str, str], dict[str, Any], str]] = {
    "a mistyped cursor": (
        cursor("pagination_meta.aftr"),
        {"pagination_meta": {"after": "c2", "page_size": 50}},
        {},
        FULL,
        "'pagination_meta.aftr', but there is pagination_meta.after",
    ),
    "a cursor under another parent": (
        cursor("meta.next_cursor"),
        {"response_metadata": {"next_cursor": "c2"}},
        {},
        {},
        "but there is response_metadata.next_cursor",
    ),
    "a link as a cursor": (
        cursor("paging.after"),
        {"links": {"self": "/x", "next": "/x?after=c2"}},
        {},
        {},
        "but there is links.next",
    ),
    "a mistyped link": (
        link("links.nxt"),
        {"links": {"next": "/x?after=c2"}},
        {},
        {},
        "links.next",
    ),
    "a list of links": (
        link("next"),
        {"links": [{"rel": "self", "href": "/x"}, {"rel": "next", "href": "/x?after=c2"}]},
        {},
        {},
        "links.next",
    ),
    "a link in the header": (
        link("next"),
        {},
        {"Link": '</x?after=c2>; rel="next"'},
        MORE_ROWS,
        'the header Link with rel="next"',
    ),
    "a page that is shorter than asked for, as the API caps it": (
        cursor("after"),
        {"meta": {"nextPageToken": "c2"}},
        {},
        MORE_ROWS,
        "meta.nextPageToken",
    ),
    "a page as full as the API says": (
        cursor("after"),
        {"per_page": 50},
        {},
        MORE_ROWS,
        "no response has cursor_path 'after', only per_page",
    ),
    "a page of a round number, and a token under any name": (
        cursor("after"),
        {"k": "eyJpZCI6NTB9"},
        {},
        MORE_ROWS,
        "but k may be the next page",
    ),
    "a full page, and a token in the parent": (
        cursor("meta.after"),
        {"meta": {"k": "a8f03e2c91"}},
        {},
        FULL,
        "but meta.k may be the next page",
    ),
    "null, and another name": (
        cursor("next"),
        {"next": None, "next_cursor": "c2"},
        {},
        {},
        "the list ends, but there is next_cursor",
    ),
    "null of another direction on a full page": (
        cursor("meta.before"),
        {"meta": {"before": None, "after": "01FCNDV6P870EA6S7TK1DSYD5H"}},
        {},
        FULL,
        "the list ends, but there is meta.after",
    ),
    "null, and a link in the header": (
        link("links.next"),
        {"links": {"next": None}},
        {"Link": '</x?after=c2>; rel="next"'},
        {},
        "the list ends, but there is the header Link",
    ),
    "one page, as full as the API says": ("single_page", {"limit": 50}, {}, {}, "it is full"),
    "only a flag": (link("next"), {"paging": {"hasMore": True}}, {}, {}, "paging.hasMore"),
    "only a total elsewhere": (cursor("next"), {"meta": {"totalCount": 231}}, {}, {}, "totalCount"),
    "only a number of pages": (cursor("next"), {"meta": {"total_pages": 5}}, {}, {}, "total_pages"),
    "a cursor instead of a header": (HEADER_CURSOR, {"next_cursor": "c2"}, {}, {}, "next_cursor"),
    "a link instead of a header": (HEADER_LINK, {"next": "/x?after=c2"}, {}, {}, "next"),
    "another key of the header": (
        {"type": "header_link", "links_next_key": "nxt"},
        {},
        {"Link": '</x?after=c2>; rel="next"'},
        {},
        "the header Link",
    ),
    "pages in a header of JSON": (
        "single_page",
        {},
        {"X-Pagination": '{"TotalCount":231,"PageSize":50,"TotalPages":5}'},
        {},
        "TotalPages",
    ),
    "a total in a header by another name": (
        "single_page",
        {},
        {"X-Total-Records": "231"},
        {},
        "231 records",
    ),
    "a link to the last page": (
        "single_page",
        {},
        {"Link": '</x?page=5>; rel="last"'},
        {},
        'rel="last"',
    ),
    "a total that is a lower bound": (
        "single_page",
        {"total": 50, "hits": {"total": {"value": 50, "relation": "gte"}}},
        {},
        {},
        "hits.total.relation is gte",
    ),
    "a total that is an object": (
        "single_page",
        {"hits": {"total": {"value": 231, "relation": "eq"}}},
        {},
        {},
        "hits.total, which is 231",
    ),
    "a name with a dot": (
        link("@odata.nextLink"),
        {"@odata.nextLink": "/x?$skiptoken=50"},
        {},
        {},
        "no response has next_url_path '@odata.nextLink', but there is ['@odata.nextLink']",
    ),
    "another spelling of the relation": (
        HEADER_LINK,
        {},
        {"Link": '</x?after=c2>; rel="Next"'},
        {},
        'but there is the header Link with rel="Next"',
    ),
    "two relations of one link": (
        HEADER_LINK,
        {},
        {"Link": '</x?after=c2>; rel="next last"'},
        {},
        'rel="next last"',
    ),
    "another last page": (
        HEADER_LINK,
        {},
        {"Link": '</x?page=1>; rel="first", </x?page=5>; rel="last"'},
        {},
        'rel="last"',
    ),
    "no size and no sign": (
        link("next"),
        {"took": 3},
        {},
        {},
        "in endpoint.params (such as limit), or set accept_unproven = true",
    ),
    "a full page and no sign": (cursor("next"), {}, {}, FULL, "accept_unproven = true"),
    "no header and no sign": (HEADER_LINK, {}, {}, {}, "accept_unproven = true"),
    "one page of more": ("single_page", {"next": "/x?after=c2"}, {}, {}, "there is next"),
    "one page, and a link": (
        "single_page",
        {},
        {"Link": '</x?after=c2>; rel="next"'},
        {},
        'rel="next"',
    ),
    "a total in the headers": (
        "single_page",
        {},
        {"X-Total-Count": "231"},
        {},
        "a header says that there are 231 records",
    ),
    "WordPress": ("single_page", {}, {"X-WP-Total": "231"}, {}, "231 records"),
    "pages in the headers": ("single_page", {}, {"X-Total-Pages": "5"}, {}, "header X-Total-Pages"),
    "a range": ("single_page", {}, {"Content-Range": "items 0-49/231"}, {}, "231 records"),
    "a search that timed out": ("single_page", {"timed_out": True}, {}, {}, "timed_out is true"),
    "shards that failed": (
        "single_page",
        {"_shards": {"total": 5, "failed": 1}},
        {},
        {},
        "_shards.failed is 1",
    ),
    "incomplete results": (
        cursor("next"),
        {"next": None, "incomplete_results": True},
        {},
        {},
        "is",
    ),
    "partial": (cursor("next"), {"next": None, "meta": {"partial": True}}, {}, {}, "meta.partial"),
    "a number of records": (cursor("next"), {"next": None, "meta": {"partial": 3}}, {}, {}, "is 3"),
    "truncated": (cursor("next"), {"next": None, "truncated": "true"}, {}, {}, "truncated is true"),
}

# The same of lists that are whole.
WHOLE: dict[str, tuple[Any, dict[str, Any], dict[str, str], dict[str, Any]]] = {
    "null": (cursor("meta.next"), {"meta": {"next": None}}, {}, FULL),
    "null, and other names that say nothing": (
        cursor("next"),
        {"next": None, "next_page_params": {}, "next_cursor": "", "next_sync_at": "2026-01-01"},
        {},
        FULL,
    ),
    "null, and the last cursor": (cursor("next"), {"next": None, "end_cursor": "x"}, {}, MORE_ROWS),
    "a round number of records, and a request's id": (
        cursor("next"),
        {"request_id": "a8f03e2c91", "generated": "2026-11-23T12:00:00Z", "version": "2026.11.23"},
        {},
        MORE_ROWS,
    ),
    "a larger page, says the API": (cursor("next"), {"per_page": 100}, {}, MORE_ROWS),
    "one full page, and a total": ("single_page", {"total": 50}, {}, FULL),
    "a page that is shorter than asked for": (cursor("meta.next"), {}, {}, MORE_ROWS),
    "the parent alone": (cursor("meta.next"), {"meta": {"page": 1, "per_page": 50}}, {}, FULL),
    "no more": (cursor("meta.next"), {"has_more": False, "end_cursor": "x"}, {}, FULL),
    "the last page": (cursor("meta.next"), {"meta_": {"is_last": True}}, {}, FULL),
    "a total": (cursor("meta.next"), {"total": 50}, {}, FULL),
    "a total elsewhere": (cursor("meta.next"), {"page_": {"totalCount": 50}}, {}, FULL),
    "what was asked for": (
        link("links.next"),
        {"query": {"after": "1"}},
        {},
        {"after": "1"} | MORE_ROWS,
    ),
    "other links": (
        link("links.next"),
        {"links": {"self": "/x", "last": "/x", "prev": None}},
        {},
        FULL,
    ),
    "a header without next": (HEADER_LINK, {}, {"Link": '</x>; rel="last"'}, FULL),
    "a header with the same last page": (
        HEADER_LINK,
        {},
        {"Link": '</x?page=1&sort=id>; rel="first", </x?sort=id&page=1>; rel="last"'},
        {},
    ),
    "a header of a short page": (HEADER_LINK, {}, {}, MORE_ROWS),
    "one page, say the headers": (HEADER_LINK, {}, {"X-WP-TotalPages": "1"}, FULL),
    "a total in the headers": (HEADER_LINK, {}, {"X-Total-Count": "50"}, FULL),
    "numbers about something else": (
        "single_page",
        {"quota": {"total": 10_000}, "took": 231},
        {"X-RateLimit-Limit": "500", "X-Request-Count": "231", "Age": "600"},
        MORE_ROWS,
    ),
    "counts of records by their state": (
        "single_page",
        {"counts": {"incomplete": 4, "partial": 1}, "stats": {"checks": {"timed_out": 2}}},
        {},
        {},
    ),
    "shards that did not fail": (
        "single_page",
        {"_shards": {"failed": 0}, "timed_out": False},
        {},
        {},
    ),
}


def proof_of(listen: Listen, configure: Configure, *given: Any) -> Any:
    """The proof of reading fifty records on one page."""
    paginator, beside, headers, params = given
    server = listen(lambda _: Reply({"data": ROWS, **beside}, headers=headers))
    settings = configure(**resource(server.base_url, paginator, params=params))
    return read(settings).proof


@pytest.mark.parametrize("what", WRONG)
def test_a_path_that_no_response_has_proves_nothing(
    listen: Listen, configure: Configure, what: str
) -> None:
    *given, said = WRONG[what]
    proof = proof_of(listen, configure, *given)
    assert not proof.proven
    assert said in str(proof)


@pytest.mark.parametrize("what", WHOLE)
def test_a_whole_list_stays_proven_though_the_path_is_left_out(
    listen: Listen, configure: Configure, what: str
) -> None:
    assert str(proof_of(listen, configure, *WHOLE[what])).startswith("proven")


@pytest.mark.parametrize("beside", [{}, {"links": {"self": "/x"}}])
def test_a_full_read_needs_evidence_of_its_own(
    listen: Listen, configure: Configure, beside: dict[str, Any]
) -> None:
    def answer(asked: Asked) -> Any:
        if "after" in asked.query:
            return {"data": ROWS[30:], "links": {"next": None}}
        return {"data": ROWS[:30], **(first or beside)}

    first: dict[str, Any] = {"links": {"next": "/x?after=30"}}
    known: dict[str, int] = {}
    settings = configure(**resource(listen(answer).base_url, link("links.next")))
    assert read(settings, known_pages=known).proof.proven
    first = {}
    assert not read(settings, known_pages=known).proof.proven
    shorter = listen(lambda _: {"data": ROWS[:29], **beside})  # than the pages before
    assert read(
        configure(**resource(shorter.base_url, link("links.next"))), known_pages=known
    ).proof.proven


def test_a_total_that_is_none_is_none_anywhere(listen: Listen, configure: Configure) -> None:
    server = listen(lambda _: {"data": ROWS, "meta": {"total": 500}})
    for paginator in (HEADER_LINK, cursor("next"), "single_page"):
        section = resource(server.base_url, paginator, params=MORE_ROWS)
        doubted = read(configure(**section)).proof
        assert (
            'meta.total, which is 500 (if it counts others, too, set completeness.total_path = ""'
            in str(doubted)
        )
        section["completeness"] = {"total_path": ""}
        assert read(configure(**section)).proof.proven


def test_an_object_in_place_of_a_link_is_named(listen: Listen, configure: Configure) -> None:
    server = listen(lambda _: {"data": ROWS, "_links": {"next": {"href": "/x?after=50"}}})
    settings = configure(**resource(server.base_url, link("_links.next")))
    with pytest.raises(Exception, match="is an object") as raised:
        read(settings)
    assert 'set next_url_path to "_links.next.href"' in explain(raised.value)


@pytest.mark.parametrize("path", ["['@odata.nextLink']", "'@odata.nextLink'", "a.['odata.next']"])
def test_a_name_with_a_dot_in_quotes_is_followed(
    listen: Listen, configure: Configure, path: str
) -> None:
    def answer(asked: Asked) -> Any:
        if "after" in asked.query:
            return {"data": ROWS[30:]}
        following = "/x?after=30"
        return {"data": ROWS[:30], "@odata.nextLink": following, "a": {"odata.next": following}}

    done = read(configure(**resource(listen(answer).base_url, link(path))))
    assert done.proof.proven
    assert len({*done.ids}) == len(ROWS)


def test_names_in_any_script_need_no_quotes(listen: Listen, configure: Configure) -> None:
    def answer(asked: Asked) -> Any:
        pages = {"": (ROWS[:20], "二"), "二": (ROWS[20:], None)}
        rows, following = pages[asked.query.get("after", "")]
        return {"данные": {"list": rows}, "分页": {"следующий": following}, "итого": len(ROWS)}

    section = resource(
        listen(answer).base_url, cursor("分页.следующий"), data_selector="данные.list[*]"
    )
    proof = read(configure(**section, completeness={"total_path": "$.итого"})).proof
    assert str(proof).startswith("proven: 50 records in 2 pages")
    assert proof.expected == len(ROWS)


def test_a_record_may_have_any_field(listen: Listen, configure: Configure) -> None:
    rows = [{"id": "1", "partial": True, "next": "/y", "timed_out": True, "has_more": True}]
    server = listen(lambda _: {"data": rows, "next": None})
    assert read(configure(**resource(server.base_url, link("next")))).proof.proven
