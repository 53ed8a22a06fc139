"""What an API's text may not do to a terminal or a chat."""

import pytest

from incidents_dagster.ingestion.plain_text import plain, without_mentions


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b2Jgone\x1b[2;1H", "gone"),
        ("\x1b]0;title\x07a \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "a link"),
        ("\x1bPq#0\x1b\\a\x1bc\x1b(Bb", "ab"),
        ("paid\rfree\x08\x00\x7f", "paid free"),
        ("\u202eevil\u2066", "evil"),
        ("cut\x1b", "cut"),
        ("línea 1\n\t日本 🚒\r\n", "línea 1\n\t日本 🚒\n"),
        ("a\u200db\u00a0c", "a\u200db\u00a0c"),
    ],
)
def test_terminal_escapes_are_gone_and_text_stays(text: str, shown: str) -> None:
    assert plain(text) == shown
    assert plain(shown) == shown


@pytest.mark.parametrize(
    "mention",
    [
        "@channel",
        "@everyone",
        "@here",
        "x@everyone",
        "<!here>",
        "<!channel>",
        "<!subteam^S1>",
        "<@U012>",
        "<@&1>",
        "<#C1>",
        "<https://evil.example|bank>",
    ],
)
def test_nobody_is_called_in_a_chat(mention: str) -> None:
    text = without_mentions(f"down: {mention}, 1 < 2")
    assert mention not in text
    assert text.replace("\u200b", "") == f"down: {mention}, 1 < 2"
