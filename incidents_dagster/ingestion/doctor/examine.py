"""The examination from beginning to end, the cheapest question first."""

from incidents_dagster.ingestion.demo import configured_or_demo
from incidents_dagster.ingestion.doctor.extent import Extent
from incidents_dagster.ingestion.doctor.filters import look_at_filter
from incidents_dagster.ingestion.doctor.findings import Diagnosis, Level
from incidents_dagster.ingestion.doctor.looks import Looks
from incidents_dagster.ingestion.doctor.probe import MOST_PAGES, Probe, open_probe
from incidents_dagster.ingestion.doctor.record import sample
from incidents_dagster.ingestion.doctor.setup import (
    look_at_network,
    look_at_secrets,
    look_at_settings,
    look_at_store,
)
from incidents_dagster.ingestion.errors import MovedError, SettingsError, cause_of
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.reading.source import declared_source, open_api
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.tables import FIRST


def examine(source: str = FIRST) -> Diagnosis:
    """Examines the API of a source; one check that fails stops only those that need it."""
    found = Diagnosis()
    try:
        settings = load_settings(source)
        declared_source(settings)
    except SettingsError as error:
        found.add(Level.FAIL, "settings", str(error))
        return found
    found.configured = True
    look_at_settings(settings, found)
    with configured_or_demo(settings) as asked:
        if settings.base_url:
            look_at_secrets(asked, found)
        if not found.why_unproven and _can_open(asked, found) and look_at_network(asked, found):
            _look_at_api(asked, found)
    look_at_store(source, found)
    return found


def _can_open(settings: Settings, found: Diagnosis) -> bool:
    """Whether secrets and paginator fit, and no secret would go over plain http."""
    try:
        with open_api(settings, lambda _: None):
            return True
    except SettingsError as error:
        found.add(Level.FAIL, "settings", str(error))
        return False


def _look_at_api(settings: Settings, found: Diagnosis) -> None:
    try:
        with open_probe(settings) as probe:
            try:
                _look(probe, settings, found)
            finally:
                found.requests = probe.requests
    except Exception as error:
        moved = cause_of(error, MovedError)
        found.add(Level.FAIL, "list", explain(error), moved.advice if moved else "")


def _look(probe: Probe, settings: Settings, found: Diagnosis) -> None:
    about = settings.section.about_preset()
    # The exchange of a key for a token is a request, too, and shows the same.
    if about and about.verify and "access_token_url" not in str(settings.api["client"].get("auth")):
        try:
            probe.verify(about.verify)
        except Exception as error:
            found.add(Level.FAIL, "key", explain(error))
            return
        found.add(Level.OK, "key", "The API accepts it.")
    walk = probe.walk(pages=MOST_PAGES)
    found.add(Level.OK, "list", f"The API sends it: {len(walk.responses)} pages were read.")
    looks = Looks(probe, walk, settings, found)
    found.sample = sample(walk.responses, looks.statuses())
    looks.at_records()
    looks.at_columns()
    looks.at_times()
    looks.at_statuses()
    extent = Extent(probe, walk, settings, found)
    extent.look_at_end()
    extent.look_at_limits()
    if not found.why_unproven:
        look_at_filter(probe, looks, found)
