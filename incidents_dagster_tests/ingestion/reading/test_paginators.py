"""Offset pages that overlap by a row: no row is skipped, whatever moves, and every walk ends."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import (
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
)
from dlt.sources.rest_api.config_setup import create_paginator

from fakes.messages import Asked
from fakes.pages import OFFSET, Pages
from fakes.web import Web
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.http.transport import open_session
from incidents_dagster.ingestion.reading import paginators
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster_tests.ingestion.one_resource import read, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]

ROWS = list(range(12))

# --- Rows that move ------------------------------------------------------------------------------

# what happens after the first answer → the offsets asked for, the ids that nobody had touched
MOVES: dict[str, tuple[Callable[[list[Any]], Any], list[int], list[int]]] = {
    "nothing": (lambda rows: None, [0, 4, 8, 11], ROWS),
    "a delete": (lambda rows: rows.pop(0), [0, 4, 0, 4, 8, 10], ROWS[1:]),
    "an insert": (lambda rows: rows.insert(0, 99), [0, 4, 8, 12], ROWS),
    "a delete and an insert": (
        lambda rows: (rows.pop(0), rows.append(99)),
        [0, 4, 0, 4, 8, 11],
        ROWS[1:],
    ),
    "a page of deletes": (lambda rows: rows.__delitem__(slice(0, 4)), [0, 4, 0, 4, 7], ROWS[4:]),
    "a page of inserts": (
        lambda rows: rows.__setitem__(slice(0, 0), range(90, 94)),
        [0, 4, 8, 12, 15],
        ROWS,
    ),
    "the row between two pages": (lambda rows: rows.pop(4), [0, 4, 0, 4, 8, 10], [*ROWS[:4], 5, 6]),
}


@pytest.mark.parametrize("move", MOVES)
def test_no_row_is_skipped_where_rows_move_between_pages(
    listen: Listen, configure: Configure, move: str
) -> None:
    edit, asked, expected = MOVES[move]
    pages = Pages([*ROWS])
    pages.edits[1] = edit
    done = read(configure(**resource(listen(pages).base_url, OFFSET)))
    assert set(expected) <= set(done.ids)
    # Without a total, rows that came in cannot be told from lost ones: all is read again.
    readings = 2 if move in ("an insert", "a page of inserts") else 1
    assert pages.asked[: len(asked)] == asked
    assert len(done.ids) == len(set(done.ids)) or readings > 1, "what pages share is taken once"
    assert (done.proof.readings, done.proof.proven) == (readings, True)


def test_the_shipped_settings_overlap_by_one_row(api: DemoServer) -> None:
    done = read(load_settings(), name="incident_data")
    assert sorted(int(asked.query["offset"]) for asked in api.requests) == [0, 99, 198]
    assert str(done.proof) == ("proven: 250 records in 3 pages; the last page and the total agree")


def test_a_record_that_changes_is_found_by_those_before_it(
    listen: Listen, configure: Configure
) -> None:
    pages = Pages([{"id": n, "at": 1} for n in ROWS])
    pages.edits[1] = lambda rows: rows.__setitem__(4, {"id": 4, "at": 2})
    settings = resource(listen(pages).base_url, OFFSET)
    settings["resources"][0]["columns"] = {"at": {"dedup_sort": "desc"}}
    done = read(configure(**settings))
    # Both versions of it come: the newer one after the older one.
    assert sorted(done.ids) == sorted([*ROWS, 4])
    assert done.proof.proven


@pytest.mark.parametrize("cap", [1, 2, 4, 5])
@pytest.mark.parametrize("total", [True, False])
def test_a_server_may_cap_its_pages(
    listen: Listen, configure: Configure, cap: int, total: bool
) -> None:
    pages = Pages([*ROWS])
    pages.cap = cap
    # Steps back go by the rows of a page, as it is.
    pages.edits[4] = lambda rows: rows.pop(0) if cap > 1 else None
    if total:
        pages.reshape = lambda body: {**body, "total": len(pages.rows)}
    done = read(configure(**resource(listen(pages).base_url, OFFSET)))
    assert set(done.ids) == {*ROWS}
    # Pages of a single row cannot overlap: they are read until two readings agree.
    assert (done.proof.readings, done.proof.proven) == (2 if cap == 1 else 1, True)


# --- Walks end -----------------------------------------------------------------------------------


def _shuffled(pages: Pages) -> Callable[[dict[str, Any]], Any]:
    """Every answer has other records."""
    return lambda body: {"data": [{"id": f"{len(pages.asked)}-{n}"} for n in range(5)]}


# what the API does → what is told of it, most requests
ENDLESS: dict[str, tuple[Callable[[Pages], Callable[[dict[str, Any]], Any]], str, int]] = {
    "offsets are ignored": (
        lambda pages: lambda body: {"data": [{"id": n} for n in range(5)]},
        "(tried 5 times), as if the API ignored 'offset' in the request.",
        3 * 7,
    ),
    "no page goes with another": (
        _shuffled,
        "the previous page's rows are gone, even from the start of the list",
        3 * 3,
    ),
    "more, and nothing new": (
        lambda pages: lambda body: {**body, "has_more": True},
        "the API says there is more but returns nothing new",
        3 * 4,
    ),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_a_walk_without_an_end_is_an_error_after_a_few_requests(
    listen: Listen, configure: Configure, what: str
) -> None:
    reshape, told, most = ENDLESS[what]
    pages = Pages([*ROWS])
    pages.reshape = reshape(pages)
    paginator = {**OFFSET, "has_more_path": "has_more"} if "more," in what else OFFSET
    settings = configure(**resource(listen(pages).base_url, paginator))
    with pytest.raises(Exception, match="x could not be read completely") as failed:
        read(settings)
    assert told in explain(failed.value)
    assert "nothing was loaded" in explain(failed.value)
    assert len(pages.asked) == most


def test_steps_back_are_bounded_far_from_the_beginning_too(
    listen: Listen, configure: Configure
) -> None:
    pages = Pages([*range(60)])
    # After the tenth answer the API is another one.
    pages.edits[10] = lambda rows: rows.__setitem__(slice(None), range(1000, 1060))
    done = read(configure(**resource(listen(pages).base_url, OFFSET)))
    assert pages.asked[9:17] == [36, 40, 36, 32, 28, 24, 20, 0]
    assert done.ids == [*range(1000, 1060)]
    assert (done.proof.readings, done.proof.proven) == (2, True)
    assert "reading from the beginning" in done.said[0]


@pytest.mark.parametrize("total", [9, 13, 20])
def test_a_full_page_of_an_api_that_caps_them_is_not_the_end(
    listen: Listen, configure: Configure, total: int
) -> None:
    # Totals stop counting at ten thousand.
    pages = Pages([*range(20)])
    pages.reshape = lambda body: {**body, "total": total}
    section = resource(listen(pages).base_url, {**OFFSET, "limit": 9})
    done = read(configure(**section))
    assert done.ids == [*range(20)]
    assert done.proof.proven


def test_where_totals_are_is_a_setting_of_offsets_too(listen: Listen, configure: Configure) -> None:
    pages = Pages([*range(20)])
    pages.reshape = lambda body: {**body, "total": len(body["data"])}
    section = resource(listen(pages).base_url, {**OFFSET, "limit": 9})
    assert read(configure(**section)).ids == [*range(5)], "the API's word"
    done = read(configure(**section, completeness={"total_path": ""}))
    assert done.ids == [*range(20)]


# --- What is dlt's -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["after", "next"])
def test_cursors_and_links_are_followed_one_by_one(listen: Listen, path: str) -> None:
    def answer(asked: Asked) -> Any:
        page = int(asked.query.get("after", 0))
        more = page < 4
        following = {"after": page + 1, "next": f"/x?after={page + 1}"} if more else {}
        return {"data": [{"id": page}], "total": 5, **following}

    config = {
        "after": {"type": "cursor", "cursor_path": "after", "cursor_param": "after"},
        "next": {"type": "json_link", "next_url_path": "next"},
    }[path]
    session, adapter = open_session(4)
    web = listen(answer)
    with closing(session):
        made = paginators.paginator(config, session)
        client = RESTClient(web.base_url, session=session, paginator=made, data_selector="data")
        assert [row["id"] for page in client.paginate("/x") for row in page] == [*range(5)]
    assert adapter.most_in_flight == 1


@pytest.mark.parametrize(
    "config",
    [
        *(None, "auto", "single_page", "header_link", {"type": "auto"}, {}, {"limit": 5}),
        {"type": "header_cursor", "cursor_param": "after"},
        JSONResponseCursorPaginator(),
        OffsetPaginator(5),
    ],
    ids=lambda config: str(config).split(" at ")[0],
)
def test_any_other_paginator_is_dlts_own(config: Any) -> None:
    made, own = paginators.paginator(config, open_session(4)[0]), create_paginator(config)
    assert type(made) is type(own)
    assert made is None or vars(made).keys() == vars(own).keys()


@pytest.mark.parametrize("most", [1, 4])
def test_a_paginator_is_dlts_own_with_the_same_settings(most: int) -> None:
    session, _ = open_session(most)
    for config, kind in [
        ({"type": "offset", "limit": 7, "offset_param": "skip"}, OffsetPaginator),
        ({"type": "page_number", "base_page": 1, "maximum_page": 4}, PageNumberPaginator),
        ("page_number", PageNumberPaginator),
    ]:
        made = paginators.paginator(config, session, overlap=False)
        assert isinstance(made, kind)
        ours = {"ahead": made.ahead}  # type: ignore[attr-defined]
        if kind is OffsetPaginator:
            ours |= {"mark": repr, "overlap": False, "told": made.told}  # type: ignore[attr-defined]
        assert vars(made) == {**vars(create_paginator(config)), **ours}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "config",
    [
        "offset",
        {"type": "offset"},
        "nonsense",
        {"type": "offset", "limit": 5, "limits": 3},
        {"type": "offset", "limit": 5, "offset_param": "a", "offset_body_path": "b"},
        {"type": "page_number", "page_param": "", "page_body_path": ""},
        {"type": "page_number", "total_path": None, "stop_after_empty_page": False},
        {"type": "offset", "limit": 5, "total_path": "][", "maximum_offset": 3},
    ],
    ids=str,
)
def test_what_dlt_refuses_is_refused_in_its_words(config: Any) -> None:
    with pytest.raises(Exception) as own:  # noqa: PT011
        create_paginator(config)
    with pytest.raises(type(own.value)) as ours:
        paginators.paginator(config, open_session(4)[0])
    assert str(ours.value) == str(own.value)
