"""The asset `incidents`: the incidents of all sources in one view, with its check.

Each sync of a source ends with it. `ingestion.warehouse.all_incidents` has the SQL.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.tables import FIRST, INCIDENTS
from incidents_dagster.ingestion.warehouse import all_incidents
from incidents_dagster.ingestion.warehouse.duckdb_file import (
    catalog,
    database_path,
    read_only_connection,
)
from incidents_dagster.resources import READER_WAIT_SECONDS
from incidents_dagster.sources import SOURCES, WRONG

TABLES = [source.tables[source.main] for source in SOURCES.values()]
CHECK = "every_incident_is_there_once"
DESCRIPTION = "Every row of each source that is not deleted at its API is in `incidents` once."


def _columns() -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(name, type=kind, description=description)
            for name, (kind, description) in all_incidents.COLUMNS.items()
        ]
    )


@dg.asset(
    name=INCIDENTS,
    deps=[dg.AssetDep(source.key(source.main)) for source in SOURCES.values()],
    group_name=FIRST,
    owners=next(iter(SOURCES.values())).settings.owners,
    kinds={"duckdb"},
    description=(
        "The incidents of all sources: the view `incidents.incidents`, with the same columns for "
        "each, filled from its first resource. Rows that are deleted at the API have deleted_at."
    ),
    metadata={
        "dagster/table_name": f"{catalog(database_path())}.{FIRST}.{INCIDENTS}",
        "dagster/column_schema": _columns(),
    },
    check_specs=[dg.AssetCheckSpec(CHECK, asset=INCIDENTS, description=DESCRIPTION)],
)
def incidents(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
    """Makes the view anew if sources or columns have changed, and counts its rows."""
    database = database_path().resolve()
    try:
        found = all_incidents.refresh(
            database, TABLES, WRONG, READER_WAIT_SECONDS, context.log.info
        )
        with read_only_connection(database, READER_WAIT_SECONDS, context.log.info) as connection:
            count, sample, sql = all_incidents.amiss(connection, TABLES, WRONG)
    except Exception as error:
        raise dg.Failure(redact(explain(error))) from None
    for source, rows in found.dropped.items():
        context.log.info(
            f"incidents no longer has the {rows:,} rows of {source}, which is not configured any "
            f"more; the tables in its schema {source} stay. If the source has another name now, "
            f"that is a new source: to keep the old schema, call it {source} again."
        )
    total = sum(found.rows.values())
    if len(SOURCES) > 1:
        context.log.info(f"incidents: {total:,} rows, of {', '.join(found.rows) or 'no source'}.")
    yield dg.MaterializeResult(
        asset_key=INCIDENTS,
        metadata={
            "dagster/row_count": total,
            **{f"rows_of/{source}": rows for source, rows in found.rows.items()},
            "sources_without_table": ", ".join(found.without_table) or "none",
            "sources_dropped": ", ".join(found.dropped) or "none",
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=CHECK,
                passed=not count,
                severity=dg.AssetCheckSeverity.ERROR,
                description=f"{count:,} are not: {sample}" if count else DESCRIPTION,
                metadata={"rows": count, "sql": sql},
            )
        ],
    )
