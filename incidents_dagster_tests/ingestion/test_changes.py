"""The small question: what counts as new since the last answer, and what is asked for it."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import Response

from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.changes import NOTHING_SEEN, Seen, ask
from incidents_dagster.ingestion.errors import explain
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster_tests.ingestion.web import Asked, Web
from incidents_dagster_tests.samples import incident

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Rows = list[dict[str, Any]]


class Watch:
    """Asks again and again, each time with what the last answer saw."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        self.seen: Seen = NOTHING_SEEN

    def changes(self) -> int:
        found, self.seen = ask(self.settings, self.seen)
        return found


def _touch(row: dict[str, Any], at: str, **fields: Any) -> dict[str, Any]:
    return {**row, "updated_at": at, **fields}


def test_the_first_question_finds_a_page_and_the_second_nothing(api: DemoServer) -> None:
    watch = Watch()
    assert watch.changes() == 100
    assert [watch.changes(), watch.changes()] == [0, 0]


def test_a_question_is_one_request_for_what_changed_since(api: DemoServer, rows: Rows) -> None:
    watch = Watch()
    watch.changes()
    watch.changes()
    newest = max(row["updated_at"] for row in rows)
    page = {"limit": "100", "offset": "0", "sort": "-updated_at"}
    assert [seen.query for seen in api.requests] == [page, {**page, "updated_since": newest}]


def test_an_empty_api_has_nothing_new_until_it_has(api: DemoServer, rows: Rows) -> None:
    rows.clear()
    watch = Watch()
    assert [watch.changes(), watch.changes()] == [0, 0]
    assert watch.seen == NOTHING_SEEN
    rows.append(incident(1))
    assert [watch.changes(), watch.changes()] == [1, 0]


def test_a_new_incident_is_found_once(api: DemoServer, rows: Rows) -> None:
    watch = Watch()
    watch.changes()
    rows.append(incident(999, updated_at="2026-11-05T00:00:00+00:00"))
    assert [watch.changes(), watch.changes()] == [1, 0]


def test_a_changed_incident_is_found_once(api: DemoServer, rows: Rows) -> None:
    watch = Watch()
    watch.changes()
    rows[7] = _touch(rows[7], "2026-11-05T00:00:00+00:00", status="resolved")
    assert [watch.changes(), watch.changes()] == [1, 0]


def test_incidents_that_share_the_newest_timestamp_are_told_apart(
    api: DemoServer, rows: Rows
) -> None:
    at = "2026-11-05T00:00:00+00:00"
    watch = Watch()
    rows[0] = _touch(rows[0], at)
    watch.changes()
    rows[1] = _touch(rows[1], at)
    assert [watch.changes(), watch.changes()] == [1, 0]
    rows[2], rows[3] = _touch(rows[2], at), _touch(rows[3], at)
    assert [watch.changes(), watch.changes()] == [2, 0]
    rows[0] = _touch(rows[0], at, status="changed within the same second")
    assert [watch.changes(), watch.changes()] == [1, 0]


@pytest.mark.parametrize("many", [99, 100, 101, 250])
def test_many_changes_are_found_as_far_as_the_page_goes(
    api: DemoServer, rows: Rows, many: int
) -> None:
    watch = Watch()
    watch.changes()
    for n in range(many):
        rows[n] = _touch(rows[n], f"2026-11-05T{n // 60:02}:{n % 60:02}:00+00:00")
    # The newest row of before is on the page too while there is room for it.
    assert watch.changes() == min(many, 100)
    assert watch.changes() == 0


def test_a_deleted_incident_is_no_change(api: DemoServer, rows: Rows) -> None:
    watch = Watch()
    watch.changes()
    del rows[-1]
    assert [watch.changes(), watch.changes()] == [0, 0]


def test_what_was_seen_is_fed_back_as_it_is(api: DemoServer) -> None:
    before = Seen(newest=None, records=[])
    _, seen = ask(load_settings(), before)
    assert before == NOTHING_SEEN == Seen(newest=None, records=[])
    again = Seen(**seen)
    assert ask(load_settings(), seen) == ask(load_settings(), again) == (0, seen)


@pytest.mark.parametrize(
    ("known", "later"),
    [
        (7, 8),
        (99, 100),
        (1.5, 2),
        ("2026-11-01T12:00:00Z", "2026-11-01T12:00:01Z"),
        ("2026-11-01T12:00:00Z", "2026-11-01T12:00:00.5Z"),
        ("2026-11-01T12:00:00.2Z", "2026-11-01T12:00:00.25Z"),
        ("2026-11-01T13:00:00+02:00", "2026-11-01T12:00:00Z"),
    ],
)
def test_a_cursor_is_compared_by_its_value(
    listen: Listen, configure: Configure, known: Any, later: Any
) -> None:
    page = [{"id": 1, "meta": {"rev": known}}]
    web = listen(lambda _: page)
    watch = Watch(
        configure(
            client={"base_url": web.base_url},
            resources=["x"],
            change_sensor={"cursor_path": "meta.rev", "start_param": "rev"},
        )
    )
    assert [watch.changes(), watch.changes()] == [1, 0]
    page.append({"id": 2, "meta": {"rev": later}})
    assert [watch.changes(), watch.changes()] == [1, 0]
    page[:] = [{"id": 3, "meta": {"rev": known}}]
    assert watch.changes() == 0, "older than the newest known"
    assert watch.seen["newest"] == later
    assert [asked.query.get("rev") for asked in web.asked] == [
        None,
        str(known),
        str(known),
        str(later),
        str(later),
    ]


