"""Presets: what a source's section says about a vendor's API, as data.

Each is a file `incidents_dagster/presets/<name>.toml`: the vocabulary of `.dlt/config.toml`, and a
table `about` with what the settings do not say. `settings_files` lays the user's settings over it.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import BaseModel, ConfigDict

from incidents_dagster.ingestion.errors import SettingsError

FOLDER = Path(__file__).resolve().parents[1] / "presets"
DEFAULT = "default"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Fact(_Strict):
    """Where something about an API was read, and when."""

    source: str
    date: str


class About(_Strict):
    """What a preset says about its API beside the settings.

    Attributes:
        title: The vendor's name, as people write it.
        docs: The page of its documentation.
        settings: Setting that the user has to make → an example.
        secrets: Secret, as the user sets it → what it looks like, and where to make one.
        permission: The least that the key needs.
        verify: Path, after `client.base_url`, of the cheapest request that shows whether the key is
            accepted.
        hidden: What the list leaves out unless it is asked for, and what the preset asks with.
        limits: Of requests, of pages and of the whole list, in a sentence each.
        blind_spots: What a sync cannot see, in a sentence each.
        unverified: What could not be verified, in a sentence each.
        facts: Where all this is from.
        verified: How it was tried.
    """

    title: str
    docs: str
    settings: dict[str, str] = {}
    secrets: dict[str, str] = {}
    permission: str = ""
    verify: str = ""
    hidden: list[str] = []
    limits: list[str] = []
    blind_spots: list[str] = []
    unverified: list[str] = []
    facts: list[Fact] = []
    verified: str = "emulator, never live"


@dataclass(frozen=True)
class Preset:
    """A preset.

    Attributes:
        name: Its name in the settings.
        about: What it says about the API beside the settings.
        section: What stands in `[sources.incidents]`.
    """

    name: str
    about: About
    section: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """The resources that it offers; the first one is the incidents."""
        return [str(resource["name"]) for resource in self.section["resources"]]

    @property
    def asks_for(self) -> str:
        """What a sync asks the API for: `updated`, `created` or `all`."""
        (resource, *_) = self.section["resources"]
        if "incremental" not in resource["endpoint"]:
            return "all"
        return "created" if "still_open" in resource else "updated"


NONE = Preset("", About(title="", docs=""), {})


def names() -> list[str]:
    """The presets, sorted; the default is not among them."""
    return sorted({file.stem for file in FOLDER.glob("*.toml")} - {DEFAULT})


def load(name: str, place: str) -> Preset:
    """The preset `name`.

    Args:
        name: As the user wrote it.
        place: Where, for the message.

    Raises:
        SettingsError: There is no such preset.
    """
    if name not in (known := [DEFAULT, *names()]):
        guess = get_close_matches(name.lower(), known, n=1)
        advice = f"did you mean {guess[0]!r}?" if guess else f"known are {', '.join(known)}."
        raise SettingsError(f"preset {name[:40]!r} in {place} is unknown: {advice}")
    return deepcopy(_load(name))


@cache
def _load(name: str) -> Preset:
    section = tomlkit.parse((FOLDER / f"{name}.toml").read_text("utf-8")).unwrap()
    return Preset(name, About.model_validate(section.pop("about")), section)


def with_own(preset: Preset, own: Mapping[str, Any]) -> dict[str, Any]:
    """A preset's settings with a user's own over them, key by key.

    A table whose `type` differs is replaced whole, such as an auth or a paginator; `false` in its
    place leaves it out. Resources are matched by name: the preset's first one is always read, its
    others if the user names them. The resource of the default preset makes room for the user's, as
    in the first release.
    """
    offered, wanted = preset.section.get("resources", []), own.get("resources")
    rest = {name: value for name, value in own.items() if name != "resources"}
    result = _over(preset.section, rest)
    if wanted is None:
        resources = offered[:1]
    elif isinstance(wanted, list) and preset.name not in ("", DEFAULT):
        resources = _resources(offered, wanted)
    else:
        resources = wanted
    return {**result, "resources": resources} if resources else result


def _over(preset: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    result = {**preset}
    for name, value in own.items():
        there = preset.get(name)
        if isinstance(there, Mapping) and value is False:
            del result[name]
        elif isinstance(there, Mapping) and isinstance(value, Mapping):
            other = "type" in value and value["type"] != there.get("type")
            result[name] = value if other else _over(there, value)
        else:
            result[name] = value
    return result


def _resources(preset: list[dict[str, Any]], own: list[Any]) -> list[Any]:
    offered = {resource["name"]: resource for resource in preset}
    wanted: dict[str, Any] = {}
    rest: list[Any] = []  # a second one of the same name, too, for rest_api to refuse
    for one in own:
        name = _name(one)
        if isinstance(name, str) and name in offered and name not in wanted:
            wanted[name] = one
        else:
            rest.append(one)
    main = next(iter(offered), None)
    merged: list[Any] = []
    for name, resource in offered.items():
        if name == main or name in wanted:
            one = wanted.get(name, name)
            merged.append(_over(resource, one) if isinstance(one, Mapping) else resource)
    return [*merged, *rest]


def _name(resource: Any) -> Any:
    return resource.get("name") if isinstance(resource, Mapping) else resource
