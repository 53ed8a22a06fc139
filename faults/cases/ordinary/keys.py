"""Keys and names lose nothing: scripts, spellings that meet, keys that are shared."""

from collections.abc import Callable
from typing import Any

from faults.cases.ordinary.case import Case, change, records
from faults.running.stories import Story, WrongError

# Field names that meet in one column, or in none, as dlt normalises them.
MEETING: dict[str, dict[str, Any]] = {
    "camel and snake": {"createdBy": "ann", "created_by": "bob"},
    "cases": {"Owner": "ann", "owner": "bob", "OWNER": "cid"},
    "underscores": {"__name": "host!disk", "name": "disk", "_name": "d"},
    "spaces and dashes": {"due date": 1, "due-date": 2, "due_date": 3, "due.date": 4},
    "Chinese": {"标题": "磁盘已满", "描述": "数据库", "负责人": "李"},
    "Cyrillic": {"Название": "диск", "Описание": "база", "Ответственный": "Ира"},
    "Greek and Latin": {"τίτλος": "δίσκος", "περιγραφή": "βάση", "title_x": "disk"},
    "accents": {"état": 1, "etat": 2, "durée": 3},
    "signs": {"%": 10, "#": 7, "@": "x", "$": 3},
    "emoji": {"🔥": 3, "✅": "yes"},
    "a nested one": {"service__id": "flat", "service_id": "another"},
    "declared ones": {"Status": "other", "updatedAt": "yesterday", "ID": "x-1"},
}
# Names that helpers of a sync, of DuckDB or of dlt might have.
HELPERS: dict[str, dict[str, Any]] = {
    "positions": {"_position": 5, "position": 6, "_rows": "r", "rows": 3},
    "aliases": {"t": 1, "r": 2, "k": 3, "q": 4, "_keys": "k", "_rejected": 0},
    "dlt's": {"_dlt_id": "theirs", "_dlt_load_id": "theirs", "_dlt_root_id": 3},
    "ours": {"deleted_at": None, "source_deleted_at": "2024-03-01T00:00:00Z", "record_hash": "h"},
    "SQL": {"select": 1, "order": "by", "group": "g", 'a"b': 2, "a'b": 3, "a;b": 4},
    "row": {"rowid": 7, "filename": "f", "count": 3, "main": "m", "incident_data": "x"},
}


def with_fields(fields: dict[str, Any]) -> Callable[[Story], None]:
    """Records have these fields, in all syncs the same ones, and others come in later ones."""

    def story(story: Story) -> None:
        names = sorted(fields)
        for number, row in enumerate(story.api.rows):
            row |= {
                n: v if v is None or not isinstance(v, (int, str)) else _own(v, number)
                for n, v in fields.items()
            }
        story.sync()
        columns = [row.keys() for row in story.table()][:1]
        change(story, 4, **{name: _own(fields[name], 77) for name in names[:1] if fields[name]})
        # The order of fields is another one, and an incremental sync has one record alone.
        story.api.rows[5] = dict(reversed(story.api.rows[5].items()))
        change(story, 5)
        story.sync()
        change(story, *range(10, 20))
        for row in story.api.rows[10:20]:
            row.pop(names[-1])
        story.sync(mode="full_refresh")
        if columns and columns[0] != story.table()[0].keys():
            raise WrongError("the same fields have got other columns")

    return story


def _own(value: Any, number: int) -> Any:
    if value is None or (isinstance(value, str) and value.startswith("2024")):
        return value
    return f"{value} {number}" if isinstance(value, str) else value * 1_000 + number


def described(name: str) -> Callable[[Story], None]:
    """The original of a name can be read in its column's description."""

    def story(story: Story) -> None:
        for row in story.api.rows:
            row |= {name: f"a {row['id']}", f"{name}!": "b"}
        run = story.run()
        if not any(name in description for description in run.columns.values()):
            raise WrongError(f"no column's description has {name}: {run.columns}")

    return story


def key_named(name: str) -> Callable[[Story], None]:
    """A primary key in another script or spelling."""

    def story(story: Story) -> None:
        for row in story.api.rows:
            row[name] = row.pop("id")
        story.key = (name,)
        story.configure(resource_defaults__primary_key=name, columns__id=None)
        story.sync()
        change(story, 3, 4)
        story.sync()
        del story.api.rows[17]
        story.sync(mode="reconcile")

    return story


