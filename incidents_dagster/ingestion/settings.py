"""`[sources.incidents]` of .dlt/config.toml, and where the DuckDB file is.

Reads and checks what this project adds; what belongs to rest_api is checked by dlt when
`source` is built. No secret is read here.
"""

import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dlt
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.utils import update_dict_nested

from incidents_dagster.ingestion.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parents[2]
SECTION = "sources.incidents"
ENVIRONMENT_PREFIX = "SOURCES__INCIDENTS__"
# dlt casts what looks like a number, and a key may look like one.
NEVER_CAST = ("api_key", "token", "username", "password", "client_id", "client_secret")
REST_API_KEYS = ("client", "resource_defaults", "resources")

# setting → default, which tells its type too. A whole number's least value is 0 or 1, as it is;
# a number below 1 is a share, from 0 to 1.
OWN_SETTINGS: dict[str, Any] = {
    "fetch_ahead": 4,
    "requests_per_minute": 0,
    "max_minutes": 60,
    "allow_plain_http": False,
    "completeness": {"total_path": "total", "more_path": "more", "overlap_pages": True},
    "quarantine_share": 0.1,
    "deleted_share": 0.5,
    "freshness": {
        "warn_after_minutes": 90.0,
        "fail_after_minutes": 180.0,
        "newest_within_hours": 168.0,
    },
    "change_sensor": {"interval_seconds": 60.0, "params": {}},
    "webhook_url": "",
}


@dataclass(frozen=True)
class Settings:
    """What the user configured.

    Attributes:
        api: rest_api's configuration: `client`, `resource_defaults`, `resources`.
        own: this project's settings, in the shape of `OWN_SETTINGS`, defaults filled in.
    """

    api: dict[str, Any]
    own: dict[str, Any]

    @property
    def base_url(self) -> str:
        """The API's address; empty while the demo API is used."""
        return str(self.api["client"].get("base_url") or "")

    @property
    def resource_names(self) -> list[str]:
        """Names of the configured resources, in their order; the first is the main one."""
        return [r if isinstance(r, str) else str(r["name"]) for r in self.api["resources"]]


def config_file() -> Path:
    """Where dlt looks for config.toml."""
    return Path(dlt.current.run_context().get_setting("config.toml"))


def load_settings() -> Settings:
    """Reads `[sources.incidents]`: config.toml, then secrets.toml, then the environment on top.

    Raises:
        SettingsError: Nothing there, an unknown name, or a value of the wrong type.
    """
    tree = _layers()
    where = f"[{SECTION}] of {config_file()}"
    if not tree.get("resources"):
        raise SettingsError(f"No resources in {where}: at least one [[{SECTION}.resources]].")
    for key in tree:
        _known(key, [*REST_API_KEYS, *OWN_SETTINGS], where)
    api = {"client": {}, **{key: tree[key] for key in REST_API_KEYS if key in tree}}
    for key, kind in {"client": dict, "resource_defaults": dict, "resources": list}.items():
        if not isinstance(api.get(key, kind()), kind):
            raise SettingsError(f"{key} in {where} must be a {kind.__name__}, as in rest_api.")
    for number, resource in enumerate(api["resources"]):
        named = isinstance(resource, dict) and isinstance(resource.get("name"), str)
        if not named and not isinstance(resource, str):
            raise SettingsError(f"resources[{number}] in {where} has no name.")
    base_url = api["client"].get("base_url") or ""
    try:
        parts = urlsplit(str(base_url))
        _ = parts.port
    except ValueError as error:
        raise SettingsError(f"client.base_url in {where} is not an address: {error}.") from None
    if base_url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise SettingsError(f"client.base_url in {where} is not an http(s) address.")
    if parts.username or parts.password or parts.query:
        raise SettingsError(
            f"client.base_url in {where} holds a user, a password or a query: credentials belong "
            "into client.auth, parameters into endpoint.params."
        )
    own = {key: _own(key, default, tree.get(key), where) for key, default in OWN_SETTINGS.items()}
    freshness = own["freshness"]
    if freshness["warn_after_minutes"] >= freshness["fail_after_minutes"]:
        raise SettingsError(
            f"freshness in {where}: warn_after_minutes must be less than fail_after_minutes."
        )
    return Settings(api=api, own=own)


def _layers() -> dict[str, Any]:
    """The section as one dict. dlt itself would take a table from the first file that has it."""
    tree: dict[str, Any] = {}
    try:
        providers = dlt.config.config_providers
    except TomlProviderReadException as error:
        raise SettingsError(f"Not valid TOML: {error}") from None
    for provider in reversed(providers):
        value, _ = provider.get_value("incidents", dict, None, "sources")
        if isinstance(value, dict):
            update_dict_nested(tree, deepcopy(value))  # dlt hands out its own
    for name in os.environ:
        if name.startswith(ENVIRONMENT_PREFIX):
            path = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            *parents, key = path
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
                if not isinstance(node, dict):
                    raise SettingsError(
                        f"{name}: {parent!r} of [{SECTION}] is not a table; give it whole, as JSON."
                    )
            setting = ".".join([SECTION, *path])
            node[key] = os.environ[name] if key in NEVER_CAST else dlt.config[setting]
    return tree


def _known(key: str, names: list[str], where: str) -> None:
    if key not in names:
        guess = get_close_matches(key, names, n=1)
        advice = f"did you mean {guess[0]!r}?" if guess else f"known are {', '.join(names)}."
        raise SettingsError(f"Unknown setting {key!r} in {where}: {advice}")


def _own(key: str, default: Any, given: Any, where: str) -> Any:
    if given is None:
        return default
    if isinstance(default, Mapping):
        if not isinstance(given, Mapping):
            raise SettingsError(f"{key} in {where} must be a table.")
        if not default:
            return dict(given)  # a table of the user's own names
        for name in given:
            _known(name, list(default), f"{key} of {where}")
        return {n: _own(f"{key}.{n}", d, given.get(n), where) for n, d in default.items()}
    problem = _problem(default, given)
    if problem:
        raise SettingsError(f"{key} in {where} must be {problem}, not {given!r}.")
    return float(given) if isinstance(default, float) else given


def _problem(default: Any, given: Any) -> str:
    """What `given` would have to be to stand in the place of `default`; empty where it is that."""
    number = isinstance(given, (int, float)) and not isinstance(given, bool)
    if isinstance(default, bool):
        return "" if isinstance(given, bool) else "true or false"
    if isinstance(default, int):
        least = min(default, 1)
        right = number and isinstance(given, int) and given >= least
        return "" if right else f"a whole number from {least} on"
    if isinstance(default, float) and default < 1:
        return "" if number and 0 <= given <= 1 else "a number from 0 to 1"
    if isinstance(default, float):
        return "" if number and 1 <= given < inf else "a number from 1 on"
    return "" if isinstance(given, str) else "text"
