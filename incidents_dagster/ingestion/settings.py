"""What a source's section may contain: this project's settings, their defaults and meanings.

`client`, `resource_defaults` and `resources` are rest_api's: dlt checks them when `source` is
built. `settings_files` reads the values. README's table of settings is generated from the models
here. Secrets are only looked at to keep them out of messages and records.
"""

import re
import zlib
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.private_files import check_umask
from incidents_dagster.ingestion.secrets.redaction import SECRETS, remember
from incidents_dagster.ingestion.secrets.shown import SHOWN_CHARACTERS, shown
from incidents_dagster.ingestion.settings_files import (
    ALSO,
    Place,
    SourceSection,
    check_section_names,
    has_api,
    source_names,
)
from incidents_dagster.ingestion.tables import FIRST, INCIDENTS

PROJECT_ROOT = Path(__file__).resolve().parents[2]
REST_API_KEYS = ("client", "resource_defaults", "resources")
# What counts for all sources.
OF_ALL = (ALSO, "insight", "read_copy")
NIGHT_HOURS = 6  # of Sunday, in which further sources are reconciled

# Dagster's rules for asset groups and owners.
NAME = "[A-Za-z0-9_]+"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
Owner = Annotated[
    str,
    Field(pattern=r"^(team:\S.*|[A-Za-z0-9_][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+\.[A-Za-z]{2,7})$"),
]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS = get_args(Weekday)
Hours = Annotated[str, Field(pattern=r"^([01]?\d|2[0-4])-([01]?\d|2[0-4])$")]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, OSError, ValueError):  # unknown, a folder of zones, no name
        raise PydanticCustomError(
            "zone", 'the name of a time zone, such as "Europe/Berlin"'
        ) from None
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]
# What a setting must be, and what a value of the wrong type must be; pydantic words the rest.
SETTINGS_MUST_BE = {
    "group": "a name of letters, digits and underscores",
    "owners": 'e-mail addresses and teams, such as ["ann@example.com", "team:on-call"]',
    "insight.business_days": f"a list of {', '.join(WEEKDAYS)}",
    "insight.business_hours": 'from hour to hour, such as "8-18"',
    "insight.sleep_hours": 'from hour to hour, such as "22-8"',
}
TYPES_MUST_BE = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "dict_type": "a table",
    "model_type": "a table",
}


class Section(BaseModel):
    """A table of settings: strict about types and names. Null means "not set"."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}


class Completeness(Section):
    """Where the API's responses say how many records there are."""

    total_path: str = Field(
        default="total",
        description='JSONPath to the number of all records in a response; `""`: there is none',
    )
    more_path: str = Field(
        default="more",
        description='JSONPath to whether there are more records; `""`: there is none',
    )
    overlap_pages: bool = Field(
        default=True,
        description="whether offset pages overlap by a row, which shows whether rows moved",
    )

    @property
    def named(self) -> dict[str, str]:
        """Setting → path, for paths that responses must have: those that are not the defaults."""
        paths = {"total_path": self.total_path, "more_path": self.more_path}
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        return {name: path for name, path in paths.items() if path not in ("", defaults[name])}


class Freshness(Section):
    """When the asset and its check warn and fail."""

    warn_after_minutes: float = Field(
        default=90.0, ge=1, description="age of the last proven sync at which the asset warns"
    )
    fail_after_minutes: float = Field(default=180.0, ge=1, description="… and at which it fails")
    newest_within_hours: float = Field(
        default=168.0, ge=1, description="age of the newest change at which a check warns"
    )

    @field_validator("fail_after_minutes")
    @classmethod
    def _after_the_warning(cls, fail: float, so_far: ValidationInfo) -> float:
        warn = so_far.data.get("warn_after_minutes", 0.0)
        if fail <= warn:
            raise PydanticCustomError("too_small", f"more than warn_after_minutes ({warn:g})")
        return fail


class ChangeSensor(Section):
    """What incident_change_sensor requests, and how often."""

    interval_seconds: float = Field(
        default=60.0,
        ge=1,
        description="minimum time between two requests of `incident_change_sensor`",
    )
    params: dict[str, Any] = Field(
        default={},
        repr=False,
        description="parameters that it adds to the endpoint's, to get the newest changes on the "
        'first page; `config.toml` has `{ sort = "-updated_at" }`',
    )


