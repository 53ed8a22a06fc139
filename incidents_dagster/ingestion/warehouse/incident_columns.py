"""The columns that incidents have whatever their source, and the SQL for them in its own table.

The view over all sources (`all_incidents`) and the log of changes (`change_log`) are made of them.
"""

from dataclasses import dataclass

from incidents_dagster.ingestion.tables import DELETED_AT, Table, key_as_text_sql, quoted

TEXT, TIME = "VARCHAR", "TIMESTAMP WITH TIME ZONE"
# An API may mean anything by these: if `fields` names columns, they count only if it names them.
CONCLUDED_FROM = ("acknowledged_at", "resolved_at")
# Column → its type, and its description. All but the first and the last are the tables' own.
COLUMNS: dict[str, tuple[str, str]] = {
    "source": (TEXT, "The source, which is also its schema."),
    "id": (TEXT, "The incident's primary key in its table, as text."),
    "title": (TEXT, "What it is about, in a line."),
    "status": (TEXT, "The status, as the API names it."),
    "phase": (TEXT, "open, acknowledged, closed or other."),
    "severity": (TEXT, "How bad it is, as the API names it."),
    "service": (TEXT, "The service that it is about."),
    "team": (TEXT, "The team that is responsible for it."),
    "url": (TEXT, "Its page, for people."),
    "created_at": (TIME, "When it was opened, UTC."),
    "acknowledged_at": (TIME, "When somebody took it on, UTC."),
    "resolved_at": (TIME, "When it was resolved, UTC."),
    "updated_at": (TIME, "When it last changed, UTC."),
    DELETED_AT: (TIME, "When a full read no longer found it; null while the API has it."),
    "source_table": (TEXT, "The table that has all that the API says about it."),
}


@dataclass(frozen=True)
class IncidentTable:
    """A table of incidents in the store.

    Attributes:
        table: What the configuration says about it.
        types: Its columns, with their types.
    """

    table: Table
    types: dict[str, str]

    @property
    def key(self) -> str:
        """SQL for the key as text, or for the column `id` where there is no key."""
        if self.table.keyed:
            return key_as_text_sql(self.table.primary_key, "t")
        return self.own("id", TEXT)

    @property
    def present(self) -> str:
        """SQL: whether a row is not marked as deleted."""
        return f"t.{DELETED_AT} IS NULL" if DELETED_AT in self.types else "true"

    @property
    def selected(self) -> str:
        """SQL for its rows, with the columns of the view."""
        table = self.table
        given = {
            "source": f"'{table.schema}'",
            "id": self.key,
            "source_table": f"'{table.schema}.{table.name}'",
        }
        columns = ", ".join(
            f"{given.get(name) or self.own(name, kind)} AS {quoted(name)}"
            for name, (kind, _) in COLUMNS.items()
        )
        return f"SELECT {columns} FROM {table.qualified} t"

    def own(self, name: str, kind: str) -> str:
        """SQL for a column; null where there is none, or no times where they should be."""
        column, found = f"t.{quoted(name)}", self.types.get(name, "")
        left_out = self.table.names_fields and name not in self.table.declared
        if name in CONCLUDED_FROM and left_out:
            found = ""
        if found and kind == TEXT:
            return f"CAST({column} AS VARCHAR)"
        if found == TIME:
            return column
        if found.startswith(("TIMESTAMP", "DATE")):
            return f"timezone('UTC', CAST({column} AS TIMESTAMP))"
        return f"CAST(NULL AS {kind})"
