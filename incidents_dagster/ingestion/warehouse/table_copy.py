"""Copies tables between two databases that one DuckDB has attached, and proves that all is there.

The proof is how many rows there are, and the sum of a hash over all values of each, as texts.
DuckDB computes both, whichever database has the table. A sum depends on no order, and a row that is
there twice counts twice.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from incidents_dagster.ingestion.errors import IngestionError
from incidents_dagster.ingestion.tables import quoted
from incidents_dagster.ingestion.warehouse.datasets import Described
from incidents_dagster.ingestion.warehouse.postgres_errors import SAID
from incidents_dagster.ingestion.warehouse.store import Store

NUL = "chr(0)"
WITH_NUL = ("VARCHAR", "JSON")  # a BLOB as a text has none


@dataclass(frozen=True)
class Copy:
    """A table that has been copied.

    Attributes:
        table: The table.
        rows: Its rows.
        with_nul: How many of them had NUL characters, which PostgreSQL cannot hold.
    """

    table: Described
    rows: int
    with_nul: int


@dataclass(frozen=True)
class TableCopy:
    """Copies tables of one store into another one.

    Attributes:
        connection: Has both attached, and reads times in UTC.
        of: The catalog of the tables.
        into: The catalog of their copies.
        stores: The stores of both.
    """

    connection: duckdb.DuckDBPyConnection
    of: str
    into: str
    stores: tuple[Store, Store]

    def create(self, tables: Sequence[Described]) -> None:
        """Creates the tables, with the types that DuckDB names, as dlt does.

        Raises:
            IngestionError: The other database cannot have one.
        """
        for one in tables:
            self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {self.into}.{quoted(one.schema)}")
            columns = ", ".join(
                f"{quoted(c.name)} {c.type}{'' if c.nullable else ' NOT NULL'}" for c in one.columns
            )
            with told(one.shown, self.stores):
                self.connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {self.into}.{one.qualified} ({columns})"
                )

    def fill(self, tables: Sequence[Described]) -> None:
        """Copies their rows.

        Raises:
            IngestionError: A value cannot be there.
        """
        for one in tables:
            columns = ", ".join(quoted(c.name) for c in one.columns)
            with told(one.shown, self.stores):
                self.connection.execute(
                    f"INSERT INTO {self.into}.{one.qualified} ({columns}) "
                    f"SELECT {columns} FROM {self.of}.{one.qualified}"
                )

    def proven(self, tables: Sequence[Described]) -> list[Copy]:
        """The tables, if their rows are the same in both.

        Raises:
            IngestionError: Those of one are not.
        """
        copies = []
        for one in tables:
            with told(one.shown, self.stores):
                before, after = (self._digest(at, one) for at in (self.of, self.into))
            if before[:2] != after[:2]:
                values = ", and values differ" if before[0] == after[0] else ""
                raise IngestionError(
                    f"{one.shown} has not arrived in {self.stores[1].name} as it was, so nothing "
                    f"was moved: {before[0]:,} rows before, {after[0]:,} after{values}. Move again "
                    "while nobody writes either."
                )
            copies.append(Copy(one, before[0], before[2]))
        return copies

    def _digest(self, database: str, table: Described) -> tuple[int, int, int]:
        """The rows, the sum of their hashes without NUL, and how many of them have one."""
        texts = {c.name: f"CAST({quoted(c.name)} AS VARCHAR)" for c in table.columns}
        may = [c.name for c in table.columns if c.type in WITH_NUL]
        with_nul = " OR ".join(["false", *(f"contains({texts[name]}, {NUL})" for name in may)])
        texts |= {name: f"replace({texts[name]}, {NUL}, '')" for name in may}
        ((rows, hashes, some),) = self.connection.execute(
            f"SELECT count(*), coalesce(sum(hash({', '.join(texts.values())})), 0), "
            f"count_if({with_nul}) FROM {database}.{table.qualified}"
        ).fetchall()
        return rows, hashes, some


def compare(before: Sequence[Described], after: Sequence[Described], target: str) -> None:
    """Compares all but the rows.

    Raises:
        IngestionError: The target cannot have a column of that name or type.
    """
    there = {column for one in after for column in one.columns}
    for one in before:
        for column in one.columns:
            if column not in there:
                raise IngestionError(
                    f"{target} cannot have the column {column.name!r} of {one.shown}, "
                    f"{column.type}, as it is, so nothing was moved: its name or its type is not "
                    "possible there. Drop it, or keep the rows where they are."
                )


@contextmanager
def told(what: str, stores: tuple[Store, Store]) -> Iterator[None]:
    """Turns an error of either store into one message, which shows no row.

    Raises:
        IngestionError: What went wrong.
    """
    origin, target = stores
    try:
        with origin.errors(), target.errors():
            yield
    except duckdb.Error as error:
        said = type(error).__name__  # its text may show a value
        if found := SAID.search(str(error)):
            said = found["said"]
        elif isinstance(error, duckdb.CatalogException):
            said = str(error).partition("\n")[0]
        raise IngestionError(
            f"{what} cannot be moved to {target.name}, so nothing was moved: {said}"
        ) from None
