"""The shipped configuration with its preset written out: every setting of the API is its own."""

import re
from pathlib import Path
from typing import Any

import tomlkit

ROOT = Path(__file__).resolve().parents[1]
PRESET = ROOT / "incidents_dagster" / "presets" / "default.toml"
CONFIG = ROOT / ".dlt" / "config.toml"
TABLE = re.compile(r"^(\[+)(?=\w)", re.MULTILINE)


def written_out() -> str:
    """The text of a config.toml that means the same as the shipped one, and names no preset."""
    head, _, rest = CONFIG.read_text().partition("[runtime]")
    preset = PRESET.read_text()
    api = TABLE.sub(r"\1sources.incidents.", preset[preset.index("[client.auth]") :])
    head = "\n".join(line for line in head.splitlines() if not line.startswith("preset ="))
    return f"{head}\n{api}\n[runtime]{rest}"


def section() -> dict[str, Any]:
    """Its `[sources.incidents]`."""
    found: dict[str, Any] = tomlkit.parse(written_out()).unwrap()["sources"]["incidents"]
    return found
