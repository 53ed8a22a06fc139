"""The incident API as rest_api resources, built only from the settings.

`declared_source` has names and columns, to define assets with; `open_api` can fetch. Both are
rest_api's source of the same configuration: there is no code for any vendor.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from dlt.common import jsonpath
from dlt.common.schema.typing import TColumnSchema
from dlt.extract import DltResource, DltSource
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.detector import single_entity_path
from dlt.sources.helpers.rest_client.paginators import SinglePagePaginator
from dlt.sources.rest_api import rest_api_source
from requests import Response

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.http.fetch_ahead import AheadSession
from incidents_dagster.ingestion.http.transport import ApiAdapter, open_session
from incidents_dagster.ingestion.reading.checked_paginator import CheckedPaginator
from incidents_dagster.ingestion.reading.envelope import Envelope
from incidents_dagster.ingestion.reading.incremental import (
    Incremental,
    asking_from,
    take_incrementals,
)
from incidents_dagster.ingestion.reading.json_paths import quoted
from incidents_dagster.ingestion.reading.named_paths import NamedPath
from incidents_dagster.ingestion.reading.pages import Marks, Pages
from incidents_dagster.ingestion.reading.paginators import paginator
from incidents_dagster.ingestion.reading.progress import Progress
from incidents_dagster.ingestion.reading.refusals import refused, settings_errors
from incidents_dagster.ingestion.reading.resource_settings import ResourceSettings, take_own
from incidents_dagster.ingestion.reading.rest_api_config import endpoints, needed_for
from incidents_dagster.ingestion.reading.still_open import Endpoint
from incidents_dagster.ingestion.rows.batches import chunks
from incidents_dagster.ingestion.rows.paths import DropWhere
from incidents_dagster.ingestion.secrets.auth import check_auth
from incidents_dagster.ingestion.secrets.binding import bind_secrets
from incidents_dagster.ingestion.secrets.placeholders import double_braces
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.settings_files import Place, SourceSection
from incidents_dagster.ingestion.tables import (
    CHANGE_LOG,
    DECLARED_FIELD,
    DELETED_AT,
    FIRST,
    INCIDENTS,
    QUARANTINE,
    SYNCS,
    Table,
)

NOWHERE = "http://127.0.0.1:9"  # the discard port: an address that is declared and never called
# dlt's merge strategies that expect each primary key once.
LETTING_IN_TWICE = ("upsert", "insert-only")

DELETED_AT_COLUMN: TColumnSchema = {
    "name": DELETED_AT,
    "data_type": "timestamp",
    "nullable": True,
    "description": "When a full read no longer found the row; null while the API has it.",
}


@dataclass(frozen=True)
class OpenApi:
    """An API that is ready to fetch from.

    Attributes:
        declared: The resources with their columns, as from `declared_source`.
        incremental: Resource name → how it is read incrementally, for those that are.
        own: Resource name → what it has beside rest_api's keys.
        progress: Resource name → pages and rows received.
        adapter: Counts the requests.
        settings: What the user configured.
        report: Logs a line.
        before_fetching: Called whenever `batches` is about to ask the API for more.
    """

    declared: DltSource
    incremental: dict[str, Incremental]
    own: dict[str, ResourceSettings]
    progress: dict[str, Progress]
    adapter: ApiAdapter
    _config: dict[str, Any]
    settings: Settings
    report: Callable[[str], None]
    before_fetching: Callable[[], None]

    def batches(self, records: DltResource) -> Iterator[list[Any]]:
        """What `records` has made, for a load: in lists of at most `BATCH_ROWS`."""
        return chunks(records, self.before_fetching)

    def records(
        self,
        name: str,
        since: Any = None,
        until: Any = None,
        pages: Pages | None = None,
        from_page: int | None = None,
    ) -> DltResource:
        """rest_api's resource `name`, which fetches and checks page by page when iterated.

        Args:
            name: The resource.
            since: Asks for what changed at or after this cursor value; None for everything.
            until: And not later than this one; None for everything.
            pages: Records what the pages show.
            from_page: Fetches that page alone, of numbered ones.
        """
        config = {**self._config, "resources": []}
        walked: dict[str, Pages] = {}
        for resource in needed_for(name, self._config["resources"]):
            endpoint, asked = {**resource["endpoint"]}, resource["name"] == name
            if incremental := self.incremental.get(resource["name"]):
                span = (since, until) if asked else (None, None)
                endpoint = asking_from(endpoint, incremental, *span)
            if asked and from_page is not None:
                only = {"base_page": from_page, "page": from_page, "maximum_page": from_page + 1}
                endpoint["paginator"] = {**self._paging(endpoint), **only}
            shown = pages or Pages()
            if not asked:
                shown = Pages(resource["name"], shown.known, shown.full)
            if pages and not asked:
                pages.parents.append(shown)
            endpoint["paginator"] = self._paginator(resource["name"], endpoint, shown)
            config["resources"].append({**resource, "endpoint": endpoint})
            walked[resource["name"]] = shown
        source = _build(config, self.settings.section)
        for one, shown in walked.items():
            if drops := self.own[one].drop_where:
                kept = self._kept(drops, Marks(Table.of(self.declared, one)), shown)
                source.resources[one].add_filter(kept)
        built = source.resources[name]
        return built if from_page is not None else built.add_metrics(self.progress[name])

    def with_endpoint(self, name: str, changed: Callable[[Endpoint], Endpoint]) -> "OpenApi":
        """The same API with another endpoint for resource `name`, which is read as a whole."""
        resources = []
        for resource in self._config["resources"]:
            endpoint = resource["endpoint"]
            if resource["name"] == name:
                if incremental := self.incremental.get(name):
                    endpoint = asking_from(endpoint, incremental, None)
                endpoint = changed(endpoint)
            resources.append({**resource, "endpoint": endpoint})
        others = {n: incremental for n, incremental in self.incremental.items() if n != name}
        return replace(self, incremental=others, _config={**self._config, "resources": resources})

    def get(self, name: str, path: str) -> Response:
        """The response to a request for another path, with the key of resource `name`."""
        client = self._config["client"]
        path, _, query = path.partition("?")
        auth = self._endpoint(name)["auth"]
        rest = RESTClient(client["base_url"], auth=auth, session=client["session"])
        return rest.get(path, params=dict(parse_qsl(query)))

    @staticmethod
    def _kept(drops: DropWhere, mark: Marks, pages: Pages) -> Callable[[Any], bool]:
        def kept(record: Any) -> bool:
            if not drops(record):
                return True
            pages.leave_out(mark(record), mark.key(record))
            return False

        return kept

    def once(self) -> AbstractContextManager[None]:
        """Retries no request meanwhile."""
        session: AheadSession = self._config["client"]["session"]
        return session.once()

    def first_page(self, name: str) -> int:
        """The number of the first page of resource `name`; 0 if its pages are not numbered."""
        paging = self._paging(self._endpoint(name))
        if not isinstance(paging, dict) or paging.get("type") != "page_number":
            return 0
        return int(paging.get("page") or paging.get("base_page") or 0)

    def _endpoint(self, name: str) -> Endpoint:
        return next(r["endpoint"] for r in self._config["resources"] if r["name"] == name)

    def _paging(self, endpoint: dict[str, Any]) -> Any:
        return endpoint.get("paginator") or self._config["client"].get("paginator")

    def _paginator(self, name: str, endpoint: dict[str, Any], pages: Pages) -> CheckedPaginator:
        client, table = self._config["client"], Table.of(self.declared, name)
        mark = Marks(table)
        selector, config = endpoint.get("data_selector"), self._paging(endpoint)
        if single_entity_path(endpoint.get("path") or ""):  # rest_api's rule for one object
            config = endpoint.get("paginator") or "single_page"
            selector = selector or jsonpath.compile_path("$")
        completeness = self.own[name].completeness
        total, more = quoted(completeness.total_path), quoted(completeness.more_path)
        envelope = Envelope(selector, total, more)
        if config is not None:
            overlap = completeness.overlap_pages
            config = paginator(config, client["session"], mark, overlap, envelope.total)
        envelope.single = isinstance(config, SinglePagePaginator)
        named = [
            NamedPath.of_body(f"completeness.{setting}", quoted(path))
            for setting, path in completeness.named.items()
        ]
        return CheckedPaginator(config, envelope, mark, pages, named)


def declared_source(settings: Settings) -> DltSource:
    """The configured resources with their columns. Needs no secret and no network, fetches nothing.

    Raises:
        SettingsError: rest_api rejects the configuration; the message names the setting.
    """
    api = deepcopy(settings.api)
    api["client"]["base_url"] = settings.base_url or NOWHERE
    for holder in [api["client"], *endpoints(api, settings.section)]:
        with settings_errors(settings.section):
            check_auth(holder.pop("auth", None))
    own = take_own(api, settings)
    source = _build(api, settings.section)
    tables: dict[str, str] = {}
    for name, resource in source.resources.items():
        table = Table.of(source, name)
        if (other := tables.setdefault(table.name, name)) != name:
            raise SettingsError(
                f"{other} and {name} share the table {table.name}, so neither could tell which "
                "rows are gone from the API: give each its own table_name."
            )
        if table.name == INCIDENTS and table.schema == FIRST:
            raise SettingsError(
                f"{name}: {table.schema}.{table.name} is the view over all sources: give the "
                "resource another table_name."
            )
        if table.name in (SYNCS, CHANGE_LOG) and table.schema == FIRST:
            raise SettingsError(
                f"{name}: the table {table.schema}.{table.name} is reserved for what syncs have "
                "seen: give the resource another name, or a table_name."
            )
        if table.name == QUARANTINE:
            raise SettingsError(
                f"{name}: the table {table.name} is reserved for records that cannot be loaded: "
                "give the resource another name, or a table_name."
            )
        if table.merge_strategy in LETTING_IN_TWICE:
            raise SettingsError(
                f"{name}: the merge strategy {table.merge_strategy!r} would store a row twice if "
                "it arrives twice in a sync, so it is not supported: write_disposition = "
                '"merge" keeps the newest version of each.'
            )
        if DELETED_AT in table.declared:
            raise SettingsError(
                f"columns.{DELETED_AT} of {name} is reserved: it says when a full read no longer "
                f"found the row. The API's own field goes to source_{DELETED_AT}."
            )
        if dlts := [column for column in table.primary_key if column.startswith("_dlt_")]:
            raise SettingsError(
                f"{name}: {dlts[0]} cannot be the primary_key: names that begin with _dlt_ are "
                "dlt's own."
            )
        if table.takes_changes_alone:
            resource.apply_hints(columns={DELETED_AT: DELETED_AT_COLUMN})
    incrementals = take_incrementals(api, source)
    for name, beside in own.items():
        beside.check(name, Table.of(source, name), incrementals.get(name))
    _declare_incrementals(incrementals, source)
    return source


def _declare_incrementals(incrementals: dict[str, Incremental], source: DltSource) -> None:
    """Checks what is read incrementally, and adds the column that shows which version is newer."""
    for name, incremental in incrementals.items():
        table = Table.of(source, name)
        incremental.check_lag(table.declared.get(incremental.column, {}).get("data_type"), name)
        if not any("dedup_sort" in column for column in table.declared.values()):
            hints = table.declared.get(incremental.column, {})
            cursor = hints.get(DECLARED_FIELD, incremental.field)
            newest = TColumnSchema(name=cursor, dedup_sort="desc")
            source.resources[name].apply_hints(columns={cursor: newest})
        if not table.takes_changes_alone:
            raise SettingsError(
                refused(
                    f"{name} has incremental, which needs a primary_key and write_disposition "
                    "merge, with dlt's default strategy and without a merge_key",
                    Place(section=SourceSection(table.schema)),
                )
            )


@contextmanager
def open_api(
    settings: Settings,
    report: Callable[[str], None],
    fetch_ahead: int | None = None,
    params: dict[str, Any] | None = None,
    before_fetching: Callable[[], None] = lambda: None,
) -> Iterator[OpenApi]:
    """Opens the API, and closes it whatever happens.

    Args:
        settings: What the user configured.
        report: Receives a line of progress every few seconds.
        fetch_ahead: Overrides the setting.
        params: Query parameters on top of those of the main resource.
        before_fetching: As in `OpenApi`.

    Raises:
        SettingsError: A secret is missing, or rest_api rejects the configuration.
    """
    declared = declared_source(settings)
    api = deepcopy(settings.api)
    client, holders = api["client"], endpoints(api, settings.section)
    if params:
        holders[0]["params"] = {**(holders[0].get("params") or {}), **deepcopy(params)}
        double_braces(holders[0])
    with ExitStack() as stack:
        client["session"], adapter = open_session(
            fetch_ahead or settings.fetch_ahead,
            settings.requests_per_minute,
            settings.max_minutes,
            settings.max_page_mb,
            settings.retry_also,
        )
        stack.callback(client["session"].close)
        bind_secrets(client, holders, settings.allow_plain_http, settings.section)
        for holder in [client, *holders]:
            if selector := holder.get("data_selector"):
                holder["data_selector"] = jsonpath.compile_path(selector)  # once, not on every page
        yield OpenApi(
            declared=declared,
            incremental=take_incrementals(api, declared),
            own=take_own(api, settings),
            progress={name: Progress(name, report) for name in declared.resources},
            adapter=adapter,
            _config=api,
            settings=settings,
            report=report,
            before_fetching=before_fetching,
        )


def _build(api: Any, section: SourceSection) -> DltSource:
    with settings_errors(section):
        # The name of the source is that of its schema, in dlt and in DuckDB.
        source = rest_api_source(api, name=section.source, section=section.source)
        for resource in source.resources.values():
            # Also checks the columns, which dlt would do only when records arrive.
            columns = resource.compute_table_schema()["columns"]
            keys = [n for n, c in columns.items() if c.get("primary_key") and "data_type" not in c]
            if keys:  # an id that looks like a number today may be text tomorrow
                text = {name: TColumnSchema(data_type="text", nullable=False) for name in keys}
                resource.apply_hints(columns=text)
    return source
