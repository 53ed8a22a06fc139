"""What `[sources.incidents]` may contain: this project's settings, their defaults and meanings.

`client`, `resource_defaults` and `resources` are rest_api's: dlt checks them when `source` is
built. `settings_files` reads the values. README's table of settings is generated from the models
here. No secret is read.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.settings_files import SECTION, read_section, where
from incidents_dagster.ingestion.settings_types import (
    AmountFrom0,
    AmountFrom1,
    CountFrom0,
    CountFrom1,
    Name,
    Owners,
    Params,
    Section,
    Share,
    Switch,
    Text,
    Zone,
)

PROJECT_ROOT = Path(__file__).resolve().parents[2]
REST_API_KEYS = ("client", "resource_defaults", "resources")


class Completeness(Section):
    """Where the API's responses say how many records there are."""

    total_path: Text = Field(
        default="total",
        description='JSONPath to the number of all records in a response; `""`: there is none',
    )
    more_path: Text = Field(
        default="more",
        description='JSONPath to whether there are more records; `""`: there is none',
    )
    overlap_pages: Switch = Field(
        default=True,
        description="whether offset pages overlap by a row, which shows whether rows moved",
    )


class Freshness(Section):
    """When the asset and its check warn and fail."""

    warn_after_minutes: AmountFrom1 = Field(
        default=90.0, description="age of the last proven sync at which the asset warns"
    )
    fail_after_minutes: AmountFrom1 = Field(default=180.0, description="… and at which it fails")
    newest_within_hours: AmountFrom1 = Field(
        default=168.0, description="age of the newest change at which a check warns"
    )

    @field_validator("fail_after_minutes")
    @classmethod
    def _after_the_warning(cls, fail: float, so_far: ValidationInfo) -> float:
        warn = so_far.data.get("warn_after_minutes", 0.0)
        if fail <= warn:
            raise PydanticCustomError("must_be", f"more than warn_after_minutes ({warn:g})")
        return fail


class ChangeSensor(Section):
    """What incident_change_sensor requests, and how often."""

    interval_seconds: AmountFrom1 = Field(
        default=60.0, description="minimum time between two requests of `incident_change_sensor`"
    )
    params: Params = Field(
        default={},
        description="parameters that it adds to the endpoint's, to get the newest changes on the "
        'first page; `config.toml` has `{ sort = "-updated_at" }`',
    )


class Schedules(Section):
    """When the jobs run."""

    sync_cron: Text = Field(
        default="0 * * * *",
        description='when `incidents_sync_hourly` runs; `""`: off until you start it',
    )
    reconcile_cron: Text = Field(
        default="30 3 * * 0",
        description='when `incidents_reconcile_weekly` runs; `""`: off until you start it',
    )
    timezone: Zone = Field(default="UTC", description="the time zone of both schedules")


class Settings(Section):
    """What the user configured.

    Attributes:
        api: rest_api's configuration: `client`, `resource_defaults`, `resources`.
    """

    api: dict[str, Any] = Field(repr=False)
    fetch_ahead: CountFrom1 = Field(
        default=4,
        description="pages requested at a time, if the paginator is `offset` or `page_number` "
        "and the response has a `total`; 1: one after another",
    )
    requests_per_minute: CountFrom0 = Field(
        default=0,
        description="most requests per minute, retries included, evenly spaced; 0: no limit",
    )
    max_minutes: CountFrom1 = Field(
        default=60, description="a sync that reads for longer fails, and says what it requested"
    )
    wait_seconds: AmountFrom0 = Field(
        default=60.0,
        description="how long a sync waits for another sync, or for a reader, to release the file",
    )
    allow_plain_http: Switch = Field(
        default=False, description="whether secrets may go over plain http to another machine"
    )
    completeness: Completeness = Completeness()
    quarantine_share: Share = Field(
        default=0.1, description="a sync with a larger share of bad records fails and loads nothing"
    )
    deleted_share: Share = Field(
        default=0.5,
        description="a full read that lacks more than this share of the table's rows marks none as "
        "deleted",
    )
    freshness: Freshness = Freshness()
    change_sensor: ChangeSensor = ChangeSensor()
    schedules: Schedules = Schedules()
    owners: Owners = Field(
        default=["team:on-call"],
        description="the assets' owners in Dagster: e-mail addresses and teams",
    )
    group: Name = Field(default="incidents", description="the assets' group in Dagster")
    webhook_url: Text = Field(
        default="",
        repr=False,
        description='receives `{"text": …}` for each failed run; belongs in `secrets.toml`',
    )

    @property
    def base_url(self) -> str:
        """The API's address; empty while the demo API is used."""
        return str(self.api["client"].get("base_url") or "")

    @property
    def resource_names(self) -> list[str]:
        """Names of the configured resources, in their order; the first is the main one."""
        return [r if isinstance(r, str) else str(r["name"]) for r in self.api["resources"]]


