"""Records that tests serve and expect."""

from datetime import datetime, timezone
from typing import Any


def incident(number: int, **fields: Any) -> dict[str, Any]:
    """An incident as an API has it, with `fields` on top."""
    at = datetime(2026, 11, 1, number // 60 % 24, number % 60, tzinfo=timezone.utc)
    return {
        "id": f"INC-{number:04}",
        "status": "triggered",
        "created_at": at.isoformat(),
        "updated_at": at.isoformat(),
        "title": f"Incident {number}",
        "service": {"id": "svc-1", "name": "Checkout"},
        "tags": ["a", "b"],
        **fields,
    }