def test_an_api_without_a_filter_is_watched_by_its_first_page(
    listen: Listen, configure: Configure
) -> None:
    page = [{"id": n, "updated_at": f"2026-11-0{n}T00:00:00Z"} for n in range(1, 4)]
    web = listen(lambda _: page)
    watch = Watch(configure(client={"base_url": web.base_url}, resources=["x"]))
    assert [watch.changes(), watch.changes()] == [3, 0]
    page[0] = {"id": 1, "updated_at": "2026-11-04T00:00:00Z"}
    page.append({"id": 4, "updated_at": "2026-11-05T00:00:00Z"})
    assert [watch.changes(), watch.changes()] == [2, 0]
    assert [asked.query for asked in web.asked] == [{}] * 4


def test_records_without_a_cursor_are_told_apart_by_their_content(
    listen: Listen, configure: Configure
) -> None:
    page: list[dict[str, Any]] = [{"id": 1, "s": "a"}, {"id": 2, "s": "a", "updated_at": None}]
    web = listen(lambda _: page)
    watch = Watch(configure(client={"base_url": web.base_url}, resources=["x"]))
    assert [watch.changes(), watch.changes()] == [2, 0]
    page[0] = {"id": 1, "s": "b"}
    page.append({"id": 3, "s": "a"})
    assert [watch.changes(), watch.changes()] == [2, 0]


@pytest.mark.parametrize(
    "asked_with",
    [
        {"incremental": {"start_param": "since"}},
        pytest.param(
            {"params": {"since": "{incremental.start_value}"}},
            marks=pytest.mark.xfail(
                strict=True,
                reason="SettingsError: `incremental` is left out, the placeholder for it stays.",
            ),
        ),
    ],
    ids=["start_param", "placeholder"],
)
def test_an_endpoint_that_syncs_read_incrementally_can_be_watched(
    listen: Listen, configure: Configure, asked_with: dict[str, Any]
) -> None:
    web = listen(lambda _: [{"id": 1, "updated_at": "2026-11-01T00:00:00Z"}])
    cursor = {"cursor_path": "updated_at", "initial_value": "2026-01-01T00:00:00Z"}
    incremental = {**cursor, **asked_with.get("incremental", {})}
    endpoint = {"path": "/x", **asked_with, "incremental": incremental}
    settings = configure(
        client={"base_url": web.base_url},
        resources=[{"name": "x", "endpoint": endpoint}],
        change_sensor={"start_param": "since"},
    )
    watch = Watch(settings)
    assert [watch.changes(), watch.changes()] == [1, 0]
    # The question's own start goes before the one of the syncs.
    assert web.asked[1].query == {"since": "2026-11-01T00:00:00Z"}


def test_only_the_main_resource_is_asked(listen: Listen, configure: Configure) -> None:
    web = listen(lambda _: [{"id": 1}])
    resources = ["main", "other", {"name": "child", "endpoint": "/main/{resources.main.id}"}]
    watch = Watch(configure(client={"base_url": web.base_url}, resources=resources))
    assert watch.changes() == 1
    assert [asked.path for asked in web.asked] == ["/main"]


def test_only_the_first_page_is_asked_for(listen: Listen, configure: Configure) -> None:
    web = listen(
        lambda asked: {"data": [{"id": 1}], "next": None if "p" in asked.query else "/x?p=2"}
    )
    endpoint = {
        "path": "/x",
        "data_selector": "data",
        "paginator": {"type": "json_link", "next_url_path": "next"},
    }
    resources = [{"name": "x", "endpoint": endpoint}]
    watch = Watch(configure(client={"base_url": web.base_url}, resources=resources))
    assert watch.changes() == 1
    assert len(web.asked) == 1


@pytest.mark.parametrize("status", [401, 500])
def test_a_failure_is_raised_and_changes_nothing(
    api: DemoServer, waits: list[float], status: int
) -> None:
    watch = Watch()
    watch.changes()
    seen = watch.seen
    api.faults.answers.extend(Response(status_code=status) for _ in range(4))
    with pytest.raises(Exception, match=str(status)) as failed:
        watch.changes()
    assert f"answered {status} " in explain(failed.value)
    assert watch.seen == seen
    api.faults.answers.clear()
    assert watch.changes() == 0


def test_a_passing_failure_is_retried(api: DemoServer, waits: list[float]) -> None:
    api.faults.answers.append(Response(status_code=503))
    assert Watch().changes() == 100
    assert waits == [2]
