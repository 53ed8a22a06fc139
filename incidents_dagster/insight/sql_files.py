"""The tables of the schema `insight`, each a file of SQL beside this one.

A file begins with a comment, the table's description, after `view:` if it is a view. Each column
that it selects has a comment, too. What a table is made of is read from the SQL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.lineage import Node, lineage

from incidents_dagster.ingestion.tables import CHANGE_LOG, FIRST, INCIDENTS, SYNCS
from incidents_dagster.ingestion.warehouse import change_log, incident_columns, sync_log

SCHEMA = "insight"
VIEW = "view:"
DIALECT = "duckdb"
# What the tables are made of: table → its columns, with type and description.
INPUTS: dict[str, dict[str, tuple[str, str]]] = {
    INCIDENTS: incident_columns.COLUMNS,
    CHANGE_LOG: change_log.COLUMNS,
    SYNCS: sync_log.COLUMNS,
}


@dataclass(frozen=True)
class SqlFile:
    """A table of the schema `insight`.

    Attributes:
        name: Its name, and that of its asset.
        query: The SQL that selects its rows.
        description: What it is, for people.
        is_view: Whether it is a view.
        columns: Column → its description.
        made_of: Other tables of this schema that it is made of.
        inputs: Tables that the syncs write, likewise.
    """

    name: str
    query: str
    description: str
    is_view: bool
    columns: Mapping[str, str]
    made_of: frozenset[str]
    inputs: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> "SqlFile":
        """The table of a file."""
        text = path.read_text("utf-8")
        lines = []
        for line in text.splitlines():
            if not line.startswith("--"):
                break
            lines.append(line.removeprefix("--").strip())
        described = "\n".join(lines)
        tree = _parsed(text)
        tables = {(table.db, table.name) for table in tree.find_all(exp.Table)}
        return cls(
            path.stem,
            text,
            described.removeprefix(VIEW).strip(),
            described.startswith(VIEW),
            {one.alias_or_name: " ".join(one.comments or []).strip() for one in tree.selects},
            frozenset(name for schema, name in tables if schema == SCHEMA),
            frozenset(name for schema, name in tables if schema == FIRST),
        )


@cache
def sql_files() -> dict[str, SqlFile]:
    """Name → table, each after those that it is made of."""
    found = {path.stem: SqlFile.read(path) for path in sorted(Path(__file__).parent.glob("*.sql"))}
    order = TopologicalSorter({name: sorted(one.made_of) for name, one in found.items()})
    return {name: found[name] for name in order.static_order()}


@cache
def column_lineage() -> dict[str, dict[str, list[tuple[str, str, str]]]]:
    """Table → its column → the columns that this one is made of: schema, table, column.

    Takes a second.
    """
    files = sql_files()
    schema = {
        FIRST: {name: {n: kind for n, (kind, _) in of.items()} for name, of in INPUTS.items()},
        SCHEMA: {name: dict.fromkeys(one.columns, "VARCHAR") for name, one in files.items()},
    }
    found = {}
    for name, file in files.items():
        # It does not know all of DuckDB's functions, nor the temporary table `phases`.
        nodes = lineage(
            None,
            file.query,
            schema,
            dialect=DIALECT,
            trim_selects=False,
            validate_qualify_columns=False,
        )
        found[name] = {column: _leaves(nodes[column]) for column in file.columns}
    return found


def _leaves(node: Node) -> list[tuple[str, str, str]]:
    tables = [(one.expression, one.name.rpartition(".")[2]) for one in node.walk()]
    return sorted(
        {
            (table.db, table.name, column)
            for table, column in tables
            if isinstance(table, exp.Table) and table.db  # `phases` is in no schema
        }
    )


def _parsed(text: str) -> exp.Query:
    tree = sqlglot.parse_one(text, read=DIALECT)
    assert isinstance(tree, exp.Query)
    return tree
