"""Where a source's settings are: a preset, config.toml, secrets.toml and the environment.

`settings` says what may be in them.
"""

import os
import re
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.utils import update_dict_nested

from incidents_dagster.ingestion import presets
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.tables import FIRST

# A setting of the first source: the names of the others.
ALSO = "also"
# Schemas of DuckDB's own and of later releases; names that begin as the first source's do.
RESERVED = ("incident", "insight", "information_schema", "main", "pg_catalog", "system", "temp")
# As a schema of DuckDB, a part of an environment variable, and a name of dlt's and Dagster's.
SOURCE_NAME = re.compile(r"[a-z](?:_?[a-z0-9])*")
LONGEST_NAME = 40
ALIKE = 0.88  # of 1: `source` and `incidnets` are; `incidents_db` may be another source's
TABLE = re.compile(r"^\s*\[+([^\]\n]+)\]", re.MULTILINE)
# Secrets that may be in a source's section itself. dlt casts what looks like a number, and a key
# may look like one.
SECRETS = ("api_key", "token", "password", "client_id", "client_secret")
NEVER_CAST = (*SECRETS, "username")


def config_file() -> Path:
    """Where dlt looks for config.toml."""
    return Path(dlt.current.run_context().get_setting("config.toml"))


def secrets_file() -> Path:
    """Where dlt looks for secrets.toml."""
    return config_file().with_name("secrets.toml")


