"""Reads `[sources.incidents]` from config.toml, secrets.toml and the environment as one dict.

`settings` says what it may contain.
"""

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.utils import update_dict_nested

from incidents_dagster.ingestion.errors import SettingsError

SECTION = "sources.incidents"
ENVIRONMENT_PREFIX = "SOURCES__INCIDENTS__"
# dlt casts what looks like a number, and a key may look like one.
NEVER_CAST = ("api_key", "token", "username", "password", "client_id", "client_secret")


def config_file() -> Path:
    """Where dlt looks for config.toml."""
    return Path(dlt.current.run_context().get_setting("config.toml"))


def where() -> str:
    """The place of a setting, for messages."""
    return f"[{SECTION}] of {config_file()}"


def has_api() -> bool:
    """Whether `client.base_url` is set: else the demo API is used. True if no one can tell."""
    try:
        client = read_section().get("client") or {}
    except SettingsError:
        return True
    return not isinstance(client, dict) or bool(client.get("base_url"))


def read_section() -> dict[str, Any]:
    """`[sources.incidents]`: config.toml, overridden by secrets.toml, then by the environment.

    dlt itself would take a table from the first file that has it.

    Raises:
        SettingsError: A file is not TOML, or a variable sets a part of what is not a table.
    """
    tree: dict[str, Any] = {}
    try:
        providers = dlt.config.config_providers
    except TomlProviderReadException as error:
        raise SettingsError(f"Not valid TOML: {error}") from None
    for provider in reversed(providers):
        value, _ = provider.get_value("incidents", dict, None, "sources")
        if isinstance(value, dict):
            update_dict_nested(tree, deepcopy(value))  # dlt returns its own
    for name in os.environ:
        if name.startswith(ENVIRONMENT_PREFIX):
            path = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            *parents, key = path
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
                if not isinstance(node, dict):
                    raise SettingsError(
                        f"{name}: {parent!r} in [{SECTION}] is not a table, so it cannot be set in "
                        "parts: give all of it as JSON."
                    )
            setting = ".".join([SECTION, *path])
            node[key] = os.environ[name] if key in NEVER_CAST else dlt.config[setting]
    return tree
