"""The schedules: when the jobs run, as set in `[sources.incidents.schedules]`.

A schedule keeps its name whatever its cron says, because Dagster stores under that name whether
it was started or stopped.
"""

import dagster as dg

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.settings import Settings, usual_crons
from incidents_dagster.names import reconcile_job, sync_job


def schedule(settings: Settings, name: str, job_name: str, setting: str) -> dg.ScheduleDefinition:
    """A job's schedule, with the cron in `schedules.<setting>`; off by default if that is empty.

    Raises:
        SettingsError: Dagster rejects the cron.
    """
    schedules, section = settings.schedules, settings.section
    given: str = getattr(schedules, setting)
    usual = usual_crons(settings.source)[setting]
    cron = given or usual
    status = dg.DefaultScheduleStatus.RUNNING if given else dg.DefaultScheduleStatus.STOPPED
    off = "" if given else f"Off until you start it, because {setting} is empty. "
    try:
        return dg.ScheduleDefinition(
            name=name,
            job_name=job_name,
            cron_schedule=cron,
            execution_timezone=schedules.timezone,
            default_status=status,
            description=(
                f"{off}Runs {job_name} at `{cron}` (cron, time zone {schedules.timezone}). "
                f"`{setting}` in [{section.name}.schedules] changes the time, not the name."
            ),
        )
    except dg.DagsterInvalidDefinitionError:
        raise SettingsError(
            f"schedules.{setting} in {section.where()} must be a cron expression of five fields, "
            f'such as "{usual}", or "" to switch the schedule off, not {given!r}.'
        ) from None


def schedules_of(settings: Settings) -> list[dg.ScheduleDefinition]:
    """The schedules of a source.

    Raises:
        SettingsError: Dagster rejects a cron.
    """
    sync, reconcile = sync_job(settings.source), reconcile_job(settings.source)
    return [
        schedule(settings, f"{sync}_hourly", sync, "sync_cron"),
        schedule(settings, f"{reconcile}_weekly", reconcile, "reconcile_cron"),
    ]


def schedule_of_wrong(source: str) -> dg.ScheduleDefinition:
    """So that the failure of a source whose settings are wrong is noticed when it should sync."""
    return dg.ScheduleDefinition(
        name=f"{sync_job(source)}_hourly",
        job_name=sync_job(source),
        cron_schedule=usual_crons(source)["sync_cron"],
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Runs {sync_job(source)}, which says what is wrong with the settings.",
    )
