"""Configuration mistakes speak: the setting, where it was looked for, what is there instead."""

import os
from collections.abc import Callable
from typing import Any

from fakes.incident_pages import IncidentPages, Page
from fakes.incidents import KEY
from faults.cases.ordinary.case import Case, records, told
from faults.running.stories import Story, WrongError

SECRET = "s3cret-of-the-settings"


def red(says: str, **settings: Any) -> Callable[[Story], None]:
    """A first sync of these settings is red and says this; nothing is loaded."""

    def story(story: Story) -> None:
        story.configure(**settings)
        story.sync("red", says)
        if story.project.query("SELECT 1 FROM {schema}.incident_data"):
            raise WrongError("red, and rows are loaded")

    return story


def cursor_path(path: str, there: str) -> Callable[[Story], None]:
    """The cursor is a field that no record has, but one that looks like it."""

    def story(story: Story) -> None:
        for row in story.api.rows:
            row[there] = row.pop("updated_at")
        story.configure(
            columns__updated_at=None,
            endpoint__incremental={"cursor_path": path, "start_param": "updated_since"},
        )
        story.sync("red", f"cursor_path.*{there}")
        if story.table("true"):
            raise WrongError("red, and rows are loaded")

    return story


def selector(tell: Callable[[Page], Any], says: str, selector: str) -> Callable[[Story], None]:
    """A selector that misses the list."""

    def story(story: Story) -> None:
        story.api.tell = tell
        story.configure(endpoint__data_selector=selector)
        story.sync("red", f"data_selector.*{says}")

    return story


def refused(status: int, body: Any, says: str) -> Callable[[Story], None]:
    """The API refuses the request, and says why."""

    def story(story: Story) -> None:
        def refuse(_: dict[str, Any], page: Page) -> None:
            page.status = status

        tell = told(refuse)
        story.api.tell = lambda page: (tell(page), body)[1]
        story.sync("red", says)
        if len(story.said) > 700:
            raise WrongError(f"a message of {len(story.said)} characters")

    return story


def wrong_type(column: str, kind: str, value: Any, sample: str) -> Callable[[Story], None]:
    """A declared type that no record's value has; the message shows one of them."""

    def story(story: Story) -> None:
        for row in story.api.rows:
            row[column] = value
        story.configure(**{f"columns__{column}": {"data_type": kind}})
        story.sync("red", sample)

    return story


def malformed(**settings: Any) -> Callable[[Story], None]:
    """Settings of another shape, which hold a secret."""

    def story(story: Story) -> None:
        story.secrets.append(SECRET)
        story.configure(**settings)
        story.sync("red")
        story.run("red")

    return story


def password_in_address(story: Story) -> None:
    """The base_url has a password."""
    story.project.use(f"https://me:{SECRET}@example.test")
    malformed()(story)


def row_numbers(body: dict[str, Any], page: Page) -> None:
    """The cursor is the number of the next row."""
    body["next"] = body["next"] and body["next"].removeprefix("c")


def text_cursor(lag: int) -> Callable[[Story], None]:
    """A lag, and a cursor of text: said at the first sync."""

    def story(story: Story) -> None:
        for number, one in enumerate(story.api.rows):
            one["version"] = f"v{number:04}"
        story.configure(
            columns__version={"data_type": "text"},
            endpoint__incremental={"cursor_path": "version", "start_param": "since", "lag": lag},
        )
        story.sync("red", "lag")

    return story


def no_status(name: str, check: str) -> Callable[[Story], None]:
    """A column is not configured, so that a check does not apply; the log tells."""

    def story(story: Story) -> None:
        story.configure(**{f"columns__{name}": None})
        story.run(says=check)

    return story


def changed_under(**settings: Any) -> Callable[[Story], None]:
    """A configuration that changes under a running code location."""

    def story(story: Story) -> None:
        story.run()
        story.configure(**settings)
        story.run("red", "reload", reload=False)

    return story


def another_key(key: Any) -> Callable[[Story], None]:
    """Another primary key than the table's."""

    def story(story: Story) -> None:
        for number, row in enumerate(story.api.rows):
            row |= {"number": number, "project": "p"}
        story.loaded()
        story.configure(resource_defaults__primary_key=key)
        story.sync("red", "primary_key|primary key")
        story.sync("red", "primary_key|primary key", mode="full_refresh")

    return story


def other_origin(story: Story) -> None:
    """The endpoint is at another origin, which the key is not for, and which needs it."""
    with IncidentPages() as other:

        def refuse(body: dict[str, Any], page: Page) -> None:
            if page.query.get("api_key") != KEY:
                page.status = 401
                body.clear()
                body["message"] = "no key"

        other.rows, other.tell = records(5), told(refuse)
        story.configure(endpoint__path=f"{other.base_url}/v1/incidents")
        story.sync("red", r"origin|withheld|not sent|another (host|address)")


def read_twice(says: str) -> Callable[[Story], None]:
    """A list that is read twice: its records count once, and it is said why it was."""

    def story(story: Story) -> None:
        run = story.run(says=says)
        if run.shown.get("rows_read") != len(story.api.rows):
            raise WrongError(f"{run.shown.get('rows_read')} rows read, of {len(story.api.rows)}")

    return story


