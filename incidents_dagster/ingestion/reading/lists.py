"""Where the lists in a response are, for messages about a `data_selector` that finds none.

Only names of fields; no values.
"""

import re
from difflib import SequenceMatcher
from typing import Any

from incidents_dagster.ingestion.secrets.redaction import redact

DEEPEST = 5
MOST_SHOWN = 5
MOST_CHARACTERS = 60
PLAIN = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def lists_in(body: Any, wanted: str) -> list[str]:
    """JSONPaths of the lists in `body`: those of objects first, then the most similar to `wanted`.

    `$` if the body is a list itself. Nothing that is in a list is searched.
    """
    found: list[tuple[bool, float, str]] = []
    level: list[tuple[str, Any]] = [("", body)]
    for _ in range(DEEPEST + 1):
        for path, value in level:
            if isinstance(value, list):
                of_others = bool(value) and not isinstance(value[0], dict)
                unlike = 1 - SequenceMatcher(None, path.lower(), wanted.lower()).ratio()
                found.append((of_others, unlike, path or "$"))
        level = [
            (f"{path}.{field(name)}" if path else field(name), inner)
            for path, value in level
            if isinstance(value, dict)
            for name, inner in value.items()
        ]
    ordered = [redact(path) for _, _, path in sorted(found) if len(path) <= MOST_CHARACTERS]
    return ordered[:MOST_SHOWN]


def field(name: str) -> str:
    """A field's name as a step of a JSONPath, in quotes if it needs them."""
    return name if PLAIN.fullmatch(name) else f"['{name}']"
