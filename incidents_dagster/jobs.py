"""The jobs of each source: a sync with its checks, and one that also marks what is deleted.

`schedules` and `sensors` decide when they run.
"""

import dagster as dg

from incidents_dagster.assets import synced
from incidents_dagster.incidents_view import incidents
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.names import SOURCE_TAG, reconcile_job, sync_job
from incidents_dagster.read_copy import read_copy
from incidents_dagster.sources import SOURCES, WRONG


def _selection(assets: dg.AssetsDefinition) -> dg.AssetSelection:
    return dg.AssetSelection.assets(assets, incidents, read_copy)


def _failing(source: str, error: SettingsError) -> dg.JobDefinition:
    """The sync of a source whose settings are wrong, so that its failure is seen and reported."""

    @dg.op(name=f"{source}_settings", description="Says what is wrong with the settings.")
    def settings() -> None:
        raise dg.Failure(redact(explain(error)))

    @dg.job(
        name=sync_job(source),
        description=f"Fails, because the settings of {source} are wrong. Put them right, and "
        "reload the code location.",
    )
    def failing() -> None:
        settings()

    return failing


sync_jobs = {
    name: dg.define_asset_job(
        sync_job(name),
        selection=_selection(assets),
        description="Reads every resource from the incident API into DuckDB and checks the tables.",
        tags={SOURCE_TAG: name},
    )
    for name, assets in zip(SOURCES, synced, strict=True)
}
reconcile_jobs = {
    name: dg.define_asset_job(
        reconcile_job(name),
        selection=_selection(assets),
        config={"ops": {SOURCES[name].op: {"config": {"reconcile": True}}}},
        tags={SOURCE_TAG: name},
        description=(
            "Reads everything from the incident API, and sets deleted_at in the rows that are gone "
            "there. Fails and loads nothing if the read is unproven, empty or suspiciously small."
        ),
    )
    for name, assets in zip(SOURCES, synced, strict=True)
}
failing_jobs = {name: _failing(name, error) for name, error in WRONG.items()}
