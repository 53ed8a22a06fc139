"""The incidents that fake APIs serve, where they are, and the key to them."""

from datetime import datetime, timedelta, timezone
from typing import Any

PATH = "/v1/incidents"
KEY = "harness-key-1234567890"
STATUSES = ("triggered", "acknowledged", "mitigated", "resolved")
# Where alerts, whose fields have other names and are deeper, have the columns of incidents.
ALERT_FIELDS = {
    "id": "fingerprint",
    "status": "status.state",
    "created_at": "startsAt",
    "updated_at": "updatedAt",
    "severity": "labels.severity",
}


def incident(number: int, version: int = 0, **fields: Any) -> dict[str, Any]:
    """An incident as an API has it, with `fields` on top.

    Args:
        number: Incidents are a minute apart.
        version: Each is a day younger than the one before it and says so in `status`.
    """
    created = datetime(2026, 11, 1, number // 60 % 24, number % 60, tzinfo=timezone.utc)
    return {
        "id": f"INC-{number:04}",
        "status": f"version {version}" if version else STATUSES[0],
        "created_at": created.isoformat(),
        "updated_at": (created + timedelta(days=version)).isoformat(),
        "title": f"Incident {number}",
        "service": {"id": "svc-1", "name": "Checkout"},
        "tags": ["a", "b"],
        **fields,
    }


def moment(text: Any) -> datetime:
    """An ISO 8601 time, in UTC where it names no zone; raises ValueError, as json readers do."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 has no Z
    found = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
    return found.astimezone(timezone.utc)
