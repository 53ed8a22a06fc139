"""An API whose records change, with a clock of its own, and syncs of it."""

import re
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.ingestion.landing.changes import Changes, Mode
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import FILE_FORMAT, open_sync
from incidents_dagster_tests.ingestion.one_resource import INCREMENTAL, TIME, resource

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Query = Callable[[str], list[Any]]

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def iso(moment: datetime) -> str:
    """A time as most APIs write it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


class ChangingApi:
    """The API of a resource `x`, on one page.

    Attributes:
        rows: Its records, by id.
        now: Its clock.
        tell: Writes its times.
        keeps: Whether a record passes the filter `since`.
        since: What the last sync asked for.
        said: What the last sync reported.
    """

    def __init__(self, configure: Configure, listen: Listen, query: Query) -> None:
        self._configure, self._query = configure, query
        self.rows: dict[str, dict[str, Any]] = {}
        self.now, self.tell = NOW, iso
        self.keeps: Callable[[dict[str, Any], Any], bool] = _changed_since
        self.since: list[str | None] = []
        self.said: list[str] = []
        self._address = listen(self).base_url

    def __call__(self, asked: Asked) -> Any:
        since = asked.query.get("since")
        self.since.append(since)
        number = since and re.fullmatch(r"-?\d+(\.\d+)?", since)
        limit: Any = float(since) if since and number else since
        found = [r for r in self.rows.values() if limit is None or self.keeps(r, limit)]
        headers = {"Date": format_datetime(self.now, usegmt=True)}
        return Reply({"data": found, "next": None}, headers=headers)

    def reads(self, column: dict[str, Any] = TIME, **incremental: Any) -> None:
        """Configures the resource, whose cursor has these hints."""
        paginator = {"type": "cursor", "cursor_path": "next"}
        section = resource(self._address, paginator, incremental={**INCREMENTAL, **incremental})
        section["resources"][0]["columns"] = {"at": column, "v": {"data_type": "text"}}
        self._configure(**section, quarantine_share=0.5)

    def put(self, key: str, v: str, at: Any = None) -> None:
        """A record changes now, or says that it did at another time."""
        self.rows[key] = {"id": key, "at": self.tell(self.now) if at is None else at, "v": v}

    def sync(self, mode: Mode = Mode.INCREMENTAL) -> Changes:
        """Syncs, and returns what that found out."""
        self.since.clear()
        self.said.clear()
        with open_sync(load_settings(), self.said.append, mode) as sync:
            sync.pipeline.run(sync.source, loader_file_format=FILE_FORMAT)
            return sync.changes["x"]

    @property
    def there(self) -> dict[str, str]:
        """Id → `v` of the API's records."""
        return {key: row["v"] for key, row in sorted(self.rows.items())}

    @property
    def loaded(self) -> dict[str, str]:
        """The same of the table's rows."""
        return dict(self._query("SELECT id, v FROM incidents.x ORDER BY id"))


def _changed_since(row: dict[str, Any], limit: Any) -> bool:
    at = row["at"]
    if at is None or isinstance(at, str) is not isinstance(limit, str):
        return True  # the API ignores what it cannot compare
    return bool(at >= limit) or limit == "now-30d"
