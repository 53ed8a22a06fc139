"""The harness of `make faults` on samples: that it can fail, and seeds of what it has found."""

import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import incidents_dagster
from fakes.incident_pages import IncidentPages, Page
from fakes.incidents import incident
from faults.cases.answers import Case, cases, on
from faults.cases.mutations import mutated
from faults.cases.records import Kind, lacking
from faults.cases.records import cases as odd_records
from faults.judging.oracle import fields_lost, told_otherwise
from faults.judging.outcome import Outcome, judged, versions_of
from faults.running.processes import HungError, limited
from faults.running.project import in_project
from faults.running.stories import Story
from faults.sections import answers, mutate, ordinary, traps
from incidents_dagster.ingestion.reading.envelope import Envelope

pytestmark = pytest.mark.thorough

# Seed → what it found: each was wrong once.
FOUND = {
    1: "a row left out in the middle of a page, and offsets that go on as if it were there",
    144: "a row in the place of another, so that as many came as the API says there are",
    627: "the same, on another page",
    460: "a total beyond belief on one page, so that any number of records seemed to fit",
    36: "a page in another order: what stands before the row that pages share was left out",
}
ROWS = [incident(n, 1) for n in range(1, 31)]


def answer(offset: int, limit: int = 10, **fields: Any) -> tuple[Page, bytes]:
    """A served page of ROWS, with `fields` on top."""
    body = {"data": ROWS[offset : offset + limit], "total": len(ROWS), **fields}
    page = Page(1, False, {"offset": str(offset), "limit": str(limit)}, ROWS, body)
    return page, json.dumps(body).encode()


def case_named(name: str) -> Case:
    return next(case for case in cases() if case.name == name)


def test_a_lie_that_the_product_believes_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    lie = case_named("`data` null: page 2")
    assert answers.tried(lie).verdict == "red"

    monkeypatch.setattr(Envelope, "check", lambda *_: None)
    monkeypatch.setattr(Envelope, "total", lambda *_: None)
    believed = answers.tried(case_named("`data` null: page 1"))

    assert believed.verdict == "wrong"
    assert "250 rows lost" in believed.note


def test_a_bad_record_that_is_nowhere_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Kind("no id", [lacking("id")], "quarantine", {})
    assert answers.tried_record(kind, first=False).verdict == "right"

    monkeypatch.setattr(answers, "QUARANTINE", "SELECT record FROM incidents.quarantine LIMIT 0")

    assert answers.tried_record(kind, first=False).verdict == "wrong"


def test_a_trap_is_tried_and_what_follows_it() -> None:
    assert traps.tried("an empty page in the middle").verdict in ("right", "red")


@pytest.mark.parametrize("seed", [*FOUND])
def test_what_fuzzing_has_found_stays_found(seed: int) -> None:
    ((_, outcome),) = mutate.cases_of_seeds([seed])

    assert outcome.verdict != "wrong", outcome.note


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=5,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(choose=st.randoms(use_true_random=False), number=st.integers(1, 3))
def test_mutated_answers_are_found_out_or_harmless(choose: random.Random, number: int) -> None:
    good = {"data": ROWS[number * 10 - 10 : number * 10], "total": len(ROWS)}
    lie = mutated(good, choose)

    with IncidentPages("offset", 10) as api, in_project(api.base_url) as project:
        project.configure(mutate.section("offset"))
        tell = on(number, lambda _: lie)
        api.rows = ROWS
        _, outcome = mutate.case("example", project, api, tell)

    assert outcome.verdict != "wrong", outcome.note


@settings(derandomize=True, database=None, max_examples=200)
@given(choose=st.randoms(use_true_random=False))
def test_mutations_leave_the_good_answer_alone(choose: random.Random) -> None:
    good = {"data": [dict(row) for row in ROWS[:3]], "total": 3, "next": None}
    before = json.dumps(good)

    assert isinstance(mutated(good, choose), bytes)
    assert json.dumps(good) == before


SOURCE = versions_of(ROWS)
LOST = {name: version for name, version in SOURCE.items() if name != "INC-0030"}


