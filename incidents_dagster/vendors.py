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
from incidents_dagster.ingestion.settings_files import SECTION, config_file, own_section


def listed() -> Iterator[str]:
    """The presets, a line each: its name, and the vendor."""
    found = [presets.load(name, "") for name in presets.names()]
    width = max((len(preset.name) for preset in found), default=0)
    for preset in found:
        yield f"{preset.name:<{width}}  {preset.about.title}"
    yield ""
    yield "make init PRESET=NAME configures one of them."


def configure(name: str) -> Iterator[str]:
    """Names the preset in config.toml, and says what is left to do.

    Raises:
        SettingsError: There is no such preset, another API is configured, or a file is wrong.
    """
    preset = presets.load(name, "the command line")
    own_section()  # raises if a file is not TOML
    about, file = preset.about, config_file()
    document = tomlkit.parse(file.read_text("utf-8")) if file.exists() else tomlkit.document()
    section = _section(document, file)
    if section.get("preset", presets.DEFAULT) not in (presets.DEFAULT, name):
        raise SettingsError(
            f"{file} names the preset {section['preset']!r} already. For another vendor, remove "
            "that line, and what you have set for it in client and resources, and run this again."
        )
    if "resources" in section:
        raise SettingsError(
            f"{file} describes an API of its own: remove client, resource_defaults and resources "
            f"from [{SECTION}], and run this again."
        )
    section["preset"] = name
    written = [key for key, example in about.settings.items() if _write(section, key, example)]
    file.parent.mkdir(exist_ok=True)
    file.write_text(tomlkit.dumps(document), "utf-8")
    yield f'{about.title}: preset = "{name}" in {file}.'
    for setting in written:
        yield f'Change:  {setting} in that file; "{about.settings[setting]}" is only an example.'
    for line in secret_lines(about, file.with_name("secrets.toml")):
        yield f"Secret:  {line}"
    if about.permission:
        yield f"Needs:   {about.permission}"
    yield f"Docs:    {about.docs}"
    yield "Then:    make doctor, and make run"


def secret_lines(about: presets.About, secrets: object) -> Iterator[str]:
    """Where each secret goes, and what it looks like; `secrets` is the file secrets.toml."""
    for secret, shape in about.secrets.items():
        places = f"{secret} at the top of {secrets}, or the environment variable {secret.upper()}"
        if "." in secret:
            places = f"{secret} in [{SECTION}] of {secrets}"
        yield f"{places}: {shape.removesuffix('.')}."


def _write(section: Table, setting: str, value: str) -> bool:
    """Writes a setting unless it is there; returns whether it did."""
    *tables, name = setting.split(".")
    for part in tables:
        section = section.setdefault(part, tomlkit.table())
        if not isinstance(section, Table):
            raise SettingsError(
                f"{part} of {config_file()} must be a table with a header, [{SECTION}.{part}]."
            )
    if name in section:
        return False
    section[name] = value
    return True


def _section(document: tomlkit.TOMLDocument, file: Path) -> Table:
    """`[sources.incidents]` of a configuration, made where there is none."""
    table: Any = document
    for part in SECTION.split("."):
        if part not in table:
            table[part] = tomlkit.table(is_super_table=part != "incidents")
        table = table[part]
        if not isinstance(table, Table):
            raise SettingsError(f"[{SECTION}] of {file} must be a table.")
    found: Table = table
    return found
