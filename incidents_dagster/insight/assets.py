"""The tables of `insight` as assets: one op makes them all, with their checks.

`build` has what it does; `sensor` starts it after syncs that changed something.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import Insight
from incidents_dagster.ingestion.tables import FIRST, INCIDENTS
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.insight.build import Built, build
from incidents_dagster.insight.rules import RULES, Found, Rule
from incidents_dagster.insight.sql_files import SCHEMA, SqlFile, column_lineage, sql_files
from incidents_dagster.names import INSIGHT_JOB, REPORT
from incidents_dagster.read_copy import read_copy
from incidents_dagster.sources import LEADING, SOURCES
from incidents_dagster.who_started import waiting

GROUP = "insight"
# Those of the first source, for all; if they are wrong, the others go on.
SETTINGS = SOURCES[FIRST].settings.insight if FIRST in SOURCES else Insight()


def _spec(file: SqlFile) -> dg.AssetSpec:
    # What the syncs write comes with the view over all sources.
    deps = [*sorted(file.made_of), *([INCIDENTS] if file.inputs else [])]
    return dg.AssetSpec(
        file.name,
        deps=deps,
        description=file.description,
        group_name=GROUP,
        owners=LEADING.settings.owners,
        kinds={configured_store().kind, "view" if file.is_view else "table"},
        metadata={
            "dagster/table_name": f"{configured_store().catalog}.{SCHEMA}.{file.name}",
            "dagster/column_schema": dg.TableSchema(
                [dg.TableColumn(name, description=told) for name, told in file.columns.items()]
            ),
        },
    )


@dg.multi_asset(
    name="insight_tables",
    specs=[_spec(file) for file in sql_files().values()],
    check_specs=[
        dg.AssetCheckSpec(rule.name, asset=rule.table, description=rule.description)
        for rule in RULES
    ],
)
def insight_tables(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
    """Makes all tables of `insight` anew in one transaction, and checks them."""
    tables = [source.tables[source.main] for source in SOURCES.values()]
    try:
        wait = waiting(LEADING.settings, context.run).wait_seconds
        built = build(configured_store(), tables, SETTINGS, wait, context.log.info)
    except Exception as error:
        raise dg.Failure(redact(explain(error))) from None
    told = ", ".join(f"{rows:,} in {name}" for name, rows in built.rows.items())
    context.log.info(f"{SCHEMA}: {told}.")
    for name in sql_files():
        yield _result(name, built)


def _result(name: str, built: Built) -> dg.MaterializeResult[Any]:
    metadata: dict[str, Any] = {"dagster/column_lineage": _lineage(name)}
    if name in built.rows:
        metadata["dagster/row_count"] = built.rows[name]
    return dg.MaterializeResult(
        asset_key=name,
        metadata=metadata,
        check_results=[_checked(one) for one in built.found if one.rule.table == name],
    )


def _checked(found: Found) -> dg.AssetCheckResult:
    rule: Rule = found.rule
    return dg.AssetCheckResult(
        check_name=rule.name,
        asset_key=rule.table,
        passed=not found.count,
        severity=dg.AssetCheckSeverity.ERROR if rule.is_error else dg.AssetCheckSeverity.WARN,
        description=redact(found.problem) or rule.description,
        metadata={"offenders": found.count, "sql": rule.offenders},
    )


def _lineage(name: str) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(
                    asset_key=table if schema == SCHEMA else INCIDENTS, column_name=of
                )
                for schema, table, of in made_of
                # What the syncs write besides the view has no asset of its own.
                if schema == SCHEMA or table == INCIDENTS
            ]
            for column, made_of in column_lineage()[name].items()
        }
    )


insight_job = dg.define_asset_job(
    INSIGHT_JOB,
    # The report by name, as it is made of the tables.
    selection=dg.AssetSelection.assets(insight_tables, REPORT, read_copy),
    description="Makes the tables of the schema `insight` anew, checks them, and writes a report.",
)
