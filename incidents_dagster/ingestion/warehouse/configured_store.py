"""Which store the settings name.

A DuckDB file, at `INCIDENTS_DUCKDB_PATH` or in data/, unless `[warehouse]` has the `url` of a
PostgreSQL database.
"""

import os
from pathlib import Path
from typing import Any

import dlt

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.secrets.redaction import remember
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
from incidents_dagster.ingestion.warehouse.postgres import STORE, Server
from incidents_dagster.ingestion.warehouse.postgres_destination import MEMORY
from incidents_dagster.ingestion.warehouse.postgres_store import PostgresStore
from incidents_dagster.ingestion.warehouse.postgres_views import READ
from incidents_dagster.ingestion.warehouse.store import Store

POSTGRES = "postgresql://"
KEYS = ("url", "password")  # of [warehouse]


def configured_store() -> Store:
    """The store that the settings name: that of `[warehouse]`, or else a DuckDB file.

    The demo API's incidents are in a file, whatever is in `[warehouse]`.

    Raises:
        SettingsError: The settings are wrong, or it cannot have this name.
    """
    server, sources = _server(), _sources()
    if server is None or not has_api(sources):
        return FileStore(database_path())
    if taken := {*sources} & {STORE, MEMORY, READ}:
        raise SettingsError(
            f"A source in a shared store cannot be called {taken.pop()!r}, as DuckDB has that "
            "name for something else: give the source another one."
        )
    return PostgresStore(server, sources)


def _server() -> Server | None:
    """The server of `[warehouse]`; None if there is none."""
    section: dict[str, Any] = {
        **(dlt.config.get("warehouse") or {}),
        **(dlt.secrets.get("warehouse") or {}),
    }
    if unknown := {*section} - {*KEYS}:
        raise SettingsError(
            f"[warehouse] has no setting {unknown.pop()!r}: there are {', '.join(KEYS)}."
        )
    url, password = (str(dlt.secrets.get(f"warehouse.{n}") or section.get(n) or "") for n in KEYS)
    if not url:
        return None
    if not url.startswith(POSTGRES):
        raise SettingsError(
            f"warehouse.url must begin with {POSTGRES}, as in {POSTGRES}user@host:5432/database: "
            "change it in .dlt/config.toml, .dlt/secrets.toml or WAREHOUSE__URL."
        )
    server = Server(url, password)
    if not server.parts.get("dbname"):
        raise SettingsError(
            f"warehouse.url names no database: {POSTGRES}user@host:5432/database. Change it in "
            ".dlt/config.toml, .dlt/secrets.toml or WAREHOUSE__URL."
        )
    secret = {server.parts.get(name, "") for name in ("password", "sslpassword")}
    remember(*secret, os.environ.get("PGPASSWORD", ""))
    return server


def store_called(name: str) -> Store:
    """The store whose `Store.name` this is.

    Raises:
        SettingsError: It is a server that is not the configured one.
    """
    if not name.startswith(POSTGRES):
        return FileStore(Path(name))
    store = configured_store()
    if store.name != name:
        raise SettingsError(
            f"The rows are in {store.name} now, and no longer in {name}: reload the code location."
        )
    return store


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
