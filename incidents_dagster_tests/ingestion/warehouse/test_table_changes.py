"""Which rows of an answer are news to the table, and how many of them a load brought."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.incidents import incident
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.ingestion.warehouse.comparison import Full, compare
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

Connection = duckdb.DuckDBPyConnection

LATER = "2026-11-02T00:00:00Z"
TYPES = pa.schema(
    [("tenant", pa.int64()), ("id", pa.string()), ("n", pa.int64()), ("j", pa.string())]
)
KEYED = Table("x", ["tenant", "id"], {"n": {"dedup_sort": "desc"}, "j": {}})


@pytest.fixture
def connection() -> Iterator[Connection]:
    with duckdb.connect() as memory:
        memory.execute("CREATE SCHEMA incidents")
        yield memory


VALUES = st.one_of(st.none(), st.integers(0, 2), st.just(-(2**40)))
CONTENTS = st.dictionaries(
    st.tuples(st.integers(0, 3), st.sampled_from(["", "a", "A", "ä"])),
    st.tuples(VALUES, st.sampled_from([None, "{}", '{"a":1}', '{"a": 1}'])),
    max_size=12,
)


def _older(new: Any, old: Any) -> bool:
    return new is not None and old is not None and new < old


@settings(max_examples=60, deadline=None)
@given(before=CONTENTS, after=CONTENTS)
def test_exactly_what_is_new_or_differs_and_is_not_older_is_news(
    before: dict[Any, Any], after: dict[Any, Any]
) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA incidents")
        connection.execute(
            "CREATE TABLE incidents.x (tenant BIGINT, id VARCHAR, n BIGINT, j JSON, "
            "_dlt_load_id VARCHAR)"
        )
        for key, values in before.items():
            row = [*key, *values]
            connection.execute("INSERT INTO incidents.x VALUES (?, ?, ?, ?, 'a load')", row)
        arrived = [dict(zip(TYPES.names, [*k, *v], strict=True)) for k, v in after.items()]
        news = compare(StoredTable(KEYED, connection), pa.Table.from_pylist(arrived, TYPES)).news
    assert news.schema == TYPES
    assert news.to_pylist() == [
        row
        for row, (key, values) in zip(arrived, after.items(), strict=True)
        if key not in before or (before[key] != values and not _older(values[0], before[key][0]))
    ]


# How a column holds a time `t`.
TIMES = {
    "time": "t",
    "time without zone": "t::TIMESTAMP",
    "date": "t::DATE",
    "seconds": "epoch(t)::BIGINT",
    "milliseconds": "epoch_ms(t)",
    "fractions": "epoch(t)",
    "decimals": "epoch(t)::DECIMAL(38, 9)",
    "text": "strftime(t, '%Y-%m-%dT%H:%M:%SZ')",
    "text with an offset": "strftime(t + INTERVAL 2 HOUR, '%Y-%m-%dT%H:%M:%S+02:00')",
    "text of its own kind": "strftime(t, '%Y-%m-%d.%H:%M:%S')",
}


def _changed(
    connection: Connection, kind: str, minutes: float, other: float
) -> tuple[StoredTable, pa.Table]:
    """A table whose row a changed so many minutes from now, and another version of it."""
    connection.execute("SET TimeZone = 'UTC'")

    def rows(*keys: tuple[str, float]) -> str:
        times = ", ".join(f"('{key}', now() + INTERVAL ({m * 60:.0f}) SECOND)" for key, m in keys)
        return f"SELECT id, {TIMES[kind]} AS n FROM (VALUES {times}) _(id, t)"

    long_ago = -400_000
    here = rows(("a", minutes), ("b", long_ago), ("c", long_ago))
    connection.execute(f"CREATE TABLE incidents.x AS {here}")
    table = Table("x", ["id"], {"id": {}, "n": {"dedup_sort": "desc"}})
    return StoredTable(table, connection), connection.sql(rows(("a", other))).to_arrow_table()


@pytest.mark.parametrize("kind", TIMES)
@pytest.mark.parametrize(("minutes", "stays"), [(1e6, False), (-1, True)])
def test_a_row_from_the_future_is_corrected_by_an_earlier_version(
    connection: Connection, kind: str, minutes: float, stays: bool
) -> None:
    stored, mended = _changed(connection, kind, minutes, -5_000)
    assert len(compare(stored, mended).news) == (not stays)


@pytest.mark.parametrize("kind", TIMES)
def test_a_version_before_one_of_just_now_may_be_that_of_a_replica(
    connection: Connection, kind: str
) -> None:
    stored, behind = _changed(connection, kind, -1, -5_000)
    full = Full(timedelta(minutes=2))
    assert compare(stored, behind, full=full).older is None
    later = datetime.now(timezone.utc) + timedelta(days=2)
    older = compare(stored, behind, full=replace(full, now=later)).older
    assert older is not None
    assert len(older) == 1


def test_a_word_among_texts_that_are_times_is_corrected(connection: Connection) -> None:
    stored, mended = _changed(connection, "text", -1, -5_000)
    connection.execute("UPDATE incidents.x SET n = 'zzz' WHERE id = 'a'")
    assert len(compare(stored, mended).news) == 1
    assert len(compare(stored, mended, full=Full(timedelta(minutes=2))).news) == 1


def test_a_value_that_goes_is_a_change_and_a_null_in_a_new_column_is_none(
    connection: Connection,
) -> None:
    connection.execute("CREATE TABLE incidents.x AS SELECT 1 AS id, 'a' AS status")
    table = Table("x", ["id"], {"id": {}})

    def news(row: dict[str, Any]) -> int:
        return len(compare(StoredTable(table, connection), pa.Table.from_pylist([row])).news)

    assert news({"id": 1, "status": "a"}) == 0
    assert news({"id": 1}) == news({"id": 1, "status": None}) == 1
    assert news({"id": 1, "status": "a", "severity": None}) == 0
    assert news({"id": 1, "status": "a", "severity": "new"}) == 1
    assert news({"status": "a"}) == 1  # without its key, for whoever checks that


@pytest.mark.parametrize(
    ("key", "disposition", "strategy", "alone"),
    [
        (["id"], "merge", None, True),
        (["id"], "merge", "delete-insert", True),
        (["id"], "merge", "upsert", False),
        (["id"], "merge", "scd2", False),
        (["id"], "merge", "insert-only", False),
        (["id"], "append", None, False),
        (["id"], "replace", None, False),
        ([], "merge", None, False),
    ],
)
def test_rows_are_left_out_only_where_a_merge_by_key_keeps_them(
    connection: Connection, key: list[str], disposition: str, strategy: str | None, alone: bool
) -> None:
    connection.execute("CREATE TABLE incidents.x AS SELECT 1 AS id")
    table = Table("x", key, {"id": {}}, disposition, strategy)
    assert table.takes_changes_alone == alone
    rows = pa.table({"id": pa.array([1, 2], pa.int64())})
    assert len(compare(StoredTable(table, connection), rows).news) == (1 if alone else 2)


def test_for_a_table_that_is_not_there_all_is_news(connection: Connection) -> None:
    rows = pa.table({"id": ["a", "b"]})
    assert compare(StoredTable(KEYED, connection), rows).news is rows
    assert len(compare(StoredTable(KEYED, connection), pa.table({})).news) == 0


def test_a_row_that_is_back_is_news_in_whichever_version(connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE incidents.x AS SELECT unnest([1, 2, 3]) AS id, 5 AS n, "
        "unnest([now(), now(), NULL]) AS deleted_at"
    )
    table = Table("x", ["id"], {"n": {"dedup_sort": "desc"}})
    rows = pa.table({"id": [1, 2, 3], "n": [5, 4, 4]})
    assert compare(StoredTable(table, connection), rows).news["id"].to_pylist() == [1, 2]


@pytest.mark.thorough
def test_each_sync_brings_what_is_new_or_changed_and_no_more(
    api: DemoServer, rows: list[dict[str, Any]], database: Path
) -> None:
    configured = load_settings()
    table = Table.of(declared_source(configured), "incident_data")
    brought = []
    edits: list[Callable[[], Any]] = [
        lambda: None,
        lambda: None,
        lambda: rows.extend(
            [
                {**rows[0], "status": "resolved", "updated_at": LATER},
                incident(999, severity="in a new column"),
            ]
        ),
        lambda: rows.__setitem__(2, {**rows[2], "title": "not declared", "updated_at": LATER}),
    ]
    for edit in edits:
        edit()
        load = run_sync(configured, lambda _: None)
        with duckdb.connect(str(database), read_only=True) as connection:
            brought.append(
                [StoredTable(table, connection).loaded_by(load_id) for load_id in load.loads_ids]
            )
    assert brought == [[(250, 0)], [], [(2, 0)], [(1, 0)]]
