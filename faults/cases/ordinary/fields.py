"""Columns that paths fill, whatever is at the paths."""

from collections.abc import Callable
from typing import Any

from faults.cases.ordinary.alerts import SETTINGS, alert, begin, change
from faults.cases.ordinary.case import LATER, Case, hours
from faults.judging.fields import Row
from faults.running.stories import Story


def steps(story: Story, at: float = LATER) -> None:
    """A sync of everything, one of what changed, and one of everything again."""
    story.sync()
    change(story, 3, 30, at=at)
    story.sync()
    story.sync(mode="reconcile")


def plain(story: Story) -> None:
    """Four columns and two more; nothing that is not true warns."""
    begin(story)
    story.quiet(story.run())
    change(story, 5, status={"state": "suppressed", "by": "ann"})
    story.quiet(story.run())
    story.quiet(story.run(mode="reconcile"))


def at_path(
    column: str, paths: str | list[str], *pairs: tuple[Row, Any]
) -> Callable[[Story], None]:
    """Each record has one of these fields, and the column a value that this means."""

    def story(story: Story) -> None:
        begin(story, **{column: lambda row: pairs[row["turn"]][1]})
        story.configure(**{f"resource__fields__{column}": paths})
        for number, row in enumerate(story.api.rows):
            row |= {**pairs[number % len(pairs)][0], "turn": number % len(pairs)}
        story.sync()
        for place in range(len(pairs)):  # each of them becomes the next one
            turn = (place + 1) % len(pairs)
            row = {n: v for n, v in story.api.rows[place].items() if n not in pairs[place][0]}
            story.api.rows[place] = {**row, **pairs[turn][0], "turn": turn}
            change(story, place)
        story.sync()
        story.sync(mode="reconcile")

    return story


def own_names(story: Story) -> None:
    """Fields of the API that are called like a column, and like what these would be called."""
    begin(story)
    for row in story.api.rows:
        row |= {"source_status": "pager", "phase": "night", "created_at": row["id"], "Severity": 1}
    wants = story.wants

    def renamed(rows: list[Row]) -> list[Row]:
        # One of two names is left to whichever field; each needs a column of its own.
        own = [{**row, "own source_status": row["source_status"]} for row in rows]
        seen = wants([{n: v for n, v in row.items() if n != "source_status"} for row in own])
        for row in seen:
            row["own status"] = row.pop("source_status")
            row["own Severity"] = row.pop("Severity")
        return seen

    story.wants = renamed
    steps(story)


def two_paths(story: Story) -> None:
    """An id of two fields, of which some look alike when they are joined; one lacks the second."""
    begin(story, id=lambda row: row["joined"])
    story.configure(resource__fields__id=["zone", "labels.key"])
    for number, row in enumerate(story.api.rows):
        row |= {"zone": f"z{number % 5}", "joined": f"z{number % 5}, k{number}"}
        row["labels"]["key"] = f"k{number}"
    for place, (zone, key, joined) in enumerate(
        [("a, b", "c", r"a\, b, c"), ("a", "b, c", r"a, b\, c"), ("a\\", "b", r"a\\, b")]
    ):
        story.api.rows[place] |= {"zone": zone, "joined": joined}
        story.api.rows[place]["labels"]["key"] = key
    steps(story)
    wants = story.wants
    story.wants = lambda rows: wants([row for row in rows if "key" in row["labels"]])
    bad = alert(99, LATER + 1, zone="z1", joined="")
    story.api.rows.append(bad)
    story.run(says="quarantine_is_empty")
    bad["labels"]["key"], bad["joined"] = "k99", "z1, k99"
    bad["updatedAt"] = hours(LATER + 2)
    # A record without an id counts until it is taken out of the quarantine.
    story.run(says="quarantine_is_empty")


def no_id(story: Story) -> None:
    """One record has no id, at the beginning and later."""
    begin(story, left_out=lambda row: not row.get("fingerprint"))
    del story.api.rows[4]["fingerprint"]
    story.run(says="quarantine_is_empty")
    change(story, 7)
    story.api.rows.append(alert(50, LATER, fingerprint=None))
    story.run(says="quarantine_is_empty")
    story.api.rows[4]["fingerprint"] = "f5"
    change(story, 4, at=LATER + 1)
    story.run(says="quarantine_is_empty")


def bad_status(story: Story) -> None:
    """A status that is a list keeps its record out, until it is a text again."""
    begin(story, left_out=lambda row: isinstance(row["status"]["state"], list))
    story.api.rows[4]["status"] = {"state": ["active"]}
    story.run(says="quarantine_is_empty")
    change(story, 4, status={"state": "active"})
    story.quiet(story.run())


TEAM = "labels.team"
PLAIN: tuple[Row, Any] = ({"labels": {"severity": "low", "team": "core"}}, "core")


def _team(value: Any) -> Row:
    return {"labels": {"severity": "low", "team": value}}


CASES = [
    Case("paths, and nothing else", plain, settings=SETTINGS),
    Case("paths, and nothing else: cursor", plain, "cursor", settings=SETTINGS),
    *(
        Case(f"at a path, sometimes {name}", at_path(column, paths, *pairs), settings=SETTINGS)
        for name, column, paths, pairs in (
            (
                "nothing, null, or an empty text",
                "team",
                TEAM,
                (
                    PLAIN,
                    ({"labels": {"severity": "low"}}, None),
                    (_team(None), None),
                    (_team(""), None),
                ),
            ),
            (
                "an object, or a text above it",
                "team",
                "owner.team",
                (
                    ({"owner": {"team": {"name": "core"}}}, {"name": "core"}),
                    ({"owner": {"team": "core"}}, "core"),
                    ({"owner": "core"}, None),
                    ({"owner": None}, None),
                    ({}, None),
                ),
            ),
            (
                "a list, a number, or a flag",
                "team",
                TEAM,
                (PLAIN, (_team(["a", "b"]), ["a", "b"]), (_team(7), 7), (_team(True), True)),
            ),
            (
                "several values",
                "team",
                "owners[*].name",
                (
                    ({"owners": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}, "a, b"),
                    ({"owners": [{"name": None}, {"id": 5}, {"name": "c"}]}, "c"),
                    ({"owners": []}, None),
                    ({"owners": None}, None),
                ),
            ),
            (
                "a value at the second path",
                "url",
                ["links.own", "links.api"],
                (
                    ({"links": {"own": "https://a", "api": "https://b"}}, "https://a"),
                    ({"links": {"own": "", "api": "https://b"}}, "https://b"),
                    ({"links": {"own": None}}, None),
                ),
            ),
        )
    ),
    Case("fields that are called like columns", own_names, settings=SETTINGS),
    Case("two paths of the id", two_paths, settings=SETTINGS),
    Case("no id at its path", no_id, settings=SETTINGS),
    Case("a list as a status", bad_status, settings=SETTINGS),
]
