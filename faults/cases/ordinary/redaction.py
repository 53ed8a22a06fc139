"""Redaction leaves data alone: short keys, ordinary words, and the very secret."""

import os
from collections.abc import Callable
from typing import Any

from fakes.incidents import KEY
from faults.cases.ordinary.case import Case, change, told
from faults.running.stories import Story, WrongError

HEADER = {"type": "api_key", "name": "X-Key", "location": "header"}
QUERY = {"type": "api_key", "name": "api_key", "location": "query"}


def ordinary_word(key: str, auth: dict[str, Any] | None = None) -> Callable[[Story], None]:
    """The key is short, all digits or a word; records have it in texts of their own."""

    def story(story: Story) -> None:
        for field in ("api_key", "token"):
            os.environ[story.project.secret(field)] = key
        story.configure(client__auth=auth or HEADER)
        with_word(story, key)
        story.sync()
        change(story, 3, title=f"again {key}")
        story.sync()
        refuse(story, key)

    return story


def with_word(story: Story, word: str) -> None:
    """All records have the word: alone, in a sentence, in a link, within another one."""
    for number, row in enumerate(story.api.rows):
        row["title"] = word if number % 3 == 0 else f"Disk {word} full {number}"
        row["url"] = f"https://example.test/{word}/{number}?q={word}"
        row["labels"] = {"kind": word, "more": [f"x{word}y", word]}


def refuse(story: Story, key: str) -> None:
    """The API's error repeats the key, and no message does."""

    def say(body: dict[str, Any], page: Any) -> None:
        page.status = 401
        body.clear()
        body["error"] = f"key={key} is refused"

    story.api.tell = told(say)
    message = story.project.sync() or ""
    if f"key={key}" in message:
        raise WrongError(f"it shows the key: {message[:200]}")


def word_of_a_header(headers: dict[str, str], word: str) -> Callable[[Story], None]:
    """A header's or cookie's value has ordinary words, which records have, too."""

    def story(story: Story) -> None:
        story.configure(client__headers=headers)
        with_word(story, word)
        story.sync()
        change(story, 4, title=f"now {word}")
        story.sync()

    return story


def very_secret(name: str, say: Callable[[str], Any]) -> Callable[[Story], None]:
    """The API repeats the very secret in a record: it is not in the file, and that is said."""

    def story(story: Story) -> None:
        for row in story.api.rows[5:8]:
            row[name] = say(KEY)
        run = story.run("loaded", r"\*\*\*|secret|redact")
        if KEY.encode() in story.project.database.read_bytes():
            raise WrongError("the key is in the file")
        if KEY in run.said:
            raise WrongError("the key is in the log")
        for row in story.api.rows[5:8]:
            row[name] = say("***")
        if wrong := story.unequal():
            raise WrongError(f"more than the secret has changed: {wrong}")

    return story


BEARER = {"type": "bearer"}
CASES = [
    *(
        Case(f"a key that is {key!r}, {where}", ordinary_word(key, auth))
        for key, where, auth in (
            ("1234567", "in a header", HEADER),
            ("2024", "in the query", QUERY),
            ("open", "in a header", HEADER),
            ("incidents", "a token", BEARER),
            ("a1", "in the query", QUERY),
            ("Checkout", "a token", BEARER),
            ("00", "in a header", HEADER),
        )
    ),
    *(
        Case(f"words of {name}", word_of_a_header(headers, word))
        for name, headers, word in (
            ("Accept", {"Accept": "application/json"}, "application/json"),
            ("a cookie", {"Cookie": "lang=english; theme=dark"}, "english"),
            ("X-Team", {"X-Team": "payments"}, "payments"),
            ("X-Auth-Mode", {"X-Auth-Mode": "service"}, "service"),
        )
    ),
    *(
        Case(f"the very secret in {name}", very_secret(name, say))
        for name, say in (
            ("title", lambda key: f"Failed with {key}"),
            ("url", lambda key: f"https://example.test/v1?api_key={key}&page=2"),
            ("labels", lambda key: {"token": [key]}),
        )
    ),
]
