"""Traps of dlt: where it looks for settings, and what it does with its working folder.

What a red test means stands in test_traps.py.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from json import JSONDecodeError
from pathlib import Path

import dlt
import pytest
from dlt.common.configuration.exceptions import ValueNotSecretException
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.rest_api import rest_api_source

from fakes.configuration import written_out
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import PROJECT_ROOT, load_settings
from incidents_dagster.ingestion.sync import open_sync
from incidents_dagster_tests.upstream import OFFSET, ask, error_of, pipeline_into, source_of

pytestmark = pytest.mark.thorough


def said_by_python(code: str, folder: Path, **environment: str) -> str:
    """What `code` prints in a process of its own, with `folder` as the current directory."""
    folder.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name != "DLT_PROJECT_DIR"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(PROJECT_ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()


def test_dlt_looks_for_its_settings_in_the_current_directory(tmp_path: Path) -> None:
    """From any other directory than the project's, dlt finds no settings and says nothing.
    `incidents_dagster.__init__` sets DLT_PROJECT_DIR because of this."""
    code = "import dlt; print(dlt.config.get('sources.incidents.preset'))"
    assert said_by_python(code, tmp_path / "elsewhere") == "None", (
        "The search for .dlt/ is mended upstream: delete DLT_PROJECT_DIR in "
        "incidents_dagster/__init__.py, if dlt finds the project's."
    )

    ours = said_by_python(f"import incidents_dagster; {code}", tmp_path / "elsewhere")
    assert ours == "default"


def test_a_relative_database_counts_from_the_current_directory(tmp_path: Path) -> None:
    """dlt resolves a DuckDB path against the current directory, not against its project.
    `configured_store.database_path` makes it absolute because of this."""
    code = (
        "import dlt; pipeline = dlt.pipeline('traps', destination=dlt.destinations.duckdb('x.db'));"
        "print(pipeline.destination_client().config.credentials.database)"
    )
    elsewhere = tmp_path / "elsewhere"
    path = elsewhere / said_by_python(code, elsewhere, DLT_PROJECT_DIR=str(tmp_path))
    assert path.parent.resolve() == elsewhere.resolve(), (
        "The place of a relative database is mended upstream: delete `PROJECT_ROOT /` in "
        "configured_store.database_path, if dlt counts from the project."
    )


def test_dlt_refuses_a_database_named_in_config_toml(
    database: Path, write_config: Callable[[str], None]
) -> None:
    """A path to a database is a secret to dlt, and config.toml may hold none.
    `configured_store.database_path` has a variable of its own because of this."""
    write_config(f'[destination.duckdb]\ncredentials = "{database}"\n')
    error = error_of(
        lambda: dlt.pipeline("traps", destination="duckdb").destination_client(),
        "The refusal of a path in config.toml is mended upstream: delete INCIDENTS_DUCKDB_PATH "
        "and leave the path to [destination.duckdb].",
    )
    assert isinstance(error, ValueNotSecretException)


def test_dlt_takes_a_table_from_the_first_file_that_has_it(tmp_path: Path) -> None:
    """A table in secrets.toml hides the one of the same name in config.toml whole.
    `settings_files.SourceSection` merges them because of this."""
    (tmp_path / ".dlt" / "secrets.toml").write_text('[sources.incidents]\nwebhook_url = "x"\n')
    dlt.current.run_context().reload()
    assert list(dlt.secrets["sources.incidents"]) == ["webhook_url"], (
        "The hiding of tables is mended upstream: delete the loop over providers in "
        "settings_files.SourceSection."
    )

    settings = load_settings()
    assert (settings.webhook_url, settings.resource_names) == ("x", ["incident_data"])


def test_the_environment_does_not_reach_into_a_table(
    monkeypatch: pytest.MonkeyPatch, write_config: Callable[[str], None]
) -> None:
    """dlt asks the environment for a single value first, but gives a table as the file has it.
    `settings_files.SourceSection` puts the environment on top because of this."""
    write_config(written_out())
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", "https://api.example.com")
    assert dlt.config["sources.incidents.client.base_url"] == "https://api.example.com"
    assert "base_url" not in dlt.config["sources.incidents.client"], (
        "Tables without the environment are mended upstream: delete the loop over os.environ in "
        "settings_files.SourceSection."
    )

    assert load_settings().base_url == "https://api.example.com"


def test_a_secret_that_is_missing_raises_when_the_source_is_built() -> None:
    """rest_api wants the secret of its auth at once, so that a module that builds a source cannot
    be imported without it. `source.declared_source` takes the auth out because of this."""
    settings = load_settings()
    client = {**settings.api["client"], "base_url": "https://api.example.com"}
    # `phases` is this project's own.
    resources = [
        {name: value for name, value in resource.items() if name != "phases"}
        for resource in settings.api["resources"]
    ]
    error = error_of(
        lambda: rest_api_source({**settings.api, "client": client, "resources": resources}),
        "The early look-up of secrets is mended upstream: delete the loop over auths in "
        "source.declared_source.",
    )
    assert "api_key" in str(error)

    assert list(declared_source(settings).resources) == ["incident_data"]


def test_a_wrong_data_type_is_found_only_when_records_arrive(
    api: DemoServer, database: Path
) -> None:
    """rest_api takes any text for a column's `data_type`; the sync fails on it, after its first
    request. `source._build` computes every table's schema before because of this."""
    source = source_of(api, {"paginator": OFFSET}, columns={"id": {"data_type": "txt"}})
    error = error_of(lambda: pipeline_into(database).run(source), "dlt loads a type called txt.")
    assert "txt" in str(error)
    assert len(api.requests) == 1, (
        "Late looks at data types are mended upstream: delete that loop in source._build."
    )

    settings = deepcopy(load_settings())
    settings.api["resources"][0]["columns"]["id"]["data_type"] = "txt"
    assert "txt" in str(error_of(lambda: declared_source(settings), "We take a type called txt."))


