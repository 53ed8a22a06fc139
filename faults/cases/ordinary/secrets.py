"""Secrets under more names and in more places, and what an API's text may do to a terminal."""

import os
from collections.abc import Callable
from typing import Any

from faults.cases.ordinary.case import Case, told
from faults.running.checkouts import Checkout
from faults.running.stories import Story, WrongError

SECRET = "zq81-secret-77f3ab"
NAMES = (
    *("secret_key", "user_token", "session_token", "signature", "sig", "jwt"),
    *("refresh_token", "client_key", "user_key", "X-Amz-Signature", "subscription-key"),
)


def echoes(story: Story, word: str = SECRET) -> None:
    """Records repeat the request's address, and then an error does."""
    story.secrets.append(SECRET)
    for row in story.api.rows[:4]:
        row["self"] = f"https://example.test/v1/incidents?x=1&s={word}"
    story.sync("loaded")
    files = [f for f in story.project.folder.rglob("*") if f.is_file() and ".dlt/" not in str(f)]
    if SECRET in str(story.table()):
        raise WrongError("the secret is in the table")
    if shown := [f.name for f in files if SECRET.encode() in f.read_bytes()]:
        raise WrongError(f"the secret is in {shown}")

    def refuse(body: dict[str, Any], page: Any) -> None:
        page.status = 400
        body.clear()
        body["error"] = f"cannot use {word} here"

    story.api.tell = told(refuse)
    story.sync("red")


def parameter(name: str) -> Callable[[Story], None]:
    """A parameter of this name is a secret."""

    def story(story: Story) -> None:
        story.configure(endpoint__params={name: SECRET})
        echoes(story)

    return story


def header(name: str, value: str) -> Callable[[Story], None]:
    """A header with this value, of which the secret is all or a part."""

    def story(story: Story) -> None:
        story.configure(client__headers={name: value})
        story.secrets.append(SECRET)
        echoes(story)

    return story


def body(content: dict[str, Any]) -> Callable[[Story], None]:
    """A JSON body that has the secret."""

    def story(story: Story) -> None:
        story.configure(endpoint__method="POST", endpoint__json=content, endpoint__incremental=None)
        echoes(story)

    return story


def plain_http(**settings: Any) -> Callable[[Story], None]:
    """A secret over plain http to another machine is refused before anything is sent."""

    def story(story: Story) -> None:
        os.environ.pop(story.project.secret("api_key"))
        story.configure(client__auth=None, **settings)
        story.secrets.append(SECRET)
        story.project.use("http://api.example.test", "")
        os.environ.pop(story.project.secret("api_key"))
        story.sync("red", "allow_plain_http")

    return story


def proxy(address: str) -> Callable[[Story], None]:
    """A proxy that needs a password, and cannot be reached."""

    def story(story: Story) -> None:
        story.secrets.append(SECRET)
        story.project.use("http://api.example.test")
        story.configure(allow_plain_http=True)
        kept = {n: os.environ.get(n) for n in ("HTTP_PROXY", "http_proxy")}
        os.environ["HTTP_PROXY"] = os.environ["http_proxy"] = address
        try:
            story.sync("red", "proxy")
            story.run("red", "proxy")
        finally:
            for name, value in kept.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value

    return story


def escapes(status: int, text: str, forbidden: str) -> Callable[[Story], None]:
    """An API's text on its way to the terminal."""

    def story(story: Story) -> None:
        def refuse(body: dict[str, Any], page: Any) -> None:
            page.status = status
            body.clear()
            body["error"] = text

        story.api.tell = told(refuse)
        run = story.run("red")
        if forbidden in (run.message or ""):
            raise WrongError(f"it goes on as it is: {run.message!r:.200}")

    return story


def private(story: Story) -> None:
    """data/ and all in it belongs to its user alone, from the start."""
    story.api.rows = story.api.rows[:5]
    with Checkout(story.project.folder) as checkout:
        project = story.project
        where = project.environment(story.api.base_url, "own-1")
        checkout.command(*project.command, **where)
        if others := checkout.readable_by_others():
            raise WrongError(f"others can read {others}")


def private_elsewhere(name: str) -> Callable[[Story], None]:
    """A file that is named, in a folder that is not there yet or that others can read."""

    def story(story: Story) -> None:
        folder = story.project.folder / name
        old = os.umask(0o022)
        try:
            story.project.database = folder / "warehouse.duckdb"
            os.environ["INCIDENTS_DUCKDB_PATH"] = str(story.project.database)
            story.sync()
        finally:
            os.umask(old)
        mode = story.project.database.stat().st_mode & 0o777
        if mode & 0o077:
            raise WrongError(f"others can read the database: {mode:o}")

    return story


CASES = [
    *(Case(f"a parameter {name}", parameter(name)) for name in NAMES),
    *(
        Case(f"a header {name}", header(name, value))
        for name, value in (
            ("X-Session-Token", SECRET),
            ("X-Auth", f"{{{SECRET}}}"),
            ("Authorization", f"Token {{{SECRET}}}"),
            ("X-User-Key", f'{{"key": "{SECRET}"}}'),
        )
    ),
    *(
        Case(f"a JSON body with {name}", body(content), "single page")
        for name, content in {
            "token": {"token": SECRET},
            "auth.api_key": {"auth": {"api_key": SECRET}, "page": 1},
            "session_token": {"session_token": SECRET},
        }.items()
    ),
    Case("plain http: a parameter", plain_http(endpoint__params={"user_token": SECRET})),
    Case(
        "plain http: a body", plain_http(endpoint__method="POST", endpoint__json={"token": SECRET})
    ),
    Case("plain http: a parameter sig", plain_http(endpoint__params={"sig": SECRET})),
    Case("a proxy's password", proxy(f"http://me:{SECRET}@127.0.0.1:9")),
    Case("a proxy's user", proxy(f"http://{SECRET}@127.0.0.1:9")),
    *(
        Case(f"an API's text: {name}", escapes(status, text, forbidden))
        for name, status, text, forbidden in (
            ("colours", 400, "no \x1b[31mred\x1b[0m", "\x1b"),
            ("a title of the window", 403, "\x1b]0;owned\x07 no", "\x1b"),
            ("with status 200", 200, "no \x1b[2J\x1b[H here", "\x1b"),
            ("a bell and a backspace", 422, "no\x07\x08\x08 here", "\x08"),
        )
    ),
    Case("data/ is private", private),
    *(
        Case(f"a database in {name} is private", private_elsewhere(name))
        for name in ("new", "new/and deeper")
    ),
]
