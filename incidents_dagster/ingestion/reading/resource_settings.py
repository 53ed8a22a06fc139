"""What a resource has beside rest_api's keys: `ResourceSettings`.

Except its fields, which become hints of columns: see `field_settings`.
"""

from dataclasses import dataclass
from typing import Any

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.incremental import Incremental
from incidents_dagster.ingestion.reading.json_paths import check_paths
from incidents_dagster.ingestion.reading.own_tables import paths_of, take_table, validated
from incidents_dagster.ingestion.reading.still_open import StillOpen, take_still_open
from incidents_dagster.ingestion.reading.windows import Windows, take_windows
from incidents_dagster.ingestion.rows.paths import ANY, DropWhere, as_text
from incidents_dagster.ingestion.secrets.shown import shown
from incidents_dagster.ingestion.settings import Completeness, Settings
from incidents_dagster.ingestion.settings_files import Place, SourceSection
from incidents_dagster.ingestion.tables import Table

TOTAL_AND_MORE = ("total_path", "more_path")


@dataclass(frozen=True)
class ResourceSettings:
    """What one resource has beside rest_api's keys.

    Attributes:
        completeness: Where its responses say how many records there are.
        drop_where: Which records are left out; None: none.
        still_open: How to ask again for what is open; None: it need not be asked for.
        windows: The windows of time that it is read in; None: it is read at once.
    """

    completeness: Completeness
    drop_where: DropWhere | None = None
    still_open: StillOpen | None = None
    windows: Windows | None = None

    def check(self, name: str, table: Table, incremental: Incremental | None) -> None:
        """Checks whether `still_open` and `windows` go together with the rest of the resource.

        Args:
            name: The resource.
            table: Its table.
            incremental: How it is read incrementally, if it is.

        Raises:
            SettingsError: They do not.
        """
        place = Place("resources", SourceSection(table.schema))
        if asks := self.still_open:
            if unknown := asks.columns - {*table.primary_key}:
                raise SettingsError(
                    f"{name}: still_open.path in {place.where} has {{{min(unknown)}}}, "
                    "which is no column of the primary key."
                )
            if not incremental or "phase" not in table.declared:
                raise SettingsError(
                    f"{name}: still_open in {place.where} needs endpoint.incremental, and "
                    "phases, which say which statuses are open."
                )
        if self.windows:
            if not incremental or not incremental.takes_an_end:
                raise SettingsError(
                    f"{name}: windows in {place.where} need endpoint.incremental with an "
                    "end_param, or with {incremental.end_value} in endpoint.params."
                )
            column = incremental.column
            if table.declared.get(column, {}).get("data_type") != "timestamp":
                raise SettingsError(
                    f"{name}: windows in {place.where} need a cursor of times: set fields."
                    f"{column}, or columns.{column}.data_type to timestamp."
                )


def take_own(api: dict[str, Any], settings: Settings) -> dict[str, ResourceSettings]:
    """Removes from the resources what rest_api does not know; resource name → what it says.

    Args:
        api: rest_api's configuration with keys of ours, changed in place.
        settings: Those of the source.

    Raises:
        SettingsError: There is a wrong name or value.
    """
    common, section = settings.completeness, settings.section
    place = Place("completeness", section)
    check_paths(common.model_dump(), TOTAL_AND_MORE, "completeness.", place)
    found = {}
    for number, resource in enumerate(api["resources"]):
        place = Place(f"resources[{number}]", section)
        _drop_description(resource, place)
        found[str(resource["name"])] = ResourceSettings(
            _take_completeness(resource, place, common),
            _take_drop_where(resource, place),
            take_still_open(resource, place),
            take_windows(resource, place),
        )
    return found


def _drop_description(resource: dict[str, Any], place: Place) -> None:
    """Removes what `Settings.description_of` has for the asset."""
    if not isinstance(given := resource.pop("description", ""), str):
        raise SettingsError(f"{place}.description in {place.where} must be text, {shown(given)}.")


def _take_completeness(
    resource: dict[str, Any], place: Place, common: Completeness
) -> Completeness:
    given = take_table(resource, "completeness", place)
    if not given:
        return common
    place = place / "completeness"
    own = validated(Completeness, {**common.model_dump(), **given}, place)
    check_paths(own.model_dump(), TOTAL_AND_MORE, "", place)
    return own


def _take_drop_where(resource: dict[str, Any], place: Place) -> DropWhere | None:
    given = take_table(resource, "drop_where", place) or {}
    place = place / "drop_where"
    values = {}
    for path, dropped in given.items():
        several = dropped if isinstance(dropped, list) else [dropped]
        if not all(isinstance(one, (str, int, bool)) for one in several):
            raise SettingsError(
                f"{place}.{path} in {place.where} must be a value, a list of values, or "
                f'"{ANY}" for any, {shown(dropped)}.'
            )
        (checked,) = paths_of(path, place)
        values[checked] = [*map(as_text, several)]
    return DropWhere(values) if values else None
