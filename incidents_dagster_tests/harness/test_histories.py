"""The sections `paging` and `day` of `make faults`: the model, the judge, and a sample of both."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.incidents import PATH
from fakes.messages import Reply
from fakes.misbehaviour import HANG_UP
from fakes.model import CHANGES, OFFSETS, OTHERS, SECOND, SORTS, Change, Model
from fakes.model_server import ModelServer
from faults.cases.histories import OPTIONS, History, random_history
from faults.judging.histories import late, missing, red_faults, unequal, untrue
from faults.running.processes import no_waits
from faults.running.project import in_project
from faults.sections.day import SimulatedDay
from faults.sections.paging import Player

pytestmark = pytest.mark.thorough

URL = "http://api.example.com/v1/incidents"


def walked(model: Model, sort: str, **query: str) -> list[dict[str, Any]]:
    """The records of all pages, as a client of the model's kind would ask for them."""
    records: list[dict[str, Any]] = []
    asked: dict[str, str] = {"sort": sort, "limit": "7", **query}
    for number in range(1, 100):
        answer = model.answer(asked, URL)
        model.serve(answer)
        records += answer["data"]
        if not answer["data"] or answer.get("next", "") is None or len(answer["data"]) < 7:
            return records
        if model.kind in OFFSETS:
            asked["offset"] = str(7 * number)
        elif model.kind.startswith("page"):
            asked["page"] = str(number + 1)
        elif model.kind == "cursor":
            if answer["next"] is None:
                return records
            asked["after"] = answer["next"]
        else:
            asked = dict(pair.split("=") for pair in answer["next"].partition("?")[2].split("&"))
    raise AssertionError("no end")


def as_table(model: Model) -> dict[str, tuple[Any, ...]]:
    """The table that a perfect sync would leave behind."""
    return {row.id: (row.version, row.status, row.updated_at) for row in model.rows.values()}


@pytest.mark.parametrize("kind", [*OFFSETS, *OTHERS])
def test_model_serves_each_row_once_and_in_order(kind: str) -> None:
    model = Model(45, kind, whole_seconds=False)
    model.change("update many", 1)  # many rows of one time
    for sort in SORTS:
        model.begin()

        records = walked(model, sort)

        assert {record["id"]: record["version"] for record in records} == {
            row.id: row.version for row in model.rows.values()
        }
        assert len(records) == len(model.rows)
        values = [record[sort.lstrip("-")] for record in records]
        assert values == sorted(values, reverse=sort.startswith("-"))
        assert model.walks == [None]


def test_model_filters_from_the_very_time_on() -> None:
    model = Model(30)
    newest = max(model.rows.values(), key=lambda row: row.updated_at)
    model.tick(5)
    model.change("update", 1)
    first, second = walked(model, "updated_at", updated_since="2024-03-01T00:00:05Z"), model.clock

    assert [record["updated_at"] for record in first] == ["2024-03-01T00:00:05Z"]
    assert second > newest.updated_at
    assert not walked(model, "id", updated_since="2024-03-01T00:00:06Z")


