"""Records that share the primary key but are not versions of one record: the key is wrong.

Loading them would keep one of each and lose the others. What an honest API may do is no reason: a
record that changes while pages are read comes again, in a newer version; links with signatures and
counters differ in each response; lists of several parents share records; a list of versions may
give each an id of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from incidents_dagster.ingestion.errors import RecordError
from incidents_dagster.ingestion.rows.column_types import shown
from incidents_dagster.ingestion.tables import DECLARED_FIELD, Table

# When a record began, which stays the same as long as it lives.
BEGAN = (
    *("created", "created_at", "created_on", "created_date", "created_time", "sys_created_on"),
    *("created_date_time", "create_time"),
    *("creation_date", "creation_time", "date_created", "time_created", "inserted_at"),
    *("opened_at", "started_at", "starts_at", "start_time", "occurred_at", "triggered_at"),
)
COMPARED = 6  # fields
TELLING = 0.95  # of all pairs of records differ in a telling field, such as a title
TRIED = 500  # pairs
MOST = 0.8  # of the telling fields differ in different records; a version may have new links
ENOUGH = 2  # telling fields
# So many pairs, and such a share of the records, are more than what changes while pages are read.
MANY, SHARE = 3, 0.25
HASHES = 65_521  # the largest prime of two bytes
EXAMPLES = 2
NAMED = 3  # fields for each example
# With a space, as in no column.
PLACE, VERSION = "place in rows", "version of row"


@dataclass(frozen=True)
class Unlike:
    """Two records that share a key and differ in telling fields.

    Attributes:
        key: Their primary key.
        fields: The fields in which they differ.
        certain: Whether they are certainly different records, however few such pairs there are.
    """

    key: tuple[Any, ...]
    fields: list[str]
    certain: bool


class Duplicates:
    """The records that one pass over the list has brought: their keys, and hashes of a few fields.

    Attributes:
        table: The table that they are loaded into.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._rows: list[pa.Table] = []  # the latest as it came, as most syncs have no other
        self._fields: list[str] = []

    def add(self, rows: pa.Table) -> None:
        """Adds a batch."""
        if not self.table.keyed or not len(rows):
            return
        if self._rows:
            self._rows[-1] = self._hashed(self._rows[-1])
        self._rows.append(rows)

    def check(self) -> None:
        """Looks for different records that share a key.

        Raises:
            RecordError: There are some.
        """
        if not self._rows or not len(repeated := self._repeated()):
            return
        self._rows[-1] = self._hashed(self._rows[-1])
        rows = pa.concat_tables(self._rows, promote_options="default")
        found = list(self._unlike(rows, repeated))
        if len(found) < max(MANY, SHARE * len(rows)):
            found = [pair for pair in found if pair.certain]
        if found:
            raise _error(self.table, found)

    def _repeated(self) -> pa.Table:
        """The keys that came more than once."""
        keys = self.table.primary_key
        rows = pa.concat_tables([rows.select(keys) for rows in self._rows])
        rows = rows.append_column(PLACE, pa.array(range(len(rows))))
        counts = rows.group_by(keys, use_threads=False).aggregate([(PLACE, "count")])
        return counts.filter(pc.greater(counts[f"{PLACE}_count"], 1)).select(keys)

    def _hashed(self, rows: pa.Table) -> pa.Table:
        """The keys, and two bytes for each field that is compared and for the version."""
        keys, version = self.table.primary_key, self.table.newest_first
        if not self._fields:
            names = [name for name in rows.column_names if name not in (*keys, version)]
            # Of the others, those with the most values.
            rank = {name: (name not in BEGAN, -len(rows[name].unique())) for name in names}
            chosen = {*sorted(names, key=lambda name: rank[name])[:COMPARED]}
            self._fields = [name for name in names if name in chosen]
        columns = {name: name for name in self._fields} | {VERSION: str(version)}
        columns = {name: column for name, column in columns.items() if column in rows.column_names}
        hashes = {name: _hashes(rows[column]) for name, column in columns.items()}
        return pa.table({**{name: rows[name] for name in keys}, **hashes})

    def _unlike(self, rows: pa.Table, repeated: pa.Table) -> Iterator[Unlike]:
        """Compares each record that has a `repeated` key with the one before it that has it."""
        keys, telling = self.table.primary_key, self._telling(rows)
        rows = rows.append_column(PLACE, pa.array(range(len(rows))))
        rows = rows.join(repeated, keys, join_type="left semi", use_threads=False).sort_by(PLACE)
        latest: dict[tuple[Any, ...], dict[str, Any]] = {}
        for record in rows.to_pylist():
            key = tuple(record[name] for name in keys)
            if (earlier := latest.get(key)) and (pair := self._pair(key, earlier, record, telling)):
                yield pair
            latest[key] = record

    def _pair(
        self,
        key: tuple[Any, ...],
        one: dict[str, Any],
        other: dict[str, Any],
        telling: set[str],
    ) -> Unlike | None:
        both = [n for n in self._fields if one[n] is not None and other[n] is not None]
        differ = [n for n in both if one[n] != other[n]]
        began = [n for n in both if n in BEGAN]
        if any(n in telling and n not in differ for n in began):
            return None
        fields = [n for n in differ if n in telling or n in began]
        most = len(fields) >= MOST * len([n for n in both if n in telling])
        certain = any(n in differ for n in began) or (len(fields) >= ENOUGH and most)
        versions = one.get(VERSION) != other.get(VERSION)
        return Unlike(key, fields, certain) if fields and (certain or versions or most) else None

    def _telling(self, rows: pa.Table) -> set[str]:
        """The fields in which most pairs of records with different keys differ."""
        places, chance = range(len(rows)), Random(0)
        one, other = (rows.take(chance.choices(places, k=TRIED)) for _ in range(2))

        def differ(name: str) -> pa.ChunkedArray:
            return pc.not_equal(one[name], other[name])

        strangers = differ(self.table.primary_key[0])
        for name in self.table.primary_key[1:]:
            strangers = pc.or_(strangers, differ(name))
        shares = {n: pc.mean(differ(n).filter(strangers)).as_py() for n in self._fields}
        return {name for name, share in shares.items() if share is None or share >= TELLING}


def _hashes(values: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())  # quicker than Python's datetime
    hashes = [None if v is None else hash(v) % HASHES for v in values.to_pylist()]
    return pa.array(hashes, pa.uint16())


def _error(table: Table, found: list[Unlike]) -> RecordError:
    key = ", ".join(table.declared.get(n, {}).get(DECLARED_FIELD, n) for n in table.primary_key)
    fields: dict[tuple[Any, ...], list[str]] = {}
    for pair in found:
        fields.setdefault(pair.key, pair.fields)
    told = " and ".join(_example(*example) for example in islice(fields.items(), EXAMPLES))
    return RecordError(
        f"{table.name}: primary_key = {key} does not identify records, so nothing was loaded: "
        f"different records share {len(fields):,} of its values, such as {told}. Set primary_key "
        "to a field, or a list of fields, that no two records share."
    )


def _example(key: tuple[Any, ...], names: list[str]) -> str:
    more = ", …" if len(names) > NAMED else ""
    return f"{', '.join(map(_shown, key))} (different {', '.join(names[:NAMED])}{more})"


def _shown(value: Any) -> str:
    return shown(value) if isinstance(value, (str, int, float, type(None))) else str(value)