def load_settings() -> Settings:
    """Reads `[sources.incidents]`: config.toml, overridden by secrets.toml, then the environment.

    Raises:
        SettingsError: There are no resources, a name is unknown, or a value is not valid.
    """
    given = read_section()
    if not given.get("resources"):
        raise SettingsError(f"No resources in {where()}: add a [[{SECTION}.resources]].")
    own = [name for name in Settings.model_fields if name != "api"]
    for name in given:
        if name not in (*REST_API_KEYS, *own):
            raise SettingsError(_unknown(name, [*REST_API_KEYS, *own], where()))
    api = {key: given.pop(key) for key in REST_API_KEYS if key in given}
    try:
        return Settings.model_validate({"api": _checked({"client": {}, **api}), **given})
    except ValidationError as refused:
        # `from None`, as the original would show values.
        raise SettingsError(_refusal(refused.errors(include_url=False)[0])) from None


def _checked(api: dict[str, Any]) -> dict[str, Any]:
    """`api`, if it has the shape that the rest of this project relies on."""
    for key, kind in {"client": dict, "resource_defaults": dict, "resources": list}.items():
        if not isinstance(api.get(key, kind()), kind):
            shape = "table" if kind is dict else "list"
            raise SettingsError(f"{key} in {where()} must be a {shape}, as in rest_api.")
    for number, resource in enumerate(api["resources"]):
        named = isinstance(resource, dict) and isinstance(resource.get("name"), str)
        if not named and not isinstance(resource, str):
            raise SettingsError(f"resources[{number}] in {where()} has no name.")
    base_url = api["client"].get("base_url") or ""
    try:
        parts = urlsplit(str(base_url))
        _ = parts.port
    except ValueError as error:
        raise SettingsError(f"client.base_url in {where()} is not an address: {error}.") from None
    if base_url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise SettingsError(f"client.base_url in {where()} is not an http(s) address.")
    if parts.username or parts.password or parts.query:
        raise SettingsError(
            f"client.base_url in {where()} contains a user, a password or a query: put credentials "
            "in client.auth, parameters in endpoint.params."
        )
    return api


def _refusal(error: ErrorDetails) -> str:
    """Our message for `error`; that of `must_be` says what the value must be."""
    *tables, name = map(str, error["loc"])
    setting = ".".join([*tables, name])
    if error["type"] == "extra_forbidden":
        known: Any = Settings
        for table in tables:
            known = known.model_fields[table].annotation
        return _unknown(name, list(known.model_fields), f"{'.'.join(tables)} of {where()}")
    if error["type"] != "must_be":
        return f"{setting} in {where()} must be a table."
    field = Settings.model_fields.get(setting)
    secret = field is not None and not field.repr
    shown = "" if secret else f", not {error['input']!r}"
    return f"{setting} in {where()} must be {error['msg']}{shown}."


def _unknown(name: str, known: list[str], place: str) -> str:
    guess = get_close_matches(name, known, n=1)
    advice = f"did you mean {guess[0]!r}?" if guess else f"known settings are {', '.join(known)}."
    return f"Unknown setting {name!r} in {place}: {advice}"
