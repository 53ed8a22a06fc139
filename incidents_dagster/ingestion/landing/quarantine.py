"""The table `quarantine`: records that could not be loaded, each with the reason.

What it holds, which records are new to it, and which still wait for a good version. `bad_records`
decides when there are too many to continue.
"""

import hashlib
import json
import reprlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, Final

import dlt
import pyarrow as pa
from dlt.common.libs.pyarrow import columns_to_arrow
from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.landing.bad_records import most_frequent
from incidents_dagster.ingestion.rows.batches import Rejected, chunks
from incidents_dagster.ingestion.rows.column_types import capabilities
from incidents_dagster.ingestion.secrets.redaction import redact, redact_record
from incidents_dagster.ingestion.tables import QUARANTINE, Table, key_as_text_sql
from incidents_dagster.ingestion.warehouse.store import Connection
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

RECORD_CHARACTERS = 100_000

COLUMNS: TTableSchemaColumns = {
    name: {"name": name, "data_type": "text", "nullable": False, "description": description}
    for name, description in {
        "record_hash": "SHA-256 of the resource's name and the record; the primary key.",
        "resource": "The resource that the record belongs to.",
        "reason": "Which field is wrong, and how.",
        "record_id": "The record's primary key as text, if it has a usable one.",
        "record": f"The record as JSON, as the API sent it, up to {RECORD_CHARACTERS:,} "
        "characters, without secrets.",
        "seen_at": "When the record was first seen like this, UTC.",
    }.items()
}
COLUMNS["record_id"]["nullable"] = True
COLUMNS["seen_at"]["data_type"] = "timestamp"
COLUMNS["record_hash"]["primary_key"] = True

# dlt gives a resource's second table the hints of its first, unless they are removed before:
# columns that may not be null, a merge strategy, a contract.
NO_HINTS: Final[dict[str, Any]] = {
    "table_name": QUARANTINE,
    "columns": {},
    "write_disposition": "merge",
    "schema_contract": "evolve",
    "additional_table_hints": {},
}
HINTS: Final[dict[str, Any]] = {
    "table_name": QUARANTINE,
    "columns": COLUMNS,
    "primary_key": "record_hash",
}


def beside(table: Table) -> Table:
    """The quarantine of the source that `table` is of."""
    return Table(QUARANTINE, ["record_hash"], dict(COLUMNS), schema=table.schema)


def load(
    connection: Connection,
    resource: str,
    rejected: Iterable[Rejected],
    table: Table,
) -> Iterator[Any]:
    """What a resource yields besides its own rows to have dlt quarantine `rejected`."""
    now = datetime.now(timezone.utc)
    for some in chunks(rejected):
        news = unknown(connection, rows(resource, some, now), table)
        if len(news):
            for part, hints in ((news.slice(0, 0), NO_HINTS), (news, HINTS)):
                made = dlt.mark.make_hints(**hints)
                yield dlt.mark.with_hints(part, made, create_table_variant=True)


def rows(resource: str, rejected: Iterable[Rejected], now: datetime) -> pa.Table:
    """The rows of `rejected` records, each distinct record once.

    Args:
        resource: The resource that they belong to.
        rejected: As from `batches.to_arrow`.
        now: When they were read, with a time zone.

    Returns:
        The columns of `COLUMNS`, without secrets.
    """
    found = list(rejected)
    records = _without_secrets([_text(one.record) for one in found], redact_record)
    reasons = _without_secrets([one.reason for one in found], redact)
    quoted_ids = [json.dumps(one.record_id) for one in found]
    ids = [json.loads(one) for one in _without_secrets(quoted_ids, redact_record)]
    once: dict[str, dict[str, Any]] = {}
    for record, reason, record_id in zip(records, reasons, ids, strict=True):
        digest = hashlib.sha256(f"{resource}\n{record}".encode()).hexdigest()
        once[digest] = {
            "record_hash": digest,
            "resource": resource,
            "reason": reason,
            "record_id": record_id or None,
            "record": record[:RECORD_CHARACTERS],
            "seen_at": now,
        }
    schema = columns_to_arrow(COLUMNS, capabilities(), "UTC")
    return pa.Table.from_pylist(list(once.values()), schema)


