"""What is wrong with a PostgreSQL server, as one message that says what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from incidents_dagster.ingestion.errors import IngestionError, causes

# What PostgreSQL or its client says, and what to do; in order of precedence.
AILMENTS: dict[re.Pattern[str], str] = {
    re.compile("password authentication failed|no password supplied|role .* does not exist"): (
        "{name} refuses the user or the password: check warehouse.url and warehouse.password."
    ),
    re.compile('database ".*" does not exist'): (
        "{name} has no such database: create it, or check warehouse.url."
    ),
    re.compile("permission denied"): (
        "{name} does not allow that ({reason}): grant it to the user of warehouse.url."
    ),
    re.compile("index row size [0-9]+ exceeds"): (
        "a primary key is longer than the 2,700 bytes that {name} can have in an index ({reason}), "
        "so nothing was loaded: choose another primary_key, or keep the rows in a DuckDB file."
    ),
    re.compile("row is too big|tables can have at most [0-9]+ columns"): (
        "a record has more fields than a row of {name} can have ({reason}), so nothing was loaded: "
        "leave fields out, or keep the rows in a DuckDB file."
    ),
    re.compile("lock timeout"): (
        "somebody's transaction has kept a table of {name} for over a minute: end it (see "
        "pg_stat_activity), then sync again."
    ),
    re.compile("No space left on device|disk is full|could not extend file"): (
        "the disk of {name} is full: free some space, then sync again."
    ),
    re.compile(
        "the database system is|server closed the connection|terminating connection"
        "|connection to server|could not connect|Unable to connect|Connection refused"
        "|could not translate host name|SSL connection has been closed|no connection to the server"
        "|timeout expired|too many clients"
    ): "{name} cannot be reached, or ended the connection ({reason}): sync again when it is up.",
}
# What follows in further lines, or precedes it, may be somebody's incidents.
SAID = re.compile(r"(?:ERROR|FATAL|PANIC): +(?P<said>[^\n]*)")
# What DuckDB's extension puts before what PostgreSQL's client says; such a query has many lines.
QUERY = re.compile('Failed to execute query ".*?": ', re.DOTALL)


class DatabaseServerError(IngestionError):
    """PostgreSQL cannot be used; the message says what to do."""


@contextmanager
def postgres_errors(name: str) -> Iterator[None]:
    """Turns any error of the server into one message."""
    try:
        yield
    except Exception as error:
        if found := ailment(error, name):
            raise found from error
        raise


def ailment(error: BaseException, name: str) -> IngestionError | None:
    """What is wrong with the server called `name`, if that caused `error`, else None."""
    import psycopg2  # noqa: PLC0415 - only a shared store needs it

    for cause in causes(error):
        if isinstance(cause, IngestionError):
            return None
        if isinstance(cause, duckdb.Error | psycopg2.Error):
            told = _told_by_the_server(str(cause))
            for pattern, said in AILMENTS.items():
                if found := pattern.search(told):
                    message = said.format(name=name, reason=found[0])
                    if not said.startswith("{name}"):  # which is an address
                        message = message[0].upper() + message[1:]
                    return DatabaseServerError(message)
    return None


def _told_by_the_server(text: str) -> str:
    """The first line of what the server says, without the query before, and the row behind it."""
    if found := SAID.search(text):
        return found["said"]
    return QUERY.sub("", text, count=1).partition("\n")[0]
