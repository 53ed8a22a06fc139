"""An endpoint's `incremental`, as in rest_api, and a request for what changed since a value.

`start` says which value that is.
"""

import math
import re
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pendulum
from dlt.common.time import ensure_datetime_in_tz
from dlt.common.utils import map_nested_values_in_place
from dlt.extract import DltSource

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.refusals import settings_errors
from incidents_dagster.ingestion.rows.filled import filled_columns, from_epoch
from incidents_dagster.ingestion.secrets.shown import shown
from incidents_dagster.ingestion.settings_files import SourceSection
from incidents_dagster.ingestion.tables import Since, Table

SUPPORTED = ("cursor_path", "start_param", "end_param", "initial_value", "lag")
# data_types of a cursor that can have a lag → whether it is a whole number.
TAKES_LAG = {"timestamp": False, "double": False, "decimal": False, "date": True, "bigint": True}
PLACEHOLDER_LIKE = re.compile(r"{+\s*incremental\b[\s.\w]*")
PLACEHOLDER = re.compile(
    r"{incremental\.(?P<which>start_value|last_value|initial_value|end_value)(?::(?P<format>[^}]*))?}"
)
END = "end_value"
# Later than any record, for an API that needs to be told an end.
TOMORROW = timedelta(days=1)


class Moment(pendulum.DateTime):
    """A time in a request: ISO 8601 in UTC, unless a placeholder has a format."""

    @classmethod
    def of(cls, value: Any) -> Any:
        """A date, a time or the text of one as a `Moment`; anything else unchanged."""
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        if isinstance(value, (datetime, str)):
            return cls.instance(ensure_datetime_in_tz(value, timezone.utc))
        return value

    def __str__(self) -> str:
        """`2026-11-23T07:48:18Z`, with a fraction of a second if there is one."""
        return self.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Incremental:
    """An endpoint's `incremental`.

    Attributes:
        column: The column of `cursor_path`, the field that says when a record changed.
        start_param: The API's query parameter for "changed at or after"; None if placeholders
            `{incremental.start_value}` say where the value goes.
        end_param: The one for "not later than", if windows of time are asked for.
        takes_an_end: Whether the API can be asked for a window of time.
        initial_value: What to send while the table is empty; None to ask for everything.
        lag: How far to look back, in seconds for a timestamp, in days for a date, else in its unit.
        field: The field of `cursor_path`.
        zone: The API's time zone, for times without one; placeholders with a format get it.
    """

    column: str
    start_param: str | None = None
    end_param: str | None = None
    takes_an_end: bool = False
    initial_value: Any = None
    lag: float = 0
    field: str = ""
    zone: str = "UTC"

    def check_lag(self, data_type: str | None, resource: str) -> None:
        """Checks that a cursor of this type can have the lag; None: its type is not known yet.

        Raises:
            SettingsError: It cannot.
        """
        if not self.lag or data_type is None:
            return
        setting = f"{resource}: incremental.lag = {self.lag:g}"
        if data_type not in TAKES_LAG:
            raise SettingsError(
                f"{setting} needs a cursor of times or numbers, but the column {self.column!r} is "
                f"{data_type}: set columns.{self.column}.data_type if it should not be (a primary "
                "key is text by default), or set lag to 0."
            )
        if TAKES_LAG[data_type] and self.lag % 1:
            unit = "days" if data_type == "date" else "the cursor's unit"
            raise SettingsError(
                f"{setting} must be a whole number: it is in {unit}, as the column "
                f"{self.column!r} is {data_type}."
            )

    def since(self, value: Any, data_type: str) -> Since | None:
        """What the API is asked for with cursor `value`; None for everything.

        Args:
            value: None for the initial value.
            data_type: The column's, as in dlt.
        """
        value = self.initial_value if value is None else value
        try:
            if data_type in ("timestamp", "date") and value is not None:
                value = from_epoch(value) if isinstance(value, (int, float)) else value
                value = Moment.of(value)
            elif data_type in ("bigint", "double") and value is not None:
                float(value)
        except (ValueError, OverflowError, OSError):
            return None  # what only the API understands, such as "now-30d"
        return None if value is None else Since(self.column, str(value))


