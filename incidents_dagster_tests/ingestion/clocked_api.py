"""An incident API with a clock of its own, and syncs of it, for what depends on when it is read."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import run_sync
from incidents_dagster_tests.ingestion.changing_api import iso

START = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)  # a Monday
PHASES = {"new": "open", "working": "acknowledged", "done": "closed"}
FIELDS = ("id", "status", "created_at", "updated_at", "severity", "service")


class ClockedApi:
    """The API of `incident_data`: one page, which says that it is not all unless it `proves`.

    Attributes:
        rows: Its records, by id.
        now: Its clock.
        proves: Whether a sync can be proven.
        said: What the syncs have reported.
    """

    def __init__(
        self,
        configure: Callable[..., Settings],
        listen: Callable[[Callable[[Asked], Any]], Web],
        **resource: Any,
    ) -> None:
        self._configure, self._address = configure, listen(self).base_url
        self.rows: dict[str, dict[str, Any]] = {}
        self.now, self.proves = START, True
        self.said: list[str] = []
        self.reads(**resource)

    def __call__(self, asked: Asked) -> Any:
        since, offset = asked.query.get("since", ""), int(asked.query.get("offset", 0))
        found = [row for row in self.rows.values() if row["updated_at"] >= since]
        body: dict[str, Any] = {"data": found[offset:], "total": len(found)}
        if not self.proves:
            body["incomplete_results"] = True
        return Reply(body, headers={"Date": format_datetime(self.now, usegmt=True)})

    def reads(self, fields: Any = FIELDS, phases: Any = PHASES, **settings: Any) -> None:
        """Configures the resource, with the fields of these names or paths."""
        resource = {
            "name": "incident_data",
            "primary_key": "id",
            "write_disposition": "merge",
            "endpoint": {
                "path": "incidents",
                "data_selector": "data",
                "paginator": {"type": "offset", "limit": 1000, "total_path": ""},
                "incremental": {"cursor_path": "updated_at", "start_param": "since", "lag": 60},
            },
            "fields": fields if isinstance(fields, dict) else {name: name for name in fields},
            "phases": phases,
        }
        client = {"base_url": self._address}
        self._configure(client=client, resources=[resource], **settings)

    def put(self, key: str, status: str, **fields: Any) -> None:
        """A record is opened, or changes, now."""
        before = self.rows.get(key, {"created_at": iso(self.now)})
        changed = {"id": key, "status": status, "updated_at": iso(self.now)}
        self.rows[key] = {**before, **changed, **fields}

    def after(self, minutes: float) -> "ClockedApi":
        """Moves its clock on."""
        self.now += timedelta(minutes=minutes)
        return self

    def sync(self, mode: Mode = Mode.INCREMENTAL) -> None:
        """Syncs."""
        run_sync(load_settings(), self.said.append, mode)
