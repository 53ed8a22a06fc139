"""What docstrings and comments name is there."""

import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from incidents_dagster.ingestion.settings import PROJECT_ROOT

# `retries.RETRIES`, `ingestion.rows.batches.to_arrow(...)`
NAMED = re.compile(r"`(?:[a-z_]+\.)*?([a-z_]+)\.([A-Za-z_]+)[^`]*`")


def said(file: Path) -> Iterator[tuple[int, str]]:
    """The docstrings and comments of `file`, each with its line."""
    for token in tokenize.generate_tokens(io.StringIO(file.read_text()).readline):
        if token.type == tokenize.COMMENT or token.string.startswith('"""'):
            yield token.start[0], token.string


def test_whatever_is_named_with_its_module_is_in_that_module() -> None:
    modules = defaultdict(list)
    for file in (PROJECT_ROOT / "incidents_dagster").rglob("*.py"):
        modules[file.stem].append(set(re.findall(r"\w+", file.read_text())))
    checked, gone = 0, []
    for folder in ("incidents_dagster", "incidents_dagster_tests", "fakes", "faults", "bench"):
        for file in (PROJECT_ROOT / folder).rglob("*.py"):
            for line, text in said(file):
                for module, name in NAMED.findall(text):
                    if module in modules and name not in modules:
                        checked += 1
                        if not any(name in names for names in modules[module]):
                            gone.append(f"{file.relative_to(PROJECT_ROOT)}:{line} {module}.{name}")
    assert checked
    assert not gone
