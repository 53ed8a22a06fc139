"""Traps of dlt's Incremental and of its Arrow path: why ours does not use the one, and feeds the
other as it does.

What a red test means stands in test_traps.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pytest

from incidents_dagster_tests.upstream import ask, error_of, pipeline_into

pytestmark = pytest.mark.thorough

OURS = "`ingestion.incremental` keeps the cursor in the table"


def sync(database: Path, records: list[dict[str, Any]], **options: Any) -> None:
    """One sync of dlt's own Incremental over what an API would return."""
    updated = dlt.sources.incremental("updated_at", **options)

    @dlt.resource(name="items", primary_key="id", write_disposition="merge")
    def items(updated_at: Any = updated) -> Iterator[Any]:
        yield records

    pipeline_into(database).run(items())


def record(status: str, at: str, number: int = 1) -> dict[str, Any]:
    return {"id": number, "status": status, "updated_at": at}


def statuses(database: Path) -> list[Any]:
    return ask(database, "SELECT status FROM traps.items ORDER BY id")


def test_an_update_that_shares_its_time_with_the_cursor_is_dropped(database: Path) -> None:
    """dlt remembers the keys at its cursor, not what they held: a second update within the same
    minute is taken for one that it has seen."""
    sync(database, [record("old", "2026-11-01T10:00")])
    sync(database, [record("new", "2026-11-01T10:00")])
    assert statuses(database) == ["old"], f"Mended upstream: {OURS} because of this."


def test_times_are_compared_as_text(database: Path) -> None:
    """Half a second past the full second sorts before it, as a point comes before a Z."""
    sync(database, [record("old", "2026-11-01T10:00:00Z")])
    sync(database, [record("new", "2026-11-01T10:00:00.5Z")])
    assert statuses(database) == ["old"], f"Mended upstream: {OURS} because of this."


def test_a_record_from_the_future_hides_all_that_follow(database: Path) -> None:
    """The cursor goes wherever one record says, and no later sync brings anything, in silence."""
    sync(database, [record("old", "2999-01-01T00:00:00Z")])
    sync(database, [record("new", "2026-11-01T10:00:00Z", number=2)])
    assert statuses(database) == ["old"], f"Mended upstream: {OURS} because of this."


def test_a_record_without_a_cursor_fails_the_sync(database: Path) -> None:
    """As shipped; `on_cursor_value_missing` would include it."""
    error_of(
        lambda: sync(database, [{"id": 1, "status": "old", "updated_at": None}]),
        f"Mended upstream: {OURS} because of this.",
    )


@pytest.mark.parametrize("later", [pa.array(["text"]), pa.array([1.5])], ids=["text", "float"])
def test_a_column_of_arrow_cannot_change_its_type(database: Path, later: pa.Array) -> None:
    """dlt makes variant columns of Python objects only. `rows.batches` makes them for Arrow
    because of this."""

    def load(values: pa.Array) -> None:
        table = pa.table({"id": pa.array([len(values)]), "value": values})
        pipeline_into(database).run(table, table_name="items", loader_file_format="parquet")

    load(pa.array([1, 2], pa.int64()).slice(1))
    if pa.types.is_floating(later.type):
        load(later)
        assert ask(database, "SELECT value FROM traps.items") != [2, 1.5], (
            "Mended upstream: column_types.array need not make variants of floats."
        )
    else:
        error_of(lambda: load(later), "Mended upstream: delete the variants of column_types.array.")


def test_arrow_without_a_hint_has_no_json(database: Path) -> None:
    """A JSON text in an Arrow table becomes a text column. `changes.changed_rows` sends hints
    along because of this."""
    pipeline_into(database).run(
        pa.table({"value": pa.array(['{"a": 1}'])}),
        table_name="items",
        loader_file_format="parquet",
    )
    types = ask(
        database,
        "SELECT data_type FROM duckdb_columns() WHERE table_name = 'items' "
        "AND column_name = 'value'",
    )
    assert types == ["VARCHAR"]


def test_hints_of_no_columns_take_the_primary_key_away(database: Path) -> None:
    """With the key gone, a merge appends. `changes.changed_rows` sends hints along only with
    columns in them because of this."""

    def rows() -> Iterator[Any]:
        hints = dlt.mark.make_hints(columns={})
        yield dlt.mark.with_hints(pa.table({"id": pa.array([1])}), hints)

    for _ in range(2):
        resource = dlt.resource(rows(), name="items", columns={"id": {"primary_key": True}})
        resource.apply_hints(write_disposition="merge")
        pipeline_into(database).run(resource, loader_file_format="parquet")
    assert ask(database, "SELECT id FROM traps.items") == [1, 1], (
        "Mended upstream: changes.changed_rows may send hints along with every batch."
    )


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        ({"write_disposition": {"disposition": "merge", "deduplicated": False}}, True),
        ({"additional_table_hints": {"x-stage-data-deduplicated": False}}, False),
    ],
    ids=["by its name", "by the schema's"],
)
def test_what_was_unique_once_stays_so_for_dlt(
    database: Path, hints: dict[str, Any], expected: bool
) -> None:
    """A table whose rows were declared unique in one sync cannot be declared otherwise by the
    documented name: rows that come twice in the next are then there twice.
    `changes.changed_rows` uses the schema's name for it because of this."""
    unique: Any = {"disposition": "merge", "deduplicated": True}
    columns: Any = {"id": {"primary_key": True}}

    def rows(**more: Any) -> Iterator[Any]:
        table = pa.table({"id": pa.array([1])})
        yield dlt.mark.with_hints(table, dlt.mark.make_hints(**more)) if more else table

    pipeline = pipeline_into(database)
    first = dlt.resource(rows(), name="items", columns=columns, write_disposition=unique)
    pipeline.run(first, loader_file_format="parquet")
    then = dlt.resource(rows(**hints), name="items", columns=columns, write_disposition="merge")
    pipeline.run(then, loader_file_format="parquet")
    declared = pipeline.default_schema.tables["items"]["x-stage-data-deduplicated"]  # type: ignore[typeddict-item]
    assert declared is expected, (
        "Mended upstream: changes.changed_rows may say `deduplicated` in write_disposition."
    )
