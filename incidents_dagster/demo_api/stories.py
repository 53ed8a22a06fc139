"""Which incidents exist at a moment: a pure function of that moment and a seed.

Every process gets the same incidents at the same moment, so copies of the demo API need no shared
state. `weeks` decides what happens to each of them; filters, paging and HTTP are in `app`.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import lru_cache

from incidents_dagster.demo_api.weeks import ACKNOWLEDGED, RESOLVED, Story, stories_of
from incidents_dagster.demo_api.world import NOTED_FOR, WEEK

EPOCH = datetime(2026, 5, 25, tzinfo=timezone.utc)  # a Monday, as `weeks` needs it
SEED = "incidents-dagster"
FIRST_NUMBER = 1000
PAGE = "https://status.example/incidents"


def incidents_at(now: datetime, seed: str = SEED) -> list[dict[str, object]]:
    """Return the incidents that exist at a moment, as an incident API would show them.

    The list only grows: ids never vanish, and `updated_at` never goes back. A status moves from
    `triggered` through `acknowledged` to `resolved`, and back again if an incident is reopened.
    From half a week on, some `updated_at` is always less than 30 seconds old.

    Args:
        now: The moment, with a time zone.
        seed: Text that decides everything random.

    Returns:
        New records ordered by `created_at`, empty before the epoch. Timestamps are ISO 8601
        text in UTC with whole seconds and a `Z`. `acknowledged_at` is when it was first
        acknowledged; it and `assignee` are None until then. `resolved_at` is None unless the
        status is `resolved`.

    Raises:
        TypeError: `now` has no time zone.
    """
    moment = (now - EPOCH) // timedelta(seconds=1)
    stories = [
        story
        for week in range(moment // WEEK + 1)
        for story in stories_of(week, seed)
        if story.opened <= moment
    ]
    return [_record(FIRST_NUMBER + n, story, moment) for n, story in enumerate(stories)]


def _record(number: int, story: Story, moment: int) -> dict[str, object]:
    past = [event for event in story.events if event[0] <= moment]
    changed, status = past[-1]
    taken = next((at for at, status in past if status == ACKNOWLEDGED), None)
    notes = [
        (begun, min(moment - begun, ended - begun, NOTED_FOR) // story.noted)
        for begun, ended in story.spells
        if begun <= moment
    ]
    user_id, user_name = story.assignee
    return {
        "id": f"INC-{number}",
        "number": number,
        "title": story.title,
        "status": status,
        "severity": story.severity,
        "service": story.service.name,
        "team": story.service.team.name,
        "assignee": None if taken is None else {"id": user_id, "name": user_name},
        "tags": list(story.tags),
        "url": f"{PAGE}/INC-{number}",
        "timeline_entries": len(past) + sum(count for _, count in notes),
        "created_at": _iso(story.opened),
        "acknowledged_at": None if taken is None else _iso(taken),
        "resolved_at": _iso(changed) if status == RESOLVED else None,
        "updated_at": _iso(max(changed, *(begun + count * story.noted for begun, count in notes))),
    }


@lru_cache(maxsize=20_000)
def _iso(moment: int) -> str:
    return (EPOCH + timedelta(seconds=moment)).isoformat().replace("+00:00", "Z")
