"""JSONPaths of the configuration: whether dlt can parse them, and names in another script."""

from collections.abc import Iterable
from typing import Any

from dlt.common import jsonpath
from jsonpath_ng.exceptions import JSONPathError

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.refusals import refused
from incidents_dagster.ingestion.settings_files import Place


def check_paths(settings: dict[str, Any], names: Iterable[str], prefix: str, place: Place) -> None:
    """Quotes names in another script in the JSONPaths among `settings`, in place.

    Raises:
        SettingsError: dlt cannot parse one; it is called by `prefix` and its name.
    """
    for name in names:
        path = settings.get(name)
        if not isinstance(path, str) or (not path and name != "data_selector"):
            continue
        settings[name] = quoted(path)
        if not is_path(settings[name]):
            raise SettingsError(refused(f"{prefix}{name} {path[:40]!r} is not a JSONPath", place))


def quoted(path: Any) -> Any:
    """A JSONPath with quotes around names in another script, without which dlt cannot parse it."""
    if not isinstance(path, str) or path.isascii() or is_path(path):
        return path
    parts = (part.partition("[") for part in path.split("."))  # a name, and perhaps `[*]`
    return ".".join(
        f"{name if name.isascii() else repr(name)}{bracket}{rest}" for name, bracket, rest in parts
    )


def is_path(path: str) -> bool:
    """Whether dlt can parse a JSONPath."""
    try:
        jsonpath.compile_path(path)
    except JSONPathError:
        return False
    return True
