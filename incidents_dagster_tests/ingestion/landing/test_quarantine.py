"""Bad records put aside: what the table keeps of them, what is news to it, what still waits."""

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import datetime, timezone
from itertools import product
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pytest
from dlt.common.schema import Schema
from dlt.extract import DltSource

from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.ingestion.errors import RecordError
from incidents_dagster.ingestion.landing import quarantine
from incidents_dagster.ingestion.landing.bad_records import BadRecords, most_frequent
from incidents_dagster.ingestion.rows.batches import Rejected
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.sync import FILE_FORMAT, build_pipeline, run_sync
from incidents_dagster.ingestion.tables import (
    FIRST,
    QUARANTINE,
    Table,
    key_as_text_sql,
    keys_as_text,
)
from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

Connection = duckdb.DuckDBPyConnection
Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]

NOW = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
INCIDENTS = Table("incident_data", ["id"], {})
QUARANTINED = quarantine.beside(INCIDENTS)
NO_ID = "id is missing, null or empty."
BAD_TIME = "at should be timestamp, not 'soon'."
KEY = 'k3y/with"quotes+and-more'


def _bad(record: Any, reason: str = BAD_TIME, record_id: str | None = "1") -> Rejected:
    return Rejected(record, reason, record_id)


@pytest.fixture
def connection() -> Iterator[Connection]:
    with duckdb.connect() as memory:
        memory.execute("CREATE SCHEMA incidents")
        yield memory


def _put_aside(connection: Connection, load: str, *rejected: Rejected) -> int:
    """What a sync does with `rejected` in load `load`; how many were news."""
    found = quarantine.rows("x", rejected, NOW)
    news = quarantine.unknown(connection, found, INCIDENTS)
    rows = news.append_column("_dlt_load_id", [[load] * len(news)])  # noqa: F841  # DuckDB reads it
    if not StoredTable(QUARANTINED, connection).exists():
        connection.execute("CREATE TABLE incidents.quarantine AS FROM rows LIMIT 0")
    connection.execute(
        "DELETE FROM incidents.quarantine WHERE record_hash IN (SELECT record_hash FROM rows)"
    )
    connection.execute("INSERT INTO incidents.quarantine BY NAME FROM rows")
    return len(news)


def _good(connection: Connection, load: str, record_id: Any) -> None:
    """A good version of a record, in load `load`."""
    kind = "BIGINT" if isinstance(record_id, int) else "VARCHAR"
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS incidents.incident_data (id {kind}, _dlt_load_id VARCHAR)"
    )
    connection.execute("DELETE FROM incidents.incident_data WHERE id = ?", [record_id])
    connection.execute("INSERT INTO incidents.incident_data VALUES (?, ?)", [record_id, load])


# --- What is kept of a record ---------------------------------------------------------------------


def test_a_row_has_the_record_as_json_the_reason_and_the_id() -> None:
    record = {"id": "1", "at": "soon", "ü": [1, None, {"b": 2, "a": 1.5}]}
    (row,) = quarantine.rows("x", [_bad(record)], NOW).to_pylist()
    assert len(row.pop("record_hash")) == 64
    assert json.loads(row.pop("record")) == record
    assert row == {"resource": "x", "reason": BAD_TIME, "record_id": "1", "seen_at": NOW}
    assert quarantine.rows("x", [], NOW).schema == quarantine.rows("x", [_bad(1)], NOW).schema


def test_the_same_record_is_one_row_whatever_the_order_of_its_fields() -> None:
    same = [_bad({"id": "1", "at": "soon"}), _bad({"at": "soon", "id": "1"}, "Another reason.")]
    (row,) = quarantine.rows("x", same, NOW).to_pylist()
    others = [*same, _bad({"id": 1, "at": "soon"}), _bad({"id": "1", "at": "soon", "b": None})]
    assert len(quarantine.rows("x", others, NOW)) == 3
    (elsewhere,) = quarantine.rows("y", same, NOW).to_pylist()
    assert row["record_hash"] != elsewhere["record_hash"]


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        (None, "null"),
        ("text", '"text"'),
        ([1, 2], "[1,2]"),
        ({}, "{}"),
        ({"t": "a\ud800b\0"}, '{"t":"a?b\\u0000"}'),
        ({"n": 2**70}, f'{{"n":{2**70}}}'),
        ({"n": float("inf")}, '{"n":Infinity}'),
        ({"n": 10**5000, "id": 1}, '{"id":1,"n":"(a number with too many digits)"}'),
    ],
)
def test_whatever_the_record_is_there_is_a_text_of_it(record: Any, kept: str) -> None:
    assert quarantine.rows("x", [_bad(record)], NOW)["record"].to_pylist() == [kept]


