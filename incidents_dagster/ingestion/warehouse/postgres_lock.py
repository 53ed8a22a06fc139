"""One sync of a source at a time, on all machines: an advisory lock of PostgreSQL.

It is held by a connection of its own, and free as soon as that ends, also by a kill. DuckDB's pool
would reset its connections, which drops such locks.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from incidents_dagster.ingestion.errors import DatabaseBusyError
from incidents_dagster.ingestion.warehouse import postgres
from incidents_dagster.ingestion.warehouse.postgres import Server, text

RETRY_SECONDS = 0.1
# What the server does: a machine that is gone frees its locks after some two minutes, and a sync
# that reads for long keeps its own.
OPTIONS = (
    "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=15 -c tcp_keepalives_count=6 "
    "-c idle_session_timeout=0"
)
KEY = "hashtext('incidents_dagster'), hashtext({})"
HELD = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = {pid} "
    "AND classid = hashtext('incidents_dagster')::bigint & 4294967295 "
    "AND objid = hashtext({name})::bigint & 4294967295"
)
# What this process holds: name → PostgreSQL's process.
_holders: dict[str, int] = {}


@contextmanager
def alone_on(server: Server, name: str, seconds: float, who: str = "") -> Iterator[Any]:
    """Holds the lock of a name; yields the connection that does, which commits by itself.

    Args:
        server: The server.
        name: The name.
        seconds: How long to wait for another process that holds it.
        who: What that is, for the message; default: a sync of a source of that name.

    Raises:
        DatabaseBusyError: Another process has held it for longer than `seconds`.
    """
    import psycopg2  # noqa: PLC0415 - only a shared store needs it

    parts = server.parts
    options = f"{parts.get('options', '')} {OPTIONS}".strip()
    connection = psycopg2.connect(**{**parts, "options": options})
    connection.autocommit = True
    deadline, pid = time.monotonic() + seconds, connection.info.backend_pid
    try:
        with connection.cursor() as cursor:
            while True:
                cursor.execute(f"SELECT pg_try_advisory_lock({KEY.format('%s')})", (name,))
                if cursor.fetchone()[0]:
                    break
                if time.monotonic() >= deadline:
                    raise DatabaseBusyError(
                        f"Another {who or f'sync of {name}'} into {server.name} has been running "
                        f"for over {seconds:g} s: wait for it to finish, then try again."
                    )
                time.sleep(RETRY_SECONDS)
        _holders[name] = pid
        yield connection
    finally:
        if _holders.get(name) == pid:  # another sync of this process may hold it
            del _holders[name]
        connection.close()


def check(connection: Any, name: str, work: str = "sync") -> None:
    """Checks, in the transaction of a DuckDB connection, that this process still holds the lock.

    Args:
        connection: The connection.
        name: The name of the lock.
        work: What has to be done again if it does not, for the message.

    Raises:
        DatabaseBusyError: It does not: PostgreSQL was restarted, or has ended the connection.
    """
    sql = HELD.format(pid=_holders.get(name, 0), name=text(name))
    ((held,),) = connection.execute(f"SELECT * FROM {postgres.asked(sql)}").fetchall()
    if not held:
        raise DatabaseBusyError(
            f"PostgreSQL was restarted, or has ended a connection, during the {work} of {name}, so "
            f"nothing was loaded: {work} again."
        )
