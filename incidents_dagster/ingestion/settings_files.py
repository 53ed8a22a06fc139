"""Reads `[sources.incidents]` from config.toml, secrets.toml and the environment as one dict.

They lie over the preset that they name. `settings` says what may be in it.
"""

import os
import re
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.utils import update_dict_nested

from incidents_dagster.ingestion import presets
from incidents_dagster.ingestion.errors import SettingsError

SECTION = "sources.incidents"
NAMES = SECTION.split(".")
ALIKE = 0.88  # of 1: `source` and `incidnets` are; `incidents_db` may be another source's
TABLE = re.compile(r"^\s*\[+([^\]\n]+)\]", re.MULTILINE)
ENVIRONMENT_PREFIX = "SOURCES__INCIDENTS__"
# dlt casts what looks like a number, and a key may look like one.
NEVER_CAST = ("api_key", "token", "username", "password", "client_id", "client_secret")


def config_file() -> Path:
    """Where dlt looks for config.toml."""
    return Path(dlt.current.run_context().get_setting("config.toml"))


def where(setting: str = "") -> str:
    """The place of a setting, for messages: the variable or the file that sets it.

    Args:
        setting: Such as `client.headers`, or `resources[0].endpoint`; default: all of them.
    """
    path = setting.partition("[")[0].split(".")
    for length in range(len(path), 0, -1):
        variable = ENVIRONMENT_PREFIX + "__".join(path[:length]).upper()
        if variable in os.environ:
            return f"the environment variable {variable}"
    for provider, section in _sections():
        if _has(section, path):
            return f"[{SECTION}] of {_file_of(provider)}"
    place = f"[{SECTION}] of {config_file()}"
    preset = _preset(own_section()) if setting else presets.NONE
    vendors = preset.name != presets.DEFAULT and _has(preset.section, path)
    return f"{place}, by its preset {preset.name!r}" if vendors else place


def has_api() -> bool:
    """Whether `client.base_url` is set: else the demo API is used. True if no one can tell."""
    try:
        client = read_section().get("client") or {}
    except SettingsError:
        return True
    return not isinstance(client, dict) or bool(client.get("base_url"))


def check_section_names() -> None:
    """Looks for a misspelt `[sources.incidents]`, which dlt would ignore.

    Raises:
        SettingsError: A file or the environment has one.
    """
    tables = [
        (f"a table of {file}", found[1].split("."))
        for file in (config_file(), config_file().with_name("secrets.toml"))
        if file.is_file()
        for found in TABLE.finditer(file.read_text("utf-8", errors="replace"))
    ]
    variables = [("the environment", name.lower().split("__")) for name in os.environ]
    for place, parts in [*tables, *variables]:
        names = [part.strip(" \"'") for part in parts[:2]]
        if len(names) == len(NAMES) and names != NAMES and all(map(_alike, names, NAMES)):
            raise SettingsError(
                f"{'.'.join(names)} in {place} is not read: did you mean {SECTION}?"
            )


def _alike(name: str, right: str) -> bool:
    return bool(get_close_matches(name.lower(), [right], cutoff=ALIKE))


def read_section() -> dict[str, Any]:
    """`[sources.incidents]`: a preset, config.toml, secrets.toml, the environment, in this order.

    The later one counts.

    Raises:
        SettingsError: A file is not TOML, a variable sets a part of what is not a table, or there
            is no such preset.
    """
    own = own_section()
    return presets.with_own(_preset(own), own)


def about_preset() -> presets.About | None:
    """What the configured preset says about its API; None without one.

    Raises:
        SettingsError: See `read_section`.
    """
    preset = _preset(own_section())
    return preset.about if preset.name else None


def _preset(own: dict[str, Any]) -> presets.Preset:
    name = own.get("preset")
    if not name:
        return presets.NONE
    if not isinstance(name, str):
        raise SettingsError(f"preset in {where('preset')} must be a preset's name.")
    return presets.load(name, where("preset"))


def own_section() -> dict[str, Any]:
    """What files and environment have.

    dlt itself would take a table from the first file that has it.
    """
    tree: dict[str, Any] = {}
    for provider, section in reversed(_sections()):
        if not isinstance(section, dict):
            raise SettingsError(f"[{SECTION}] of {_file_of(provider)} must be a table.")
        update_dict_nested(tree, deepcopy(section))  # dlt returns its own
    for name in os.environ:
        if name.startswith(ENVIRONMENT_PREFIX):
            path = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            *parents, key = path
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
                if not isinstance(node, dict) or parent == "resources":
                    raise SettingsError(
                        f"{name}: {parent!r} in [{SECTION}] is not a table, so it cannot be set in "
                        "parts: give all of it as JSON."
                    )
            setting = ".".join([SECTION, *path])
            node[key] = os.environ[name] if key in NEVER_CAST else dlt.config[setting]
    return tree


def _sections() -> list[tuple[Any, Any]]:
    """dlt's providers that have a `[sources.incidents]`, with it; the first one overrides."""
    try:
        providers = dlt.config.config_providers
    except TomlProviderReadException as error:
        # Its text may hold a part of the file, and so a secret.
        files = [path for path in error.full_paths if Path(path).is_file()]
        place = re.search(r"line (\d+) col (\d+)", str(error))
        at = f", at line {place[1]}, column {place[2]}" if place else ""
        raise SettingsError(
            f"{' or '.join(files or error.full_paths)} is not valid TOML{at}. Texts need quotes, "
            "and no name may be there twice."
        ) from None
    found = [(p, p.get_value("incidents", dict, None, "sources")[0]) for p in providers]
    return [(provider, section) for provider, section in found if section is not None]


def _file_of(provider: Any) -> str:
    if not provider.name.endswith(".toml"):
        return str(provider.name).lower()  # the environment, or a vault
    return str(dlt.current.run_context().get_setting(provider.name))


def _has(section: Any, path: list[str]) -> bool:
    for part in path:
        if not isinstance(section, dict) or part not in section:
            return False
        section = section[part]
    return True
