"""Tables of our own in a resource's configuration, beside what rest_api knows."""

from typing import Any

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.secrets.shown import shown
from incidents_dagster.ingestion.settings_files import where


def take_table(resource: dict[str, Any], key: str, place: str) -> dict[str, Any] | None:
    """Removes `key` from a resource; a copy of its table, None if it is missing or false.

    Args:
        resource: In rest_api's form, with keys of ours; changed in place.
        key: Such as `windows`. With false, a preset's table is left out.
        place: What messages call the resource, such as `resources[0]`.

    Raises:
        SettingsError: It is no table.
    """
    value = resource.pop(key, None)
    if value is None or value is False:
        return None
    if not isinstance(value, dict):
        raise SettingsError(
            f"{place}.{key} in {where('resources')} must be a table, {shown(value)}."
        )
    return {**value}
