"""Which incidents exist at a moment: a pure function of that moment and a seed.

Every process gets the same incidents at the same moment, so copies of the demo API need no shared
state. Filters, paging and HTTP are in `app`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache, lru_cache

EPOCH = datetime(2026, 9, 1, tzinfo=timezone.utc)
SEED = "incidents-dagster"
FIRST_NUMBER = 1000

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
OPENS_EVERY = 2 * HOUR
JITTER = HOUR
# An incident is busy for longer than the widest gap between two openings (3 hours), so there is
# always a busy one, and thus a change within the last 30 seconds.
BUSY_FOR = 4 * HOUR
BUSY_NOTE_EVERY = 30
QUIET_NOTE_EVERY = 30 * MINUTE

SERVICES = (
    ("svc-checkout", "Checkout", "Payments"),
    ("svc-card-ledger", "Card Ledger", "Payments"),
    ("svc-parcel-tracking", "Parcel Tracking", "Logistics"),
    ("svc-stock-levels", "Stock Levels", "Logistics"),
    ("svc-product-search", "Product Search", "Discovery"),
    ("svc-price-feed", "Price Feed", "Discovery"),
    ("svc-customer-login", "Customer Login", "Identity"),
    ("svc-mail-relay", "Mail Relay", "Messaging"),
    ("svc-image-store", "Image Store", "Platform"),
)
PROBLEMS = (
    ("{} answers slower than 2 s at p99", "latency"),
    ("{} error rate above 5 %", "errors"),
    ("{} has run out of database connections", "database"),
    ("Replica of {} is 10 min behind its primary", "database"),
    ("Consumer lag on the {} queue keeps growing", "queue"),
    ("{} pods restart in a loop", "crash"),
    ("{} memory climbs until the process is killed", "memory"),
    ("Disk of a {} host is 95 % full", "disk"),
    ("Certificate of {} expires within 48 h", "certificate"),
    ("Nightly backup of {} did not finish", "backup"),
    ("{} health check fails in one zone", "availability"),
    ("{} answers 5xx since the last deploy", "deploy"),
)
REGIONS = ("eu-north", "eu-south", "us-east", "ap-south")
SEVERITIES = ("sev1", "sev2", "sev3", "sev4")
PEOPLE = (
    ("usr-01", "Amira Haddad"),
    ("usr-02", "Jonas Lindqvist"),
    ("usr-03", "Mei Tanaka"),
    ("usr-04", "Tomasz Wrona"),
    ("usr-05", "Lucia Ferrante"),
    ("usr-06", "Kofi Boateng"),
    ("usr-07", "Sanne de Wit"),
)


@dataclass(frozen=True)
class _Story:
    """One incident from beginning to end; moments are whole seconds after the epoch."""

    number: int
    opened: int
    acknowledged: int
    resolved: int
    title: str
    severity: str
    service: tuple[str, str, str]
    assignee: tuple[str, str]
    tags: tuple[str, ...]


def incidents_at(now: datetime, seed: str = SEED) -> list[dict[str, object]]:
    """Return the incidents that exist at a moment, as an incident API would show them.

    The list only grows: ids never vanish, a status only moves from `triggered` through
    `acknowledged` to `resolved`, and `updated_at` never goes back. From the first incident on,
    some `updated_at` is always less than 30 seconds old.

    Args:
        now: The moment, with a time zone.
        seed: Text that decides everything random.

    Returns:
        New records ordered by `created_at`, empty before the epoch. Timestamps are ISO 8601
        text in UTC with whole seconds and a `Z`; `assignee` is None while an incident is
        triggered, `resolved_at` is None until it is resolved.

    Raises:
        TypeError: `now` has no time zone.
    """
    moment = (now - EPOCH) // timedelta(seconds=1)
    stories = (_story(n, seed) for n in range(moment // OPENS_EVERY + 1))
    return [_record(story, moment) for story in stories if story.opened <= moment]


@cache
def _story(n: int, seed: str) -> _Story:
    rng = random.Random(f"{seed}:{n}")
    service = rng.choice(SERVICES)
    problem, tag = rng.choice(PROBLEMS)
    opened = n * OPENS_EVERY + rng.randrange(JITTER)
    resolved = opened + rng.randint(DAY, 5 * DAY)
    # One in eight is never picked up on its own: resolving it acknowledges it.
    direct = rng.randrange(8) == 0
    return _Story(
        number=FIRST_NUMBER + n,
        opened=opened,
        acknowledged=resolved if direct else opened + rng.randint(MINUTE, 30 * MINUTE),
        resolved=resolved,
        title=problem.format(service[1]),
        severity=rng.choices(SEVERITIES, weights=(1, 3, 6, 4))[0],
        service=service,
        assignee=rng.choice(PEOPLE),
        tags=(tag, rng.choice(REGIONS)),
    )


def _record(story: _Story, moment: int) -> dict[str, object]:
    age = min(moment, story.resolved) - story.opened
    busy_notes = min(age, BUSY_FOR) // BUSY_NOTE_EVERY
    quiet_notes = max(age - BUSY_FOR, 0) // QUIET_NOTE_EVERY
    last_note = story.opened + busy_notes * BUSY_NOTE_EVERY + quiet_notes * QUIET_NOTE_EVERY
    acknowledged = story.acknowledged <= moment
    resolved = story.resolved <= moment
    changes = [event for event in (story.acknowledged, story.resolved) if event <= moment]
    service_id, service_name, team = story.service
    user_id, user_name = story.assignee
    return {
        "id": f"INC-{story.number}",
        "number": story.number,
        "title": story.title,
        "status": "resolved" if resolved else "acknowledged" if acknowledged else "triggered",
        "severity": story.severity,
        "service": {"id": service_id, "name": service_name, "team": team},
        "assignee": {"id": user_id, "name": user_name} if acknowledged else None,
        "tags": list(story.tags),
        "timeline_entries": 1 + busy_notes + quiet_notes + len(changes),
        "created_at": _iso(story.opened),
        "updated_at": _iso(max([last_note, *changes])),
        "resolved_at": _iso(story.resolved) if resolved else None,
    }


@lru_cache(maxsize=20_000)
def _iso(moment: int) -> str:
    return (EPOCH + timedelta(seconds=moment)).isoformat().replace("+00:00", "Z")
