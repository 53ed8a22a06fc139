"""The incident API as rest_api resources, built from the settings alone.

`declared_source` has names and columns, for whoever defines assets; `open_api` can fetch.
Both are rest_api's source of the same configuration: no vendor has code here.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from dlt.common import jsonpath
from dlt.common.schema import Schema
from dlt.common.schema.typing import TColumnSchema
from dlt.extract import DltResource, DltSource
from dlt.sources.rest_api import rest_api_source

from incidents_dagster.ingestion.credentials import check_auth, resolve_auth
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.incremental import Incremental, asking_from, take_from
from incidents_dagster.ingestion.paginators import paginator
from incidents_dagster.ingestion.progress import Progress
from incidents_dagster.ingestion.rest_api_config import endpoints, refused, settings_errors
from incidents_dagster.ingestion.settings import DATASET, SECTION, Settings, config_file
from incidents_dagster.ingestion.table import Table
from incidents_dagster.ingestion.transport import ApiAdapter, KeyOnTheWire, open_session

NOWHERE = "http://127.0.0.1:9"  # the discard port: an address that is declared and never called
DEMO_AUTH = {"type": "api_key", "name": "api_key", "location": "query"}


@dataclass(frozen=True)
class OpenApi:
    """An API that can be fetched from.

    Attributes:
        declared: The resources with their columns, as `declared_source` has them.
        incremental: Resource name → how it is read incrementally, for those that are.
        progress: Resource name → pages and rows received.
        adapter: Counts the requests.
    """

    declared: DltSource
    incremental: dict[str, Incremental]
    progress: dict[str, Progress]
    adapter: ApiAdapter
    _config: dict[str, Any]

    def records(
        self, name: str, since: Any = None, params: dict[str, Any] | None = None
    ) -> DltResource:
        """rest_api's resource `name`, which fetches page by page when it is iterated.

        Args:
            name: The resource.
            since: Asks for what changed at or after this cursor value; None for everything.
            params: Query parameters on top of the endpoint's own.
        """
        config = {**self._config, "resources": []}
        for resource in self._needed_for(name):
            endpoint, asked = {**resource["endpoint"]}, resource["name"] == name
            if incremental := self.incremental.get(resource["name"]):
                endpoint = asking_from(endpoint, incremental, since if asked else None)
            if asked and params:
                endpoint["params"] = {**endpoint.get("params", {}), **params}
            if "paginator" in endpoint:  # each walk has its own
                endpoint["paginator"] = paginator(
                    endpoint["paginator"], config["client"]["session"]
                )
            config["resources"].append({**resource, "endpoint": endpoint})
        return _build(config).resources[name].add_metrics(self.progress[name])

    def _needed_for(self, name: str) -> list[dict[str, Any]]:
        """The resource and those that its endpoint takes values from, whose names stand in it."""
        endpoints = {r["name"]: str(r["endpoint"]) for r in self._config["resources"]}
        needed = [name]
        for wanted in needed:  # grows on the way
            needed += [o for o in endpoints if o in endpoints[wanted] and o not in needed]
        return [resource for resource in self._config["resources"] if resource["name"] in needed]


def declared_source(settings: Settings) -> DltSource:
    """The configured resources with their columns. Needs no secret and no network, fetches nothing.

    Raises:
        SettingsError: rest_api refuses the configuration; the message names the setting.
    """
    api = deepcopy(settings.api)
    api["client"]["base_url"] = settings.base_url or NOWHERE
    for holder in [api["client"], *endpoints(api)]:
        with settings_errors():
            check_auth(holder.pop("auth", None))
    source = _build(api)
    for name in _take_incrementals(api):
        if not Table.of(source, name).takes_changes_alone:
            raise SettingsError(
                refused(
                    f"{name} has incremental, which needs a primary_key and write_disposition merge"
                )
            )
    return source


@contextmanager
def open_api(
    settings: Settings, report: Callable[[str], None], fetch_ahead: int | None = None
) -> Iterator[OpenApi]:
    """Opens the API, the demo API where none is configured, and closes it whatever happens.

    Args:
        settings: What the user configured.
        report: Gets a line of progress every few seconds.
        fetch_ahead: In the place of the setting.

    Raises:
        SettingsError: A secret is missing, or rest_api refuses the configuration.
    """
    declared = declared_source(settings)
    api = deepcopy(settings.api)
    client, holders = api["client"], endpoints(api)
    with ExitStack() as stack:
        if not settings.base_url:
            # Starlette and uvicorn, a third of a second for whoever has an API.
            from incidents_dagster.demo_api.server import DemoServer  # noqa: PLC0415

            demo = stack.enter_context(DemoServer())
            client.update(base_url=demo.base_url, auth={**DEMO_AUTH, "api_key": demo.api_key})
        client["session"], adapter = open_session(
            fetch_ahead or settings.own["fetch_ahead"], settings.own["requests_per_minute"]
        )
        stack.callback(client["session"].close)
        if "paginator" in client:
            client["paginator"] = paginator(client["paginator"], client["session"])
        for holder in [client, *holders]:
            if holder.get("auth") is not None:
                with settings_errors():
                    check_auth(holder["auth"])
                path = str(holder.get("path", ""))
                own_address = path if path.startswith(("http://", "https://")) else None
                holder["auth"] = KeyOnTheWire(
                    resolve_auth(holder["auth"]), own_address or client["base_url"]
                )
            if selector := holder.get("data_selector"):
                holder["data_selector"] = jsonpath.compile_path(selector)  # not on every page
        yield OpenApi(
            declared=declared,
            incremental=_take_incrementals(api),
            progress={name: Progress(name, report) for name in declared.resources},
            adapter=adapter,
            _config=api,
        )


def _take_incrementals(api: dict[str, Any]) -> dict[str, Incremental]:
    """Takes `incremental` out of every endpoint, after giving each the defaults' settings."""
    naming, where = Schema(DATASET).naming, f"[{SECTION}] of {config_file()}"
    defaults = api["resource_defaults"].pop("endpoint", {})
    found = {}
    for number, resource in enumerate(api["resources"]):
        endpoint = {**defaults, **resource["endpoint"]}
        for part in ("params", "json"):  # rest_api merges these two one level deeper
            if merged := {**(defaults.get(part) or {}), **(endpoint.get(part) or {})}:
                endpoint[part] = merged
        with settings_errors():
            incremental = take_from(endpoint, naming, f"{where}: resources[{number}].endpoint")
        resource["endpoint"] = endpoint
        if incremental:
            found[resource["name"]] = incremental
    return found


def _build(api: Any) -> DltSource:
    with settings_errors():
        source = rest_api_source(api, name=DATASET, section=DATASET)
        for resource in source.resources.values():
            # Also checks the columns, which dlt would do only when records arrive.
            columns = resource.compute_table_schema()["columns"]
            keys = [n for n, c in columns.items() if c.get("primary_key") and "data_type" not in c]
            if keys:  # an id that looks like a number today may be text tomorrow
                text = {name: TColumnSchema(data_type="text", nullable=False) for name in keys}
                resource.apply_hints(columns=text)
    return source
