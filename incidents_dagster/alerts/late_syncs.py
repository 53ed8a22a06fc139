"""Freshness that an asset has lost, as Dagster's daemon judges it; and syncs that stay unproven."""

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import dagster as dg

from incidents_dagster.alerts.conditions import Condition, Kind, Level, Looked, Place, span
from incidents_dagster.ingestion.reading.proof import Status
from incidents_dagster.names import asset_key
from incidents_dagster.source_checks import SYNCS
from incidents_dagster.sources import SOURCES

PASS = "PASS"
WORSE = {"WARN": (Level.WARN, "warns"), "FAIL": (Level.ERROR, "failed")}


def lost_freshness(place: Place) -> Looked:
    """Looks at the freshness of all assets."""
    found = Looked()
    keys = sorted(place.repository.asset_graph.get_all_asset_keys())
    # In no list of what is public, but the only way to what the daemon has found.
    for key, record in place.instance.get_freshness_state_records(keys).items():
        name, state = f"{Kind.FRESHNESS.value}/{key.to_user_string()}", record.freshness_state.value
        last: Any = place.instance.get_latest_materialization_event(key)
        run_id = last.run_id if last else ""
        if state in WORSE:
            level, word = WORSE[state]
            found.wrong.append(
                Condition(
                    name,
                    Kind.FRESHNESS,
                    level,
                    place.source_of_asset(key),
                    f"{key.to_user_string()}: freshness",
                    word,
                    f"last materialized {_ago(place.now, last.timestamp)}"
                    if last
                    else "never materialized",
                    run_id=run_id,
                )
            )
        elif state == PASS:
            found.well[name] = run_id
    return found


def unproven_syncs(place: Place) -> Looked:
    """Looks at the syncs since each asset's last proven one."""
    found = Looked()
    for source, one in SOURCES.items():
        minutes = place.alerts[source].unproven_minutes
        for table in one.tables if minutes else ():
            key = asset_key(source, table)
            name = f"{Kind.PROOF.value}/{key.to_user_string()}"
            if not place.instance.fetch_observations(key, limit=1).records:
                found.well[name] = ""  # mostly, and materializations take longer to read
                continue
            proven: Any = place.instance.get_latest_materialization_event(key)
            since = proven.timestamp if proven else 0.0
            later = [sync for sync in _unproven(place.instance, key) if sync[0] > since]
            begun = since or min((at for at, _, _ in later), default=0.0)
            if not later or place.now - begun <= minutes * 60:
                found.well[name] = proven.run_id if proven else ""
                continue
            _, run_id, why = later[0]
            last = f"the last proven sync was {_ago(place.now, since)}"
            last = last if since else "no sync has been proven yet"
            found.wrong.append(
                Condition(
                    name,
                    Kind.PROOF,
                    Level.WARN,
                    source,
                    f"{key.to_user_string()}: completeness",
                    "is unproven",
                    f"{last}; unproven since: {len(later):,}. The last of these: {why}",
                    run_id=run_id,
                )
            )
    return found


def _unproven(instance: dg.DagsterInstance, key: dg.AssetKey) -> Iterator[tuple[float, str, str]]:
    """Time, run id and completeness of the last unproven syncs, which are observations."""
    for record in instance.fetch_observations(key, limit=SYNCS).records:
        event: Any = record.event_log_entry.asset_observation
        said = {name: entry.value for name, entry in event.metadata.items()}
        if said.get("proof") == Status.UNPROVEN.value:
            yield record.timestamp, record.run_id, str(said.get("completeness", ""))


def _ago(now: float, then: float) -> str:
    at = datetime.fromtimestamp(then, timezone.utc)
    return f"{span(now - then)} ago, at {at:%Y-%m-%d %H:%M} UTC"
