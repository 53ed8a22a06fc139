"""The view `incidents.incidents`: the incidents of all sources, with the same columns.

It copies nothing, so it is never behind the tables that it is made of. Its comment has the sources
in it and a hash of its SQL, so that it is only written when it changes.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import duckdb

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.tables import DELETED_AT, FIRST, INCIDENTS, Table, quoted
from incidents_dagster.ingestion.warehouse import catalog
from incidents_dagster.ingestion.warehouse.incident_columns import COLUMNS, IncidentTable
from incidents_dagster.ingestion.warehouse.store import Store, transaction

VIEW = f"{quoted(FIRST)}.{quoted(INCIDENTS)}"
SAMPLE_SIZE = 5
COMMENT = re.compile(r"Incidents of (?P<sources>[\w, ]+)\. Made by incidents_dagster, [0-9a-f]+\.")


@dataclass(frozen=True)
class View:
    """What the view has.

    Attributes:
        rows: Source → its rows that are not deleted at the API.
        without_table: Sources that have no table yet.
        dropped: Source that is not configured any more → the rows that the view had of it.
        amiss: How many rows, not deleted at the API, are not in it once.
        sample: Some of those, as text.
        sql: Finds those; empty if there is no table yet.
    """

    rows: dict[str, int]
    without_table: list[str]
    dropped: dict[str, int]
    amiss: int
    sample: str
    sql: str


def refreshed(
    store: Store,
    tables: Sequence[Table],
    wrong: Collection[str],
    seconds: float,
    report: Callable[[str], None] | None = None,
) -> View:
    """Makes the view anew if sources or columns have changed, and compares it with the tables.

    Args:
        store: Where the tables are, and the view.
        tables: The incidents of each source.
        wrong: Sources whose settings are wrong; a view with rows of one is left as it is.
        seconds: How long to wait for other processes that are in the way.
        report: Receives a line if there is a wait.

    Raises:
        DatabaseBusyError: Another process was in the way for longer.
        SettingsError: Something else has the view's name.
    """
    # Comparing goes with looking, before the store is closed: other syncs create tables meanwhile.
    with store.read(seconds, report) as connection:
        look = _Look.at(connection, tables)
        if {*look.sources_before} & {*wrong}:
            there = [one for one in look.tables if one.table.schema in look.sources_before]
            return replace(look, tables=there).found({}, wrong)
        if not look.tables or (look.before and look.comment == look.before.comment):
            return look.found({}, wrong)
    with store.writing(f"{FIRST}.{INCIDENTS}", seconds, report) as connection:
        look = _Look.at(connection, tables)
        look.refuse_others()
        named = {table.schema for table in tables}
        dropped = {s: _rows(connection, s) for s in look.sources_before if s not in named}
        statements = [
            f"CREATE OR REPLACE VIEW {VIEW} AS {look.sql}",
            f"COMMENT ON VIEW {VIEW} IS '{look.comment}'",
        ]
        for name, (_, description) in COLUMNS.items():
            text = description.replace("'", "''")
            statements.append(f"COMMENT ON COLUMN {VIEW}.{quoted(name)} IS '{text}'")
        with transaction(connection):
            # That of the first source, which may not have synced yet.
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(FIRST)}")
            catalog.run(connection, statements)
        return look.found(dropped, wrong)


@dataclass(frozen=True)
class _Look:
    """The tables that there are, the view that there is, and the one that there should be."""

    connection: duckdb.DuckDBPyConnection
    tables: list[IncidentTable]
    without_table: list[str]
    before: catalog.Relation | None
    sql: str

    @classmethod
    def at(cls, connection: duckdb.DuckDBPyConnection, tables: Sequence[Table]) -> "_Look":
        # All columns at once, as each such query looks at all tables of the file.
        types: dict[tuple[str, str], dict[str, str]] = {}
        for column in catalog.columns(connection):
            types.setdefault((column.schema, column.table), {})[column.name] = column.type
        found = [IncidentTable(one, types.get((one.schema, one.name), {})) for one in tables]
        for one in found:
            if not one.table.takes_changes_alone:  # then it is the API's own field
                one.types.pop(DELETED_AT, None)
        there = [one for one in found if one.types]
        missing = [one.table.schema for one in found if not one.types]
        sql = " UNION ALL ".join(one.selected for one in there)
        named = [one for one in catalog.relations(connection, FIRST) if one.name == INCIDENTS]
        return cls(connection, there, missing, named[0] if named else None, sql)

    @property
    def comment(self) -> str:
        """The comment of the view that there should be."""
        digest = hashlib.sha256(self.sql.encode()).hexdigest()[:16]
        sources = ", ".join(one.table.schema for one in self.tables)
        return f"Incidents of {sources}. Made by incidents_dagster, {digest}."

    @property
    def sources_before(self) -> list[str]:
        """The sources of the view that there is."""
        known = COMMENT.fullmatch(self.before.comment) if self.before else None
        return known["sources"].split(", ") if known else []

    def refuse_others(self) -> None:
        """Leaves alone what somebody else has made.

        Raises:
            SettingsError: It has the name of the view.
        """
        if self.before and not self.sources_before:
            kind = self.before.kind
            raise SettingsError(
                f"{FIRST}.{INCIDENTS}, the name of the view over all sources, is that of a "
                f"{kind} which this project has not made. Rename it: ALTER {kind.upper()} "
                f"{FIRST}.{INCIDENTS} RENAME TO another_name."
            )

    def found(self, dropped: dict[str, int], wrong: Collection[str]) -> View:
        if not self.tables:
            return View({}, self.without_table, dropped, 0, "", "")
        rows = " UNION ALL ".join(
            f"SELECT '{one.table.schema}' AS source, {one.key} AS id "
            f"FROM {one.table.qualified} t WHERE {one.present}"
            for one in self.tables
        )
        counted = self.connection.execute(f"SELECT source, count(*) FROM ({rows}) GROUP BY ALL")
        counts = dict(counted.fetchall())
        sql = _amiss(rows, wrong)
        sample = self.connection.execute(
            f"SELECT count(*) OVER (), * FROM ({sql}) ORDER BY ALL LIMIT {SAMPLE_SIZE}"
        ).fetchall()
        told = "; ".join(f"{source} {key}: {times or 0} times" for _, source, key, times in sample)
        return View(
            {one.table.schema: counts.get(one.table.schema, 0) for one in self.tables},
            self.without_table,
            dropped,
            sample[0][0] if sample else 0,
            told,
            sql,
        )


def _amiss(rows: str, wrong: Collection[str]) -> str:
    """SQL that finds `rows`, of the tables or of the view, that are not in both once."""
    others = ", ".join(f"'{name}'" for name in ["", *wrong])
    return (
        f"SELECT source, id, times FROM (SELECT source, id, count(*) AS there FROM ({rows}) "
        f"GROUP BY ALL) FULL JOIN (SELECT source, id, count(*) AS times FROM {VIEW} "
        f"WHERE {DELETED_AT} IS NULL AND source NOT IN ({others}) GROUP BY ALL) "
        "USING (source, id) WHERE there IS DISTINCT FROM 1 OR times IS DISTINCT FROM 1"
    )


def _rows(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    try:
        found = connection.execute(f"SELECT count(*) FROM {VIEW} WHERE source = ?", [source])
        return int(found.fetchall()[0][0])
    except duckdb.Error:  # its table is gone
        return 0
