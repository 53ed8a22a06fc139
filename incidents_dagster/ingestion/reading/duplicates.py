"""Records that share the primary key but are not versions of one record: the key is wrong.

Loading them would keep one of each and lose the others. What an honest API may do is no reason: a
record that changes while pages are read comes again, in a newer version; links with signatures and
counters differ in each response; lists of several parents share records.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.schema.typing import TTableSchemaColumns

from incidents_dagster.ingestion.errors import RecordError
from incidents_dagster.ingestion.rows.column_types import shown
from incidents_dagster.ingestion.tables import DECLARED_FIELD, Table

# What stays the same as long as a record lives: another identifier, and when it was created.
LASTING = (
    *("id", "uuid", "guid", "sys_id"),
    *("created", "created_at", "created_on", "created_date", "created_time", "sys_created_on"),
    *("creation_date", "creation_time", "date_created", "time_created", "opened_at", "inserted_at"),
)
EXAMPLES = 2
FIELDS = 3  # named for each example
ENOUGH_FIELDS = 3  # in both records, to say that most of them differ


@dataclass
class Duplicates:
    """The lasting columns of the records that one pass over the list has brought.

    Attributes:
        table: The table that they are loaded into.
        known: Its columns with dlt's hints; grows while records arrive.
    """

    table: Table
    known: TTableSchemaColumns
    _rows: list[pa.Table] = field(default_factory=list)

    def add(self, rows: pa.Table) -> None:
        """Adds a batch."""
        if not self.table.keyed or not {*self.table.primary_key} <= {*rows.column_names}:
            return
        names = [n for n in LASTING if n in rows.column_names and n not in self.table.primary_key]
        names = [name for name in names if self.known[name].get("data_type") != "json"]
        self._rows.append(rows.select([*self.table.primary_key, *names]))

    def check(self) -> None:
        """Looks for a key with several values in a column that lasts as long as a record.

        Raises:
            RecordError: There is one.
        """
        keys = self.table.primary_key
        if not self._rows:
            return
        rows = pa.concat_tables(self._rows, promote_options="default")
        lasting = rows.column_names[len(keys) :]
        if not lasting:
            return
        # With a space, as in no column: the aggregates have names, too.
        named = [f"key {name}" for name in keys]
        rows = rows.rename_columns([*named, *lasting])
        counted = [(name, "count_distinct", pc.CountOptions(mode="only_valid")) for name in lasting]
        counts = rows.group_by(named, use_threads=False).aggregate(counted)
        several = [pc.greater(counts[f"{name}_count_distinct"], 1) for name in lasting]
        found = counts.filter(reduce(pc.or_, several))
        if not len(found):
            return
        examples = [
            (
                [row[name] for name in named],
                [name for name in lasting if row[f"{name}_count_distinct"] > 1],
            )
            for row in found.slice(0, EXAMPLES).to_pylist()
        ]
        raise _error(self.table, len(found), examples)


def check_page(table: Table, records: list[Any]) -> None:
    """Looks for records of one response, which is of one moment, that share the primary key.

    They may be the same record in versions of different times, in a list of versions. Such versions
    have most of their fields in common.

    Raises:
        RecordError: There are others.
    """
    if not table.keyed:
        return
    good = (record for record in records if isinstance(record, dict))
    all_fields = (table.fields_of(table.primary_key, record) for record in good)
    fields = next((found for found in all_fields if len(found) == len(table.primary_key)), None)
    if not fields or _all_differ(records, fields):
        return
    keyed = [(key, record) for record in records if (key := _key(record, fields))]
    newest = table.fields_of(filter(None, [table.newest_first]), keyed[0][1]) if keyed else []
    first: dict[Any, dict[str, Any]] = {}
    same_time: dict[Any, list[str]] = {}
    unlike: list[tuple[Any, list[str]]] = []
    versions = 0
    for key, record in keyed:
        other = first.setdefault(key, record)
        if other is record or not (names := _differing(other, record)):
            continue
        changed = [name for name in names if name not in newest]
        if changed == names:
            same_time[key] = names
            continue
        versions += 1
        shared = {*other} & {*record} - {*fields, *newest}
        if len(shared) >= ENOUGH_FIELDS and 2 * len(changed) > len(shared):
            unlike.append((key, changed))
    found = same_time | (dict(unlike) if 2 * len(unlike) > versions else {})
    if found:
        raise _error(table, len(found), islice(found.items(), EXAMPLES))


def _all_differ(records: list[Any], fields: list[str]) -> bool:
    """Whether no key comes twice, which is quick to see."""
    try:
        columns = [[record.get(name) for record in records] for name in fields]
        keys = columns[0] if len(columns) == 1 else [*zip(*columns, strict=True)]
        return len(set(keys)) == len(keys)
    except (AttributeError, TypeError):  # bad records among them
        return False


def _key(record: Any, fields: list[str]) -> tuple[Any, ...] | None:
    """A record's key; None if it has none, as it is put aside later."""
    values = [record.get(name) for name in fields] if isinstance(record, dict) else [None]
    usable = all(type(value) in (str, int) and value != "" for value in values)
    return tuple(values) if usable else None


def _differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The fields that both have, with different values."""
    return [n for n, v in one.items() if v is not None and other.get(n, v) not in (None, v)]


def _error(
    table: Table, count: int, examples: Iterable[tuple[Iterable[Any], list[str]]]
) -> RecordError:
    key = ", ".join(table.declared.get(n, {}).get(DECLARED_FIELD, n) for n in table.primary_key)
    told = " and ".join(_example(values, names) for values, names in examples)
    return RecordError(
        f"{table.name}: primary_key = {key} does not identify records, so nothing was loaded: "
        f"different records share {count:,} of its values, such as {told}. Set primary_key to a "
        "field, or a list of fields, that no two records share."
    )


def _example(values: Iterable[Any], names: list[str]) -> str:
    more = ", …" if len(names) > FIELDS else ""
    return f"{', '.join(map(_shown, values))} (different {', '.join(names[:FIELDS])}{more})"


def _shown(value: Any) -> str:
    return shown(value) if isinstance(value, (str, int, float, type(None))) else str(value)
