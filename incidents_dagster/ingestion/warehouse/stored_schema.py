"""Whether the schema of a further source is its own; it may be somebody else's.

That of the first source always counts as its own, as in the first release.
"""

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.tables import FIRST, quoted
from incidents_dagster.ingestion.warehouse.catalog import columns
from incidents_dagster.ingestion.warehouse.store import Connection

DLTS_TABLE = "_dlt_pipeline_state"


def check_schema(connection: Connection, source: str, store: str) -> None:
    """Refuses a schema that has tables which no sync of this project has made.

    Args:
        connection: Reads the tables.
        source: The source, whose name the schema has.
        store: The name of the store, for the message.

    Raises:
        SettingsError: It has.
    """
    if source == FIRST:
        return
    found = columns(connection, source)
    names = sorted({one.table for one in found})
    ours = any(one.name == "_dlt_load_id" or one.table.startswith("_dlt_") for one in found)
    if DLTS_TABLE in names:
        pipelines = connection.execute(
            f"SELECT DISTINCT pipeline_name FROM {quoted(source)}.{DLTS_TABLE}"
        ).fetchall()
        ours = not pipelines or (source,) in pipelines
    if names and not ours:
        raise SettingsError(
            f"The schema {source} of {store} is somebody else's: it has {names[0]}, which no sync "
            f"of this project has made. Give the source another name than {source!r}."
        )
