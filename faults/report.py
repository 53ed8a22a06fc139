"""docs/reliability.md, from the kept results alone."""

import importlib
from pathlib import Path
from typing import Any

from reporting.provenance import footer

INTRODUCTION = """# Reliability

Written by `make faults`; nothing here is typed by hand. Each case is a real sync against a real
server on loopback, into a real DuckDB file, and has one of three outcomes:

- **right**: the sync was green, and the table equals the source;
- **red**: it failed with one clear message, and the table is as it was before;
- **wrong**: anything else. There must be none.
"""


def write(results: dict[str, Any], folder: Path) -> None:
    """Writes reliability.md into `folder`."""
    sections = {name: importlib.import_module(f"faults.sections.{name}") for name in results}
    lines = [INTRODUCTION, "| section | cases | right | red | wrong | seconds |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for name, section in sections.items():
        verdicts = [outcome["verdict"] for outcome in results[name]["outcomes"]]
        counts = " | ".join(f"{verdicts.count(v):,}" for v in ("right", "red", "wrong"))
        seconds = results[name]["seconds"]
        lines.append(f"| {section.TITLE} | {len(verdicts):,} | {counts} | {seconds:,} |")
    for name, section in sections.items():
        lines += ["", f"## {section.TITLE}", "", section.WHAT, ""]
        figures = results[name]["figures"]
        lines += [f"- {figure}: **{number:,}**" for figure, number in figures.items()]
        if figures:
            lines.append("")
        lines += ["| case | outcome | what it said |", "|---|---|---|"]
        for outcome in results[name]["outcomes"]:
            cells = (outcome["case"], outcome["verdict"], outcome["note"])
            lines.append("| " + " | ".join(_cell(str(cell)) for cell in cells) + " |")
        lines += ["", footer(results[name], f"make faults ARGS='--sections {name}'")]
    (folder / "reliability.md").write_text("\n".join(lines) + "\n")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
