"""The jobs: a sync of every resource with its checks, and one that also marks what is deleted.

`schedules` and `sensors` decide when they run.
"""

import dagster as dg

from incidents_dagster.assets import incident_assets

incidents_sync = dg.define_asset_job(
    "incidents_sync",
    selection=dg.AssetSelection.assets(incident_assets),
    description="Reads every resource from the incident API into DuckDB and checks the tables.",
)

incidents_reconcile = dg.define_asset_job(
    "incidents_reconcile",
    selection=dg.AssetSelection.assets(incident_assets),
    config={"ops": {"incidents_dlt": {"config": {"reconcile": True}}}},
    description=(
        "Reads everything from the incident API, and sets deleted_at in the rows that are gone "
        "there. Fails and loads nothing if the read is unproven, empty or suspiciously small."
    ),
)
