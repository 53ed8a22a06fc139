"""Columns that paths fill: `fields`, `times`, `phases` and `absent` of a resource.

They become dlt's hints of these columns, so that whatever knows a table's columns knows how they
are filled. `rows.filled` takes the values from the records.
"""

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.own_tables import check_names, paths_of, take_table
from incidents_dagster.ingestion.rows.filled import TIME, Filled
from incidents_dagster.ingestion.secrets.shown import shown
from incidents_dagster.ingestion.settings_files import Place
from incidents_dagster.ingestion.tables import ABSENT, FILLED, NAMED

# Column → its data_type and its description.
COLUMNS: dict[str, tuple[str, str]] = {
    "id": ("text", "Identifies the record in the API; the primary key."),
    "status": ("text", "The status, as the API names it."),
    "created_at": (TIME, "When it was opened, UTC."),
    "updated_at": (TIME, "When it last changed, UTC."),
    "phase": (
        "text",
        "open, acknowledged, closed, or other for what is no incident any more; null for a status "
        "that phases does not name.",
    ),
    "acknowledged_at": (TIME, "When somebody took it on, UTC."),
    "resolved_at": (TIME, "When it was resolved, UTC."),
    "severity": ("text", "How bad it is, as the API names it."),
    "service": ("text", "The service that it is about."),
    "team": ("text", "The team that is responsible for it."),
    "title": ("text", "What it is about, in a line."),
    "url": ("text", "Its page, for people."),
}
TIMES = [name for name, (kind, _) in COLUMNS.items() if kind == TIME]
PHASES = ("open", "acknowledged", "closed", "other")
# Columns whose list of paths is one text of all values; of others, the first value counts.
TOGETHER = {"id": "required", "phase": "there"}
# A value that is no text is a mistake in these.
TEXT_ONLY = ("id", "status")
OWN_KEYS = ("fields", "times", "phases")
TIMES_KEYS = ("format", "zone")


def take_fields(resource: dict[str, Any], place: Place) -> None:
    """Replaces `fields`, `times`, `phases` and `absent` of a resource by hints of its columns.

    Args:
        resource: In rest_api's form, with these keys of ours; changed in place.
        place: What messages call it, such as `resources[0]`.

    Raises:
        SettingsError: There is a wrong name or value in them.
    """
    fields, times, phases = (take_table(resource, key, place) or {} for key in OWN_KEYS)
    named = [*fields]
    absent = resource.pop("absent", "")
    if absent and (absent not in PHASES or not phases):
        raise SettingsError(
            f"{place}.absent in {place.where} must be one of {', '.join(PHASES)}, and needs "
            f"{place}.phases."
        )
    if phases and "phase" not in fields:
        fields["phase"] = fields.get("status", "status")
    elif "phase" in fields and not phases:
        raise SettingsError(
            f"{place}.fields.phase in {place.where} needs {place}.phases: a table of the "
            "values there, each with one of " + ", ".join(PHASES) + "."
        )
    given = resource.get("columns") or {}
    if isinstance(given, list):
        given = {column["name"]: column for column in given}
    if times:
        fields |= {name: name for name in TIMES if name in given and name not in fields}
        if not fields.keys() & TIMES:
            raise SettingsError(
                f"{place}.times in {place.where} says how times are written: say in "
                f"{place}.fields which ones, such as created_at."
            )
    if not fields:
        return
    check_names(fields, COLUMNS, place / "fields")
    _check_times(times, place)
    phases = _without_case(phases, place)
    columns = {
        name: _hints(name, paths_of(paths, place / "fields" / name), times, phases)
        for name, paths in fields.items()
    }
    for name in named:
        columns[name][NAMED] = True
    if absent:
        columns["phase"][ABSENT] = absent
    newest = any("dedup_sort" in hints for hints in given.values())
    if "updated_at" in columns and not newest:
        columns["updated_at"]["dedup_sort"] = "desc"
    resource["columns"] = {**given, **{n: {**c, **given.get(n, {})} for n, c in columns.items()}}


def _hints(
    name: str, paths: list[str], times: dict[str, str], phases: dict[str, str]
) -> dict[str, Any]:
    kind, description = COLUMNS[name]
    hints = {"data_type": kind, "nullable": name != "id", "description": description}
    if paths == [name] and name != "phase" and not (times and kind == TIME):
        return hints  # the API's own field
    filled = Filled(
        paths,
        kind,
        together=TOGETHER.get(name, "") if len(paths) > 1 else "",
        time_format=times.get("format", "") if kind == TIME else "",
        zone=times.get("zone", "") if kind == TIME else "",
        phases=phases if name == "phase" else {},
        spelled=kind == "text" and name not in TEXT_ONLY,
    )
    return {
        **hints,
        "description": f"{description} From {', '.join(paths)}.",
        FILLED: filled.hint(),
    }


def _check_times(times: dict[str, Any], place: Place) -> None:
    check_names(times, TIMES_KEYS, place / "times")
    time_format = times.get("format", "%Y")
    if not _is_format(time_format):
        raise SettingsError(
            f"{place}.times.format in {place.where} must be a format of Python's strptime, "
            f'such as "%d.%m.%Y %H:%M", {shown(time_format)}.'
        )
    try:
        ZoneInfo(times.get("zone", "UTC"))
    except (LookupError, OSError, ValueError, TypeError, AttributeError):
        raise SettingsError(
            f"{place}.times.zone in {place.where} must be the name of a time zone, such as "
            f'"Europe/Berlin", {shown(times["zone"])}.'
        ) from None


def _is_format(given: Any) -> bool:
    if not isinstance(given, str) or not re.search("%[A-Za-z]", given):
        return False
    try:
        datetime.strptime("", given)
    except ValueError as error:  # it does not fit "", or has a code that there is not
        return "bad directive" not in str(error) and "stray" not in str(error)
    return True


def _without_case(phases: dict[str, Any], place: Place) -> dict[str, str]:
    for status, phase in phases.items():
        if phase not in PHASES:
            raise SettingsError(
                f"{place}.phases.{status} in {place.where} must be one of "
                f"{', '.join(PHASES)}, {shown(phase)}."
            )
    by_name: dict[str, str] = {}
    for status, phase in phases.items():
        if by_name.setdefault(status.casefold(), phase) != phase:
            raise SettingsError(
                f"{place}.phases in {place.where} has {status!r} twice, in another case of "
                "letters, with different phases."
            )
    return by_name