@pytest.mark.parametrize(
    ("served", "after", "kept", "said"),
    [
        pytest.param([answer(0, 30)], LOST, [], "told", id="told and not in the table"),
        pytest.param([answer(0, 29)], LOST, [], "total says 30", id="not told, and the total knew"),
        pytest.param([answer(0, 29, total=None)], LOST, [], "", id="nothing gave it away"),
        pytest.param(
            [
                answer(0, 20, total=None),
                answer(20, data=ROWS[20:29], total=None),
                answer(30, data=ROWS[:1], total=None),
            ],
            LOST,
            [],
            "short",
            id="a short page before another",
        ),
        pytest.param([answer(0, data=None)], LOST, [], "an answer", id="no list"),
        pytest.param(
            [answer(0, 30, data=[*ROWS[:29], {"title": "no id"}])],
            LOST,
            [],
            "neither in the table nor kept",
            id="a bad record that is nowhere",
        ),
        pytest.param(
            [answer(0, 30, data=[*ROWS[:29], {"title": "no id"}])],
            LOST,
            [('{"title": "no id"}',)],
            "",
            id="a bad record in quarantine",
        ),
        pytest.param(
            [answer(0, 30)],
            {**SOURCE, "INC-0031": SOURCE["INC-0030"]},
            [],
            "from nowhere",
            id="a row that nobody told",
        ),
        pytest.param(
            [answer(0, 30, data=[*ROWS, incident(30, 0)])],
            {**SOURCE, "INC-0030": versions_of([incident(30, 0)])["INC-0030"]},
            [],
            "told",
            id="the older of two versions",
        ),
    ],
)
def test_the_reader_tells_a_lie_from_a_loss(
    served: list[tuple[Page, bytes]], after: Any, kept: list[Any], said: str
) -> None:
    found = told_otherwise(served, {}, after, SOURCE, kept)

    assert said in found
    assert bool(found) == bool(said)


def test_a_red_sync_that_changes_the_table_is_wrong() -> None:
    assert judged("case", "no", {}, {}, SOURCE).verdict == "red"
    assert judged("case", "no", {}, SOURCE, SOURCE).verdict == "wrong"
    assert judged("case", None, {}, LOST, SOURCE).verdict == "wrong"
    assert judged("case", "Traceback (most recent call last)", {}, {}, SOURCE) == Outcome(
        "case", "wrong", "Traceback (most recent call last)"
    )


def test_what_does_not_end_is_ended() -> None:
    with pytest.raises(HungError), limited(0.05):
        time.sleep(60)


def test_every_case_has_a_name_of_its_own() -> None:
    names: list[str] = [case.name for case in cases()]
    names += [f"{kind.name} {first}" for kind, first in odd_records()]

    names += [f"{point}: {case.name}" for point, case in ordinary.numbered()]

    assert len(names) == len({*names})


def ordinary_case(name: str) -> tuple[str, Any]:
    return next(found for found in ordinary.numbered() if found[1].name == name)


@pytest.fixture
def loaded_modules() -> Iterator[None]:
    """The modules that a code location loads anew, as they were, for the tests that follow."""
    kept = {n: m for n, m in sys.modules.items() if n.startswith("incidents_dagster.")}
    names = {**vars(incidents_dagster)}
    yield
    for name in [n for n in sys.modules if n.startswith("incidents_dagster.")]:
        del sys.modules[name]
    sys.modules.update(kept)
    vars(incidents_dagster).update(names)


@pytest.mark.usefixtures("loaded_modules")
def test_an_ordinary_case_is_right_and_a_lost_field_is_wrong() -> None:
    point, case = ordinary_case("one page: offset, no total")
    right = ordinary.tried(point, case)
    assert right.verdict == "right", right.note

    def loses_a_title(story: Story) -> None:
        story.loaded()
        story.execute("UPDATE incidents.incident_data SET title = '' WHERE id = 'INC-0002'")
        story.sync()

    lost = ordinary.tried(point, replace(case, story=loses_a_title))
    assert lost.verdict == "wrong"
    assert "'title' in 1 rows" in lost.note


def test_each_point_of_ordinary_life_has_three_cases_and_all_together_eighty() -> None:
    assert min(len(cases) for cases in ordinary.POINTS.values()) >= 3
    assert len(ordinary.numbered()) >= 80


def test_a_field_that_was_told_and_is_lost_is_found() -> None:
    told = [answer(0, 30)]
    rows = {row["id"]: {**row, "updated_at": None, "created_at": None} for row in ROWS}

    assert "is lost" in fields_lost(told, {}, rows, [])
    assert not fields_lost(told, {}, {row["id"]: row for row in ROWS}, [])
    assert not fields_lost(told, rows, rows, [])
