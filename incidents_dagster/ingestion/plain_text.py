"""Makes a text from elsewhere harmless where it is shown: in a terminal, a log, a chat.

An API's messages and records may hold terminal escapes and mentions; tables keep them as they are.
"""

import re

# Whole sequences: colours and cursors, titles and links, and the remaining ones of two characters.
ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# Other control characters, and those that change the direction of what follows.
RETURNS = re.compile("\r(?!\n)|[\v\f\u2028\u2029]")
CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\r\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# `@channel`; Slack's `<!here>`, `<@U…>`, `<#C…>` and links with another text.
MENTION = re.compile(r"@(?=\S)|<(?=\S)")
INVISIBLE = "\u200b"  # a space of no width


def plain(text: str) -> str:
    """`text` without terminal escapes and control characters; tabs and newlines stay."""
    if text.isprintable():
        return text
    return CONTROLS.sub("", RETURNS.sub(" ", ESCAPES.sub("", text)))


def without_mentions(text: str) -> str:
    """`text` for a chat, in which nobody is called by what it says."""
    return MENTION.sub(rf"\g<0>{INVISIBLE}", text)
