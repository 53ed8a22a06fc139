"""The first source of a project whose second one is tried: nothing of it may change.

It has an API, a key and a table of its own. Its key is where a first source's is, at the top level,
where a second source must not look.
"""

from collections.abc import Callable
from typing import Any

from fakes.incident_pages import IncidentPages
from fakes.incidents import incident
from fakes.web import STARTED
from faults.judging.search import Search
from faults.sources import FIRST, SECOND
from incidents_dagster.ingestion.tables import CHANGE_LOG, SYNCS

KEY = "neighbour-key-0987654321"
ROWS = 7
# On a server, DuckDB counts the view over all sources among them.
TABLES = (
    "SELECT table_name FROM duckdb_tables() "
    f"WHERE schema_name = '{FIRST}' AND table_name <> 'incidents' ORDER BY ALL"
)

Query = Callable[[str], list[tuple[Any, ...]]]


class Neighbour:
    """The first source, as a context manager.

    Attributes:
        api: Its API.
        tables: What its tables hold, as `settled` has seen them.
    """

    def __init__(self) -> None:
        self.api = IncidentPages()
        self.api.rows = [incident(n, title=f"Of the first source {n}") for n in range(1, ROWS + 1)]
        self.tables: dict[str, list[str]] = {}

    def __enter__(self) -> "Neighbour":
        self.api.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.api.__exit__()
        self.api.asked.clear()  # the next one's judge looks at all servers of the process

    def section(self, shipped: dict[str, Any]) -> dict[str, Any]:
        """`[sources.incidents]`: as shipped, with its API, and the second source beside it."""
        return {
            **shipped,
            "also": [SECOND],
            "client": {"base_url": self.api.base_url},
            "freshness": {"newest_within_hours": 10_000_000},  # its incidents are of some day
        }

    def settled(self, query: Query) -> None:
        """It has been synced; from now on nothing may change."""
        self.tables = _tables(query)
        self.api.asked.clear()

    def disturbed(self, query: Query) -> str:
        """What has happened to it, or to its key, since it has settled; nothing if all is well."""
        if self.api.asked:
            search = Search([KEY])
            search.text("", str(self.api.asked))
            whose = "its own" if search.found else "another"
            return f"the first source's API was asked {len(self.api.asked)} times, with {whose} key"
        others = Search([KEY])
        for server in STARTED:
            if server is not self.api:
                others.text("", str([(a.target, a.headers, a.body) for a in server.asked]))
        if others.found:
            return "the first source's key was sent to another API"
        after = _tables(query)
        changed = [n for n in {*self.tables, *after} if self.tables.get(n) != after.get(n)]
        return f"{sorted(changed)} of the first source changed" if changed else ""


def _tables(query: Query) -> dict[str, list[str]]:
    return {
        name: sorted(map(str, query(f'FROM {FIRST}."{name}" WHERE {_own(name)}')))
        for (name,) in query(TABLES)
    }


def _own(table: str) -> str:
    # These have the rows of all sources.
    if table in (SYNCS, CHANGE_LOG):
        return f"source = '{FIRST}'"
    return "true"
