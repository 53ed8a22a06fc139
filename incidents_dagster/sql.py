"""The command `sql`: runs statements on the store, and shows their results as DuckDB does.

Does not import Dagster, which would take longer than the query.
"""

import click
import duckdb

from incidents_dagster.configured import configured
from incidents_dagster.ingestion.errors import IngestionError
from incidents_dagster.ingestion.plain_text import plain
from incidents_dagster.ingestion.warehouse.configured_store import configured_store

WAIT_SECONDS = 30.0
TABLES = "FROM (SHOW ALL TABLES) WHERE database = current_database()"


def answer(query: str) -> None:
    """Runs the statements of `query` read-only and prints their results; for "", all tables.

    What is queried is named first, on standard error.

    Raises:
        IngestionError: There is no database, it cannot be opened, or a statement is wrong.
        KeyboardInterrupt: Ctrl-C, also while a statement runs.
    """
    for line in configured():
        click.echo(line, err=True)
    store = configured_store()
    store.require_rows()
    connection = store.connect(
        WAIT_SECONDS, lambda line: click.echo(line, err=True), read_only=True
    )
    with connection:
        try:
            for statement in connection.extract_statements(query or TABLES):
                found = connection.sql(statement)
                if found is None:
                    click.echo("OK.")
                else:
                    # As `show` does, but DuckDB lets some control characters of a value through.
                    click.echo(plain(str(found)))
        except RuntimeError:  # DuckDB's "Query interrupted"; its other errors are duckdb.Error
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            # The rest points at a place in the query, over several lines.
            said = str(error).partition("\n\nLINE ")[0]
            raise IngestionError(" ".join(said.split("\n"))) from None
