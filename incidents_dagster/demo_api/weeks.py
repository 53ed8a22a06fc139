"""The incidents that open in a week: a pure function of the week's number and a seed.

`world` says what they are like, `stories` shows them at a moment. Moments are whole seconds after
the epoch, which is a Monday at 0:00 UTC.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from incidents_dagster.demo_api import world
from incidents_dagster.demo_api.world import DAY, HOUR, WEEK, Service, Severity

TRIGGERED, ACKNOWLEDGED, RESOLVED = "triggered", "acknowledged", "resolved"
HOURS = range(WEEK // HOUR)
Event = tuple[int, str]  # a moment, and the status from then on
Problem = tuple[str, str]  # title and tag


@dataclass(frozen=True)
class Story:
    """One incident from beginning to end.

    Attributes:
        events: The first one opens it, the last one closes it.
        noted: While it is open, it changes as often.
    """

    title: str
    severity: str
    service: Service
    assignee: tuple[str, str]
    tags: tuple[str, ...]
    events: tuple[Event, ...]
    noted: int

    @property
    def opened(self) -> int:
        """When it was first open."""
        return self.events[0][0]

    @cached_property
    def spells(self) -> tuple[tuple[int, int], ...]:
        """From when until when it is open: once, or again for each time it is reopened."""
        before = (RESOLVED, *(status for _, status in self.events[:-1]))
        begun = [
            at for (at, _), status in zip(self.events, before, strict=True) if status == RESOLVED
        ]
        ended = [at for at, status in self.events if status == RESOLVED]
        return tuple(zip(begun, ended, strict=True))


@cache
def stories_of(week: int, seed: str) -> tuple[Story, ...]:
    """The incidents that open in a week, in the order of their openings.

    Args:
        week: 0 begins with the epoch.
        seed: Text that decides everything random.
    """
    return tuple(sorted(_Week(week, seed).stories(), key=lambda story: story.opened))


class _Week:
    """A week, and its random choices."""

    def __init__(self, week: int, seed: str) -> None:
        self.begin = week * WEEK
        self.rng = random.Random(f"{seed}:{week}")
        self.bad = week % world.BAD_EVERY == world.BAD_WEEK
        self.flapping = week % world.FLAPPING_EVERY == world.FLAPPING_WEEK
        self.slower = world.BAD_SLOWER if self.bad else 1.0

    def stories(self) -> list[Story]:
        """All of its incidents, in no order."""
        usual = self.rng.randint(*world.A_WEEK)
        found = [self._ordinary(world.SERVICES, world.PROBLEMS) for _ in range(usual)]
        if self.bad:
            migrated = [one for one in world.SERVICES if one.name in world.MIGRATED]
            more = (world.BAD_TIMES - 1) * usual
            found += [self._ordinary(migrated, world.MIGRATION) for _ in range(more)]
        found += [
            self._watched(self.begin + begin) for begin in range(0, WEEK, world.WATCHED_EVERY)
        ]
        if self.flapping:
            for day in range(world.WEEKDAYS):
                flaps = self.rng.randint(*world.FLAPS_A_DAY)
                found += [self._flap(self.begin + day * DAY) for _ in range(flaps)]
        return found

    def _ordinary(self, services: Sequence[Service], problems: Sequence[Problem]) -> Story:
        rng = self.rng
        (service,) = rng.choices(services, [one.share for one in services])
        (severity,) = rng.choices(world.SEVERITIES, service.severities)
        (hour,) = rng.choices(HOURS, cum_weights=service.hours)
        opened = self.begin + hour * HOUR + rng.randrange(HOUR)
        events = self._life(opened, severity, service.team.slower * self.slower)
        return self._story(service, rng.choice(problems), severity, events, severity.noted)

    def _watched(self, begin: int) -> Story:
        rng, severity = self.rng, world.SEVERITIES[-1]
        opened = begin + rng.randrange(world.WATCHED_EVERY)
        events = (
            (opened, TRIGGERED),
            (opened + rng.randint(HOUR, DAY), ACKNOWLEDGED),
            (opened + rng.randint(*world.WATCHED_FOR), RESOLVED),
        )
        service = rng.choice(world.SERVICES)
        return self._story(service, world.WATCHED, severity, events, world.WATCHED_NOTED)

    def _flap(self, day: int) -> Story:
        (service,) = (one for one in world.SERVICES if one.name == world.FLAPS)
        severity = world.SEVERITIES[2]
        opened = day + self.rng.randrange(DAY)
        closed = opened + self.rng.randint(*world.FLAPS_FOR)
        events = ((opened, TRIGGERED), (closed, RESOLVED))
        return self._story(service, world.FLAPPING, severity, events, severity.noted)

    def _life(self, opened: int, severity: Severity, slower: float) -> tuple[Event, ...]:
        rng = self.rng
        begun = _at_work(opened) if severity.waits else opened
        events = [(opened, TRIGGERED), *self._worked_on(begun, severity, slower)]
        if rng.randrange(world.UNACKNOWLEDGED) == 0:
            del events[1]
        if rng.randrange(world.REOPENED) == 0:
            again = events[-1][0] + rng.randint(*world.REOPENED_AFTER)
            taken, closed = self._worked_on(again, severity, slower)
            # Its alert fires again, or somebody takes on again what was closed too soon.
            fires = rng.randrange(2) == 0
            events += [(again, TRIGGERED), taken] if fires else [(again, ACKNOWLEDGED)]
            events.append(closed)
        return tuple(events)

    def _worked_on(self, begun: int, severity: Severity, slower: float) -> tuple[Event, Event]:
        taken = begun + self._about(severity.acknowledged, world.ACKNOWLEDGED_SPREAD)
        closed = taken + self._about(severity.resolved * slower, severity.spread)
        return (taken, ACKNOWLEDGED), (closed, RESOLVED)

    def _about(self, median: float, spread: float) -> int:
        """Seconds around a median, with a long tail; a minute at least."""
        seconds = median * math.exp(self.rng.gauss(0, spread))
        return int(min(max(seconds, world.MINUTE), world.LONGEST))

    def _story(
        self,
        service: Service,
        problem: Problem,
        severity: Severity,
        events: tuple[Event, ...],
        noted: int,
    ) -> Story:
        title, tag = problem
        return Story(
            title=title.format(service.name),
            severity=severity.name,
            service=service,
            assignee=self.rng.choice(service.team.people),
            tags=(tag, self.rng.choice(world.REGIONS)),
            events=events,
            noted=noted,
        )


def _at_work(moment: int) -> int:
    """The next moment at which people are at work."""
    day, clock = divmod(moment, DAY)
    if clock >= world.WORK_ENDS:
        day, clock = day + 1, 0
    weekday = day % world.WEEKDAYS  # the epoch is a Monday
    if weekday >= world.WORKDAYS:
        day, clock = day - weekday + world.WEEKDAYS, 0
    return day * DAY + max(clock, world.WORK_BEGINS)
