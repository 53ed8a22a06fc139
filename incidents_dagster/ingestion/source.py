"""The incident API as a dlt source, built from the settings alone.

`declared_source` has names and columns, for whoever defines assets; `open_source` can fetch.
Both are rest_api's source of the same configuration: no vendor has code here.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import dlt
from dlt.common import jsonpath
from dlt.common.exceptions import DictValidationException, DltException
from dlt.common.schema.typing import TColumnSchema
from dlt.extract import DltSource
from dlt.sources.rest_api import rest_api_source
from jsonpath_ng.exceptions import JSONPathError

from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.credentials import check_auth, redact, resolve_auth
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.progress import Progress
from incidents_dagster.ingestion.settings import DATASET, SECTION, Settings, config_file
from incidents_dagster.ingestion.transport import ApiAdapter, KeyOnTheWire, open_session

NOWHERE = "http://127.0.0.1:9"  # the discard port: an address that is declared and never called
DEMO_AUTH = {"type": "api_key", "name": "api_key", "location": "query"}


@dataclass(frozen=True)
class OpenSource:
    """A source that can fetch, with what it counts while it does.

    Attributes:
        source: rest_api's source, for one run.
        progress: Resource name → pages and rows received.
        adapter: Counts the requests.
    """

    source: DltSource
    progress: dict[str, Progress]
    adapter: ApiAdapter


def declared_source(settings: Settings) -> DltSource:
    """The configured resources with their columns. Needs no secret and no network, fetches nothing.

    Raises:
        SettingsError: rest_api refuses the configuration; the message names the setting.
    """
    api = deepcopy(settings.api)
    api["client"]["base_url"] = settings.base_url or NOWHERE
    for holder in [api["client"], *_endpoints(api)]:
        with _settings_errors():
            check_auth(holder.pop("auth", None))
    return _build(api)


@contextmanager
def open_source(
    settings: Settings, report: Callable[[str], None], params: dict[str, Any] | None = None
) -> Iterator[OpenSource]:
    """Opens the API, the demo API where none is configured, and closes it whatever happens.

    Args:
        settings: What the user configured.
        report: Gets a line of progress every few seconds.
        params: Query parameters on top of each endpoint's own, for a question apart from the
            syncs: an endpoint's `incremental` is left out of it.

    Raises:
        SettingsError: A secret is missing, or rest_api refuses the configuration.
    """
    api = deepcopy(settings.api)
    client, endpoints = api["client"], _endpoints(api)
    with ExitStack() as stack:
        if not settings.base_url:
            demo = stack.enter_context(DemoServer())
            client.update(base_url=demo.base_url, auth={**DEMO_AUTH, "api_key": demo.api_key})
        for holder in [client, *endpoints]:
            if holder.get("auth") is not None:
                with _settings_errors():
                    check_auth(holder["auth"])
                path = str(holder.get("path", ""))
                own_address = path if path.startswith(("http://", "https://")) else None
                holder["auth"] = KeyOnTheWire(
                    resolve_auth(holder["auth"]), own_address or client["base_url"]
                )
        if params is not None:
            for endpoint in endpoints:
                endpoint["params"] = {**endpoint.get("params", {}), **params}
                endpoint.pop("incremental", None)  # it would put its own start_param in place
        client["session"], adapter = open_session()
        stack.callback(client["session"].close)

        source = _build(api)
        progress = {name: Progress(name, report) for name in source.resources}
        for name, resource in source.resources.items():
            resource.add_metrics(progress[name])
            resource.add_step(_table_even_if_empty)
        yield OpenSource(source, progress, adapter)


def _endpoints(api: dict[str, Any]) -> list[dict[str, Any]]:
    """Every endpoint in `api` as a dict, its short forms spelled out in place.

    Raises:
        SettingsError: A value that rest_api accepts and then stumbles over.
    """
    api["resources"] = [{"name": r} if isinstance(r, str) else r for r in api["resources"]]
    holders = {f"resources[{n}]": resource for n, resource in enumerate(api["resources"])}
    holders["resource_defaults"] = api.setdefault("resource_defaults", {})
    for where, holder in holders.items():
        endpoint = holder.get("endpoint", {})
        if not isinstance(endpoint, (str, dict)):
            raise SettingsError(_refused(f"{where}.endpoint is neither a table nor a path"))
        holder["endpoint"] = {"path": endpoint} if isinstance(endpoint, str) else endpoint
        columns = holder.get("columns", {})
        for name, hints in columns.items() if isinstance(columns, dict) else ():
            if not isinstance(hints, dict):
                raise SettingsError(_refused(f"{where}.columns.{name} is not a table"))

    endpoints = [holder["endpoint"] for holder in holders.values()]
    for holder in [api["client"], *endpoints]:
        paginator = holder.get("paginator")
        limit = paginator.get("limit", 1) if isinstance(paginator, dict) else 1
        if isinstance(limit, int) and limit < 1:
            raise SettingsError(_refused(f"paginator: limit={limit} is below 1"))
        selector = holder.get("data_selector")
        if isinstance(selector, str) and selector:
            try:
                jsonpath.compile_path(selector)
            except JSONPathError:
                raise SettingsError(
                    _refused(f"data_selector {selector!r} is no JSONPath")
                ) from None
    return endpoints


def _table_even_if_empty(page: Any, meta: Any = None) -> Any:
    # dlt creates no table for a sync of no rows unless told so.
    return page or dlt.mark.materialize_table_schema()


def _build(api: Any) -> DltSource:
    with _settings_errors():
        # Nested values become JSON columns: one table per resource.
        source = rest_api_source(api, name=DATASET, section=DATASET, max_table_nesting=0)
        for resource in source.resources.values():
            # Also checks the columns, which dlt would do only when records arrive.
            columns = resource.compute_table_schema()["columns"]
            keys = [n for n, c in columns.items() if c.get("primary_key") and "data_type" not in c]
            if keys:  # an id that looks like a number today may be text tomorrow
                text = {name: TColumnSchema(data_type="text", nullable=False) for name in keys}
                resource.apply_hints(columns=text)
    return source


@contextmanager
def _settings_errors() -> Iterator[None]:
    """Turns what dlt says of a configuration into a SettingsError that names the setting."""
    try:
        yield
    except DictValidationException as error:
        fault = _most_telling(error)
        setting = fault.path.strip("./").replace("/", ".")
        raise SettingsError(_refused(f"{setting}: {fault.msg}")) from None
    except (DltException, ValueError, TypeError, KeyError) as error:
        raise SettingsError(_refused(str(error))) from None


def _refused(why: str) -> str:
    first_line = next(iter(redact(why).splitlines()), "")
    return f"[{SECTION}] of {config_file()} is not what dlt's rest_api takes: {first_line}"


def _most_telling(error: DictValidationException) -> DictValidationException:
    # A value that fits none of several shapes has a fault for each; the shape that was meant is
    # the one that the value goes deepest into, with the fewest fields too many or too few.
    faults = [_most_telling(fault) for fault in error.nested_exceptions or []]
    deeper = [fault for fault in faults if fault.path.count("/") > error.path.count("/")]
    unlikely = ("received unexpected", "missing required")
    return min(deeper, key=lambda f: (f.msg.startswith(unlikely), len(f.msg)), default=error)
