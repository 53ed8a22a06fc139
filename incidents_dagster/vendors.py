"""The commands `presets` and `init`: which vendors are known by name, and how one is configured.

Does not import Dagster.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Table

from incidents_dagster.ingestion import presets
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.settings_files import (
    ALSO,
    SourceSection,
    config_file,
    secrets_file,
    why_no_source,
)
from incidents_dagster.ingestion.tables import FIRST


def listed() -> Iterator[str]:
    """The presets, a line each: its name, and the vendor."""
    found = [presets.load(name, "") for name in presets.names()]
    width = max((len(preset.name) for preset in found), default=0)
    for preset in found:
        yield f"{preset.name:<{width}}  {preset.about.title}"
    yield ""
    yield "make init PRESET=NAME configures one of them."


def configure(name: str, source: str = FIRST) -> Iterator[str]:
    """Names the preset in config.toml, and says what is left to do.

    Args:
        name: The preset.
        source: The source that it is for; one that is not configured yet is added.

    Raises:
        SettingsError: There is no such preset, another API is configured, or a file is wrong.
    """
    preset = presets.load(name, "the command line")
    if source != FIRST and (why := why_no_source(source)):
        raise SettingsError(f"{source[:40]!r} {why}.")
    place = SourceSection(source)
    place.own()  # raises if a file is not TOML
    about, file = preset.about, config_file()
    document = tomlkit.parse(file.read_text("utf-8")) if file.exists() else tomlkit.document()
    section = _section(document, file, place)
    if section.get("preset", presets.DEFAULT) not in (presets.DEFAULT, name):
        raise SettingsError(
            f"{file} names the preset {section['preset']!r} already. For another vendor, remove "
            "that line, and what you have set for it in client and resources, and run this again."
        )
    if "resources" in section:
        raise SettingsError(
            f"{file} describes an API of its own: remove client, resource_defaults and resources "
            f"from [{place.name}], and run this again."
        )
    section["preset"] = name
    examples = about.settings.items()
    written = [key for key, example in examples if _write(section, key, example, place)]
    if not place.is_first:
        first = _section(document, file, SourceSection())
        if source not in (named := first.get(ALSO, [])):
            first[ALSO] = [*named, source]
    file.parent.mkdir(exist_ok=True)
    file.write_text(tomlkit.dumps(document), "utf-8")
    yield f'{about.title}: preset = "{name}" in [{place.name}] of {file}.'
    for setting in written:
        yield f'Change:  {setting} in that file; "{about.settings[setting]}" is only an example.'
    for line in secret_lines(about, secrets_file(), place):
        yield f"Secret:  {line}"
    if about.permission:
        yield f"Needs:   {about.permission}"
    yield f"Docs:    {about.docs}"
    yield "Then:    make doctor, and make run"


def secret_lines(
    about: presets.About,
    secrets: object,
    place: SourceSection = SourceSection(),  # noqa: B008
) -> Iterator[str]:
    """Where each secret goes, and what it looks like; `secrets` is the file secrets.toml."""
    for secret, shape in about.secrets.items():
        places = f"{secret} in [{place.name}] of {secrets}"
        if "." not in secret:
            variable = secret.upper() if place.is_first else place.variable(secret)
            if place.is_first:
                places = f"{secret} at the top of {secrets}"
            places += f", or the environment variable {variable}"
        yield f"{places}: {shape.removesuffix('.')}."


def _write(section: Table, setting: str, value: str, place: SourceSection) -> bool:
    """Writes a setting unless it is there; returns whether it did."""
    *tables, name = setting.split(".")
    for part in tables:
        section = section.setdefault(part, tomlkit.table())
        if not isinstance(section, Table):
            raise SettingsError(
                f"{part} of {config_file()} must be a table with a header, [{place.name}.{part}]."
            )
    if name in section:
        return False
    section[name] = value
    return True


def _section(document: tomlkit.TOMLDocument, file: Path, place: SourceSection) -> Table:
    """The section of a source in a configuration, made where there is none."""
    table: Any = document
    for part in place.name.split("."):
        if part not in table:
            table[part] = tomlkit.table(is_super_table=part != place.source)
        table = table[part]
        if not isinstance(table, Table):
            raise SettingsError(f"[{place.name}] of {file} must be a table.")
    found: Table = table
    return found
