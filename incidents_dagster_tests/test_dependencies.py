"""What the package imports, held against what pyproject.toml declares."""

import ast
import importlib
import sys
from importlib.metadata import packages_distributions

import dagster_dlt
import pytest
import tomlkit
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from incidents_dagster import embedded_elt
from incidents_dagster.ingestion.settings import PROJECT_ROOT

SHARED = {"psycopg2", "psycopg2-binary"}  # of the extra, imported where a shared store is used
COMMANDS = {"dagster-webserver"}  # needed by name, imported by nothing of ours


def imported() -> set[str]:
    """The distributions of all modules that the package imports, wherever in its files."""
    modules = set()
    for file in (PROJECT_ROOT / "incidents_dagster").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.split(".")[0])
    modules -= {*sys.stdlib_module_names, "incidents_dagster"}
    # One that is not installed is called like its module.
    installed = packages_distributions()
    return {canonicalize_name(installed.get(module, [module])[0]) for module in modules}


def declared() -> set[str]:
    """The names in pyproject.toml's dependencies."""
    project = tomlkit.parse((PROJECT_ROOT / "pyproject.toml").read_text()).unwrap()["project"]
    return {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    assert imported() - SHARED | COMMANDS == declared()


def test_dagster_dlt_alone_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dagster_embedded_elt", "dagster_embedded_elt.dlt"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    alone = importlib.reload(embedded_elt)
    for name in alone.__all__:
        assert getattr(alone, name) is getattr(dagster_dlt, name)