def test_of_a_record_that_is_too_deep_or_too_long_the_rest_is_kept() -> None:
    deep: Any = []
    for _ in range(200_000):
        deep = [deep]
    rejected = [
        _bad({"id": "1", "deep": deep}),
        _bad([deep]),
        _bad({"long": "lorem ipsum " * 100_000}),
    ]
    first, second, third = quarantine.rows("x", rejected, NOW)["record"].to_pylist()
    assert json.loads(first) == {"id": "1", "deep": "[[[[[[[...]]]]]]]"}
    assert second.startswith("[[[[")
    assert len(second) < 100
    assert len(third) == 100_000
    longer = [_bad({"long": "lorem ipsum " * 100_000 + end}) for end in "ab"]
    assert len(quarantine.rows("x", longer, NOW)) == 2


def test_the_key_is_in_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", KEY)
    cut = "x" * (quarantine.RECORD_CHARACTERS - 20)
    rejected = [
        _bad({"id": "1", "link": f"https://api.example.com/?api_key={KEY}"}),
        _bad({"id": "2", KEY: [KEY]}),
        _bad({"id": KEY}, f"at should be timestamp, not '{KEY}'.", KEY),
        _bad({"cut": cut + KEY}),
    ]
    table = quarantine.rows("x", rejected, NOW)
    assert len(table) == 4
    text = str(table.to_pylist())
    for form in (KEY, json.dumps(KEY)[1:-1], KEY[:8], KEY[-8:]):
        assert form not in text
    assert "***" in text


# --- Known, and waited for ------------------------------------------------------------------------


def test_a_record_that_is_there_already_is_no_news(connection: Connection) -> None:
    assert _put_aside(connection, "100.5", _bad(1), _bad(2)) == 2
    assert _put_aside(connection, "200.5", _bad(1), _bad(3)) == 1
    loads = "SELECT record, _dlt_load_id FROM incidents.quarantine ORDER BY ALL"
    found = [("1", "100.5"), ("2", "100.5"), ("3", "200.5")]
    assert connection.execute(loads).fetchall() == found


@pytest.mark.parametrize("record_id", ["1", 1])
def test_a_record_waits_until_a_good_version_is_loaded(
    connection: Connection, record_id: Any
) -> None:
    def still_bad() -> tuple[int, list[str]]:
        return quarantine.still_bad(connection, "x", INCIDENTS)

    assert still_bad() == (0, [])
    assert quarantine.waiting(connection, "x", INCIDENTS) == []
    bad = _bad({"id": record_id, "at": "soon"})
    _put_aside(connection, "200.5", bad, _bad({}, NO_ID, None))
    waits = (2, ["at should be timestamp (1, such as 'soon')", "id is missing, null or empty (1)"])
    assert still_bad() == waits, "there is no table yet"
    _good(connection, "100.9", record_id)
    assert still_bad() == waits, "the good version is older"
    assert quarantine.waiting(connection, "x", INCIDENTS) == ["1"]
    for load in ("200.5", "300"):
        _good(connection, load, record_id)
        assert still_bad() == (1, ["id is missing, null or empty (1)"])
        assert quarantine.waiting(connection, "x", INCIDENTS) == []
    assert quarantine.still_bad(connection, "y", INCIDENTS) == (0, [])
    # The same record once more: what the table has is the older version.
    assert _put_aside(connection, "400", bad) == 1
    assert still_bad() == waits
    assert _put_aside(connection, "500", bad) == 0


