"""Which store the settings name.

A DuckDB file, at `INCIDENTS_DUCKDB_PATH` or in data/, unless `[warehouse]` has the `url` of a
PostgreSQL database.
"""

import os
from collections.abc import Iterable
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
from incidents_dagster.ingestion.warehouse.move import Ends
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
    _refuse_names(sources)
    return PostgresStore(server, sources)


def ends_of_move(to: str) -> Ends:
    """From the configured store to another one, which is of the other kind.

    Args:
        to: The address of a database, or the path of a file, relative to the project root.

    Raises:
        SettingsError: It is of the same kind, or cannot be a store; or the settings are wrong.
    """
    sources, server = source_names(), _server()
    if not has_api(sources):
        raise SettingsError(
            "No API is configured, and the incidents of the demo API stay in their file: "
            "configure one (make init, or client.base_url), then move."
        )
    if not to:
        raise SettingsError(
            f"--to is empty: give it a database, {POSTGRES}user@host:5432/database, or the path "
            "of a DuckDB file (make move TO=...)."
        )
    if "://" not in to:
        if server is None:
            raise SettingsError(
                f"The rows are in a file already, {database_path()}: copy that while nothing "
                "syncs, and set INCIDENTS_DUCKDB_PATH. To move out of a PostgreSQL database, set "
                "WAREHOUSE__URL to it."
            )
        return Ends(_file(to, sources, "--to"), server, True, sources)
    if server is not None:
        raise SettingsError(
            f"The rows are in a PostgreSQL database already, {server.name}: use pg_dump. To move "
            "out of a file, unset WAREHOUSE__URL, or url in [warehouse] of .dlt/config.toml."
        )
    _refuse_names(sources)
    _, password = _given()
    return Ends(database_path(), _checked(to, password, "--to"), False, sources)


def _refuse_names(sources: Iterable[str]) -> None:
    if taken := {*sources} & {STORE, MEMORY, READ}:
        raise SettingsError(
            f"A source in a shared store cannot be called {taken.pop()!r}, as DuckDB has that "
            "name for something else: give the source another one."
        )


def _server() -> Server | None:
    """The server of `[warehouse]`; None if there is none."""
    url, password = _given()
    return _checked(url, password, "warehouse.url") if url else None


def _given() -> list[str]:
    """The settings `KEYS` of `[warehouse]`; an empty text for one that is not set."""
    section: dict[str, Any] = {
        **(dlt.config.get("warehouse") or {}),
        **(dlt.secrets.get("warehouse") or {}),
    }
    if unknown := {*section} - {*KEYS}:
        raise SettingsError(
            f"[warehouse] has no setting {unknown.pop()!r}: there are {', '.join(KEYS)}."
        )
    return [str(dlt.secrets.get(f"warehouse.{n}") or section.get(n) or "") for n in KEYS]


def _checked(url: str, password: str, setting: str) -> Server:
    where = "" if setting == "--to" else " in .dlt/config.toml, .dlt/secrets.toml or WAREHOUSE__URL"
    if not url.startswith(POSTGRES):
        raise SettingsError(
            f"{setting} must begin with {POSTGRES}, as in {POSTGRES}user@host:5432/database: "
            f"change it{where}."
        )
    server = Server(url, password, setting)
    if not server.parts.get("dbname"):
        raise SettingsError(
            f"{setting} names no database: {POSTGRES}user@host:5432/database. Change it{where}."
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
    return _file(given, sources, "INCIDENTS_DUCKDB_PATH")


def _file(given: str, sources: Iterable[str], setting: str) -> Path:
    path = PROJECT_ROOT / Path(given).expanduser()
    copy = read_copy_path(path)
    for source in sources:
        catalogs = {catalog(file).lower() for file in (path, real(path), copy)}
        if catalogs & {source, staging_of(source)} or "'" in str(path):
            raise SettingsError(
                f"{setting}={given}: DuckDB names its catalog after the file, which, "
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