class Schedules(Section):
    """When the jobs run."""

    sync_cron: str = Field(
        default="0 * * * *",
        description='when `incidents_sync_hourly` runs; `""`: off until you start it. A further '
        "source has a minute of its own, made of its name",
    )
    reconcile_cron: str = Field(
        default="30 3 * * 0",
        description="when `incidents_reconcile_weekly` runs; likewise",
    )
    timezone: Zone = Field(default="UTC", description="the time zone of both schedules")


class Insight(Section):
    """How the tables of the schema `insight` are made; only in the first source's section."""

    every_minutes: float = Field(
        default=15.0,
        ge=1,
        description="after syncs that changed something, the tables of `insight` are made anew at "
        "most this often",
    )
    timezone: Zone = Field(
        default="UTC", description="the time zone of their days, weeks, months and hours"
    )
    business_days: list[Weekday] = Field(
        default=["mon", "tue", "wed", "thu", "fri"], description="the days of business hours"
    )
    business_hours: Hours = Field(
        default="8-18", description="from hour to hour; as PagerDuty has it"
    )
    sleep_hours: Hours = Field(default="22-8", description="hours in which people are woken")

    @property
    def weekdays(self) -> list[int]:
        """The business days; 1: Monday."""
        return [WEEKDAYS.index(day) + 1 for day in self.business_days]


def hours_of(text: str) -> list[int]:
    """The hours of such as `22-8`, from 0 to 23."""
    begin, end = map(int, text.split("-"))
    count = (end - begin) % 24 or end - begin  # 0-24 is all of them
    return [(begin + passed) % 24 for passed in range(count)]


def _with_a_service(url: str) -> str:
    if "://" not in url or not url.isprintable():
        raise PydanticCustomError("url", "Apprise's URLs, such as slack://TOKEN/TOKEN/TOKEN")
    return url