def test_what_is_bad_and_good_in_one_load_does_not_come_again_and_again(
    connection: Connection,
) -> None:
    for load, news in (("100", 1), ("200", 0)):
        assert _put_aside(connection, load, _bad({"id": "1"})) == news
        if news:
            _good(connection, load, "1")
        assert quarantine.still_bad(connection, "x", INCIDENTS) == (0, [])


def test_keys_of_several_columns_are_compared_joined(connection: Connection) -> None:
    table = Table("t", ["tenant", "n", "day"], {})
    _put_aside(connection, "100", _bad({}, record_id="a, 7, 2026-11-01"), _bad(1, record_id="a, 8"))
    connection.execute(
        "CREATE TABLE incidents.t AS SELECT 'a' AS tenant, 7::BIGINT AS n, "
        "DATE '2026-11-01' AS day, '100' AS _dlt_load_id"
    )
    assert quarantine.still_bad(connection, "x", table)[0] == 1
    assert quarantine.still_bad(connection, "x", Table("t", [], {}))[0] == 2


def test_no_two_keys_of_several_columns_have_the_same_text(connection: Connection) -> None:
    keys = [*product(["a, b", "a", "a\\", "a\\, b", "", "\\"], ["c", "b, c", ", c", "\\, c"])]
    rows = pa.table({"one": [one for one, _ in keys], "other": [other for _, other in keys]})
    connection.register("keys", rows)
    sql = f"SELECT {key_as_text_sql(rows.column_names, 'k')} FROM keys k"
    texts = keys_as_text(rows, rows.column_names)
    assert [text for (text,) in connection.execute(sql).fetchall()] == texts
    assert len({*texts}) == len(keys)
    assert keys_as_text(rows, ["one"]) == [one for one, _ in keys], "as in tables of before"


# --- Too many -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "read", "share", "expected"),
    [
        (0, 0, 0, False),
        (1, 1, 0, True),
        (29, 100, 0.29, False),  # 0.29 * 100 is less than 29
        (30, 100, 0.29, True),
        (5, 5, 0.05, False),  # a small read counts as one of a hundred
        (6, 6, 0.05, True),
        (50, 1_000, 0.05, False),
        (51, 1_000, 0.05, True),
        (10_000, 10_000, 1, False),
    ],
)
def test_a_share_of_the_records_may_be_bad(
    bad: int, read: int, share: float, expected: bool
) -> None:
    records = BadRecords("x", share, [_bad({}, NO_ID)] * bad, read)
    with pytest.raises(RecordError) if expected else nullcontext():
        records.check()


def test_the_refusal_counts_reasons_and_shows_one_value_of_each() -> None:
    reasons = [BAD_TIME, "at should be timestamp, not 'never'.", *[NO_ID] * 1_200, "a b.", "c d."]
    rejected = [_bad({"title": "theirs"}, reason) for reason in reasons]
    BadRecords("x", 0.1, rejected, 20_000).check()
    with pytest.raises(RecordError) as refused:
        BadRecords("x", 0.1, rejected, 5_000).check()
    assert str(refused.value) == (
        "x: 1,204 of 5,000 records cannot be loaded, so nothing was loaded. quarantine_share = 0.1 "
        "allows at most that share of them, or of 100 if fewer were read. "
        "id is missing, null or empty (1,200); at should be timestamp (2, such as "
        "'soon'); a b (1). Check endpoint.data_selector, primary_key and columns in "
        ".dlt/config.toml."
    )


def test_a_value_that_may_be_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "k3y-of-the-test")
    reasons = [
        "api_token should be bigint, not 'abc'.",
        "n should be bigint, not 'k3y-of-the-test'.",
    ]
    assert most_frequent(reasons) == [
        "api_token should be bigint (1)",
        "n should be bigint (1, such as '***')",
    ]


# --- By dlt, in DuckDB ----------------------------------------------------------------------------


