"""Which store the settings name: a DuckDB file, at `INCIDENTS_DUCKDB_PATH` or in data/."""

import os
from pathlib import Path

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.settings import PROJECT_ROOT
from incidents_dagster.ingestion.settings_files import has_api, source_names
from incidents_dagster.ingestion.tables import FIRST, staging_of
from incidents_dagster.ingestion.warehouse.duckdb_file import (
    DEMO_FILE,
    OWN_FILE,
    catalog,
    read_copy_path,
    real,
)
from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster.ingestion.warehouse.store import Store


def configured_store() -> Store:
    """The store that the settings name.

    Raises:
        SettingsError: It cannot have this name.
    """
    return FileStore(database_path())


def store_called(name: str) -> Store:
    """The store whose `Store.name` this is."""
    return FileStore(Path(name))


def database_path() -> Path:
    """The DuckDB file: `INCIDENTS_DUCKDB_PATH`, else one in data/, which the demo API has alone.

    A relative path counts from the project root, whatever the current directory.

    Raises:
        SettingsError: The file's catalog in DuckDB would have the same name as a schema, or the
            path contains a quote.
    """
    sources = _sources()
    given = os.environ.get("INCIDENTS_DUCKDB_PATH", "")
    given = given or (OWN_FILE if has_api(sources) else DEMO_FILE)
    path = PROJECT_ROOT / Path(given).expanduser()
    copy = read_copy_path(path)
    for source in sources:
        catalogs = {catalog(file).lower() for file in (path, real(path), copy)}
        if catalogs & {source, staging_of(source)} or "'" in str(path):
            raise SettingsError(
                f"INCIDENTS_DUCKDB_PATH={given}: DuckDB names its catalog after the file, which, "
                f"as that of its copy for readers ({copy.name}), must differ from "
                f"the schemas {source} and {staging_of(source)}, and dlt allows no quote in it. "
                "Give the file, or the source, another name."
            )
    return path


def _sources() -> list[str]:
    try:
        return source_names()
    except SettingsError:  # said elsewhere
        return [FIRST]
