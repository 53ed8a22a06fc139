"""The kept results that a report is made from: a JSON object, one line for each part."""

import json
from pathlib import Path
from typing import Any


def read(file: Path) -> dict[str, Any]:
    """The results in `file`; none where there is no file yet."""
    return dict(json.loads(file.read_text())) if file.exists() else {}


def write(results: dict[str, Any], file: Path) -> None:
    """Writes the results of all parts."""
    parts = ",\n".join(f"{json.dumps(name)}: {json.dumps(part)}" for name, part in results.items())
    file.write_text(f"{{\n{parts}\n}}\n")