class Alerts(Section):
    """What sync_failure_sensor tells, and whom."""

    urls: list[Annotated[str, AfterValidator(_with_a_service)]] = Field(
        default=[],
        repr=False,
        description="who is told of each alert, as "
        "[Apprise's URLs](https://github.com/caronc/apprise/wiki); secrets, so they belong in "
        "`secrets.toml`",
    )
    ui_url: str = Field(
        default="http://127.0.0.1:3000",
        description='where the Dagster UI is, for links to runs; `""`: no links. For all sources, '
        "that of the first one counts",
    )
    unproven_minutes: float = Field(
        default=360.0,
        ge=0,
        description="age of the last proven sync at which later, unproven ones are told; 0: never",
    )
    open_hours: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={},
        description="severity → hours after which an open incident is told, such as "
        "`{ sev1 = 4, any = 72 }`; `any` is for all other severities, and none",
    )

    @field_validator("ui_url")
    @classmethod
    def _address(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^\s?#]+", url):
            raise PydanticCustomError("url", "an http(s) address, or empty")
        return url.rstrip("/")

    @field_validator("open_hours")
    @classmethod
    def _in_lower_case(cls, hours: dict[str, float]) -> dict[str, float]:
        return {severity.lower(): most for severity, most in hours.items()}


class Settings(Section):
    """What the user configured.

    Attributes:
        api: rest_api's configuration: `client`, `resource_defaults`, `resources`.
        source: The source that this is of.
    """

    api: dict[str, Any] = Field(repr=False)
    source: str = FIRST
    also: list[str] = Field(
        default=[],
        description='names of further sources, such as `["tickets"]`, each described in a section '
        "of its own, `[sources.tickets]`; only in `[sources.incidents]`",
    )
    preset: str = Field(
        default="",
        description="the vendor, by its name in `make presets`; what you do not set yourself comes "
        'from its preset; `config.toml` has `"default"`',
    )
    fetch_ahead: int = Field(
        default=4,
        ge=1,
        description="pages requested at a time, if the paginator is `offset` or `page_number` "
        "and the response has a `total`; 1: one after another",
    )
    requests_per_minute: int = Field(
        default=0,
        ge=0,
        description="most requests per minute, retries included, evenly spaced; 0: no limit",
    )
    retry_also: list[Annotated[int, Field(ge=400, le=499)]] = Field(
        default=[],
        description="statuses that mean what 429 does for this API, such as 420; 403 counts only "
        "if a header says that the limit is used up",
    )
    max_minutes: int = Field(
        default=60,
        ge=1,
        description="a sync that reads for longer fails, and says what it requested",
    )
    wait_seconds: float = Field(
        default=60.0,
        ge=0,
        description="how long a sync waits for another sync, or for a reader, to release the file",
    )
    wait_seconds_scheduled: float = Field(
        default=900.0,
        ge=0,
        description="the same for one that a schedule or a sensor has started, if that is longer",
    )
    read_copy: bool = Field(
        default=True,
        description="whether readers get [a copy of the file](docs/reading.md) after each sync "
        "that changed something; for all sources, only in `[sources.incidents]`",
    )
    allow_plain_http: bool = Field(
        default=False, description="whether secrets may go over plain http to another machine"
    )
    max_page_mb: int = Field(
        default=100,
        ge=1,
        description="a larger response fails the sync; reading one takes about 15 times its size "
        "in memory",
    )
    completeness: Completeness = Completeness()
    accept_unproven: bool = Field(
        default=False,
        description="whether freshness also counts syncs that are not proven complete",
    )
    allow_empty: bool = Field(
        default=False,
        description="whether an API without any record is believed, so that all rows are gone; "
        "`deleted_share` then does not count",
    )
    quarantine_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="a sync with a larger share of bad records fails and loads nothing",
    )
    deleted_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="a full read that lacks more than this share of the table's rows marks none as "
        "deleted",
    )
    second_look_rows: int = Field(
        default=10,
        ge=0,
        description="if a full read lacks more rows than this, or than `second_look_share`, they "
        "are marked as deleted only if the next one lacks them, too",
    )
    second_look_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="the same as a share of the table's rows; up to three rows never wait",
    )
    max_columns: int = Field(
        default=1_000,
        ge=1,
        description="if a table has as many columns, new fields share the JSON column "
        "`_further_fields`",
    )
    tracked: list[str] = Field(
        default=["status", "phase", "severity", "service"],
        description="columns of the first resource's table whose changes are entered in "
        "`incidents.change_log`; a column added here is entered from an incident's next change on",
    )
    freshness: Freshness = Freshness()
    change_sensor: ChangeSensor = ChangeSensor()
    schedules: Schedules = Schedules()
    insight: Insight = Insight()
    keep_runs_days: int = Field(
        default=90,
        ge=0,
        description="older runs of the jobs are deleted from Dagster's history, except the newest "
        "sync of an asset; 0: none",
    )
    owners: list[Owner] = Field(
        default=["team:on-call"],
        description="the assets' owners in Dagster: e-mail addresses and teams",
    )
    group: Name = Field(
        default="incidents",
        description="the assets' group in Dagster; of a further source, by default its name",
    )
    webhook_url: str = Field(
        default="",
        repr=False,
        description='receives `{"text": …}` for each alert; belongs in `secrets.toml`',
    )
    alerts: Alerts = Alerts()

    @property
    def section(self) -> SourceSection:
        """Where they are set."""
        return SourceSection(self.source)

    def where(self, setting: str = "") -> str:
        """The place of a setting, for messages: see `SourceSection.where`."""
        return self.section.where(setting)

    @property
    def base_url(self) -> str:
        """The API's address; empty while the demo API is used."""
        return str(self.api["client"].get("base_url") or "")

    @property
    def resource_names(self) -> list[str]:
        """Names of the configured resources, in their order."""
        return [r if isinstance(r, str) else str(r["name"]) for r in self.api["resources"]]

    @property
    def main(self) -> str:
        """The first resource, which has the incidents."""
        return self.resource_names[0]

    def as_scheduled(self) -> "Settings":
        """The same for a sync that nobody sits in front of, which waits longer for the file."""
        waits = max(self.wait_seconds, self.wait_seconds_scheduled)
        return self.model_copy(update={"wait_seconds": waits})

    def description_of(self, name: str) -> str:
        """What the configuration says about a resource, for people; empty if it says nothing."""
        described = (r for r in self.api["resources"] if isinstance(r, dict) and r["name"] == name)
        return str(next(described, {}).get("description") or "")


