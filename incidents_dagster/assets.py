"""The assets: one per resource of each source, and its API upstream of them.

`ingestion` fetches and loads; this module says how Dagster presents that.
"""

from collections.abc import Iterator
from datetime import timedelta
from tempfile import TemporaryDirectory
from traceback import format_tb
from typing import Any

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dlt import pipeline
from pydantic import Field

from incidents_dagster.embedded_elt import DagsterDltResource, DagsterDltTranslator, dlt_assets
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import FILE_FORMAT, Sync, open_sync
from incidents_dagster.ingestion.tables import FIRST, Table
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable
from incidents_dagster.metadata import summary, sync_metadata, table_metadata
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster.sources import SOURCES, Source
from incidents_dagster.who_started import waiting

# Dagster's private mark of a result that is not a materialization. The only public way is to yield
# no result, but then Dagster skips the checks, even those of all other resources.
NO_MATERIALIZATION = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}


def api_of(source: Source) -> dg.AssetSpec:
    """The API of a source."""
    settings = source.settings
    return dg.AssetSpec(
        source.api,
        group_name=settings.group,
        description="The incident API that the syncs read. Dagster only observes it.",
        owners=settings.owners,
        kinds={"api"},
        metadata={
            "base_url": settings.base_url
            or "embedded demo API on loopback (no base_url configured)"
        },
    )


def freshness_policy(settings: Settings) -> dg.FreshnessPolicy:
    """The age of the last proven sync at which `[sources.incidents.freshness]` warns and fails."""
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=settings.freshness.fail_after_minutes),
        warn_window=timedelta(minutes=settings.freshness.warn_after_minutes),
    )


class IncidentsTranslator(DagsterDltTranslator):
    """Turns a source's dlt resources into assets."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def get_asset_spec(self, data: Any) -> dg.AssetSpec:
        """The asset of a resource, with the key that `Source.key` gives it."""
        source, name = self._source, data.resource.name
        settings, table = source.settings, source.tables[name]
        return (
            super()
            .get_asset_spec(data)
            .replace_attributes(
                key=source.key(name),
                # The default would name an upstream asset that nothing defines.
                deps=[dg.AssetDep(source.api)],
                description=_description(settings, name, table),
                group_name=settings.group,
                owners=settings.owners,
                kinds={"dlt", configured_store().kind},
                metadata=table_metadata(table, table.declared_columns),
                freshness_policy=freshness_policy(settings),
            )
        )


def _description(settings: Settings, name: str, table: Table) -> str:
    key = ", ".join(table.primary_key)
    how = {
        "merge": f"merged on {key}: one row per record, in its newest version",
        "replace": "replaced by each sync",
    }.get(table.write_disposition, "appended to by each sync")
    told = (
        f"Resource `{name}` of the incident API, loaded by dlt into the DuckDB table "
        f"`{table.schema}.{table.name}`, {how}. Nested values are JSON columns, timestamps are UTC."
    )
    return f"{settings.description_of(name)} {told}".strip()


class SyncConfig(dg.Config):
    """The run configuration of a sync."""

    full_refresh: bool = Field(
        default=False,
        description="Read everything again, instead of only what changed since the last sync.",
    )
    reconcile: bool = Field(
        default=False,
        description="Read everything, and mark as deleted what is gone from the API. Fails if the "
        "read is unproven, empty or suspiciously small.",
    )
    adopt: bool = Field(
        default=False,
        description="Read everything, accept that the API is another one than before, and mark at "
        "once whatever it lacks as deleted.",
    )

    @property
    def mode(self) -> Mode:
        """The mode that the switches select."""
        if self.adopt:
            return Mode.ADOPT
        if self.reconcile:
            return Mode.RECONCILE
        return Mode.FULL_REFRESH if self.full_refresh else Mode.INCREMENTAL


def _check_unchanged(source: Source, current: Settings) -> None:
    """Refuses settings for which Dagster would have other assets or checks."""
    same = Table.all_of(declared_source(current)) == source.tables
    if not same or current.freshness != source.settings.freshness:
        raise SettingsError(
            f"The resources in {current.section.where('resources')}, their columns, or what the "
            "checks compare with have changed since this code location was loaded: reload the code "
            "location, and start the run again."
        )


# The decorator wants a source and a pipeline; each run gets fresh ones, because both keep the state
# of the run they were used in. It takes nothing from the pipeline, so one does for all sources.
with TemporaryDirectory() as nowhere:
    declared_pipeline = pipeline(FIRST, destination="duckdb", pipelines_dir=nowhere)


def assets_of(source: Source) -> dg.AssetsDefinition:
    """The assets of a source: one for each resource, all in one op."""

    @dlt_assets(
        name=source.op,
        dlt_source=source.declared,
        dlt_pipeline=declared_pipeline,
        dagster_dlt_translator=IncidentsTranslator(source),
        pool=source.pool,
    )
    def synced(
        context: dg.AssetExecutionContext,
        config: SyncConfig,
        dlt: DagsterDltResource,
        duckdb: IncidentsDuckDB,
    ) -> Iterator[dg.MaterializeResult[Any]]:
        """Reads the selected resources from the API and merges them into DuckDB.

        A proven sync is a materialization. An unproven one is an observation with the same
        metadata, and a warning in the run's log; the checks run after either.
        """
        try:
            current = waiting(load_settings(source.name), context.run)
            _check_unchanged(source, current)
            with open_sync(current, context.log.info, config.mode) as sync:
                yield from _results(context, sync, dlt, duckdb)
        except Exception as error:
            # The cause's message may contain the address with the key, or a page of records; the
            # lines of code in its traceback do not.
            context.log.debug("".join(format_tb(error.__traceback__)))
            raise dg.Failure(redact(explain(error))) from None

    return synced


def _results(
    context: dg.AssetExecutionContext,
    sync: Sync,
    dlt: DagsterDltResource,
    duckdb: IncidentsDuckDB,
) -> Iterator[dg.MaterializeResult[Any]]:
    tables = Table.all_of(sync.api.declared)
    wait = sync.api.settings.wait_seconds
    with sync.store.read(wait, context.log.info) as connection:
        before = {n: StoredTable(table, connection).row_count() for n, table in tables.items()}
    results = dlt.run(
        context=context,
        dlt_source=sync.source,
        dlt_pipeline=sync.pipeline,
        loader_file_format=FILE_FORMAT,
    )
    for result in results:
        name = result.asset_key.path[-1]  # type: ignore[union-attr]
        with duckdb.get_connection() as connection:
            metadata = sync_metadata(sync, name, tables[name], connection, before[name])
        context.log.info(summary(name, metadata))
        if sync.changes[name].proof.counts:
            yield dg.MaterializeResult(asset_key=result.asset_key, metadata=metadata)
        else:
            # Freshness counts materializations, so an unproven sync must not be one.
            context.log.warning(f"{name} is {metadata['completeness']}.")
            context.log_event(dg.AssetObservation(result.asset_key, metadata=metadata))  # type: ignore[arg-type]
            yield dg.MaterializeResult(asset_key=result.asset_key, metadata=NO_MATERIALIZATION)


apis = [api_of(source) for source in SOURCES.values()]
synced = [assets_of(source) for source in SOURCES.values()]
