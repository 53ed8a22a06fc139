"""The command `report`: a run of the job `insight_refresh` in this process, and where the page is.

The run is recorded in the project's Dagster instance, so `make dev` shows it, too.
"""

import os
import time

import click
import dagster as dg

from incidents_dagster.configured import configured
from incidents_dagster.ingestion.errors import IngestionError
from incidents_dagster.ingestion.plain_text import plain
from incidents_dagster.ingestion.settings import PROJECT_ROOT
from incidents_dagster.ingestion.warehouse.configured_store import configured_store
from incidents_dagster.names import INSIGHT_JOB


def main() -> int:
    """Makes the tables and the page, and prints where that is.

    Returns:
        The exit status: 1 if the run or a check of severity ERROR failed, else 0.

    Raises:
        NoDatabaseError: No source has synced yet.
    """
    os.environ["DAGSTER_HOME"] = os.environ.get("DAGSTER_HOME") or str(PROJECT_ROOT)
    os.chdir(PROJECT_ROOT)  # as in `sync`
    for line in configured():
        click.echo(line)
    store = configured_store()
    store.require_rows()
    try:
        # Loading the definitions reads the settings, and those may be wrong.
        from incidents_dagster.definitions import defs  # noqa: PLC0415
        from incidents_dagster.report.page import page_path  # noqa: PLC0415
        from incidents_dagster.run import terminal, why_failed  # noqa: PLC0415
    except IngestionError as error:
        click.echo(f"{INSIGHT_JOB} did not start: {error}", err=True)
        return 1
    started = time.monotonic()
    job = dg.Definitions.merge(
        defs, dg.Definitions(loggers={"terminal": terminal})
    ).resolve_job_def(INSIGHT_JOB)
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={**(job.run_config or {}), "loggers": {"terminal": {"config": {}}}},
        )
    why, took = why_failed(result), f"{time.monotonic() - started:.1f} s"
    if result.success:
        click.echo(f"Report:   {page_path(store)}")
    click.echo(
        plain(
            f"{INSIGHT_JOB} FAILED in {took}: {why}"
            if why
            else f"{INSIGHT_JOB} succeeded in {took}."
        ),
        err=bool(why),
    )
    return 1 if why else 0