def composite(story: Story) -> None:
    """A key of two fields, one of which is in another script."""
    for number, row in enumerate(story.api.rows):
        row |= {"项目": "ab"[number % 2], "number": number // 2}
    story.key = ("项目", "number")
    story.configure(resource_defaults__primary_key=["项目", "number"], columns__id=None)
    story.sync()
    change(story, 3, 4)
    story.sync()


def shared(key: str, say: Callable[[int], Any]) -> Callable[[Story], None]:
    """Different records have the same primary key."""

    def story(story: Story) -> None:
        for number, row in enumerate(story.api.rows):
            row[key] = say(number)
        story.configure(resource_defaults__primary_key=key, columns__id={"data_type": "text"})
        story.sync("red", key)
        if sum(str(say(n)) in story.said for n in range(3)) < 1:
            raise WrongError(f"no example is given: {story.said}")

    return story


def bare(row: dict[str, Any], number: int) -> None:
    """A record of one of three services, without another id or the time at which it began."""
    for name in ("id", "created_at"):
        del row[name]
    service = number % 3
    row["service"] = {"name": f"Service {service}"}
    row |= {"service_id": f"svc-{service}", "severity": f"sev{number % 4}", "number": number % 11}
    row |= {"key": number if number < 20 else str(number - 20), "named": f"host-{number // 2}"}


def shared_barely(key: str) -> Callable[[Story], None]:
    """Different records have the same key, and neither another id nor a creation time."""

    def story(story: Story) -> None:
        for number, row in enumerate(story.api.rows):
            bare(row, number)
        story.configure(
            resource_defaults__primary_key=key, columns__id=None, columns__created_at=None
        )
        story.sync("red", rf"primary_key = {key}.*different .* and ")

    return story


def shared_later(story: Story) -> None:
    """The ids begin anew in another project."""
    story.loaded()
    story.api.rows += [
        {**row, "title": f"Of another project {row['id']}", "created_at": row["updated_at"]}
        for row in records(12, first=3)
    ]
    for row in story.api.rows[-12:]:
        row["created_at"] = "2024-05-01T00:00:00Z"
    story.sync("red", r"\bid\b|primary_key", mode="full_refresh")


def json_order(story: Story) -> None:
    """Keys within JSON values come in another order: nothing has changed."""
    for row in story.api.rows:
        row |= {"labels": {"a": 1, "b": {"c": 2, "d": [{"e": 3, "f": 4}]}}, "empty": {}}
    story.loaded()
    before = {row["id"]: row["_dlt_load_id"] for row in story.table()}
    for row in story.api.rows:
        row["labels"] = {"b": {"d": [{"f": 4, "e": 3}], "c": 2}, "a": 1}
        row["service"] = dict(reversed(row["service"].items()))
    story.sync(mode="full_refresh")
    after = {row["id"]: row["_dlt_load_id"] for row in story.table()}
    if other := sum(after[name] != load for name, load in before.items()):
        raise WrongError(f"{other} rows are loaded again, though nothing has changed")


CASES = [
    *(
        Case(f"names: {name}; {style}", with_fields(fields), style)
        for number, (name, fields) in enumerate(MEETING.items())
        for style in (("offset", "cursor", "link")[number % 3],)
    ),
    *(Case(f"names of helpers: {name}", with_fields(fields)) for name, fields in HELPERS.items()),
    *(Case(f"described: {name}", described(name)) for name in ("标题", "Название", "dueDate")),
    *(
        Case(f"key: {name}; {style}", key_named(name), style)
        for name, style in (
            ("编号", "offset"),
            ("Номер", "cursor"),
            ("Incident-Nr.", "page number"),
            ("_position", "offset"),
            ("#", "link"),
        )
    ),
    Case("key: of two fields", composite),
    Case("a key of few values", shared("team", lambda number: "abc"[number % 3])),
    Case("a key of few values: cursor", shared("số", lambda number: number % 7 + 900), "cursor"),
    Case("a key that two records share", shared("ref", lambda number: f"R-{number // 2}")),
    *(
        Case(
            f"a shared key, no other id: {key}, {style}{', a total' if number % 2 else ''}",
            shared_barely(key),
            style,
            bool(number % 2),
        )
        for number, (key, style) in enumerate(
            [
                *(("service_id", style) for style in ("cursor", "offset", "page number")),
                *(("number", style) for style in ("link", "single page", "offset", "cursor")),
                *(("key", style) for style in ("single page", "cursor in a header", "offset")),
                *(("named", style) for style in ("offset and more", "link in a header")),
            ]
        )
    ),
    Case("ids that begin anew", shared_later),
    Case("ids that begin anew: cursor", shared_later, "cursor"),
    *(
        Case(f"keys of JSON in another order: {style}", json_order, style)
        for style in ("offset", "cursor", "single page")
    ),
]