def unknown(connection: Connection, rejected_rows: pa.Table, table: Table) -> pa.Table:
    """The `rejected_rows` that are new: not in quarantine, or bad again after a good version."""
    if not len(rejected_rows) or not StoredTable(beside(table), connection).exists():
        return rejected_rows
    connection.register("_rejected", rejected_rows.select(["record_hash"]))
    good_again = _good_since(connection, table, ">")
    known = connection.execute(
        f"SELECT q.record_hash FROM {beside(table).qualified} q JOIN _rejected USING (record_hash) "
        f"WHERE NOT {good_again}"
    ).fetchall()
    connection.unregister("_rejected")
    hashes = {digest for (digest,) in known}
    news = [digest not in hashes for digest in rejected_rows["record_hash"].to_pylist()]
    return rejected_rows.filter(pa.array(news, pa.bool_()))


def still_bad(connection: Connection, resource: str, table: Table) -> tuple[int, list[str]]:
    """Quarantined records without a good version loaded since.

    A record without an id counts until somebody deletes it from the quarantine.

    Returns:
        How many, and the most frequent reasons: `id is missing, null or empty (2)`.
    """
    if not StoredTable(beside(table), connection).exists():
        return 0, []
    found = connection.execute(
        f"SELECT q.reason FROM {beside(table).qualified} q "
        f"WHERE q.resource = ? AND NOT {_good_since(connection, table, '>=')}",
        [resource],
    ).fetchall()
    return len(found), most_frequent(reason for (reason,) in found)


def waiting(connection: Connection, resource: str, table: Table) -> list[str]:
    """The ids, as text, of the `still_bad` records that have one."""
    if not StoredTable(beside(table), connection).exists():
        return []
    found = connection.execute(
        f"SELECT DISTINCT q.record_id FROM {beside(table).qualified} q WHERE q.resource = ? "
        f"AND q.record_id IS NOT NULL AND NOT {_good_since(connection, table, '>=')} ORDER BY ALL",
        [resource],
    ).fetchall()
    return [record_id for (record_id,) in found]


def _good_since(connection: Connection, table: Table, later: str) -> str:
    """SQL: whether `table` has a good version of quarantined record `q`, from a `later` load.

    `later` is `>`, or `>=` for the same load too. Load ids are times, so they sort like the loads.
    """
    columns = {column.name for column in StoredTable(table, connection).columns()}
    if not table.primary_key or not {*table.primary_key, "_dlt_load_id"} <= columns:
        return "false"
    record_id = key_as_text_sql(table.primary_key, "t")
    return (
        f"EXISTS (SELECT 1 FROM {table.qualified} t WHERE {record_id} = q.record_id "
        f"AND t._dlt_load_id {later} q._dlt_load_id)"
    )


def _text(record: Any) -> str:
    """A record as JSON with sorted fields, so that the same record is the same text."""
    try:
        text = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    except (RecursionError, ValueError):  # nested too deeply, or a number with too many digits
        if not isinstance(record, dict):
            return str(_sketch(record))
        return _text({name: _sketch(value) for name, value in record.items()})
    return str(text.encode("utf-8", "replace"), "utf-8")  # replaces half a surrogate pair


def _sketch(value: Any) -> Any:
    """`value` itself if JSON can hold it, else its first few levels."""
    try:
        json.dumps(value)
    except RecursionError:
        return reprlib.repr(value)
    except ValueError:
        return "(a number with too many digits)"
    return value


def _without_secrets(texts: Sequence[str], clean: Callable[[str], str]) -> Sequence[str]:
    # One search through all of them takes a quarter of a millisecond, and rarely finds a secret.
    together = "\n".join(texts)
    return texts if clean(together) == together else [clean(text) for text in texts]
