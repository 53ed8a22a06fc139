"""The database of one test, asked past the product."""

from typing import Any

from fakes.postgres import USER, Cluster


class Database:
    """A database of the server.

    Attributes:
        cluster: The server.
        name: Its name there.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    @property
    def url(self) -> str:
        """Its address, without the password."""
        return self.cluster.url(self.name)

    def url_of(self, user: str = USER) -> str:
        """The same for another user."""
        return self.cluster.url(self.name, user)

    def ask(self, sql: str, *values: Any) -> list[Any]:
        """What PostgreSQL itself answers."""
        return self.cluster.ask(self.name, sql, *values)

    def count(self, where: str = "true", table: str = "incidents.incident_data") -> int:
        """How many rows a table has."""
        return int(self.ask(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])
