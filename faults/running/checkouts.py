"""A copy of the project, for commands to run in as users run them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from faults.running.project import AMBIENT, ROOT

COPIED = ("incidents_dagster", ".dlt", "dagster.yaml", "workspace.yaml", "pyproject.toml")
SECONDS = 120
SYNCS = (
    "from incidents_dagster.ingestion.settings import load_settings\n"
    "from incidents_dagster.ingestion.sync import run_sync\n"
    "for _ in range({}):\n    run_sync(load_settings({!r}), lambda _: None)\n"
)


class Checkout:
    """The copy, as a context manager.

    Args:
        folder: To make it in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"

    def __enter__(self) -> "Checkout":
        self.folder.mkdir()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                hidden = shutil.ignore_patterns("secrets.toml", "__pycache__")
                shutil.copytree(source, self.folder / name, ignore=hidden)
            else:
                shutil.copy(source, self.folder / name)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *arguments: str, cwd: Path | None = None, **environment: str) -> str:
        """Runs `python -m incidents_dagster` with arguments; what it prints."""
        return self._python(["-m", "incidents_dagster", *arguments], cwd, environment)

    def syncs(self, count: int, source: str, **environment: str) -> str:
        """So many syncs of a source in a row; what they print."""
        return self._python(["-c", SYNCS.format(count, source)], None, environment)

    def newest_database(self) -> Path:
        """The DuckDB file that was written to last."""
        found = self.folder.glob("data/**/*.duckdb")
        files = [file for file in found if not file.stem.endswith(".read")]  # the copy for readers
        return max(files, key=lambda file: file.stat().st_mtime)

    def readable_by_others(self) -> list[str]:
        """What below data/ is not private to its user."""
        data = self.folder / "data"
        return [
            str(path.relative_to(self.folder))
            for path in (data, *data.rglob("*"))
            if path.stat().st_mode & 0o077
        ]

    def _python(self, arguments: list[str], cwd: Path | None, given: dict[str, str]) -> str:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(AMBIENT)}
        done = subprocess.run(
            [sys.executable, *arguments],
            check=False,
            cwd=cwd or self.folder,
            env={**kept, "PYTHONPATH": str(self.folder), **given},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        return done.stdout + done.stderr
