"""`still_open` of a resource: how to ask again for incidents that are open in the table.

For an API that filters by creation alone: an incremental sync then reads a rolling window, and what
is older is asked for by its status, or one by one. `landing.open_rows` does that.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import Field, field_validator

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.own_tables import take_table, validated
from incidents_dagster.ingestion.secrets.names import credentials_in
from incidents_dagster.ingestion.secrets.placeholders import stray_brace
from incidents_dagster.ingestion.settings import Section
from incidents_dagster.ingestion.settings_files import Place

KEY = "still_open"
PLACEHOLDER = re.compile(r"{(\w+)}")

Endpoint = dict[str, Any]


class StillOpen(Section):
    """How to ask for incidents that are open in the table.

    Attributes:
        params: Of each list of those that are open at the API; none if it has no filter.
        path: Of a single one, with `{id}`, or another column of the primary key; empty: none.
        data_selector: JSONPath of the record in the response to that.
        most_requests: For single ones, in one sync.
    """

    params: list[dict[str, Any]] = Field(default=[])
    path: str = ""
    data_selector: str = "$"
    most_requests: int = Field(default=50, ge=0)

    @field_validator("params", mode="before")
    @classmethod
    def _one_is_a_list(cls, given: Any) -> Any:
        return given if isinstance(given, list) else [given]

    @property
    def columns(self) -> set[str]:
        """Those that the path names."""
        return {*PLACEHOLDER.findall(self.path)}

    def listed(self) -> list[Callable[[Endpoint], Endpoint]]:
        """The endpoints of the lists, each made of that of the resource."""
        return [partial(_with_params, more=one) for one in self.params]

    def single(self, key: Mapping[str, Any]) -> Callable[[Endpoint], Endpoint]:
        """The endpoint of one incident, made of that of the list.

        Args:
            key: Its primary key, column → value.
        """
        path = self.path
        for column, value in key.items():
            path = path.replace(f"{{{column}}}", quote(str(value), safe=""))
        replaced = {"path": path, "data_selector": self.data_selector, "paginator": "single_page"}
        own = ("method", "params", "json", "data")  # of the list, which may be a search
        return lambda endpoint: {n: v for n, v in endpoint.items() if n not in own} | replaced


def take_still_open(resource: dict[str, Any], place: Place) -> StillOpen | None:
    """Removes `still_open` from a resource; None if it has none.

    Raises:
        SettingsError: It has a wrong name or value, or says neither how to list nor how to get one.
    """
    given, place = take_table(resource, KEY, place), place / KEY
    if given is None:
        return None
    asks = validated(StillOpen, given, place)
    if not asks.params and not asks.path:
        raise SettingsError(
            f"{place} in {place.where} needs params, to list what is open, or path, to get "
            "one incident."
        )
    if asks.path and not asks.columns:
        raise SettingsError(
            f"{place}.path in {place.where} needs {{id}}, or another column of the primary "
            "key, where the API has the incident's id."
        )
    if any(stray_brace({"params": one}) for one in asks.params):
        raise SettingsError(
            f"{place}.params in {place.where} has a brace that begins no placeholder: write "
            "{{ or }} for it."
        )
    query = dict(parse_qsl(urlsplit(asks.path).query))
    for name, _ in credentials_in([*asks.params, query]):
        raise SettingsError(
            f"{place} in {place.where} has {name}, which looks like a secret: set it in "
            "client.auth or endpoint.params, whose secrets these requests get, too."
        )
    return asks


def _with_params(endpoint: Endpoint, more: dict[str, Any]) -> Endpoint:
    return {**endpoint, "params": {**(endpoint.get("params") or {}), **more}}