@pytest.mark.thorough
def test_beside_any_resource_dlt_makes_the_table_as_described_with_each_record_once(
    tmp_path: Path, connection: Connection
) -> None:
    dlt.config["normalize.parquet_normalizer.add_dlt_load_id"] = True

    def both() -> Iterator[Any]:
        yield pa.table({"id": ["1"], "reason": [7]})
        for _ in range(2):
            yield from quarantine.load(connection, "x", [_bad(1), _bad({}, NO_ID, None)], INCIDENTS)

    destination = FileStore(tmp_path / "x.duckdb").destination(FIRST, 0)
    for attempt in (1, 2):
        columns = {"id": {"data_type": "text", "nullable": False, "primary_key": True}}
        columns |= {"at": {"data_type": "timestamp", "dedup_sort": "desc"}}  # type: ignore[dict-item]
        disposition: Any = {"disposition": "merge", "strategy": "delete-insert"}
        resource = dlt.resource(both, name="x", columns=columns, write_disposition=disposition)  # type: ignore[call-overload]
        resource.apply_hints(
            schema_contract={"columns": "freeze"},
            additional_table_hints={"x-stage-data-deduplicated": True},
        )
        pipeline = build_pipeline(FIRST, destination, tmp_path / f"pipeline-{attempt}")
        pipeline.run(DltSource(Schema(FIRST), FIRST, [resource]), loader_file_format=FILE_FORMAT)
    hints = pipeline.default_schema.tables[QUARANTINE]
    assert (hints["write_disposition"], [n for n in hints if n.startswith("x-m")]) == ("merge", [])
    with duckdb.connect(str(tmp_path / "x.duckdb"), read_only=True) as made:
        found = {c.name: c for c in StoredTable(QUARANTINED, made).columns()}
        assert {name: (c.type, c.nullable) for name, c in found.items()} == {
            **dict.fromkeys(["record_hash", "resource", "reason", "record"], ("VARCHAR", False)),
            "record_id": ("VARCHAR", True),
            "seen_at": ("TIMESTAMP WITH TIME ZONE", False),
            "_dlt_load_id": ("VARCHAR", False),
        }
        assert all(column.description for column in found.values())
        assert StoredTable(QUARANTINED, made).row_count() == 2


def test_a_sync_loads_the_good_records_and_puts_the_bad_ones_aside(
    listen: Listen, configure: Configure, database: Path
) -> None:
    served: list[Any] = [
        {"id": 1, "at": "2026-11-01T00:00:00Z"},
        {"id": "2", "at": "soon"},
        {"at": ""},
        "text",
        {"id": "3", "at": ""},
    ]
    web = listen(lambda _: served)
    configured = configure(
        client={"base_url": web.base_url, "paginator": "single_page"},
        resource_defaults={"primary_key": "id", "write_disposition": "merge"},
        resources=[{"name": "x", "endpoint": "/x", "columns": {"at": {"data_type": "timestamp"}}}],
    )
    table = Table("x", ["id"], {})

    def synced() -> tuple[list[Any], list[Any], int, int]:
        run_sync(configured, lambda _: None)
        with duckdb.connect(str(database), read_only=True) as connection:
            ids = connection.execute('SELECT id, "at" IS NULL FROM incidents.x ORDER BY id')
            rows = ids.fetchall()
            found = connection.execute(
                "SELECT record_id, reason, resource, _dlt_load_id IN "
                "(SELECT load_id FROM incidents._dlt_loads) FROM incidents.quarantine ORDER BY ALL"
            ).fetchall()
            loads = connection.execute("SELECT count(*) FROM incidents._dlt_loads").fetchone()
            assert loads
            return rows, found, quarantine.still_bad(connection, "x", table)[0], loads[0]

    rows, put_aside, waiting, _ = first = synced()
    assert rows == [("1", False), ("3", True)]
    assert put_aside == [
        ("2", BAD_TIME, "x", True),
        (None, "The record should be a JSON object, not 'text'.", "x", True),
        (None, NO_ID, "x", True),
    ]
    assert waiting == 3
    assert synced() == first, "the same bad records make no load"
    served[1] = {"id": 2, "at": "2026-11-02T00:00:00Z"}
    rows, put_aside, waiting, loads = synced()
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert (len(put_aside), waiting, loads) == (3, 2, 2)
