"""The asset `incidents`: the incidents of all sources in one view, with its check.

Each sync of a source ends with it. `ingestion.warehouse.all_incidents` has the SQL.
"""

from collections.abc import Collection, Iterator
from typing import Any

import dagster as dg

from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.tables import FIRST, INCIDENTS
from incidents_dagster.ingestion.warehouse import all_incidents
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.ingestion.warehouse.incident_columns import COLUMNS
from incidents_dagster.resources import READER_WAIT_SECONDS
from incidents_dagster.sources import SOURCES, WRONG, Source

# Before a source's name: its rows in the view.
ROWS_OF = "rows_of/"
CHECK = "every_incident_is_there_once"
DESCRIPTION = "Every row of each source that is not deleted at its API is in `incidents` once."


def asset_over(sources: Collection[Source], wrong: Collection[str]) -> dg.AssetsDefinition:
    """The asset over these sources.

    Args:
        sources: Those that can sync.
        wrong: Names of those whose settings are wrong.
    """
    tables = [source.tables[source.main] for source in sources]

    @dg.asset(
        name=INCIDENTS,
        deps=[dg.AssetDep(source.key(source.main)) for source in sources],
        group_name=FIRST,
        owners=next(iter(sources)).settings.owners,
        kinds={configured_store().kind},
        description=(
            "The incidents of all sources: the view `incidents.incidents`, with the same columns "
            "for each, filled from its first resource. Rows that are gone from the API have "
            "deleted_at."
        ),
        metadata={
            "dagster/table_name": f"{configured_store().catalog}.{FIRST}.{INCIDENTS}",
            "dagster/column_schema": _columns(),
        },
        check_specs=[dg.AssetCheckSpec(CHECK, asset=INCIDENTS, description=DESCRIPTION)],
    )
    def over_all(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        """Makes the view anew if sources or columns have changed, and counts its rows."""
        store, wait, say = configured_store(), READER_WAIT_SECONDS, context.log.info
        try:
            found = all_incidents.refreshed(store, tables, wrong, wait, say)
        except Exception as error:
            raise dg.Failure(redact(explain(error))) from None
        for line in _dropped(found):
            say(line)
        if len(sources) > 1:
            told = ", ".join(f"{rows:,} of {source}" for source, rows in found.rows.items())
            say(f"incidents: {sum(found.rows.values()):,} rows: {told or 'none yet'}.")
        yield dg.MaterializeResult(
            asset_key=INCIDENTS,
            metadata={
                "dagster/row_count": sum(found.rows.values()),
                **{f"{ROWS_OF}{source}": rows for source, rows in found.rows.items()},
                "sources_without_table": ", ".join(found.without_table) or "none",
                "sources_dropped": ", ".join(found.dropped) or "none",
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=not found.amiss,
                    severity=dg.AssetCheckSeverity.ERROR,
                    description=_problem(found) or DESCRIPTION,
                    metadata={"rows": found.amiss, "sql": found.sql},
                )
            ],
        )

    return over_all


def _problem(found: all_incidents.View) -> str:
    return f"{found.amiss:,} are not: {found.sample}." if found.amiss else ""


def _dropped(found: all_incidents.View) -> Iterator[str]:
    for source, rows in found.dropped.items():
        yield (
            f"incidents no longer has the {rows:,} rows of {source}, which is not configured any "
            f"more; the tables in its schema {source} stay. If the source has another name now, "
            f"that is a new source: to keep the old schema, call it {source} again."
        )


def _columns() -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(name, type=kind, description=description)
            for name, (kind, description) in COLUMNS.items()
        ]
    )


incidents = asset_over(SOURCES.values(), WRONG)
