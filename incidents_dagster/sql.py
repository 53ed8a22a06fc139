"""`make sql`: one query on the database, shown as a table. The environment's QUERY holds it."""

import os
import sys

import duckdb

from incidents_dagster.ingestion.errors import IngestionError
from incidents_dagster.ingestion.warehouse.duckdb_file import database_path
from incidents_dagster.resources import IncidentsDuckDB


def main() -> int:
    """Prints what the query finds; 1 where it cannot be answered."""
    try:
        database = IncidentsDuckDB(database=str(database_path()))
        with database.get_connection() as connection:
            connection.sql(os.environ.get("QUERY") or "SHOW ALL TABLES").show()
    except (IngestionError, duckdb.Error) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
