"""Tables of our own in a resource's configuration, beside what rest_api knows."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.json_paths import is_path, quoted
from incidents_dagster.ingestion.secrets.shown import shown
from incidents_dagster.ingestion.settings import Section, refusal
from incidents_dagster.ingestion.settings_files import Place

S = TypeVar("S", bound=Section)


def take_table(resource: dict[str, Any], key: str, place: Place) -> dict[str, Any] | None:
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
        raise SettingsError(f"{place / key} in {place.where} must be a table, {shown(value)}.")
    return {**value}


def validated(model: type[S], given: dict[str, Any], place: Place) -> S:
    """A table as settings; `place` is what messages call it.

    Raises:
        SettingsError: There is a wrong name or value in it.
    """
    try:
        return model.model_validate(given)
    except ValidationError as refused:  # `from None`, as the original would show values
        raise SettingsError(refusal(refused, model, place)) from None


def check_names(given: Iterable[str], known: Iterable[str], place: Place) -> None:
    """Refuses a name that is not `known`; `place` is what messages call the table.

    Raises:
        SettingsError: There is one.
    """
    for name in given:
        if name not in known:
            guess = get_close_matches(name, known, n=1)
            advice = f"did you mean {guess[0]!r}?" if guess else f"known are {', '.join(known)}."
            raise SettingsError(f"{place}.{name} in {place.where} is unknown: {advice}")


def paths_of(given: Any, place: Place) -> list[str]:
    """One JSONPath or several, with quotes where dlt needs them.

    Raises:
        SettingsError: It is something else; messages call it `place`.
    """
    paths = given if isinstance(given, list) else [given]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise SettingsError(
            f"{place} in {place.where} must be a JSONPath, or a list of them, {shown(given)}."
        )
    paths = [quoted(path) for path in paths]
    if wrong := [path for path in paths if not is_path(path)]:
        raise SettingsError(f"{place} in {place.where} is not a JSONPath: {shown(wrong[0])}.")
    return paths
