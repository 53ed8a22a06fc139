"""A table that real syncs fill with what a real server serves."""

from collections.abc import Callable
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.sources.rest_api import rest_api_source

from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.ingestion.tables import FIRST, Column, Table
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Records = list[dict[str, Any]]
TEXT = {"data_type": "text"}


class Loaded:
    """A table of the test's own, filled by real syncs of what a real server serves."""

    def __init__(self, listen: Listen, configure: Configure, folder: Path) -> None:
        self.served: Any = []
        self.web = listen(lambda _: self.served)
        self._configure = configure
        self._files = (folder / f"loaded-{n}.duckdb" for n in count())
        self.configured = Settings(api={})
        self.database = folder

    def fresh(self, monkeypatch: pytest.MonkeyPatch, **resource: Any) -> "Loaded":
        """Goes on with a file that does not exist yet."""
        section = resource.pop("section", {})
        merged = {"primary_key": "id", "write_disposition": "merge", **resource}
        columns = resource.pop("columns", {})
        if "id" in merged["primary_key"]:
            columns = {"id": {**TEXT, "nullable": False}, **columns}
        self.configured = self._configure(
            client={"base_url": self.web.base_url, "paginator": "single_page"},
            resources=[{"name": "x", "endpoint": "/x", **merged, "columns": columns}],
            **section,
        )
        self.database = next(self._files)
        monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", str(self.database))
        return self

    def sync(self, records: Any) -> list[dict[str, Any]]:
        self.served = records
        run_sync(self.configured, lambda _: None)
        return self.rows()

    def columns(self) -> list[Column]:
        """The table's columns."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return StoredTable(
                Table.of(declared_source(self.configured), "x"), connection
            ).columns()

    def fields(self) -> dict[str, str | None]:
        """Column → the field that its comment names, for columns that come from the API."""
        return {c.name: c.field for c in self.columns() if c.name in self.types()}

    def loads(self) -> int:
        """How many loads there were."""
        return int(self.select("SELECT count(*) FROM incidents._dlt_loads")[0][0])

    def plainly(self, records: Records) -> list[dict[str, Any]]:
        """The same by dlt alone, into a file of its own."""
        self.served, self.database = records, next(self._files)
        source = rest_api_source(deepcopy(self.configured.api), name=FIRST)  # type: ignore[arg-type]
        source.max_table_nesting = 0
        pipeline = dlt.pipeline(
            FIRST,
            destination=dlt.destinations.duckdb(str(self.database)),
            dataset_name=FIRST,
            pipelines_dir=f"{self.database}.plain",
        )
        pipeline.run(source, loader_file_format="parquet")
        return self.rows()

    def writing(self) -> duckdb.DuckDBPyConnection:
        """A connection for a change by somebody else."""
        return duckdb.connect(str(self.database))

    def select(self, sql: str) -> list[Any]:
        with duckdb.connect(str(self.database), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def types(self) -> dict[str, str]:
        """Column → type of what comes from the API."""
        described = self.select("DESCRIBE incidents.x")
        ours = ("_dlt_load_id", "_dlt_id", "deleted_at")
        return {row[0]: row[1] for row in described if row[0] not in ours}

    def rows(self) -> list[dict[str, Any]]:
        names = list(self.types())
        shown = ", ".join('"' + name + '"' for name in names)
        found = self.select(f"SELECT {shown} FROM incidents.x ORDER BY ALL")
        return [dict(zip(names, row, strict=True)) for row in found]