def load_settings(source: str = FIRST) -> Settings:
    """Reads a source's section: config.toml, overridden by secrets.toml, then the environment.

    Raises:
        SettingsError: There is no such source, there are no resources, a name is unknown, or a
            value is not valid.
    """
    if source not in (names := source_names()):
        also = SourceSection().where(ALSO)
        raise SettingsError(
            f"There is no source {source[:SHOWN_CHARACTERS]!r}: {ALSO} in {also} names "
            f"{', '.join(names[1:]) or 'none'}."
        )
    for name in names:  # an API may repeat the key of another source
        with suppress(SettingsError):  # of that source, whose syncs say so
            remember(*SourceSection(name).secrets(SECRETS))
    return _load(SourceSection(source), names)


def load_sources() -> dict[str, Settings | SettingsError]:
    """The settings of each source, or what is wrong with them, the first source first.

    Raises:
        SettingsError: The names of the sources are wrong.
    """
    found: dict[str, Settings | SettingsError] = {}
    for name in (names := source_names()):
        try:
            found[name] = _load(SourceSection(name), names)
        except SettingsError as error:
            found[name] = error
    return found


def _load(section: SourceSection, sources: list[str]) -> Settings:
    check_umask()
    given = section.read()
    remember(*(secret for name, secret in section.own_secrets().items() if name in SECRETS))
    check_section_names(section, sources)
    if not given.get("resources"):
        raise SettingsError(
            f"No resources in {section.where()}: add a [[{section.name}.resources]], or name a "
            "preset."
        )
    own = [name for name in Settings.model_fields if name not in ("api", "source")]
    for name in given:
        if name not in (*REST_API_KEYS, *own):
            known = [*REST_API_KEYS, *own]
            raise SettingsError(_unknown(name, known, section.where(name)))
    if not section.is_first and (name := next((n for n in OF_ALL if n in given), "")):
        raise SettingsError(
            f"{name} in {section.where(name)}: only [{SourceSection().name}] has it, for all "
            "sources."
        )
    api = {key: given.pop(key) for key in REST_API_KEYS if key in given}
    api = _checked({"client": {}, **api}, section)
    given = _with_defaults(given, section)
    try:
        settings = Settings.model_validate({"source": section.source, "api": api, **given})
    except ValidationError as refused:
        # `from None`, as the original would show values.
        raise SettingsError(refusal(refused, place=Place(section=section))) from None
    _check_given(settings)
    if not settings.base_url and has_api(sources):
        raise SettingsError(
            f"client.base_url is missing in {section.where()}: the demo API is only used while no "
            "source has an API, so that its incidents do not get among yours."
        )
    return settings


def usual_crons(source: str) -> dict[str, str]:
    """The defaults of `schedules`: for a further source, at a time that its name decides.

    Else all sources would sync in the same minute.
    """
    if source == FIRST:
        fields = Schedules.model_fields
        return {name: fields[name].default for name in ("sync_cron", "reconcile_cron")}
    hour, minute = divmod(zlib.crc32(source.encode()) % (NIGHT_HOURS * 60), 60)
    return {"sync_cron": f"{minute} * * * *", "reconcile_cron": f"{minute} {hour} * * 0"}


def _with_defaults(given: dict[str, Any], section: SourceSection) -> dict[str, Any]:
    """A source's own settings over the defaults that depend on its name."""
    if section.is_first:
        return given
    crons, schedules = usual_crons(section.source), given.get("schedules") or {}
    if isinstance(schedules, dict):
        schedules = {**crons, **schedules}
    return {"group": section.source, **given, "schedules": schedules}


def _check_given(settings: Settings) -> None:
    """Checks that there is what the preset leaves to the user."""
    section = settings.section
    about = section.about_preset()
    if not about:
        return
    secrets = {name: shape for name, shape in about.secrets.items() if "." in name}
    for name, example in {**about.settings, **secrets}.items():
        value: Any = settings.api
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if name in secrets and not value:
            raise SettingsError(
                f"{name} is missing: the preset {settings.preset!r} needs it in [{section.name}] "
                f"of .dlt/secrets.toml. It is a secret: {example}."
            )
        if not value or value == example:
            what = "is still the example" if value else "is missing"
            raise SettingsError(
                f"{name} {what}: the preset {settings.preset!r} needs your own in "
                f'{section.where()}, as in "{example}".'
            )


