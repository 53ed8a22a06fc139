"""The page before the first one is requested once, whatever the API makes of that."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster_tests.ingestion.one_resource import resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]

PAGES = {"type": "page_number", "base_page": 1, "total_path": ""}
ROWS = [{"id": str(n)} for n in range(4)]


def asked_for_page_0(listen: Listen, configure: Configure, answer: Any, syncs: int) -> int:
    """How often it was, in so many full reads."""

    def pages(asked: Asked) -> Any:
        page = asked.query.get("page")
        return answer if page == "0" else {"data": ROWS if page == "1" else []}

    web = listen(pages)
    configure(**resource(web.base_url, PAGES), max_page_mb=1, retry_also=[420])
    for _ in range(syncs):
        run_sync(load_settings(), print, Mode.FULL_REFRESH)
    return sum(asked.query.get("page") == "0" for asked in web.asked)


@pytest.mark.parametrize(
    "answer",
    [
        Reply({"error": "no such page"}, status=404),
        {"error": "no such page"},
        Reply(None, status=204),
        {"data": []},
        {"data": ROWS},
        {"data": ROWS[:2]},
    ],
    ids=["404", "an error", "204", "nothing", "the first page", "a part of it"],
)
def test_an_api_without_such_a_page_is_asked_once(
    listen: Listen, configure: Configure, answer: Any
) -> None:
    assert asked_for_page_0(listen, configure, answer, syncs=2) == 1


@pytest.mark.parametrize("status", [420, 429, 500])
def test_an_api_that_fails_is_asked_again_by_the_next_full_read_and_not_before(
    listen: Listen, configure: Configure, waits: list[float], status: int
) -> None:
    assert asked_for_page_0(listen, configure, Reply({}, status=status), syncs=2) == 2
    assert waits == []


def test_a_page_that_nothing_else_has_fails_the_sync(listen: Listen, configure: Configure) -> None:
    with pytest.raises(Exception, match="Pipeline") as failed:
        asked_for_page_0(listen, configure, {"data": [{"id": "9"}]}, syncs=1)
    assert "page 0 has 1 records that no later page has" in explain(failed.value)


def test_an_error_that_is_no_refusal_is_not_hidden(listen: Listen, configure: Configure) -> None:
    with pytest.raises(Exception, match="Pipeline") as failed:
        asked_for_page_0(listen, configure, {"data": [{"id": "9" * 2**21}]}, syncs=1)
    assert "max_page_mb" in explain(failed.value)
