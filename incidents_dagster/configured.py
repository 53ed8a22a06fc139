"""What the commands say first: which API they use, and which DuckDB file.

Does not import Dagster.
"""

from collections.abc import Iterator

from incidents_dagster.ingestion.errors import IngestionError
from incidents_dagster.ingestion.presets import DEFAULT
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.settings_files import about_preset
from incidents_dagster.ingestion.warehouse.duckdb_file import database_path


def configured() -> Iterator[str]:
    """The lines; if the settings are wrong, the first one says so.

    Raises:
        SettingsError: The file cannot have this name.
    """
    try:
        settings = load_settings()
        api = settings.base_url or "demo API (no base_url is configured)"
        about = about_preset()
        if about and settings.preset != DEFAULT:
            api = f"{about.title}, {api}"
    except IngestionError as error:
        api = f"unknown ({error})"
    yield f"API:      {api}"
    yield f"Database: {database_path()}"