def test_dlt_reports_home_unless_told_otherwise() -> None:
    """Telemetry is on by default. .dlt/config.toml turns it off because of this."""
    assert RuntimeConfiguration().dlthub_telemetry, (
        "The telemetry is mended upstream: delete dlthub_telemetry in .dlt/config.toml."
    )

    assert dlt.config["runtime.dlthub_telemetry"] is False


def test_a_pipeline_reads_its_working_folder_as_soon_as_it_is_declared(database: Path) -> None:
    """A damaged state.json, as a full disk leaves it, makes `dlt.pipeline()` raise, and a module
    that calls it cannot be imported. `assets` declares its pipeline in an empty folder for that."""
    pipeline = pipeline_into(database)
    pipeline.run([{"id": 1}], table_name="items")
    Path(pipeline.working_dir, "state.json").write_text("{")
    error = error_of(
        lambda: pipeline_into(database),
        "The reading of the working folder is mended upstream: delete the TemporaryDirectory in "
        "assets; any folder will do.",
    )
    assert isinstance(error, JSONDecodeError)


# The logger that dlt warns with is about to go from Python.
@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
def test_a_killed_sync_is_loaded_in_place_of_the_next(database: Path) -> None:
    """dlt loads what a killed process had prepared, and ignores the data it was called with.
    `sync.open_sync` starts from an empty working folder because of this."""
    pipeline_into(database).run([{"id": 1}], table_name="items")
    killed = pipeline_into(database)
    killed.extract([{"id": 2}], table_name="items")
    killed.normalize()

    pipeline_into(database).run([{"id": 3}], table_name="items")
    assert ask(database, "SELECT id FROM traps.items ORDER BY id") == [1, 2], (
        "The precedence of pending packages is mended upstream: delete the first rmtree in "
        "sync.open_sync."
    )


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_what_others_may_put_into_the_working_folder_is_unpickled(
    api: DemoServer, database: Path, tmp_path: Path
) -> None:
    """dlt unpickles its last trace, which runs whatever the pickle says, from a folder that
    follows the umask. `sync.open_sync` makes its folder private because of this."""
    mended = "is mended upstream: delete the mode in sync.open_sync."
    before = os.umask(0o002)
    try:
        pipeline_into(database).run([{"id": 1}], table_name="items")
        with open_sync(load_settings(), report=print) as sync:
            ours = Path(sync.pipeline.pipelines_dir).stat().st_mode
    finally:
        os.umask(before)
    working_folder = Path(pipeline_into(database).working_dir)
    assert working_folder.stat().st_mode & 0o022, f"The umask's say {mended}"

    (working_folder / "trace.pickle").write_bytes(pickle.dumps(Payload(tmp_path / "planted")))
    _ = pipeline_into(database).last_trace
    assert (tmp_path / "planted").exists(), f"The unpickling of the trace {mended}"

    assert ours & 0o077 == 0
