"""The command `move`: what it says, and what is to be set afterwards.

Does not import Dagster.
"""

from collections.abc import Iterator

import click

from incidents_dagster.ingestion.tables import FIRST, INCIDENTS
from incidents_dagster.ingestion.warehouse.configured_store import database_path, ends_of_move
from incidents_dagster.ingestion.warehouse.move import Ends, move
from incidents_dagster.ingestion.warehouse.table_copy import Copy
from incidents_dagster.insight.sql_files import SCHEMA

WAIT_SECONDS = 60.0


def move_to(to: str) -> Iterator[str]:
    """Moves all that was synced out of the configured store, and says what and how.

    Args:
        to: The address of a PostgreSQL database, or the path of a DuckDB file.

    Raises:
        IngestionError: Nothing was moved; the message says why.
    """
    ends = ends_of_move(to)
    origin, target = ends.stores
    yield f"From:     {origin.name}"
    yield f"To:       {target.name}"
    yield "          Schedules and sensors should be stopped until the new place is set: what they"
    yield "          bring into the old one from now on is not moved."
    moved = move(ends, WAIT_SECONDS, lambda line: click.echo(line, err=True))
    yield from _shown([("dataset", "table", "rows"), *map(_row, moved.copies)])
    yield "Proven:   each table has the same number of rows there, and the same hash of all values."
    for one in moved.copies:
        if one.with_nul:
            yield (
                f"But:      {one.table.shown} had NUL characters in {one.with_nul:,} rows, which "
                "are left out."
            )
    yield f"Later:    the next sync and `make report` make the view {FIRST}.{INCIDENTS} and the"
    yield f"          tables of {SCHEMA}."
    if others := [one for one in moved.left if one.partition(".")[0] != SCHEMA]:
        yield f"Not moved, as no sync has made it: {', '.join(others)}."
    yield from _what_to_set(ends)
    yield "          and start Dagster again. The next sync there reads on where the last one"
    yield f"          ended. {origin.name} is as it was."


def _row(one: Copy) -> tuple[str, str, str]:
    return one.table.schema, one.table.name, f"{one.rows:,}"


def _shown(rows: list[tuple[str, str, str]]) -> Iterator[str]:
    first, second, third = (max(map(len, column)) for column in zip(*rows, strict=True))
    for schema, table, count in rows:
        yield f"  {schema:<{first}}  {table:<{second}}  {count:>{third}}"


def _what_to_set(ends: Ends) -> Iterator[str]:
    if not ends.into_file:
        yield f"Now set:  WAREHOUSE__URL={ends.server.address}"
        yield "          (or url in [warehouse] of .dlt/config.toml),"
        return
    yield "Now unset WAREHOUSE__URL (or url in [warehouse] of .dlt/config.toml),"
    if database_path().resolve() != ends.file.resolve():
        yield f"          set INCIDENTS_DUCKDB_PATH={ends.file},"
