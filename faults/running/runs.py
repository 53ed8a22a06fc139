"""Runs of Dagster in this process: what a user sees of a sync and its checks."""

import importlib
import sys
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

import incidents_dagster
from faults.sources import FIRST

ABOVE = ("incidents_dagster.ingestion", "incidents_dagster.demo_api")  # know no Dagster
SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Run:
    """What a run has shown.

    Attributes:
        message: Why it failed; None if it succeeded.
        shown: The metadata of the sync, by name.
        materialized: Whether the sync counts for freshness.
        warned: Checks that did not pass, by name, with what they say.
        log: The lines of the run's log, each with its level.
        columns: Column → its description.
    """

    message: str | None = None
    shown: dict[str, Any] = field(default_factory=dict)
    materialized: bool = False
    warned: dict[str, str] = field(default_factory=dict)
    log: list[tuple[int, str]] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def came(self) -> str:
        """`red`, or the proof's status."""
        return "red" if self.message is not None else str(self.shown.get("proof", "unproven"))

    @property
    def said(self) -> str:
        """All that it says, a line each."""
        lines = [text for _, text in self.log]
        return "\n".join(
            [self.message or "", str(self.shown.get("completeness", "")), *lines]
            + [f"{name}: {why}" for name, why in self.warned.items()]
        )


def load_definitions() -> dg.Definitions:
    """The code location, loaded anew from the settings as they are now."""
    for name in list(sys.modules):
        if name.startswith("incidents_dagster.") and not name.startswith(ABOVE):
            del sys.modules[name]
            # `from incidents_dagster import checks` would find the old one here.
            vars(incidents_dagster).pop(name.split(".")[1], None)
    defs: dg.Definitions = importlib.import_module("incidents_dagster.definitions").defs
    return defs


def run_job(
    defs: dg.Definitions,
    job: str,
    instance: dg.DagsterInstance,
    source: str = FIRST,
    **config: Any,
) -> Run:
    """Runs a job and its checks.

    Args:
        defs: The code location.
        job: Its name.
        instance: Keeps the history.
        source: Whose job it is; the metadata of its incidents is shown.
        config: Of the sync.
    """
    resolved = defs.resolve_job_def(job)
    settings: dict[str, Any] = {**(resolved.run_config or {}), **SILENT}
    if config:
        settings["ops"] = {f"{source}_dlt": {"config": config}}
    result = resolved.execute_in_process(
        instance=instance, raise_on_error=False, run_config=settings
    )
    run, shown = Run(), _incidents(source)
    for record in instance.all_logs(result.run_id):
        if not record.is_dagster_event:
            run.log.append((record.level, record.user_message))
    for event in result.all_events:
        if event.is_step_materialization:
            synced: Any = event.step_materialization_data.materialization
        elif event.is_asset_observation:
            synced = event.asset_observation_data.asset_observation
        else:
            continue
        if synced.asset_key == shown:
            run.shown |= {name: entry.value for name, entry in synced.metadata.items()}
            run.materialized |= event.is_step_materialization
    schema = run.shown.get("dagster/column_schema")
    run.columns = {c.name: c.description or "" for c in schema.columns} if schema else {}
    for check in result.get_asset_check_evaluations():
        if not check.passed:
            run.warned[check.check_name] = check.description or "no reason"
    if not result.success:
        run.message = next(map(_reason, result.get_step_failure_events()), "no reason is given")
    return run


def run_checks(defs: dg.Definitions, instance: dg.DagsterInstance, source: str = FIRST) -> Run:
    """Evaluates all checks of a source's incidents, without a sync."""
    run, assets = Run(), [*(defs.assets or []), *(defs.asset_checks or [])]
    result = dg.materialize(
        assets,  # type: ignore[arg-type]
        selection=dg.AssetSelection.checks_for_assets(_incidents(source)),
        instance=instance,
        resources=defs.resources,
        raise_on_error=False,
        run_config=SILENT,
    )
    for check in result.get_asset_check_evaluations():
        if not check.passed:
            run.warned[check.check_name] = check.description or "no reason"
    return run


def _incidents(source: str) -> dg.AssetKey:
    return dg.AssetKey([*([] if source == FIRST else [source]), "incident_data"])


def _reason(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    return data.error_display_string.splitlines()[0] if data.error else "no reason is given"
