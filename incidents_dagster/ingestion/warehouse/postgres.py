"""PostgreSQL as DuckDB sees it: attached to a database in memory, which each process has once.

Its tables are read and written in DuckDB's SQL. What only PostgreSQL knows or does, it is asked or
told in its own, in the transaction of the connection.
"""

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import duckdb
import pyarrow as pa

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.settings import PROJECT_ROOT
from incidents_dagster.ingestion.tables import quoted
from incidents_dagster.ingestion.warehouse.postgres_errors import ailment
from incidents_dagster.ingestion.warehouse.store import Connection, StoreReader

# What DuckDB calls it. No source has this name.
STORE = "store"
EXTENSION = "duckdb_extension_postgres_scanner"
# As DuckDB names types: `duckdb_columns()` shows json as VARCHAR there, and no comments.
COLUMNS = """
SELECT n.nspname AS schema_name, c.relname AS table_name, a.attname AS column_name,
    CASE format_type(a.atttypid, NULL)
        WHEN 'character varying' THEN 'VARCHAR'
        WHEN 'text' THEN 'VARCHAR'
        WHEN 'timestamp without time zone' THEN 'TIMESTAMP'
        WHEN 'double precision' THEN 'DOUBLE'
        WHEN 'bytea' THEN 'BLOB'
        WHEN 'time without time zone' THEN 'TIME'
        WHEN 'numeric'
            THEN replace(upper(format_type(a.atttypid, a.atttypmod)), 'NUMERIC', 'DECIMAL')
        ELSE upper(format_type(a.atttypid, NULL))
    END AS data_type,
    NOT a.attnotnull AS is_nullable, coalesce(col_description(c.oid, a.attnum), '') AS comment,
    a.attnum AS position
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v')
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""
RELATIONS = """
SELECT n.nspname AS schema_name, c.relname AS name,
    CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind,
    coalesce(obj_description(c.oid), '') AS comment
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""
# A server that is gone is noticed after some two minutes.
DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "15",
    "keepalives_count": "6",
    "options": "-c lock_timeout=60000",  # of somebody's transaction, which a new column waits for
}
# What PostgreSQL calls the types that have another name there.
TYPES = {"DOUBLE": "double precision", "BLOB": "bytea"}

_guard = threading.Lock()
_databases: dict[tuple[int, str, bool], duckdb.DuckDBPyConnection] = {}


