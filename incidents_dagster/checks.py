"""Asset checks: a table of SQL rules, applied to every resource that has the columns they need.

All checks run in one step, including those of `source_checks`. A check's description is true when
it passes; a rule's SQL selects the offending rows. Rows marked as deleted are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import dagster as dg
import duckdb as duckdb_api

from incidents_dagster.ingestion.errors import IngestionError, NoDatabaseError
from incidents_dagster.ingestion.tables import Table, quoted
from incidents_dagster.names import noun_of
from incidents_dagster.resources import IncidentsDuckDB
from incidents_dagster.source_checks import SOURCE_CHECKS, Finding, SourceCheck, Subject
from incidents_dagster.sources import SOURCES, Source

SAMPLE_SIZE = 5


@dataclass(frozen=True)
class Rule:
    """A check.

    Attributes:
        name: The check's name.
        description: What is true when it passes.
        offenders: SQL that selects the primary keys of the offending rows; {table}, {key},
            {newest}, the column that shows which version is newer, {hours} and {key_is_null} are
            filled in.
        needs: Column that the table must declare for the rule to apply → its data_type.
        blocking: A failure fails the run; otherwise it warns.
    """

    name: str
    description: str
    offenders: str
    needs: Mapping[str, str] = field(default_factory=dict)
    blocking: bool = False

    def find(self, subject: Subject) -> Finding:
        """Counts and samples the offending rows."""
        key = ", ".join(map(quoted, subject.table.primary_key))
        sql = self._of(subject.stored.present(), subject)
        try:
            found = self._of(subject.rows, subject)
            sample = subject.connection.execute(
                f"SELECT count(*) OVER (), * FROM ({found}) ORDER BY {key} LIMIT {SAMPLE_SIZE}"
            ).fetchall()
        except (duckdb_api.ProgrammingError, duckdb_api.DataError) as error:  # none of the store's
            return f"{type(error).__name__} from: {sql}", {}
        count = sample[0][0] if sample else 0
        ids = [", ".join("null" if v is None else str(v) for v in row[1:]) for row in sample]
        more = " …" if count > len(ids) else ""
        return (
            f"{count:,} offending: {'; '.join(ids)}{more}" if count else "",
            {"offenders": count, "sample": "; ".join(ids) or "none", "sql": sql},
        )

    def _of(self, rows: str, subject: Subject) -> str:
        """The SQL for the offenders among rows."""
        key = subject.table.primary_key
        return self.offenders.format(
            table=rows,
            key=", ".join(map(quoted, key)),
            newest=quoted(str(subject.table.newest_first)),
            hours=subject.source.settings.freshness.newest_within_hours,
            key_is_null=" OR ".join(f"{quoted(name)} IS NULL" for name in key),
        )


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
        "newest_change_is_recent",
        "The newest change is not older than freshness.newest_within_hours.",
        "SELECT {key}, {newest} FROM {table} QUALIFY {newest} = max({newest}) OVER () "
        "AND {newest} < now() - to_seconds({hours} * 3600)",
        needs={"{newest}": "timestamp"},
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

# Nobody misses these where they do not apply.
OPTIONAL = {check.name for check in SOURCE_CHECKS if check.column}


def rules_for(table: Table) -> list[Rule]:
    """The rules that apply to `table`: it has a primary key and declares the columns they need."""
    if not table.keyed:
        return []
    left_out = not_applicable(table)
    return [rule for rule in RULES if rule.name not in left_out]


def looked_at(table: Table) -> list[str]:
    """The columns that the rules which apply to `table` look at."""
    needed = {name for rule in rules_for(table) for name in rule.needs}
    if "{newest}" in needed:
        needed = needed - {"{newest}"} | {str(table.newest_first)}
    return [*table.primary_key, *sorted(needed.difference(table.primary_key))]


def checks_for(table: Table) -> dict[str, Rule | SourceCheck]:
    """The checks of `table` by their names."""
    beyond = [c for c in SOURCE_CHECKS if not c.column or c.column in table.declared]
    return {check.name: check for check in (*rules_for(table), *(beyond if table.keyed else ()))}


def not_applicable(table: Table) -> dict[str, str]:
    """The checks that `table` does not have → why: what its configuration lacks."""
    if not table.keyed:
        why = "rows are appended, not merged" if table.primary_key else "no primary_key"
        return {c.name: why for c in (*RULES, *SOURCE_CHECKS) if c.name not in OPTIONAL}
    reasons = {rule.name: _lacking(rule, table) for rule in RULES}
    return {name: why for name, why in reasons.items() if why}


def _lacking(rule: Rule, table: Table) -> str:
    for needed, kind in rule.needs.items():
        column = table.newest_first if needed == "{newest}" else needed
        if column is None:
            return 'no column has dedup_sort = "desc"'
        if column not in table.declared:
            return f"columns.{column} is not configured"
        if (has := table.declared[column].get("data_type")) != kind:
            return f"columns.{column}.data_type is {has or 'not configured'}, not {kind}"
    return ""


def evaluate(check: Rule | SourceCheck, subject: Subject) -> dg.AssetCheckResult:
    """Evaluates a check of a resource's table."""
    if not subject.stored.exists():
        return _unanswered(check, subject.key, f"There is no table {subject.table.qualified} yet.")
    problem, metadata = check.find(subject)
    return dg.AssetCheckResult(
        asset_key=subject.key,
        check_name=check.name,
        passed=not problem,
        severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
        description=problem or check.description,
        metadata=metadata,
    )


def _unanswered(check: Rule | SourceCheck, key: dg.AssetKey, why: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=check.name,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{why} Materialize {key.to_user_string()} first.",
    )


def checks_of(source: Source) -> dg.AssetChecksDefinition:
    """The checks of a source's assets, all in one op."""
    every = {
        dg.AssetCheckKey(source.key(name), check.name): (check, name)
        for name, table in source.tables.items()
        for check in checks_for(table).values()
    }

    @dg.multi_asset_check(
        name=f"{noun_of(source.name)}_checks",
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=key.asset_key,
                description=check.description,
                blocking=check.blocking,
            )
            for key, (check, _) in every.items()
        ],
        can_subset=True,
        pool=source.pool,
    )
    def evaluated(
        context: dg.AssetCheckExecutionContext, duckdb: IncidentsDuckDB
    ) -> Iterator[dg.AssetCheckResult]:
        """Evaluates the selected checks over one read-only connection.

        Logs the checks that a table does not have, because its configuration lacks something.
        """
        for name, table in source.tables.items():
            if left_out := not_applicable(table):
                told = ", ".join(f"{check} ({why})" for check, why in left_out.items())
                context.log.info(f"{name}: not applicable: {told}.")
        selected = [one for key, one in every.items() if key in context.selected_asset_check_keys]
        try:
            with duckdb.get_connection() as connection:
                subjects = {
                    name: Subject(
                        source, name, connection, duckdb.store, context.instance, looked_at(table)
                    )
                    for name, table in source.tables.items()
                }
                results = [evaluate(check, subjects[name]) for check, name in selected]
        except NoDatabaseError as error:
            results = [_unanswered(check, source.key(name), str(error)) for check, name in selected]
        except IngestionError as error:
            raise dg.Failure(str(error)) from None
        yield from results

    return evaluated


source_checks = [checks_of(source) for source in SOURCES.values()]
