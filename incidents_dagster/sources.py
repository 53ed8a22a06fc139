"""The configured sources, as Dagster's definitions need them.

A source whose settings are wrong has no assets, only a job that says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
from dlt.extract import DltSource

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.insight.sql_files import SCHEMA, sql_files
from incidents_dagster.loaded_settings import loaded_settings
from incidents_dagster.names import READ_COPY, REPORT, asset_key
from incidents_dagster.schedules import schedules_of

# Names of other assets: what they are.
OTHERS = {
    **dict.fromkeys(sql_files(), f"a table of {SCHEMA}"),
    REPORT: "the report",
    READ_COPY: "the copy for readers",
}


@dataclass(frozen=True)
class Source:
    """A source with valid settings.

    Attributes:
        settings: Those with which the code location was loaded.
        declared: Its resources, as from `declared_source`.
        tables: Resource name → its table.
        schedules: When its jobs run.
    """

    settings: Settings
    declared: DltSource
    tables: Mapping[str, Table]
    schedules: Sequence[dg.ScheduleDefinition]

    @classmethod
    def of(cls, settings: Settings) -> "Source":
        """The source with these settings.

        Raises:
            SettingsError: rest_api rejects them, or Dagster a cron; or a resource has the name of
                another asset.
        """
        declared = declared_source(settings)
        for name in settings.resource_names:
            if name in OTHERS and asset_key(settings.source, name) == dg.AssetKey(name):
                raise SettingsError(
                    f"The resource {name} in {settings.where('resources')} has the name of "
                    f'{OTHERS[name]}: give it another name, and `table_name = "{name}"` to keep '
                    "its table."
                )
        return cls(settings, declared, Table.all_of(declared), schedules_of(settings))

    @property
    def name(self) -> str:
        """Its name, which is also its schema in the store."""
        return self.settings.source

    @property
    def main(self) -> str:
        """Its first resource, which has the incidents."""
        return self.settings.main

    def key(self, asset: str) -> dg.AssetKey:
        """The key of one of its assets, such as that of a resource."""
        return asset_key(self.name, asset)

    @property
    def api(self) -> dg.AssetKey:
        """The asset that stands for its API."""
        return self.key("incident_api")

    @property
    def op(self) -> str:
        """The op that syncs it."""
        return f"{self.name}_dlt"

    @property
    def pool(self) -> str:
        """The pool that lets one run at a time sync it."""
        return f"{self.name}_duckdb"


def _sources() -> tuple[dict[str, Source], dict[str, SettingsError]]:
    right: dict[str, Source] = {}
    wrong: dict[str, SettingsError] = {}
    for name, settings in loaded_settings().items():
        try:
            if isinstance(settings, SettingsError):
                raise settings
            right[name] = Source.of(settings)
        except SettingsError as error:
            wrong[name] = error
    if not right:
        raise next(iter(wrong.values()))
    return right, wrong


# By their names: those that can sync, and what is wrong with the others.
SOURCES, WRONG = _sources()
# Whose owners and waiting are those of what belongs to all: the first one with right settings.
LEADING = next(iter(SOURCES.values()))