@dataclass(frozen=True)
class Server:
    """A database of a PostgreSQL server.

    Attributes:
        url: Where it is, and who connects, as libpq takes it.
        password: If it is not in there; empty: libpq looks in PGPASSWORD and in ~/.pgpass.
        setting: What has the address, for messages.
    """

    url: str = field(repr=False)
    password: str = field(default="", repr=False)
    setting: str = "warehouse.url"

    @cached_property
    def parts(self) -> dict[str, Any]:
        """The parts of the address, as libpq calls them."""
        try:
            import psycopg2  # noqa: PLC0415 - only a shared store needs it
            from psycopg2.extensions import parse_dsn  # noqa: PLC0415
        except ImportError:
            raise SettingsError(
                f"{self.setting} is set, and what a shared store needs is not installed: make "
                "shared."
            ) from None
        try:
            given = parse_dsn(self.url) | ({"password": self.password} if self.password else {})
            return DEFAULTS | given
        except psycopg2.ProgrammingError:
            raise SettingsError(
                f"{self.setting} is no address of a PostgreSQL database: give it the form "
                "postgresql://user@host:5432/database."
            ) from None

    @property
    def address(self) -> str:
        """The address as it was given, without passwords."""
        parts = urlsplit(self.url)
        user, at, host = parts.netloc.rpartition("@")
        query = "&".join(
            one for one in parts.query.split("&") if "password" not in one.partition("=")[0]
        )
        netloc = f"{user.partition(':')[0]}{at}{host}"
        return urlunsplit(parts._replace(netloc=netloc, query=query))

    @property
    def name(self) -> str:
        """Where it is, without who connects."""
        parts = self.parts
        port = f":{parts['port']}" if "port" in parts else ""
        return f"postgresql://{parts.get('host', 'localhost')}{port}/{parts.get('dbname', '')}"

    def connect(self, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        """A connection to the database that this process has, with PostgreSQL's tables in use.

        Args:
            read_only: Whether only to read.

        Raises:
            DatabaseServerError: The server cannot be reached, or refuses.
            SettingsError: What a shared store needs is not installed.
        """
        try:
            with _guard:
                mine = (*self.mine, read_only)
                if mine not in _databases:
                    _databases[mine] = self.attached(read_only)
                connection = _databases[mine].cursor()
            # It remembers which schemas there are, and others create them.
            connection.execute(f"CALL pg_clear_cache(); USE {STORE}")
        except duckdb.Error as error:
            raise ailment(error, self.name) or error from None
        return connection

    @property
    def mine(self) -> tuple[int, str]:
        """Which databases in memory are this process's own."""
        return os.getpid(), repr(self.parts)

    def attached(self, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        """A database in memory of its own, with PostgreSQL's tables in the catalog `STORE`."""
        connection = duckdb.connect(":memory:")
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        connection.execute(_load())
        connection.execute("SET GLOBAL pg_null_byte_replacement = ''")  # which it has none of
        known = {"host": "HOST", "port": "PORT", "dbname": "DATABASE"}
        known |= {"user": "USER", "password": "PASSWORD"}
        given = [f"{known[n]} {text(v)}" for n, v in self.parts.items() if n in known]
        others = " ".join(f"{n}={_in_dsn(str(v))}" for n, v in self.parts.items() if n not in known)
        # A scan by several connections does not see one moment: see `test_traps_postgres.py`.
        connection.execute("SET GLOBAL pg_use_ctid_scan = false")
        # What does not fit into memory; by default, that goes to the current directory.
        spilled = PROJECT_ROOT / "data" / "postgres.tmp"
        connection.execute(f"SET GLOBAL temp_directory = {text(str(spilled))}")
        # A secret is in no list of databases, and in no message.
        connection.execute(f"CREATE SECRET {STORE} ({', '.join(['TYPE postgres', *given])})")
        how = f"TYPE postgres, SECRET {STORE}" + (", READ_ONLY" if read_only else "")
        connection.execute(f"ATTACH {text(others)} AS {STORE} ({how})")
        return connection


def _in_dsn(value: str) -> str:
    """A value as libpq reads it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _load() -> str:
    """SQL that loads the extension: as pip has installed it, or else as DuckDB fetches it."""
    if spec := find_spec(EXTENSION):
        folder = (
            Path(str(spec.submodule_search_locations[0]))
            if spec.submodule_search_locations
            else None
        )
        for file in folder.glob(f"extensions/v{duckdb.__version__}/*") if folder else ():
            return f"LOAD {text(str(file))}"
    return "INSTALL postgres; LOAD postgres"


def is_attached(connection: Connection) -> bool:
    """Whether a connection has PostgreSQL's tables."""
    if isinstance(connection, StoreReader):  # it is asked for each batch of records
        return connection.kind == "postgres"
    found = connection.execute(
        f"SELECT 1 FROM duckdb_databases() WHERE database_name = '{STORE}' AND type = 'postgres'"
    ).fetchall()
    return bool(found)


def text(value: str) -> str:
    """A text in SQL."""
    return "'" + value.replace("'", "''") + "'"


def type_of(kind: str) -> str:
    """What PostgreSQL calls a type of DuckDB's."""
    return TYPES.get(kind, kind)


def asked(sql: str) -> str:
    """DuckDB's SQL for what PostgreSQL answers to a query of its own."""
    return f"(SELECT * FROM postgres_query('{STORE}', {text(sql)}))"


def tell(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Runs statements of PostgreSQL's, in the transaction of the connection."""
    connection.execute(f"CALL postgres_execute('{STORE}', {text(sql)})")


def having(table: str, keys: pa.Table, types: Mapping[str, str]) -> str:
    """DuckDB's SQL for the rows of a table with one of these keys.

    Args:
        table: The table.
        keys: Values of some columns of it, as the store has them: see `catalog.storable`.
        types: Those columns, with their types in DuckDB.
    """
    columns = ", ".join(f"{quoted(n)} {type_of(types[n])}" for n in keys.column_names)
    same = " AND ".join(f"t.{quoted(n)} = k.{quoted(n)}" for n in keys.column_names)
    given = json.dumps(keys.to_pylist(), default=str, ensure_ascii=False)
    wanted = f"json_to_recordset({text(given)}) AS k ({columns})"
    return asked(f"SELECT t.* FROM {table} t JOIN {wanted} ON {same}")