def _checked(api: dict[str, Any], section: SourceSection) -> dict[str, Any]:
    """`api`, if it has the shape that the rest of this project relies on."""
    where = section.where
    for key, kind in {"client": dict, "resource_defaults": dict, "resources": list}.items():
        if not isinstance(api.get(key, kind()), kind):
            shape = "table" if kind is dict else "list"
            raise SettingsError(
                f"{key} in {where(key)} must be a {shape}, as in rest_api, {shown(api[key], True)}."
            )
    for number, resource in enumerate(api["resources"]):
        named = isinstance(resource, dict) and isinstance(resource.get("name"), str)
        if not named and not isinstance(resource, str):
            raise SettingsError(f"resources[{number}] in {where('resources')} has no name.")
        name = resource if isinstance(resource, str) else resource["name"]
        if not re.fullmatch(NAME, name):
            raise SettingsError(
                f"resources[{number}].name in {where('resources')} must be a name of letters, "
                f"digits and underscores, as Dagster's assets have, {shown(name)}."
            )
        if name.lower() == INCIDENTS:
            raise SettingsError(
                f"resources[{number}].name in {where('resources')}: {INCIDENTS} is the view over "
                "all sources. Give the resource another name, such as incident_data; to keep the "
                f"rows of an earlier release, ALTER TABLE {FIRST}.{INCIDENTS} RENAME TO "
                "incident_data."
            )
    base_url = api["client"].get("base_url") or ""
    place = f"client.base_url in {where('client.base_url')}"
    try:
        parts = urlsplit(base_url if isinstance(base_url, str) else "not an address")
        _ = parts.port
    except ValueError:
        raise SettingsError(f"{place} is not an address.") from None
    if base_url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise SettingsError(f"{place} is not an http(s) address.")
    if parts.username or parts.password or parts.query:
        raise SettingsError(
            f"{place} contains a user, a password or a query: put credentials in client.auth, "
            "parameters in endpoint.params."
        )
    return api


def refusal(
    refused: ValidationError, model: type[Section] = Settings, place: Place | None = None
) -> str:
    """What is wrong with a setting, in one message.

    Args:
        refused: By pydantic.
        model: What it checked.
        place: The table that this is of, such as `resources[0].completeness`.
    """
    place = place or Place()
    error = refused.errors(include_url=False)[0]
    *tables, name = [str(part) for part in error["loc"] if isinstance(part, str)]
    setting = ".".join([*tables, name])
    field = _field(model, [*tables, name])
    must_be = SETTINGS_MUST_BE.get(setting) or TYPES_MUST_BE.get(error["type"])
    must_be = must_be or error["msg"].removeprefix("Input should be ")
    table = ".".join(filter(None, [place.name, *tables]))
    setting = f"{table}.{name}" if table else name
    where = place.section.where(setting)
    if error["type"] == "extra_forbidden":
        known: Any = model
        for one in tables:
            known = known.model_fields[one].annotation
        return _unknown(name, list(known.model_fields), f"{table} of {where}")
    secret = field is not None and not field.repr
    secret |= error["type"] in ("dict_type", "model_type", "list_type")  # never what was meant
    instead = f", {shown(error['input'], secret)}"
    return f"{setting} in {where} must be {must_be}{instead}."


def _field(model: Any, path: list[str]) -> Any:
    """The field of a setting, such as `alerts.urls`; None if there is none."""
    field = None
    for name in path:
        field = getattr(model, "model_fields", {}).get(name)
        model = getattr(field, "annotation", None)
    return field


def _unknown(name: str, known: list[str], place: str) -> str:
    guess = get_close_matches(name, known, n=1)
    advice = f"did you mean {guess[0]!r}?" if guess else f"known settings are {', '.join(known)}."
    return f"Unknown setting {name[:SHOWN_CHARACTERS]!r} in {place}: {advice}"
