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


def source_id(settings: Settings, name: str, declared: DltSource) -> SourceId:
    """What resource `name` is read from, and the resources that its requests take values from.

    Args:
        settings: As configured, without the address of the demo API.
        name: The resource.
        declared: The resources, as from `declared_source`.
    """
    api = deepcopy(settings.api)
    endpoints(api)
    own = take_own(api, settings.completeness)
    incrementals = take_incrementals(api, declared)
    base_url = settings.base_url or DEMO
    parts, paging = {}, []
    for resource in needed_for(name, api["resources"]):
        endpoint, incremental = resource["endpoint"], incrementals.get(resource["name"])
        path, _, query = str(endpoint.get("path") or resource["name"]).partition("?")
        headers = {**(api["client"].get("headers") or {}), **(endpoint.get("headers") or {})}
        parts[resource["name"]] = {
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
            **({"drops": drops.values} if (drops := own[resource["name"]].drop_where) else {}),
            "cursor": incremental
            and (incremental.field, incremental.start_param, incremental.initial_value),
            "key": resource.get("primary_key", api["resource_defaults"].get("primary_key")),
        }
        paging.append(_paging(endpoint.get("paginator") or api["client"].get("paginator")))
        if split := own[resource["name"]].windows:
            paging.append(split.model_dump())
    filled = {n: f.hint() for n, f in filled_columns(Table.of(declared, name).declared).items()}
    return SourceId(
        str(parts[name]["address"]),
        _hash([*parts.values()]),
        _hash(paging),
        _hash(filled) if filled else "",
    )


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