def blank_key(key: str, where: dict[str, Any]) -> Callable[[Story], None]:
    """A key that is none, or that no header can hold."""

    def story(story: Story) -> None:
        os.environ[story.project.secret("api_key")] = key
        story.configure(client__auth=where)
        story.sync("red", "api_key|API_KEY")

    return story


HEADER = {"type": "api_key", "name": "X-Key", "location": "header"}
CASES = [
    *(
        Case(f"cursor_path {path} for {there}", cursor_path(path, there))
        for path, there in (
            ("updated_at", "modified_at"),
            ("updated", "updated_on"),
            ("lastModified", "last_modified_date"),
        )
    ),
    *(
        Case(
            f"primary_key {key}",
            red(f"primary_key.*{key}", resource_defaults__primary_key=key, columns__id=None),
            style,
        )
        for key, style in (("uuid", "offset"), ("incident_id", "cursor"), ("key", "single page"))
    ),
    Case(
        "selector: a list below the root",
        selector(
            told(lambda b, _: b.update(result={"items": b.pop("data")})), r"result\.items", "data"
        ),
    ),
    Case(
        "selector: another name",
        selector(told(lambda b, _: b.update(incidents=b.pop("data"))), "incidents", "items"),
    ),
    Case(
        "selector: the root itself",
        selector(lambda page: page.body["data"], r"\$", "data"),
        "single page",
    ),
    *(
        Case(f"the API's own words: {status}, {says}", refused(status, body, says), style)
        for status, body, says, style in (
            (400, {"error": "unknown parameter updated_since"}, "unknown parameter", "offset"),
            (403, {"message": "scope incidents:read is missing"}, "incidents:read", "cursor"),
            (
                422,
                {"detail": [{"loc": ["query", "limit"], "msg": "at most 5"}]},
                "at most 5",
                "offset",
            ),
            (404, {"errors": [{"title": "No such workspace"}]}, "No such workspace", "link"),
            (401, {"error": {"message": f"the key {KEY} has expired"}}, "has expired", "offset"),
            (400, b"limit must be below 5" + b" and so on" * 5_000, "limit must be", "offset"),
        )
    ),
    *(
        Case(f"a wrong type: {kind}", wrong_type(column, kind, value, sample))
        for column, kind, value, sample in (
            ("updated_at", "timestamp", "last tuesday", "last tuesday"),
            ("size", "bigint", "12 MB", "12 MB"),
            ("flag", "bool", "perhaps", "perhaps"),
        )
    ),
    Case("malformed: base_url has a password", password_in_address),
    Case("a lag, and a cursor of text", text_cursor(60)),
    Case("a lag, and a cursor of text: cursor", text_cursor(1), "cursor"),
    *(
        Case(f"malformed: {name}", malformed(**settings))
        for name, settings in {
            "client.auth is text": {"client__auth": f"Bearer {SECRET}"},
            "client.headers is text": {"client__headers": f"X-Key: {SECRET}"},
            "client.headers is a list": {"client__headers": [f"X-Key: {SECRET}"]},
            "resources is text": {"resources": SECRET},
            "params is text": {"endpoint__params": f"token={SECRET}"},
            "paginator is text": {"client__paginator": SECRET},
            "webhook_url is a list": {"webhook_url": [f"https://hooks/{SECRET}"]},
            "change_sensor is text": {"change_sensor": SECRET},
        }.items()
    ),
    *(
        Case(f"unknown below columns: {name}", red(name, **settings))
        for name, settings in {
            "datatype": {"columns__status": {"datatype": "text"}},
            "nulable": {"columns__created_at": {"data_type": "timestamp", "nulable": True}},
            "name": {"columns__state": {"name": "status", "data_type": "text"}},
        }.items()
    ),
    *(
        Case(f"a check does not apply: {check}", no_status(name, check))
        for name, check in (
            ("status", "statuses_are_present"),
            ("created_at", "created_is_not_after_updated"),
            ("created_at", "timestamps_are_not_in_the_future"),
        )
    ),
    *(
        Case(f"changed under a code location: {name}", changed_under(**settings))
        for name, settings in {
            "a resource's name": {"resource__name": "alerts"},
            "a column's type": {"columns__status": {"data_type": "json"}},
            "a column goes": {"columns__status": None},
            "a check's hours": {"freshness__newest_within_hours": 5},
            "the primary key": {"resource_defaults__primary_key": "title"},
        }.items()
    ),
    *(
        Case(f"another primary key than the table's: {key}", another_key(key), style)
        for key, style in (
            ("number", "offset"),
            (["project", "number"], "cursor"),
            ("title", "link"),
        )
    ),
    Case("a key that is not for this origin", other_origin),
    Case(
        "read twice, as a cursor is a row number",
        read_twice("row number|place"),
        "cursor",
        tell=told(row_numbers),
    ),
    Case(
        "read twice, as pages are numbers", read_twice("2 times|twice|page number"), "page number"
    ),
    *(
        Case(f"a key that is {name}", blank_key(key, where))
        for name, key, where in (
            ("blank", "   ", HEADER),
            ("Cyrillic, in a header", "ключ-к-данным", HEADER),
            ("two lines, in a header", "first\nsecond", HEADER),
            ("blank, in the query", " ", {**HEADER, "location": "query"}),
        )
    ),
]
