"""The command line, `python -m incidents_dagster`: sync, report, sql, presets, init, doctor, …

Options and exit statuses are here; what the commands do is in `run`, `report.command`, `sql`,
`move`, `vendors`, `health`, `lost_runs`, `configured`, `demo_api` and `ingestion.doctor`, which are
imported only when needed.
"""

import contextlib
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from incidents_dagster.ingestion.errors import IngestionError
from incidents_dagster.ingestion.plain_text import plain
from incidents_dagster.ingestion.secrets.redaction import redact

INTERRUPTED = 130  # 128 plus SIGINT's number, as in shells
DEMO_KEY = "demo"


class Commands(click.Group):
    """Exits with one line and status 1 after an error of ours, with 130 after Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except IngestionError as error:
            sys.exit(plain(str(error)))
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.pass_context
def main(context: click.Context) -> None:
    """Load incidents from any REST API into DuckDB.

    Without a command, this is `sync` without options. `COMMAND --help` shows a command's options.
    """
    if context.invoked_subcommand is None:
        context.invoke(sync)


@main.command()
@click.option(
    "--full-refresh",
    is_flag=True,
    help="Read everything again, instead of only what changed since the last sync.",
)
@click.option(
    "--reconcile",
    is_flag=True,
    help="Read everything, as with --full-refresh, and mark as deleted what is gone from the API. "
    "Fails and loads nothing if the read is unproven, empty or suspiciously small. Runs "
    "incidents_reconcile instead of incidents_sync.",
)
@click.option(
    "--adopt",
    is_flag=True,
    help="Read everything, accept that the API or its settings are others than before, and mark at "
    "once whatever it lacks as deleted.",
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    help="Only this source, by its name in the settings; may be given again. Default: all.",
)
def sync(full_refresh: bool, reconcile: bool, adopt: bool, sources: tuple[str, ...]) -> None:
    """Read each source's API into DuckDB, check the tables, and show a summary.

    The runs are recorded in the project's Dagster instance. The exit status is 1 if one or a check
    of severity ERROR failed.
    """
    # Collecting garbage during the imports finds none, and costs an eighth of the CPU of a sync
    # without changes: 4.4 s with it, 3.9 s without (medians of 10, alternating). `run` turns it on
    # again.
    gc.disable()
    from incidents_dagster import run  # noqa: PLC0415

    chosen = {"adopt": adopt, "reconcile": reconcile, "full_refresh": full_refresh}
    mode = next((mode for mode, on in chosen.items() if on), "incremental")
    sys.exit(run.main(mode, sources))


@main.command()
def report() -> None:
    """Make the tables of what the incidents say, and one page of them, and show where that is.

    The run is recorded in the project's Dagster instance. The exit status is 1 if it or a check of
    severity ERROR failed.
    """
    from incidents_dagster.report.command import main as make_report  # noqa: PLC0415

    sys.exit(make_report())


@main.command()
@click.argument("query", default="")
def sql(query: str) -> None:
    """Query the database, read-only, and show the results as tables.

    QUERY is one or more SQL statements; without it, all tables are listed. While a sync writes the
    file, this waits.
    """
    from incidents_dagster.sql import answer  # noqa: PLC0415

    answer(query)


@main.command("presets")
def show_presets() -> None:
    """List the vendors that are known by name."""
    from incidents_dagster.vendors import listed  # noqa: PLC0415

    for line in listed():
        click.echo(line)


@main.command()
@click.argument("preset")
@click.argument("source", default="")
def init(preset: str, source: str) -> None:
    """Configure a vendor's API in .dlt/config.toml, and show which secret goes where.

    PRESET is a name that `presets` lists. SOURCE is a name of your own for a further source, such
    as `tickets`; without it, this is about the first one.
    """
    from incidents_dagster.vendors import configure  # noqa: PLC0415

    for line in configure(preset, *filter(None, [source])):
        click.echo(line)


@main.command()
@click.argument("source", default="")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="To report a wrong preset: write the shape of the API's responses to this file. Numbers, "
    "times, statuses, paths and queries stay; any other text becomes its length.",
)
def doctor(source: str, as_json: bool, record: Path | None) -> None:
    """Look for what is wrong with the configured APIs, with five requests at most for each.

    SOURCE is the name of one source; without it, this goes through all. The exit status is 1 if a
    sync of one cannot be proven.
    """
    from incidents_dagster.health import look_at_dagster  # noqa: PLC0415
    from incidents_dagster.ingestion.doctor.examine import examine  # noqa: PLC0415
    from incidents_dagster.ingestion.settings_files import source_names  # noqa: PLC0415

    sources = [source] if source else source_names()
    if record and len(sources) > 1:
        raise click.UsageError(f"--record is for one source: name it, such as {sources[0]}.")
    found = {}
    for name in sources:
        found[name] = diagnosis = examine(name)
        if diagnosis.configured:
            look_at_dagster(name, diagnosis)
        if not as_json:
            if len(sources) > 1:
                click.echo(f"{name}:")
            for line in diagnosis.lines():
                click.echo(plain(redact(line)))
        if record:
            record.write_text(json.dumps(diagnosis.sample, indent=2) + "\n")
    if as_json:
        each = {name: diagnosis.as_json() for name, diagnosis in found.items()}
        click.echo(json.dumps(each if len(each) > 1 else each[sources[0]], indent=2))
    sys.exit(1 if any(diagnosis.why_unproven for diagnosis in found.values()) else 0)


@main.command("allow-reader")
@click.argument("role")
def allow_reader(role: str) -> None:
    """Let a role of PostgreSQL read all that is in the shared store, now and later.

    ROLE is created if there is none, and its password is shown, once.
    """
    from incidents_dagster.ingestion.warehouse.configured_store import (  # noqa: PLC0415
        configured_store,
    )

    store = configured_store()
    password = store.allow_reader(role)
    click.echo(f"{role} may read {store.name}." + (f" Password: {password}" if password else ""))


@main.command()
@click.option(
    "--to",
    required=True,
    help="postgresql://user@host:5432/database, or the path of a DuckDB file.",
)
def move(to: str) -> None:
    """Move all that was synced from the DuckDB file into a PostgreSQL database, or back.

    The password is looked for where a shared store's is, such as WAREHOUSE__PASSWORD. The store
    that the settings name is left as it is.
    """
    from incidents_dagster.move import move_to  # noqa: PLC0415

    for line in move_to(to):
        click.echo(plain(line))


@main.command("end-lost-runs")
@click.option("--after", type=float, default=0, show_default=True, help="Wait so many seconds.")
def end_lost_runs(after: float) -> None:
    """Mark what is under way as failed: only beside a code server that has just started.

    What has begun since this was called is left alone. Dagster then tries those runs again.
    docs/deploy.md says when that is needed.
    """
    import dagster as dg  # noqa: PLC0415

    from incidents_dagster import lost_runs  # noqa: PLC0415

    with dg.DagsterInstance.get() as instance:
        for run_id in lost_runs.end_lost_runs(instance, after):
            click.echo(f"Run {run_id} was lost, and has failed.")


@main.command("configured")
def show_configured() -> None:
    """Show which API and which database the settings name."""
    from incidents_dagster.configured import configured  # noqa: PLC0415

    for line in configured():
        click.echo(line)


@main.command("demo-api")
@click.option("--port", type=int, default=8700, show_default=True, help="0: any free port.")
@click.option(
    "--api-key",
    envvar="API_KEY",
    help=f"The key that requests must carry.  [env: API_KEY; default: {DEMO_KEY}]",
)
def demo_api(port: int, api_key: str | None) -> None:
    """Serve the demo API on loopback until Ctrl-C, to try requests against."""
    from incidents_dagster.demo_api.server import DemoServer  # noqa: PLC0415

    server = DemoServer(api_key=api_key or DEMO_KEY, port=port)
    try:
        server.start()
    except (OSError, OverflowError) as error:
        sys.exit(f"Cannot listen on port {port}: {error}")
    # A key that the user chose is not printed.
    shown_key = DEMO_KEY if server.api_key == DEMO_KEY else "YOUR_KEY"
    with contextlib.suppress(KeyboardInterrupt), server:
        click.echo(
            f"Demo incidents at {server.base_url}, for example "
            f"curl '{server.base_url}/v1/incidents?api_key={shown_key}&limit=5'"
        )
        while True:
            time.sleep(60)