def test_model_notes_what_its_changes_have_touched() -> None:
    for kind in CHANGES:
        model = Model(30, whole_seconds=False)
        model.change("delete", 5)
        model.begin([Change(2, 60, kind, 3)])
        model.answer({}, URL)
        assert not model.touched

        model.answer({}, URL)

        then, now = model.at_begin, model.rows
        changed = {id for id in then.keys() | now.keys() if then.get(id) != now.get(id)}
        assert changed
        assert model.touched == changed
        assert model.absent >= then.keys() - now.keys()
        assert {now[id].updated_at for id in changed & now.keys()} <= {model.clock - SECOND // 2}


def test_judge_sees_what_a_table_has_otherwise() -> None:
    model = Model(30)
    walked(model, "id")
    before = as_table(model)
    model.begin([Change(1, 60, "update", 1), Change(1, 60, "delete", 2)])
    walked(model, "id")
    right = as_table(model)
    (deleted,) = model.gone
    changed = next(iter(model.touched - {deleted}))
    same = next(iter(model.rows.keys() - model.touched))

    def judged(table: dict[str, Any]) -> list[str]:
        return [*untrue(model, before, table), *missing(model, table), *late(model, table)]

    assert judged(right) == judged({**right, deleted: before[deleted]}) == []
    assert unequal(model, right) == []
    assert unequal(model, {**right, deleted: before[deleted]}) == [
        f"{deleted} is gone and not marked"
    ]
    lost = {id: row for id, row in right.items() if id != same}
    assert any("unchanged and is lost" in text for text in judged(lost))
    assert any("taken away" in text for text in judged(lost))
    older = judged({**right, changed: before[changed]})
    assert any("older version than was read" in text for text in older)
    assert any("not in its latest version" in text for text in older)
    odd = judged({**right, same: (right[same][0], "never", right[same][2])})
    assert any("never served" in text for text in odd)
    assert red_faults("The API returned 500.", [1], [1]) == []
    assert len(red_faults("Traceback:\n", [1], [])) == 2


def test_server_says_its_time_and_puts_replies_in_the_place_of_answers() -> None:
    with ModelServer() as server:
        server.model = model = Model(30)
        address = server.base_url + PATH
        first = requests.get(address, timeout=9)
        model.tick(3_600)
        later = requests.get(address, timeout=9)
        assert first.headers["Date"] == "Fri, 01 Mar 2024 00:00:00 GMT"
        assert later.headers["Date"] == "Fri, 01 Mar 2024 01:00:01 GMT"
        assert len(model.served) == len(first.json()["data"]) == 10

        server.instead = lambda request, answer: Reply(b"no", 503)
        assert requests.get(address + "?offset=10", timeout=9).status_code == 503
        server.instead = lambda request, answer: HANG_UP
        with pytest.raises(requests.ConnectionError):
            requests.get(address + "?offset=10", timeout=9)
        server.instead = lambda request, answer: Reply(b"[1", headers={"Content-Length": "99"})
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            requests.get(address + "?offset=10", timeout=9)
        assert len(model.served) == 10  # none of these has served a row


@pytest.fixture
def player() -> Iterator[Player]:
    with ModelServer() as server, in_project(server.base_url) as project:
        yield Player(project, server)


# Seeds of `make faults` that have found something, and what.
FOUND = {
    2: "by offset: a row deleted behind the walk, and the one after it was skipped",
    31: "by next link: twelve rows deleted, nine skipped",
    35: "by page number: six rows in an old version",
}


def test_what_was_found_once(player: Player) -> None:
    assert {seed: player.play(random_history(seed)).wrong for seed in FOUND} == {
        seed: [] for seed in FOUND
    }


CHANGE = st.builds(
    Change,
    request=st.integers(0, 8),
    seconds=st.sampled_from((0, 1, 7.25, 90)),
    kind=st.sampled_from(list(CHANGES)),
    pick=st.integers(0, 99),
)
HISTORY = st.builds(
    History,
    paginator=st.sampled_from([*OFFSETS, *OTHERS]),
    sort=st.sampled_from(SORTS),
    limit=st.integers(3, 12),
    rows=st.sampled_from((12, 30)),
    mode=st.sampled_from(list(OPTIONS)),
    whole_seconds=st.booleans(),
    changes=st.lists(CHANGE, max_size=5).map(tuple),
)


def test_any_history_ends_in_the_right_table(player: Player) -> None:
    @settings(
        max_examples=4,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(HISTORY)
    def ends_right(history: History) -> None:
        assert player.play(history).wrong == []

    ends_right()


def test_some_syncs_of_a_day(player: Player) -> None:
    day = SimulatedDay(player.project, player.server, syncs=5)

    with no_waits():
        for number in range(1, 5):
            day.sync(number)
        day.close()

    assert day.wrong == []
    assert day.counts["green"] + day.counts["unproven"] + day.counts["red"] == 5
    assert day.counts["met a fault"] >= 1
