"""A project of several sources, each an API in some vendor's dialect with a key of its own."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import dlt
import duckdb
import pytest
import tomlkit

from fakes.incidents import incident
from fakes.messages import Asked, Reply
from fakes.vendor import Vendor
from fakes.vendor_rows import APART
from fakes.web import Web
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster.sources import Source
from incidents_dagster_tests.expected import expected


class SomeSource:
    """One of the sources: a vendor's API on loopback.

    Attributes:
        name: The source's name.
        vendor: What the API has.
        web: What serves it.
    """

    def __init__(self, name: str, vendor: Vendor, web: Web) -> None:
        self.name, self.vendor, self.web = name, vendor, web


class PlainApi:
    """An API of the default shape.

    Attributes:
        rows: Its records.
        key: The key that requests need.
        claims: How many more records it says that there are.
        web: What serves it.
    """

    web: Web

    def __init__(self, count: int, key: str) -> None:
        self.rows = [incident(n) for n in range(1, count + 1)]
        self.key, self.claims = key, 0

    def __call__(self, asked: Asked) -> Any:
        """The answer to a request."""
        if asked.query.get("api_key") != self.key:
            return Reply({"error": "unknown key"}, status=401)
        since = asked.query.get("updated_since", "")
        found = [row for row in self.rows if row["updated_at"] >= since.replace("Z", "+00:00")]
        begin, size = int(asked.query.get("offset", 0)), int(asked.query["limit"])
        return {"data": found[begin : begin + size], "total": len(found) + self.claims}


class Sources:
    """A project of several sources.

    Attributes:
        database: Its DuckDB file.
        section: `[sources]` of its config.toml.
        secrets: The same of its secrets.toml; the first source's are at its top.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.database, self._stack = folder, folder / "warehouse.duckdb", stack
        self.section: dict[str, Any] = {}
        self.secrets: dict[str, Any] = {}
        self.said: list[str] = []

    def plain(self, name: str, count: int, key: str) -> "PlainApi":
        """Adds a source with an API of the default shape."""
        api = PlainApi(count, key)
        api.web = self._stack.enter_context(Web(api))
        self._place(name, {"preset": "default", "client": {"base_url": api.web.base_url}})
        self._keep(name, "api_key", key)
        self.write()
        return api

    def vendor(self, name: str, dialect: str, incidents: int, key: str) -> SomeSource:
        """Adds a source with an API in a vendor's dialect; the first one has to be incidents."""
        vendor = Vendor(dialect, incidents)
        vendor.key = key
        for number, one in vendor.incidents.items():  # so that all end before today
            sooner = APART * number / 2
            created, updated = one.created - sooner, one.updated - sooner
            vendor.incidents[number] = replace(one, created=created, updated=updated)
        web = self._stack.enter_context(Web(vendor))
        vendor.base_url = web.base_url
        given = vendor.dialect.get("given", {})
        client: dict[str, Any] = {"base_url": web.base_url + given.get("base_path", "")}
        if user := vendor.dialect["auth"].get("user"):
            client["auth"] = {"username": user}
        self._place(name, {"preset": dialect, "requests_per_minute": 0, "client": client})
        self._keep(name, vendor.dialect["auth"].get("secret", "api_key"), key)
        self.write()
        return SomeSource(name, vendor, web)

    def _place(self, name: str, settings: dict[str, Any]) -> None:
        self.section.setdefault(name, {}).update(settings)
        if name != "incidents":
            self.section["incidents"].setdefault("also", []).append(name)

    def _keep(self, name: str, secret: str, key: str) -> None:
        if name == "incidents":
            self.secrets[secret] = key
        else:
            self.secrets.setdefault("sources", {})[name] = {secret: key}

    def rename(self, name: str, other: str) -> None:
        """Gives a further source another name."""
        self.section[other] = self.section.pop(name)
        also = self.section["incidents"]["also"]
        also[also.index(name)] = other
        self.secrets["sources"][other] = self.secrets["sources"].pop(name)
        self.write()

    def write(self) -> None:
        """Writes config.toml and secrets.toml."""
        runtime = {"dlthub_telemetry": False, "log_level": "CRITICAL"}
        config = {"sources": self.section, "runtime": runtime}
        (self.folder / ".dlt" / "config.toml").write_text(tomlkit.dumps(config))
        (self.folder / ".dlt" / "secrets.toml").write_text(tomlkit.dumps(self.secrets))
        dlt.current.run_context().reload()

    def sync(self, name: str, mode: Mode = Mode.INCREMENTAL) -> None:
        """One sync of a source, in this process."""
        run_sync(load_settings(name), self.said.append, mode)

    def source(self, name: str) -> Source:
        """The source, as the definitions have it."""
        return Source.of(load_settings(name))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `python -m incidents_dagster`."""
        return self._run("-m", "incidents_dagster", *arguments)

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Runs Python code in a process of its own."""
        return self._run("-c", code)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query on the file, times in UTC."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def check(self, *sources: SomeSource) -> None:
        """Checks that the view has the incidents of these APIs as they are now, and no others."""
        assert {
            row[0] for row in self.query("SELECT DISTINCT source FROM incidents.incidents")
        } == {source.name for source in sources}
        for source in sources:
            there = expected(source.vendor)
            columns = sorted({name for row in there.values() for name in row})
            found = self.query(
                f"SELECT id, {', '.join(columns)} FROM incidents.incidents "
                f"WHERE source = '{source.name}' AND deleted_at IS NULL"
            )
            assert len(found) == len(there), source.name
            for key, *values in found:
                told = dict(zip(columns, map(_in_utc, values), strict=True))
                assert {n: told[n] for n in there[key]} == there[key], (source.name, key)

    def materializations(self, instance: dg.DagsterInstance) -> set[str]:
        """The assets that have been materialized."""
        return {
            key.to_user_string()
            for key in instance.get_asset_keys()
            if instance.get_latest_materialization_event(key)
        }


def _in_utc(value: Any) -> Any:
    return value.astimezone(timezone.utc) if isinstance(value, datetime) else value


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sources]:
    """A project without any source yet, in the test's own folder."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    history = (Path(__file__).parents[2] / "dagster.yaml").read_text()
    (tmp_path / "dagster.yaml").write_text(history)
    with ExitStack() as stack:
        yield Sources(tmp_path, stack)


@pytest.fixture
def history() -> Callable[[], dg.DagsterInstance]:
    """The Dagster instance that the commands have written."""
    return dg.DagsterInstance.get
