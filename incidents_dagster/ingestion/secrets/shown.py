"""How a wrong setting appears in a message: short and redacted, or not at all."""

import json
from typing import Any

from incidents_dagster.ingestion.secrets.redaction import redact

SHOWN_CHARACTERS = 40


def shown(value: Any, secret: bool = False) -> str:
    """What a setting is instead, for messages: short or not at all.

    Args:
        value: The setting's value; of a table or a list, nothing is shown.
        secret: Whether it may hold a secret.
    """
    if isinstance(value, (dict, list)):
        return "not a table" if isinstance(value, dict) else "not a list"
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            json.loads(value)
        except json.JSONDecodeError as error:
            return f"not text: as JSON, it is not valid (line {error.lineno}, column {error.colno})"
    kind = "text" if isinstance(value, str) else "this value"
    if secret or len(text := str(value)) > SHOWN_CHARACTERS or not text.isprintable():
        return f"not {kind}"
    return f"not {redact(repr(value))}"
