"""The walls between the packages: import-linter sees what climbs over one, and says which."""

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from incidents_dagster.ingestion.settings import PROJECT_ROOT

PACKAGES = ("incidents_dagster", "incidents_dagster_tests", "faults", "bench", "fakes", "reporting")
# The import → the contract that it breaks.
FORBIDDEN = {
    ("incidents_dagster/ingestion/rows/batches.py", "dagster"): (
        "ingestion and demo_api do not know Dagster"
    ),
    ("incidents_dagster/demo_api/app.py", "dagster_duckdb"): (
        "ingestion and demo_api do not know Dagster"
    ),
    ("incidents_dagster/ingestion/sync.py", "incidents_dagster.metadata"): (
        "ingestion and demo_api stand on their own"
    ),
    ("incidents_dagster/demo_api/stories.py", "incidents_dagster.ingestion.settings"): (
        "ingestion and demo_api stand on their own"
    ),
    ("incidents_dagster/assets.py", "incidents_dagster.demo_api.server"): (
        "Only ingestion.demo and the command line import the demo API"
    ),
    ("incidents_dagster/ingestion/rows/batches.py", "incidents_dagster.ingestion.reading.proof"): (
        "The layers of ingestion import downwards"
    ),
    ("incidents_dagster/ingestion/peek.py", "incidents_dagster.ingestion.sync"): (
        "The layers of ingestion import downwards"
    ),
    ("incidents_dagster/run.py", "fakes.web"): "Packages import downwards",
    ("faults/report.py", "incidents_dagster_tests.conftest"): "Packages import downwards",
    ("faults/report.py", "bench.report"): "Packages import downwards",
    ("bench/report.py", "faults.report"): "Packages import downwards",
    ("fakes/web.py", "faults.server"): "Packages import downwards",
    ("incidents_dagster_tests/test_assets.py", "faults.server"): (
        "Tests of the product import neither faults nor bench"
    ),
    ("incidents_dagster_tests/ingestion/conftest.py", "bench.server"): (
        "Tests of the product import neither faults nor bench"
    ),
    ("faults/judging/outcome.py", "faults.cases.http"): "No imports in a circle",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all packages, and of the contracts."""
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT_ROOT / package, copy / package, ignore=ignored)
    shutil.copy(PROJECT_ROOT / "pyproject.toml", copy)
    return copy


def broken(tree: Path) -> list[str]:
    """The names of the contracts that do not hold."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    names = [line.partition(" BROKEN")[0] for line in done.stdout.splitlines() if " BROKEN" in line]
    assert (done.returncode == 0) == (not names)
    return names


def test_every_wall_holds(tree: Path) -> None:
    assert broken(tree) == []


@pytest.mark.sample(4)
@pytest.mark.parametrize(("file", "imported"), FORBIDDEN)
def test_what_climbs_over_a_wall_is_seen(tree: Path, file: str, imported: str) -> None:
    module = tree / file
    before = module.read_text()
    module.write_text(f"{before}\nimport {imported}\n")
    try:
        assert FORBIDDEN[file, imported] in broken(tree)
    finally:
        module.write_text(before)


def test_no_test_module_imports_another() -> None:
    graph = grimp.build_graph("incidents_dagster_tests", cache_dir=None)
    tests = {name for name in graph.modules if name.rpartition(".")[2].startswith("test_")}
    assert len(tests) > 40
    assert [
        (importer, imported)
        for imported in sorted(tests)
        for importer in graph.find_modules_that_directly_import(imported)
    ] == []
