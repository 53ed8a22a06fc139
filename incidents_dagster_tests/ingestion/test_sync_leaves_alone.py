"""What is not the project's stays as it is, and does not stop a sync."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from fakes.incidents import incident
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync

Rows = list[dict[str, Any]]
TABLE = "incidents.incident_data"


def _sync(mode: Mode = Mode.INCREMENTAL) -> None:
    run_sync(load_settings(), lambda _: None, mode)


def _execute(database: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(database)) as connection:
        return connection.execute(sql).fetchall()


def _changed(number: int, second: int, **fields: Any) -> dict[str, Any]:
    return incident(number, updated_at=f"2026-11-20T00:00:{second:02}Z", **fields)


@pytest.mark.parametrize("schema", ["incidents_staging", "staging", "mine"])
@pytest.mark.sample(1)
def test_a_schema_of_the_users_stays(
    api: DemoServer, rows: Rows, database: Path, schema: str
) -> None:
    _sync()
    name = f"{schema}.incident_data"
    _execute(database, f"CREATE SCHEMA {schema}; CREATE TABLE {name} AS SELECT 'mine' AS id")
    rows.append(_changed(251, 1))
    _sync()
    assert _execute(database, f"FROM {name}") == [("mine",)]
    assert _execute(database, f"SELECT count(*) FROM {TABLE}") == [(251,)]


@pytest.mark.parametrize(
    "statement",
    [
        f"CREATE UNIQUE INDEX own ON {TABLE} (id)",
        f"CREATE INDEX own ON {TABLE} (status); "
        f"CREATE INDEX two ON {TABLE} (lower(status), updated_at); "
        f"CREATE UNIQUE INDEX three ON {TABLE} (id, updated_at); CREATE INDEX four ON {TABLE} (id)",
        f"ALTER TABLE {TABLE} ADD PRIMARY KEY (id)",
        f"ALTER TABLE {TABLE} ALTER status SET NOT NULL; "
        f"ALTER TABLE {TABLE} ALTER status SET DEFAULT 'none'; "
        f"ALTER TABLE {TABLE} ADD COLUMN note VARCHAR",
        f"CREATE VIEW incidents.own AS SELECT * FROM {TABLE}; "
        f"CREATE MACRO incidents.own_rows() AS TABLE FROM {TABLE}",
    ],
    ids=["unique", "indexes", "key", "columns", "view and macro"],
)
@pytest.mark.sample(2)
def test_indexes_views_and_constraints_of_the_users_stay_and_stop_no_sync(
    api: DemoServer, rows: Rows, database: Path, statement: str
) -> None:
    _sync()
    _execute(database, statement)
    made = "SELECT sql FROM duckdb_indexes() UNION ALL SELECT view_name FROM duckdb_views()"
    before = _execute(database, made)
    rows[99] = _changed(100, 1, status="changed")
    _sync()
    rows[99] = _changed(100, 2, status="again", a_new_field=1)  # a column is added
    _sync()
    del rows[0]
    _sync(Mode.RECONCILE)
    rows[98] = _changed(100, 3, status="in the end", a_new_field="text")  # and one more
    _sync()
    found = "SELECT count(*), count(deleted_at), count(*) FILTER (status = 'in the end')"
    assert _execute(database, f"{found} FROM {TABLE}") == [(250, 1, 1)]
    assert _execute(database, made) == before


@pytest.mark.thorough
def test_a_replaced_table_may_have_a_unique_index(
    api: DemoServer, rows: Rows, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "SOURCES__INCIDENTS__RESOURCES",
        '[{"name": "incident_data", "primary_key": "id", "write_disposition": "replace",'
        ' "endpoint": {"path": "/v1/incidents", "data_selector": "data"}}]',
    )
    _sync()
    _execute(database, f"CREATE UNIQUE INDEX own ON {TABLE} (id)")
    rows[0] = _changed(1, 1, status="changed")
    _sync()
    counts = f"SELECT count(*), count(*) FILTER (status = 'changed') FROM {TABLE}"
    assert _execute(database, counts) == [(250, 1)]


@pytest.mark.thorough
def test_an_index_that_the_records_violate_is_named_with_the_cure(
    api: DemoServer, rows: Rows, database: Path
) -> None:
    rows[:] = [_changed(1, 1, status="a"), _changed(2, 1, status="b")]
    _sync()
    _execute(database, f"CREATE UNIQUE INDEX own ON {TABLE} (status)")
    rows[1] = _changed(2, 2, status="a")
    with pytest.raises(PipelineStepFailed) as failed:
        _sync()
    message = explain(failed.value)
    assert "violates unique constraint" in message
    assert "Drop the index or constraint" in message
    assert _execute(database, f"SELECT status FROM {TABLE} ORDER BY id") == [("a",), ("b",)]


FOREIGN = {
    "eight bytes": b"8 bytes.",
    "a note": b"Do not remove this file.\n",
    "DuckDB's mark in a text": b"My dear DUCK, " + b"quack " * 1000,
    "zeros": bytes(8192),
    "SQLite, for which DuckDB would download an extension": b"SQLite format 3\0" + bytes(8192),
    "half a header": b"\0" * 8 + b"DUCK@" + bytes(100),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.sample(2)
def test_a_file_that_is_no_database_stays_and_is_refused(
    api: DemoServer, database: Path, content: bytes
) -> None:
    database.write_bytes(content)
    with pytest.raises(Exception, match="move it away") as failed:
        _sync()
    message = explain(failed.value)
    assert message.startswith(f"{database} is damaged, or not a DuckDB database")
    assert "\n" not in message
    assert database.read_bytes() == content


def test_an_interrupted_creation_with_a_log_is_not_taken_for_an_empty_one(
    api: DemoServer, database: Path
) -> None:
    database.touch()
    log = database.with_name(f"{database.name}.wal")
    log.write_bytes(b"rows")
    with pytest.raises(Exception, match="sync again"):
        _sync()
    assert log.read_bytes() == b"rows"


def test_files_of_the_users_in_the_working_folder_stay(api: DemoServer, database: Path) -> None:
    note = database.with_name(f"{database.name}.dlt") / "note"
    note.parent.mkdir()
    note.write_text("mine")
    _sync()
    assert note.read_text() == "mine"
    assert [path.name for path in note.parent.iterdir()] == ["note"]
