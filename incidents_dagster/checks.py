"""Asset checks: a table of SQL rules, applied to every resource that has the columns they need.

All rules run in one step. A rule is a statement that is true when it passes; its SQL selects
the offenders.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import dagster as dg
import duckdb as duckdb_api

from incidents_dagster.assets import POOL, tables
from incidents_dagster.ingestion.errors import DatabaseBusyError, NoDatabaseError
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
        needs: Columns that the table must declare for the rule to apply, and of which data_type.
        blocking: A failure fails the run; otherwise it warns.
    """

    name: str
    description: str
    offenders: str
    needs: Mapping[str, str] = field(default_factory=dict)
    blocking: bool = False


TIMESTAMPS = {"created_at": "timestamp", "updated_at": "timestamp"}

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
        needs={"status": "text"},
    ),
    Rule(
        "created_is_not_after_updated",
        "No row was created after it was updated.",
        "SELECT {key} FROM {table} WHERE created_at > updated_at",
        needs=TIMESTAMPS,
    ),
    Rule(
        "timestamps_are_not_in_the_future",
        "No row was created or updated later than now, give or take five minutes between clocks.",
        "SELECT {key} FROM {table} "
        "WHERE greatest(created_at, updated_at) > now() + INTERVAL 5 MINUTE",
        needs=TIMESTAMPS,
    ),
)


def rules_for(table: Table) -> list[Rule]:
    """The rules that apply to `table`: it merges on a primary key and declares what they need."""
    if not table.keyed:
        return []
    types = {name: hints.get("data_type") for name, hints in table.declared.items()}
    return [r for r in RULES if all(types.get(n) == kind for n, kind in r.needs.items())]


def evaluate(
    rule: Rule, resource_name: str, connection: duckdb_api.DuckDBPyConnection
) -> dg.AssetCheckResult:
    """Counts and samples the offenders of `rule` in a resource's table."""
    table = tables[resource_name]
    if not table.exists(connection):
        why = f"There is no table {table.qualified} yet. Materialize {resource_name} first."
        return _unanswered(rule, resource_name, why, dg.AssetCheckSeverity.WARN)
    key = ", ".join(map(quoted, table.primary_key))
    sql = rule.offenders.format(
        table=table.qualified,
        key=key,
        key_is_null=" OR ".join(f"{quoted(name)} IS NULL" for name in table.primary_key),
    )
    severity = dg.AssetCheckSeverity.ERROR if rule.blocking else dg.AssetCheckSeverity.WARN
    try:
        sample = connection.execute(
            f"SELECT count(*) OVER (), * FROM ({sql}) ORDER BY {key} LIMIT {SAMPLE_SIZE}"
        ).fetchall()
    except duckdb_api.Error as error:
        why = f"{type(error).__name__} from: {sql}"
        return _unanswered(rule, resource_name, why, severity)
    count = sample[0][0] if sample else 0
    ids = [", ".join("null" if v is None else str(v) for v in row[1:]) for row in sample]
    return dg.AssetCheckResult(
        asset_key=resource_name,
        check_name=rule.name,
        passed=count == 0,
        severity=severity,
        description=f"{count:,} offend: {'; '.join(ids)}" + (" …" if count > len(ids) else "")
        if count
        else rule.description,
        metadata={"offenders": count, "sample": "; ".join(ids) or "none", "sql": sql},
    )


def _unanswered(
    rule: Rule, resource_name: str, why: str, severity: dg.AssetCheckSeverity
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=resource_name,
        check_name=rule.name,
        passed=False,
        severity=severity,
        description=why,
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
        results = [
            _unanswered(
                rule, name, f"{error} Materialize {name} first.", dg.AssetCheckSeverity.WARN
            )
            for rule, name in selected
        ]
    except DatabaseBusyError as error:
        raise dg.Failure(str(error)) from None
    yield from results