@dataclass(frozen=True)
class SourceSection:
    """`[sources.<source>]`: the settings of one source, wherever they are.

    Attributes:
        source: The source's name.
    """

    source: str = FIRST

    @property
    def name(self) -> str:
        """The section's name, such as `sources.incidents`."""
        return f"sources.{self.source}"

    @property
    def is_first(self) -> bool:
        """Whether it is the source that is always there."""
        return self.source == FIRST

    def variable(self, *path: str) -> str:
        """The environment variable of a setting: `SOURCES__INCIDENTS__CLIENT__BASE_URL`."""
        return "__".join(["sources", self.source, *path]).upper()

    def where(self, setting: str = "") -> str:
        """The place of a setting, for messages: the variable or the file that sets it.

        Args:
            setting: Such as `client.headers`, or `resources[0].endpoint`; default: all of them.
        """
        path = setting.partition("[")[0].split(".")
        for length in range(len(path), 0, -1):
            variable = self.variable(*path[:length])
            if variable in os.environ:
                return f"the environment variable {variable}"
        for provider, section in self._found():
            if _has(section, path):
                return f"[{self.name}] of {_file_of(provider)}"
        place = f"[{self.name}] of {config_file()}"
        preset = self._preset(self.own()) if setting else presets.NONE
        vendors = preset.name != presets.DEFAULT and _has(preset.section, path)
        return f"{place}, by its preset {preset.name!r}" if vendors else place

    def read(self) -> dict[str, Any]:
        """A preset, config.toml, secrets.toml, the environment, in this order: the later counts.

        Raises:
            SettingsError: A file is not TOML, a variable sets a part of what is not a table, or
                there is no such preset.
        """
        own = self.own()
        return presets.with_own(self._preset(own), own)

    def own(self) -> dict[str, Any]:
        """What files and environment have, without its secrets.

        dlt itself would take a table from the first file that has it.
        """
        return {n: v for n, v in self._with_secrets().items() if n not in SECRETS}

    def secret(self, field: str) -> str:
        """A secret of this source by its name, such as `token`; empty if there is none.

        It is in the source's own section; that of the first source may also be at the top level.
        """
        return self.secrets([field])[0]

    def secrets(self, fields: Iterable[str]) -> list[str]:
        """Several of them, as `secret`."""
        own = self.own_secrets()
        found = [own.get(field, "") for field in fields]
        if not self.is_first:
            return found
        top = (dlt.secrets.get(field, str) for field in fields)
        return [one or str(other or "") for one, other in zip(found, top, strict=True)]

    def own_secrets(self) -> dict[str, str]:
        """Those in the source's own section, by their names."""
        return {n: str(v) for n, v in self._with_secrets().items() if v and n in SECRETS}

    def places_of(self, field: str) -> str:
        """Where `secret` looks for a secret, for messages."""
        own = f"the environment ({self.variable(field)}) nor in [{self.name}] of {secrets_file()}"
        if not self.is_first:
            return own
        files = ", ".join(dlt.secrets.writable_provider.locations)
        return f"the environment ({field.upper()}) nor at the top level of {files}"

    def about_preset(self) -> presets.About | None:
        """What the configured preset says about its API; None without one.

        Raises:
            SettingsError: See `read`.
        """
        preset = self._preset(self.own())
        return preset.about if preset.name else None

    def has_api(self) -> bool:
        """Whether `client.base_url` is set: else the demo API is used. True if no one can tell."""
        try:
            client = self.read().get("client") or {}
        except SettingsError:
            return True
        return not isinstance(client, dict) or bool(client.get("base_url"))

    def exists(self) -> bool:
        """Whether a file or the environment has it."""
        prefix = self.variable("")
        return bool(self._found()) or any(name.startswith(prefix) for name in os.environ)

    def _preset(self, own: dict[str, Any]) -> presets.Preset:
        name = own.get("preset")
        if not name:
            return presets.NONE
        if not isinstance(name, str):
            raise SettingsError(f"preset in {self.where('preset')} must be a preset's name.")
        return presets.load(name, self.where("preset"))

    def _with_secrets(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for provider, section in reversed(self._found()):
            if not isinstance(section, dict):
                raise SettingsError(f"[{self.name}] of {_file_of(provider)} must be a table.")
            update_dict_nested(tree, deepcopy(section))  # dlt returns its own
        prefix = self.variable("")
        for name in os.environ:
            if name.startswith(prefix):
                path = name.removeprefix(prefix).lower().split("__")
                *parents, key = path
                node = tree
                for parent in parents:
                    node = node.setdefault(parent, {})
                    if not isinstance(node, dict) or parent == "resources":
                        raise SettingsError(
                            f"{name}: {parent!r} in [{self.name}] is not a table, so it cannot be "
                            "set in parts: give all of it as JSON."
                        )
                setting = ".".join([self.name, *path])
                node[key] = os.environ[name] if key in NEVER_CAST else dlt.config[setting]
        return tree

    def _found(self) -> list[tuple[Any, Any]]:
        """dlt's providers that have this section, with it; the first one overrides."""
        try:
            providers = dlt.config.config_providers
        except TomlProviderReadException as error:
            # Its text may hold a part of the file, and so a secret.
            files = [path for path in error.full_paths if Path(path).is_file()]
            place = re.search(r"line (\d+) col (\d+)", str(error))
            at = f", at line {place[1]}, column {place[2]}" if place else ""
            raise SettingsError(
                f"{' or '.join(files or error.full_paths)} is not valid TOML{at}. Texts need "
                "quotes, and no name may be there twice."
            ) from None
        found = [(p, p.get_value(self.source, dict, None, "sources")[0]) for p in providers]
        return [(provider, section) for provider, section in found if section is not None]


@dataclass(frozen=True)
class Place:
    """A setting by its full name, such as `resources[0].windows`, for messages.

    Attributes:
        name: The name; empty for the whole section.
        section: The source that it belongs to.
    """

    name: str = ""
    section: SourceSection = SourceSection()

    def __str__(self) -> str:
        return self.name

    def __truediv__(self, name: str) -> "Place":
        """A setting below this one: `place / "windows"`."""
        return Place(f"{self.name}.{name}" if self.name else name, self.section)

    @property
    def where(self) -> str:
        """The variable or the file that sets it."""
        return self.section.where(self.name)


def source_names() -> list[str]:
    """The configured sources, the first one first.

    Raises:
        SettingsError: `also` is no list of names, or one cannot be a source's.
    """
    first = SourceSection()
    also = first.own().get(ALSO) or []
    place = f"{ALSO} in {first.where(ALSO)}"
    if not isinstance(also, list) or not all(isinstance(name, str) for name in also):
        raise SettingsError(f'{place} must be a list of names, such as ["tickets"].')
    for number, name in enumerate(also):
        if why := why_no_source(name):
            raise SettingsError(f"{place}: {name[:LONGEST_NAME]!r} {why}.")
        if name in also[:number]:
            raise SettingsError(f"{place} has {name!r} twice.")
        if not SourceSection(name).exists():
            raise SettingsError(
                f"{place} has {name!r}, and there is no [sources.{name}] in {config_file()}: "
                "describe the source there, or take its name out."
            )
    return [FIRST, *also]


def why_no_source(name: str) -> str:
    """Why a further source cannot have this name; empty if it can."""
    if name == FIRST:
        return "is the first source, which is always there"
    if not SOURCE_NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        return (
            "cannot be a source's name: use lower-case letters, digits and single underscores, up "
            f"to {LONGEST_NAME} characters, beginning with a letter"
        )
    if name in RESERVED or name.endswith("_staging"):
        return "cannot be a source's name, as its schema has another meaning: choose another one"
    return ""


def has_api(sources: list[str]) -> bool:
    """Whether any of these sources has an API of its own: else the demo API is used."""
    return any(SourceSection(name).has_api() for name in sources)


def check_section_names(section: SourceSection, sources: list[str]) -> None:
    """Looks for a misspelt section, such as `[sources.incidnets]`, which dlt ignores.

    Args:
        section: How it should be spelled.
        sources: The configured ones; theirs are none.

    Raises:
        SettingsError: A file or the environment has one.
    """
    tables = [
        (f"a table of {file}", found[1].split("."))
        for file in (config_file(), secrets_file())
        if file.is_file()
        for found in TABLE.finditer(file.read_text("utf-8", errors="replace"))
    ]
    variables = [("the environment", name.lower().split("__")) for name in os.environ]
    right, known = section.name.split("."), [["sources", name] for name in sources]
    for place, parts in [*tables, *variables]:
        names = [part.strip(" \"'") for part in parts[:2]]
        if len(names) == len(right) and names not in known and all(map(_alike, names, right)):
            raise SettingsError(
                f"{'.'.join(names)} in {place} is not read: did you mean {section.name}?"
            )


def _alike(name: str, right: str) -> bool:
    return bool(get_close_matches(name.lower(), [right], cutoff=ALIKE))


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
