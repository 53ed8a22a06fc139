"""What the demo's incidents are about, as data: teams, services, severities, hours and weeks.

`weeks` makes incidents of it. Times are seconds, shares are relative to each other.
"""

from dataclasses import dataclass
from itertools import accumulate

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY


@dataclass(frozen=True)
class Team:
    """Who takes on incidents, and how much longer than others they take."""

    name: str
    slower: float
    people: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Service:
    """What breaks: its share of the incidents, and of each severity, sev1 first.

    Attributes:
        hours: Shares of the hours of the week, from Monday 0:00 UTC on, added up.
    """

    name: str
    team: Team
    share: int
    severities: tuple[int, ...]
    hours: tuple[int, ...]


@dataclass(frozen=True)
class Severity:
    """How soon incidents are taken on and resolved.

    Attributes:
        acknowledged: The median, from the opening on.
        resolved: The median, from the acknowledgement on.
        spread: Of the logarithm of the time until it is resolved: 1.5 makes a tail of weeks.
        noted: An open incident changes as often.
        waits: Whether it is left until somebody is at work.
    """

    name: str
    acknowledged: int
    resolved: int
    spread: float
    noted: int
    waits: bool


WORKDAYS, WEEKDAYS = 5, 7
# Hour by hour: while people change things, and while nobody does.
WORKDAY = (1, 1, 1, 1, 1, 1, 2, 4, 11, 13, 13, 12, 10, 11, 12, 12, 10, 8, 4, 3, 2, 2, 1, 1)
WEEKEND = (1,) * 24
# Batches run at night, every night.
NIGHT = (4, 9, 12, 10, 7, 3, 1, 1, 2, 2, 2, 2, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 3, 4)
OFFICE = tuple(accumulate(WORKDAY * WORKDAYS + WEEKEND * (WEEKDAYS - WORKDAYS)))
BATCH = tuple(accumulate(NIGHT * WEEKDAYS))

PAYMENTS = Team("Payments", 0.6, (("usr-01", "Amira Haddad"), ("usr-02", "Jonas Lindqvist")))
LOGISTICS = Team("Logistics", 1.7, (("usr-03", "Mei Tanaka"),))
DISCOVERY = Team("Discovery", 1.2, (("usr-04", "Tomasz Wrona"),))
IDENTITY = Team("Identity", 0.8, (("usr-05", "Lucia Ferrante"),))
MESSAGING = Team("Messaging", 1.4, (("usr-06", "Kofi Boateng"),))
PLATFORM = Team("Platform", 1.0, (("usr-07", "Sanne de Wit"),))

SERVICES = (
    Service("Checkout", PAYMENTS, 6, (3, 5, 5, 2), OFFICE),
    Service("Card Ledger", PAYMENTS, 3, (2, 4, 4, 2), OFFICE),
    Service("Customer Login", IDENTITY, 4, (2, 4, 5, 2), OFFICE),
    Service("Product Search", DISCOVERY, 4, (1, 3, 6, 4), OFFICE),
    Service("Price Feed", DISCOVERY, 5, (2, 5, 5, 2), BATCH),
    Service("Parcel Tracking", LOGISTICS, 3, (1, 3, 6, 5), OFFICE),
    Service("Stock Levels", LOGISTICS, 3, (1, 4, 5, 3), BATCH),
    Service("Mail Relay", MESSAGING, 2, (0, 2, 5, 4), OFFICE),
    Service("Image Store", PLATFORM, 2, (0, 2, 4, 6), OFFICE),
)
SEVERITIES = (
    Severity("sev1", 4 * MINUTE, 25 * MINUTE, 1.0, 10 * MINUTE, waits=False),
    Severity("sev2", 10 * MINUTE, 40 * MINUTE, 1.3, 30 * MINUTE, waits=False),
    Severity("sev3", 40 * MINUTE, 2 * HOUR, 1.6, 4 * HOUR, waits=True),
    Severity("sev4", 7 * HOUR, 2 * DAY, 1.8, DAY, waits=True),
)
WORK_BEGINS, WORK_ENDS = 8 * HOUR, 18 * HOUR
ACKNOWLEDGED_SPREAD = 0.7
LONGEST = 120 * DAY
NOTED_FOR = 14 * DAY  # then an open incident is forgotten
# One in so many is resolved without having been taken on, and one in so many is open again later.
UNACKNOWLEDGED, REOPENED = 12, 13
REOPENED_AFTER = (30 * MINUTE, 12 * HOUR)

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
A_WEEK = (20, 34)  # incidents, at least and at most

# Twice a week something is watched by a monitor, which adds what it measures every 30 seconds. It
# stays open for longer than the widest gap between two (a week), so there is always one.
WATCHED = ("Backfill of {} has rows left", "backfill")
WATCHED_EVERY = WEEK // 2
WATCHED_FOR = (WEEK, 11 * DAY)
WATCHED_NOTED = 30

# Every 11th week has three times as many, as a migration fails, and all take longer. So there is
# such a week among any thirteen.
BAD_EVERY, BAD_WEEK = 11, 10
BAD_TIMES, BAD_SLOWER = 3, 5.0
MIGRATION = (
    ("{} reads stale rows since the migration", "migration"),
    ("{} writes fail with a lock timeout since the migration", "migration"),
    ("{} has lost its indexes in the migration", "migration"),
)
MIGRATED = ("Checkout", "Card Ledger", "Stock Levels")

# Every 5th week an alert opens and closes by itself, several times a day.
FLAPPING_EVERY, FLAPPING_WEEK = 5, 4
FLAPS = "Mail Relay"
FLAPPING = ("{} probe times out in one zone", "probe")
FLAPS_A_DAY = (2, 5)
FLAPS_FOR = (40, 280)
