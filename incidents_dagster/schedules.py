"""The schedules: when the jobs run, as set in `[sources.incidents.schedules]`.

A schedule keeps its name whatever its cron says, because Dagster stores under that name whether
it was started or stopped.
"""

import dagster as dg

from incidents_dagster.assets import settings
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.settings_files import where
from incidents_dagster.jobs import incidents_reconcile, incidents_sync


def schedule(name: str, job_name: str, setting: str) -> dg.ScheduleDefinition:
    """A job's schedule, with the cron in `schedules.<setting>`; off by default if that is empty.

    Raises:
        SettingsError: Dagster rejects the cron.
    """
    schedules = settings.schedules
    given: str = getattr(schedules, setting)
    shipped: str = type(schedules).model_fields[setting].default
    cron = given or shipped
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
                f"`{setting}` in [sources.incidents.schedules] changes the time, not the name."
            ),
        )
    except dg.DagsterInvalidDefinitionError:
        raise SettingsError(
            f"schedules.{setting} in {where()} must be a cron expression of five fields, such as "
            f'"{shipped}", or "" to switch the schedule off, not {given!r}.'
        ) from None


incidents_sync_hourly = schedule("incidents_sync_hourly", incidents_sync.name, "sync_cron")
incidents_reconcile_weekly = schedule(
    "incidents_reconcile_weekly", incidents_reconcile.name, "reconcile_cron"
)
