"""What README and docs say, held against the code: commands, output, names, settings, examples."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from docs.settings_table import all_settings, rendered
from incidents_dagster.checks import OPTIONAL, checks_for
from incidents_dagster.definitions import defs
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.incidents_view import CHECK
from incidents_dagster.ingestion.reading.field_settings import COLUMNS, OWN_KEYS
from incidents_dagster.ingestion.reading.incremental import SUPPORTED
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.secrets.auth import SECRET_FIELDS
from incidents_dagster.ingestion.settings import PROJECT_ROOT, REST_API_KEYS, load_settings
from incidents_dagster.read_copy import CHECK as COPY_CHECK
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster.sources import SOURCES

README = (PROJECT_ROOT / "README.md").read_text()
PAGES = [
    f"docs/{name}.md"
    for name in (
        *("alerts", "architecture", "ask", "completeness", "deploy", "insight", "own_api"),
        *("reading", "report", "server"),
    )
]
ARCHITECTURE = (PROJECT_ROOT / "docs" / "architecture.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def first_cells(heading: str) -> set[str]:
    """The names in the first column of the table below `heading`'s row."""
    table = README[README.index(heading) :].split("\n\n")[0].splitlines()[2:]
    return {name for row in table for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def output_of(command: str) -> str:
    (block,) = (b for b in blocks("console") if b.startswith(f"$ {command}\n"))
    return block.split("\n", 1)[1]


def test_the_output_of_make_help_is_real() -> None:
    made = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert output_of("make help") == made.stdout


@pytest.mark.thorough
@pytest.mark.parametrize("command", ["run", "doctor"])
def test_the_output_of_a_command_is_real(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    for name in ("DLT_PROJECT_DIR", "DLT_DATA_DIR", "INCIDENTS_DUCKDB_PATH"):
        monkeypatch.delenv(name)
    made = subprocess.run(
        ["make", "--no-print-directory", command],
        cwd=checkout,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )

    def shape(output: str) -> str:
        output = re.sub(r"[~/][^ ]*/(data|.dlt)/", r"\1/", output)
        return re.sub(r"[\d,.]+", "0", output)

    assert shape(output_of(f"make {command}")) == shape(made.stdout)


def test_every_command_in_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):.*##", (PROJECT_ROOT / "Makefile").read_text(), re.M))
    contributing = (PROJECT_ROOT / "CONTRIBUTING.md").read_text()
    own = (PROJECT_ROOT / "docs" / "own_api.md").read_text()
    named = re.findall(r"(?:\$ |`|KEY=\.\.\. )make ([a-z0-9-]+)", README + contributing + own)
    assert {"run", "dev", "test", "help", "check"} <= set(named) <= targets


def test_the_tables_name_what_is_defined() -> None:
    repository = defs.get_repository_def()
    named = {
        *(key.path[-1] for key in repository.asset_graph.get_all_asset_keys()),
        *(job.name for job in repository.get_all_jobs() if not job.name.startswith("__")),
        *(schedule.name for schedule in repository.schedule_defs),
        *(sensor.name for sensor in repository.sensor_defs),
        "duckdb",
    }
    rows = README[README.index("| | name | |") :].split("\n\n")[0].splitlines()[2:]
    assert {row.split("|")[2].strip(" `") for row in rows} == named
    checks = checks_for(SOURCES["incidents"].tables["incident_data"])
    assert first_cells("| check | blocking |") == {*checks, *OPTIONAL, CHECK, COPY_CHECK}
    for check in checks.values():
        assert f"| `{check.name}` | {'yes' if check.blocking else 'no'} |" in README


def test_the_table_of_settings_is_what_make_docs_writes() -> None:
    assert rendered(README) == README, "README is stale: make docs"


def test_the_table_names_every_setting_and_its_default() -> None:
    documented = first_cells("| under `[sources.incidents]` |")
    assert documented == {name for name, _, _ in all_settings()} | set(REST_API_KEYS)
    for row in (
        "| `fetch_ahead` | 4 | pages ",
        "| `quarantine_share` | 0.1 | ",
        "| `allow_plain_http` | false | ",
        "| `freshness.warn_after_minutes` | 90 | ",
        '| `schedules.sync_cron` | `"0 * * * *"` | ',
        "| `webhook_url` | none | ",
    ):
        assert row in README


def test_the_table_of_incremental_is_complete() -> None:
    assert first_cells("| `endpoint.incremental` |") == set(SUPPORTED)


def test_the_table_of_fields_names_them_all() -> None:
    assert first_cells("| | |\n|---|---|\n| `fields`") == {*OWN_KEYS, "absent", "drop_where"}
    for column in COLUMNS:
        assert f"`{column}`" in README[README.index("### Fields") :]


def test_the_table_of_secrets_is_complete() -> None:
    for kind, fields in SECRET_FIELDS.items():
        assert f"| `{kind}` | {', '.join(f'`{field}`' for field in fields)} |" in README


@pytest.mark.parametrize("example", [block for block in blocks("toml") if "[sources" in block])
def test_the_examples_of_configuration_are_valid(
    example: str, write_config: Callable[[str], None]
) -> None:
    write_config(example)
    source = declared_source(load_settings())
    assert list(source.resources) == ["incident_data"]


def test_the_example_asset_runs(
    api: DemoServer, sync: Callable[[], dg.ExecuteInProcessResult], database: Path
) -> None:
    sync()
    names: dict[str, Any] = {}
    exec("\n".join(blocks("python")), names)
    reads, writes = names["open_incidents"], names["incidents_per_day"]
    assert writes.op.pool == SOURCES["incidents"].pool
    result = dg.materialize(
        [reads, writes], resources={"duckdb": IncidentsDuckDB(database=str(database))}
    )
    (materialized,) = result.asset_materializations_for_node("open_incidents")
    assert materialized.metadata["open"].value == 250
    with duckdb.connect(str(database), read_only=True) as connection:
        (counted,) = connection.execute(
            "SELECT sum(incidents) FROM mine.incidents_per_day"
        ).fetchall()
    assert counted == (250,)


def test_links_lead_somewhere() -> None:
    for file in ["README.md", "CONTRIBUTING.md", *PAGES]:
        text = (PROJECT_ROOT / file).read_text()
        for target in re.findall(r"\]\(([^)#]+)", text):
            if not target.startswith("http"):
                assert (PROJECT_ROOT / file).parent.joinpath(target).exists(), (file, target)


def test_the_ten_questions_have_an_answer_that_the_listing_names() -> None:
    table = ARCHITECTURE[ARCHITECTURE.index("## Where would I change") :].split("\n\n")[1]
    answers = [row.split("|")[2].strip() for row in table.splitlines()[2:]]
    assert len(answers) == 10
    for answer in answers:
        (path,) = re.findall(r"^`([^`]+)`$", answer)
        assert (PROJECT_ROOT / path).is_file(), path


def test_the_architecture_page_names_every_module() -> None:
    package = PROJECT_ROOT / "incidents_dagster"
    for module in package.rglob("[!_]*.py"):
        if "demo_api" not in module.parts:
            assert f"`{module.stem}`" in ARCHITECTURE or module.name in ARCHITECTURE, module
