"""`make docs`: generates README's table of settings from the models in `settings`."""

import json
import re
from collections.abc import Iterator
from typing import Any

from incidents_dagster.ingestion.settings import PROJECT_ROOT, Section, Settings

README = PROJECT_ROOT / "README.md"
BEGIN, END = "<!-- settings -->\n\n", "\n<!-- /settings -->\n"
HEAD = (
    "| under `[sources.incidents]` | default | |\n"
    "|---|---|---|\n"
    "| `client`, `resource_defaults`, `resources` | the preset's "
    "| the API, in `rest_api`'s form; without `client.base_url`, the demo API |\n"
)


def all_settings(
    table: type[Section] = Settings, prefix: str = ""
) -> Iterator[tuple[str, Any, str]]:
    """Every setting of this project: its name as the user spells it, its default, its meaning."""
    for name, field in table.model_fields.items():
        if isinstance(field.default, Section):
            yield from all_settings(type(field.default), f"{prefix}{name}.")
        elif name not in ("api", "source"):
            yield prefix + name, field.default, str(field.description)


def spelled(value: Any) -> str:
    """A default as a cell of the table, spelled as in TOML."""
    if value == "":
        return "none"
    text = f"{value:g}" if isinstance(value, float) else json.dumps(value)
    return text if isinstance(value, (bool, int, float)) else f"`{text}`"


def rendered(readme: str) -> str:
    """`readme` with the table as the models have it."""
    rows = [
        f"| `{name}` | {spelled(default)} | {what} |\n" for name, default, what in all_settings()
    ]
    return re.sub(
        f"(?<={BEGIN}).*(?={END})", lambda _: HEAD + "".join(rows), readme, flags=re.DOTALL
    )


if __name__ == "__main__":
    README.write_text(rendered(README.read_text()))
