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
from dlt.common.exceptions import DictValidationException, DltException
from dlt.extract import DltSource
from dlt.sources.rest_api import rest_api_source

from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.credentials import redact, resolve_auth
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
        holder.pop("auth", None)
    return _build(api)


@contextmanager
def open_source(
    settings: Settings, report: Callable[[str], None], params: dict[str, Any] | None = None
) -> Iterator[OpenSource]:
    """Opens the API, the demo API where none is configured, and closes it whatever happens.

    Args:
        settings: What the user configured.
        report: Gets a line of progress every few seconds.
        params: Query parameters on top of each endpoint's own.

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
            if holder.get("auth"):
                holder["auth"] = KeyOnTheWire(resolve_auth(holder["auth"]), client["base_url"])
        for endpoint in endpoints if params else ():
            endpoint["params"] = {**endpoint.get("params", {}), **(params or {})}
        client["session"], adapter = open_session()
        stack.callback(client["session"].close)

        source = _build(api)
        progress = {name: Progress(name, report) for name in source.resources}
        for name, resource in source.resources.items():
            resource.add_metrics(progress[name])
            resource.add_step(_table_even_if_empty)
        yield OpenSource(source, progress, adapter)


def _endpoints(api: dict[str, Any]) -> list[dict[str, Any]]:
    """Every endpoint in `api` as a dict, its short forms spelled out in place."""
    resources = [{"name": r} if isinstance(r, str) else r for r in api["resources"]]
    api["resources"] = resources
    for holder in [*resources, api.setdefault("resource_defaults", {})]:
        endpoint = holder.get("endpoint", {})
        holder["endpoint"] = {"path": endpoint} if isinstance(endpoint, str) else endpoint
    return [holder["endpoint"] for holder in [*resources, api["resource_defaults"]]]


def _table_even_if_empty(page: Any, meta: Any = None) -> Any:
    # dlt creates no table for a sync of no rows unless told so.
    return page or dlt.mark.materialize_table_schema()


def _build(api: Any) -> DltSource:
    try:
        # Nested values become JSON columns: one table per resource.
        source = rest_api_source(api, name=DATASET, section=DATASET, max_table_nesting=0)
        for resource in source.resources.values():
            resource.compute_table_schema()  # dlt checks columns only when records arrive
    except DictValidationException as error:
        fault = _most_telling(error)
        setting = fault.path.strip("./").replace("/", ".")
        raise SettingsError(_refused(f"{setting}: {fault.msg}")) from None
    except (DltException, ValueError, TypeError, KeyError) as error:
        raise SettingsError(_refused(str(error))) from None
    return source


def _refused(why: str) -> str:
    first_line = next(iter(redact(why).splitlines()), "")
    return f"[{SECTION}] of {config_file()} is not what dlt's rest_api takes: {first_line}"


def _most_telling(error: DictValidationException) -> DictValidationException:
    # A value that fits none of several shapes has a fault for each; the shape that was meant is
    # the one that the value goes deepest into and has the fewest fields too many for.
    faults = [_most_telling(fault) for fault in error.nested_exceptions or []]
    deeper = [fault for fault in faults if fault.path.count("/") > error.path.count("/")]
    return min(
        deeper,
        key=lambda f: (f.msg.startswith("received unexpected"), len(f.msg)),
        default=error,
    )
