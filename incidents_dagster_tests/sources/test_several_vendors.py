"""Five APIs in one project, two of them accounts of one vendor, and one view over all five."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.vendor_rows import Incident
from incidents_dagster_tests.expected import expected, open_ones
from incidents_dagster_tests.sources.conftest import SomeSource, Sources

INCIDENTS = 1_000
DIALECTS = {
    "incidents": "pagerduty",
    "tickets": "servicenow",
    "defects": "jira",
    "europe": "opsgenie",
    "america": "opsgenie",
}


def five(sources: Sources) -> list[SomeSource]:
    return [
        sources.vendor(name, dialect, INCIDENTS + number, f"key-0f-{name}-a1b2c3")
        for number, (name, dialect) in enumerate(DIALECTS.items())
    ]


def green(sources: Sources, *arguments: str) -> str:
    done = sources.command("sync", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_view_equals_all_apis_through_changes_and_deletions(sources: Sources) -> None:
    every = five(sources)
    said = green(sources)
    sources.check(*every)
    assert "5 of 5 sources succeeded" in said
    for one in every:
        rows = f"SELECT count(*) FROM {one.name}.incident_data"
        assert sources.query(rows) == [(len(expected(one.vendor)),)]
        assert f"{one.name}_sync succeeded" in said

    for place, one in enumerate(every):
        statuses, now = len(one.vendor.dialect["statuses"]), one.vendor.now()
        for number in open_ones(one.vendor)[: 5 + place]:
            incident = one.vendor.incidents[number]
            one.vendor.incidents[number] = incident.later((incident.status + 1) % statuses, now)
        begun = now.replace(microsecond=0) - timedelta(hours=1)
        new = replace(Incident.first(INCIDENTS + 99, statuses), created=begun, updated=begun)
        one.vendor.incidents[INCIDENTS + 99] = new
    green(sources)
    sources.check(*every)

    for place, one in enumerate(every):
        listed = [n for n in one.vendor.incidents if n not in one.vendor.strangers()]
        for number in listed[20 : 22 + place]:
            del one.vendor.incidents[number]
    green(sources, "--reconcile")
    sources.check(*every)
    gone = "SELECT source, count(deleted_at) FROM incidents.incidents GROUP BY ALL"
    assert dict(sources.query(gone)) == {one.name: 2 + n for n, one in enumerate(every)}
