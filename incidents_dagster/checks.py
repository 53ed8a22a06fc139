"""Asset checks: a table of SQL rules, applied to every resource that has the columns they need.

All rules run in one step. A rule is a statement that is true when it passes; its SQL selects
the offenders.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import duckdb as duckdb_api

from incidents_dagster.assets import POOL, tables
from incidents_dagster.ingestion.errors import NoDatabaseError
from incidents_dagster.ingestion.table import Table, quoted
from incidents_dagster.resources import IncidentsDuckDB

SAMPLE_SIZE = 5


@dataclass(frozen=True)
class Rule:
    """A check.

    Attributes:
        name: The check's name.
        description: What holds when it passes.
        offenders: SQL that selects the primary keys of the rows that break it; {table} and {key}
            are filled in.
        needs: Columns that the table must declare for the rule to apply.
        blocking: A failure fails the run; otherwise it warns.
    """

    name: str
    description: str
    offenders: str
    needs: tuple[str, ...] = ()
    blocking: bool = False


RULES = (
    Rule(
        "ids_are_unique",
        "No two rows share a primary key.",
        "SELECT {key} FROM {table} GROUP BY {key} HAVING count(*) > 1",
        blocking=True,
    ),
    Rule(
        "ids_are_not_null",
        "Every row has a primary key.",
        "SELECT {key} FROM {table} WHERE {key_is_null}",
        blocking=True,
    ),
    Rule(
        "statuses_are_present",
        "Every row has a status.",
        "SELECT {key} FROM {table} WHERE coalesce(trim(status), '') = ''",
        needs=("status",),
    ),
    Rule(
        "created_is_not_after_updated",
        "No row was created after it was updated.",
        "SELECT {key} FROM {table} WHERE created_at > updated_at",
        needs=("created_at", "updated_at"),
    ),
    Rule(
        "timestamps_are_not_in_the_future",
        "No row was created or updated later than now, give or take five minutes between clocks.",
        "SELECT {key} FROM {table} "
        "WHERE greatest(created_at, updated_at) > now() + INTERVAL 5 MINUTE",
        needs=("created_at", "updated_at"),
    ),
)


def rules_for(table: Table) -> list[Rule]:
    """The rules that apply to `table`: it has a primary key and declares what they need."""
    return [r for r in RULES if table.primary_key and set(r.needs) <= set(table.declared)]


def evaluate(
    rule: Rule, resource_name: str, connection: duckdb_api.DuckDBPyConnection
) -> dg.AssetCheckResult:
    """Counts and samples the offenders of `rule` in a resource's table."""
    table = tables[resource_name]
    if not table.exists(connection):
        return _unanswered(rule, resource_name, f"There is no table {table.qualified} yet.")
    key = ", ".join(map(quoted, table.primary_key))
    sql = rule.offenders.format(
        table=table.qualified,
        key=key,
        key_is_null=" OR ".join(f"{quoted(name)} IS NULL" for name in table.primary_key),
    )
    (count,) = connection.execute(f"SELECT count(*) FROM ({sql})").fetchall()[0]
    sample = connection.execute(f"{sql} ORDER BY {key} LIMIT {SAMPLE_SIZE}").fetchall()
    ids = [", ".join("null" if v is None else str(v) for v in row) for row in sample]
    return dg.AssetCheckResult(
        asset_key=resource_name,
        check_name=rule.name,
        passed=count == 0,
        severity=dg.AssetCheckSeverity.ERROR if rule.blocking else dg.AssetCheckSeverity.WARN,
        description=f"{count:,} offend: {'; '.join(ids)}" + (" …" if count > len(ids) else "")
        if count
        else rule.description,
        metadata={"offenders": count, "sample": "; ".join(ids) or "none", "sql": sql},
    )


def _unanswered(rule: Rule, resource_name: str, why: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=resource_name,
        check_name=rule.name,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{why} Materialize {resource_name} first.",
    )


@dg.multi_asset_check(
    name="incident_checks",
    specs=[
        dg.AssetCheckSpec(
            rule.name, asset=name, description=rule.description, blocking=rule.blocking
        )
        for name, table in tables.items()
        for rule in rules_for(table)
    ],
    can_subset=True,
    pool=POOL,
)
def incident_checks(
    context: dg.AssetCheckExecutionContext, duckdb: IncidentsDuckDB
) -> Iterator[dg.AssetCheckResult]:
    """Evaluates the selected rules over one read-only connection."""
    selected = [
        (rule, name)
        for name, table in tables.items()
        for rule in rules_for(table)
        if dg.AssetCheckKey(dg.AssetKey(name), rule.name) in context.selected_asset_check_keys
    ]
    try:
        with duckdb.get_connection() as connection:
            results = [evaluate(rule, name, connection) for rule, name in selected]
    except NoDatabaseError as error:
        results = [_unanswered(rule, name, str(error)) for rule, name in selected]
    yield from results
