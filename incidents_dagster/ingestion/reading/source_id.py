"""Identifies what a resource is read from: equal ids bring the same records.

The id changes with the address, with everything that decides which records come, and with how pages
are found. Page size, rate, columns and names are not part of it, so changing them costs no full
read.
"""

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dlt.extract import DltSource

from incidents_dagster.ingestion.reading.incremental import take_incrementals
from incidents_dagster.ingestion.reading.page_size import is_size_alone
from incidents_dagster.ingestion.reading.resource_settings import take_own
from incidents_dagster.ingestion.reading.rest_api_config import endpoints, needed_for
from incidents_dagster.ingestion.rows.filled import filled_columns
from incidents_dagster.ingestion.secrets.names import is_credential, may_be_secret
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.tables import Table

DEMO = "demo://api"


@dataclass(frozen=True)
class SourceId:
    """What a resource is read from.

    Attributes:
        address: Where, for messages: no query, no secret.
        hash: Of everything that decides which records come.
        paging: Of how pages are found, and into which windows of time the list is split.
        filled: Of how columns are filled from paths in the records; empty if none are.
    """

    address: str
    hash: str
    paging: str
    filled: str = ""

    @property
    def whole(self) -> str:
        """All of them as one text."""
        return self.hash + self.paging + self.filled


def source_ids(settings: Settings, declared: DltSource) -> dict[str, SourceId]:
    """What each resource is read from, with the resources that its requests take values from.

    Args:
        settings: As configured, without the address of the demo API.
        declared: The resources, as from `declared_source`.
    """
    api = deepcopy(settings.api)
    endpoints(api, settings.section)
    own = take_own(api, settings)
    incrementals = take_incrementals(api, declared)
    base_url = settings.base_url or DEMO
    parts, paging = {}, {}
    for resource in api["resources"]:
        name, endpoint = resource["name"], resource["endpoint"]
        incremental, split = incrementals.get(name), own[name].windows
        path, _, query = str(endpoint.get("path") or name).partition("?")
        headers = {**(api["client"].get("headers") or {}), **(endpoint.get("headers") or {})}
        parts[name] = {
            "address": _address(base_url, path),
            "method": str(endpoint.get("method") or "GET").upper(),
            # A query may have the same name twice, and names without a value.
            "query": sorted(filter(_decides, parse_qsl(query, keep_blank_values=True))),
            "params": _params(endpoint.get("params") or {}),
            "body": [_params(endpoint.get(part)) for part in ("json", "data")],
            "headers": {
                str(header).lower(): str(value)
                for header, value in headers.items()
                if not may_be_secret(str(header), str(value))
            },
            "selector": endpoint.get("data_selector"),
            **({"drops": drops.values} if (drops := own[name].drop_where) else {}),
            "cursor": incremental
            and (incremental.field, incremental.start_param, incremental.initial_value),
            "key": resource.get("primary_key", api["resource_defaults"].get("primary_key")),
        }
        paging[name] = [_paging(endpoint.get("paginator") or api["client"].get("paginator"))]
        paging[name] += [split.model_dump()] if split else []
    found = {}
    for name in declared.resources:
        needed = [resource["name"] for resource in needed_for(name, api["resources"])]
        filled = filled_columns(Table.of(declared, name).declared)
        found[name] = SourceId(
            str(parts[name]["address"]),
            _hash([parts[one] for one in needed]),
            _hash([step for one in needed for step in paging[one]]),
            _hash({n: column.hint() for n, column in filled.items()}) if filled else "",
        )
    return found


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _paging(paginator: Any) -> Any:
    """How pages are found, without their size."""
    if not isinstance(paginator, dict):
        return paginator
    return {name: value for name, value in paginator.items() if name != "limit"}


def _address(base_url: str, path: str) -> str:
    own = "://" in path
    joined = path if own else f"{base_url.rstrip('/')}/{path.lstrip('/')}"
    parts = urlsplit(joined)
    return f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2].lower()}{parts.path}"


def _params(given: Any) -> Any:
    """What is sent, without secrets and the size of a page."""
    return dict(filter(_decides, given.items())) if isinstance(given, dict) else given


def _decides(param: tuple[Any, Any]) -> bool:
    name, value = map(str, param)
    return not is_credential(name) and not (is_size_alone(name) and value.isdigit())
