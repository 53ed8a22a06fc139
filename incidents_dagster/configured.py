"""What the commands say first: which APIs they use, and where the rows are.

Does not import Dagster.
"""

from collections.abc import Iterator

from incidents_dagster.ingestion.errors import IngestionError
from incidents_dagster.ingestion.presets import DEFAULT
from incidents_dagster.ingestion.settings import Settings, load_sources
from incidents_dagster.ingestion.warehouse.configured_store import configured_store


def configured() -> Iterator[str]:
    """The lines; if the settings of a source are wrong, its line says so.

    Raises:
        SettingsError: The DuckDB file cannot have this name.
    """
    try:
        sources = load_sources()
    except IngestionError as error:  # which sources there are
        yield f"API:      unknown ({error})"
    else:
        several = len(sources) > 1
        for name, settings in sources.items():
            api = _api(settings) if isinstance(settings, Settings) else f"unknown ({settings})"
            yield f"API:      {f'{name}: ' * several}{api}"
    yield f"Database: {configured_store().name}"


def _api(settings: Settings) -> str:
    api = settings.base_url or "demo API (no base_url is configured)"
    about = settings.section.about_preset()
    return f"{about.title}, {api}" if about and settings.preset != DEFAULT else api