def _take_from(endpoint: dict[str, Any], table: Table, place: str) -> Incremental | None:
    """Removes `incremental` from an endpoint of `table`, in either of rest_api's spellings.

    Raises:
        SettingsError: It has an option that is not supported here, or a wrong value.
    """
    given = endpoint.pop("incremental", None)
    for name, param in list((endpoint.get("params") or {}).items()):
        if isinstance(param, dict) and param.get("type") == "incremental":
            given = {**endpoint["params"].pop(name), "start_param": name}
            del given["type"]
    if given is None:
        return None
    endpoints, place = place, f"{place}.incremental"
    if unknown := sorted(set(given) - set(SUPPORTED)):
        known = ", ".join(SUPPORTED)
        raise SettingsError(f"{place}.{unknown[0]} is not supported; supported are {known}.")
    rest = {**given}
    cursor = str(rest.pop("cursor_path", "")).removeprefix("$.").strip("'")
    if not cursor or re.search(r"[.*\[$]", cursor):
        raise SettingsError(f"{place}.cursor_path must name a top-level field of the records.")
    lag = rest.get("lag", 0)
    number = isinstance(lag, (int, float)) and not isinstance(lag, bool)
    if not number or not 0 <= lag < math.inf:
        raise SettingsError(f"{place}.lag must be a number, 0 or more, {shown(lag)}.")
    initial = rest.get("initial_value")
    if _is_to_come(initial):
        raise SettingsError(
            f"{place}.initial_value is still to come ({initial}), so no record has changed since."
        )
    named = {found["which"] for found in PLACEHOLDER.finditer(str(endpoint))}
    if initial is None and named - {END}:
        raise SettingsError(f"{place}.initial_value is missing: the placeholder needs a value.")
    for part in ("path", "params", "headers", "json", "data"):
        if found := PLACEHOLDER_LIKE.search(PLACEHOLDER.sub("", str(endpoint.get(part)))):
            raise SettingsError(
                f"{endpoints}.{part} has {found[0]}, which is not known: "
                "write {incremental.start_value}."
            )
    if rest.get("end_param") and rest.get("end_param") == rest.get("start_param"):
        raise SettingsError(f"{place}.end_param is the same as start_param.")
    column = table.column_of(cursor)
    filled = filled_columns(table.declared).get(column)
    zone = (filled and filled.zone) or "UTC"
    ends = bool(rest.get("end_param")) or END in named
    return Incremental(column, **rest, field=cursor, zone=zone, takes_an_end=ends)


def _is_to_come(value: Any) -> bool:
    """Whether a time is later than that of any clock, so that it can only be a mistake."""
    if not isinstance(value, date) and not re.match(r"\d{4}-\d", str(value)):
        return False
    try:
        moment = Moment.of(value)
    except (ValueError, OverflowError):
        return False  # what only the API understands
    return bool(moment > datetime.now(timezone.utc) + timedelta(days=1))


def take_incrementals(api: dict[str, Any], source: DltSource) -> dict[str, Incremental]:
    """Removes `incremental` from every endpoint, after merging the defaults into each.

    Args:
        api: rest_api's configuration, changed in place.
        source: The source that is declared by it.
    """
    defaults = api["resource_defaults"].pop("endpoint", {})
    found = {}
    for number, resource in enumerate(api["resources"]):
        endpoint = {**defaults, **resource["endpoint"]}
        for part in ("params", "json"):  # rest_api merges these two one level deeper
            if merged := {**(defaults.get(part) or {}), **(endpoint.get(part) or {})}:
                endpoint[part] = merged
        section = SourceSection(source.name)
        place = f"{section.where()}: resources[{number}].endpoint"
        with settings_errors(section):
            table = Table.of(source, resource["name"])
            incremental = _take_from(endpoint, table, place)
        resource["endpoint"] = endpoint
        if incremental:
            found[resource["name"]] = incremental
    return found


def asking_from(
    endpoint: dict[str, Any], incremental: Incremental, value: Any, end: Any = None
) -> dict[str, Any]:
    """The `endpoint`, asking for what changed at or after `value`; None asks for everything.

    Args:
        endpoint: rest_api's.
        incremental: The endpoint's.
        value: Of the cursor.
        end: The last value to ask for; None for all.
    """
    if value is None:
        value = incremental.initial_value
    if isinstance(value, datetime):  # as from TOML
        value = Moment.of(value)
    asking = {**endpoint}
    bounds = {incremental.start_param: value, incremental.end_param: end}
    sent = {n: str(v) for n, v in bounds.items() if n and v is not None}
    if sent:
        asking["params"] = {**(endpoint.get("params") or {}), **sent}

    def value_of(found: re.Match[str]) -> Any:
        if found["which"] != END:
            return value
        now = datetime.now(timezone.utc)
        latest = max(now, value) if isinstance(value, Moment) else now  # no end before the start
        return end or Moment.of(latest.replace(microsecond=0) + TOMORROW)

    def spelled(found: re.Match[str]) -> str:
        value = value_of(found)
        if not found["format"]:
            return str(value)
        try:
            moment = Moment.of(value)
            if isinstance(moment, Moment):
                moment = moment.in_timezone(incremental.zone)
            return format(moment, found["format"])
        except ValueError:
            raise SettingsError(f"{found[0]}: the format does not fit {value!r}.") from None

    def filled(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        whole = PLACEHOLDER.fullmatch(text)
        if whole and not whole["format"] and isinstance(value := value_of(whole), (int, float)):
            return value  # a number in a JSON body stays one
        return PLACEHOLDER.sub(spelled, text)

    for part in ("path", "params", "headers", "json", "data"):
        if part in asking:
            (asking[part],) = map_nested_values_in_place(filled, [deepcopy(asking[part])])
    return asking
