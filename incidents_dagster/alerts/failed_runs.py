"""Failed runs of this project's jobs, whoever started them: the UI, a schedule, the command line.

A job is wrong while its last run has failed. Selected assets, which are materialized without a job
of their own, are wrong until each has been materialized since.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from incidents_dagster.alerts.causes import cause_of
from incidents_dagster.alerts.conditions import Condition, Kind, Level, Looked, Place

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
# Dagster's job for assets that somebody selects.
OF_ASSETS = "__ASSET_JOB"
LAST = 10  # of these, the last to end counts: some are created in another order
LAST_OF_ASSETS = 50


@dataclass(frozen=True)
class _Subject:
    """What runs are of: a job, or selected assets.

    Attributes:
        name: What a message calls it.
        source: The source that it is of.
        id: What is unique of it.
    """

    name: str
    source: str
    id: str

    @property
    def key(self) -> str:
        """The key of its condition."""
        return f"{Kind.RUN.value}/{self.id}"


def failed_runs(place: Place) -> Looked:
    """Looks at the last runs of each job."""
    found = Looked()
    for name in place.repository.job_names:
        if name == OF_ASSETS:
            found.add(_of_selected(place))
        elif not name.startswith("__") and (records := _ended(place, name, LAST)):
            _judge(_Subject(name, place.source_of_job(name), name), records[0], place, found)
    return found


def _of_selected(place: Place) -> Looked:
    found = Looked()
    ours = place.repository.asset_graph.get_all_asset_keys()
    seen: set[str] = set()
    for record in _ended(place, OF_ASSETS, LAST_OF_ASSETS):
        run = record.dagster_run
        keys = {*(run.asset_selection or ())}
        keys |= {check.asset_key for check in run.asset_check_selection or ()}
        names = ", ".join(sorted(key.to_user_string() for key in keys))
        # Else it is of another code location with the same history, or an earlier one of these.
        if not keys or not keys <= ours or names in seen:
            continue
        seen.add(names)
        source = place.source_of_asset(min(keys))
        subject = _Subject(f"Run of {names}", source, f"{OF_ASSETS}/{names}")
        if _since(place.instance, keys, _end(record)):
            found.well[subject.key] = ""
        else:
            _judge(subject, record, place, found)
    return found


def _judge(subject: _Subject, record: dg.RunRecord, place: Place, found: Looked) -> None:
    run = record.dagster_run
    if run.status is dg.DagsterRunStatus.SUCCESS:
        found.well[subject.key] = run.run_id
        return
    cause = cause_of(place.instance, run.run_id)
    if cause.checks_alone:  # which are told as what they are
        found.unsure.add(subject.key)
        return
    found.wrong.append(
        Condition(
            subject.key,
            Kind.RUN,
            Level.ERROR,
            subject.source,
            subject.name,
            "failed",
            cause.text,
            (f"Assets: {', '.join(cause.assets)}",) if cause.assets else (),
            run.run_id,
        )
    )


def _ended(place: Place, name: str, limit: int) -> list[dg.RunRecord]:
    """The last runs of a job that have ended, the last to end first."""
    filters = dg.RunsFilter(job_name=name, statuses=ENDED)
    return sorted(place.instance.get_run_records(filters, limit=limit), key=_end, reverse=True)


def _end(record: dg.RunRecord) -> float:
    return record.end_time or record.create_timestamp.timestamp()


def _since(instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey], then: float) -> bool:
    """Whether each of these assets was materialized, or synced without proof, after `then`."""

    def last(key: dg.AssetKey) -> float:
        materialized = instance.get_latest_materialization_event(key)
        observed = instance.fetch_observations(key, limit=1).records
        times = [materialized.timestamp] if materialized else []
        return max([*times, *(record.timestamp for record in observed)], default=0.0)

    return all(last(key) > then for key in keys)
