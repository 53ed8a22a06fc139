"""The asset `read_copy`: the copy of the DuckDB file that readers open, with its check.

Each job that writes the file ends with it. `ingestion.warehouse.file_copy` makes the copy.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.tables import FIRST, INCIDENTS
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.ingestion.warehouse.store import Copied
from incidents_dagster.insight.sql_files import sql_files
from incidents_dagster.names import READ_COPY
from incidents_dagster.sources import LEADING, SOURCES
from incidents_dagster.who_started import waiting

CHECK = "read_copy_is_current"
DESCRIPTION = "The copy of the file for readers has what the file has, or is switched off."
COPY = configured_store().copy
# The first source's, for all; if its settings are wrong, the others go on.
ENABLED = FIRST not in SOURCES or SOURCES[FIRST].settings.read_copy


@dg.asset(
    name=READ_COPY,
    deps=[INCIDENTS, *sql_files()],
    group_name=FIRST,
    owners=LEADING.settings.owners,
    kinds={"duckdb"},
    description=(
        f"A copy of the DuckDB file for readers, `{COPY.name}` beside it: who keeps it open stops "
        "no sync. It has all tables but dlt's own, and is replaced in one step after each sync, or "
        "`insight_refresh`, that changed something."
        if COPY
        else "Nothing: readers are in nobody's way, as the rows are in a database server."
    ),
    # Materialized only if it is made anew: its age is that of what is in it.
    output_required=False,
    check_specs=[dg.AssetCheckSpec(CHECK, asset=READ_COPY, description=DESCRIPTION)],
)
def read_copy(
    context: dg.AssetExecutionContext,
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Makes the copy anew if the file has anything that it lacks; never fails a run."""
    store, why = configured_store(), ""
    wait = waiting(LEADING.settings, context.run).wait_seconds
    try:
        if store.copy is None:
            context.log.info("Readers need no copy: they are in nobody's way.")
        elif ENABLED:
            copied = store.refresh_copy(wait, context.log.info)
            if copied.made:
                yield dg.MaterializeResult(metadata=_metadata(copied))
        elif store.remove_copy(wait):
            context.log.info(f"{store.copy} is removed, as read_copy is false.")
    except Exception as error:
        why = redact(f"Readers do not have the newest: {explain(error)}")
        context.log.warning(why)
    yield dg.AssetCheckResult(
        check_name=CHECK,
        passed=not why,
        severity=dg.AssetCheckSeverity.WARN,
        description=why or DESCRIPTION,
    )


def _metadata(copied: Copied) -> dict[str, Any]:
    return {
        "file": dg.MetadataValue.path(copied.file),
        "megabytes": round(copied.size / 1e6, 1),
        "held_seconds": round(copied.held_seconds, 3),
        "cpu_seconds": round(copied.cpu_seconds, 3),
    }
