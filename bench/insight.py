"""`make bench-insight`: what tables and report cost; 100,000 incidents with 500,000 changes.

Writes a year of incidents as hourly syncs have seen them into a DuckDB file. Processes of their own
only begin, make the tables, and write the report; the figures are theirs.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from incidents_dagster.ingestion.settings import Insight
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.ingestion.warehouse import all_incidents, change_log, sync_log
from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster.insight.build import build
from incidents_dagster.insight.sql_files import sql_files
from incidents_dagster.report.figures import read
from incidents_dagster.report.page import page_path, rendered, write
from incidents_dagster.report.pictures.all_pictures import pictures

ROOT = Path(__file__).resolve().parents[1]
TABLE = Table("incident_data", ["id"], {})
WAIT_SECONDS = 5.0
# Over a year; one in ten is reopened.
LIVES = """
CREATE TEMP TABLE lives AS
SELECT
    'INC-' || i AS id,
    TIMESTAMPTZ '2025-11-30 00:00:00+00' + to_seconds((i * 31536000.0 / {count})::BIGINT)
        AS created_at,
    exp(random() * 9)::BIGINT AS taken,
    exp(3 + random() * 10)::BIGINT * 3 AS worked,
    random() < 0.1 AS reopened,
    'sev' || (1 + (random() * 4)::INT) AS severity,
    'service ' || (random() * 20)::INT AS service,
    'team ' || (random() * 8)::INT AS team,
    'Title ' || (i % 500) AS title
FROM range({count}) AS numbers (i)
"""
CHANGES = """
CREATE TEMP TABLE changes AS
SELECT lives.*, status, phase, created_at + to_seconds(after) AS updated_at
FROM lives, LATERAL (
    VALUES
        ('new', 'open', 0),
        ('taken', 'acknowledged', taken),
        ('working', 'acknowledged', taken + worked // 2),
        ('resolved', 'closed', taken + worked),
        (
            CASE WHEN reopened THEN 'working' ELSE 'closed' END,
            CASE WHEN reopened THEN 'acknowledged' ELSE 'closed' END,
            taken + worked * 2
        )
) AS moves (status, phase, after)
WHERE created_at + to_seconds(after) < TIMESTAMPTZ '2026-11-29 23:00:00+00'
"""
SYNCS = """
INSERT INTO incidents.syncs BY NAME
SELECT
    'incidents' AS source,
    TIMESTAMPTZ '2025-11-30 00:00:00+00' + to_hours(hour::INT) AS begun,
    begun + INTERVAL 30 SECOND AS ended,
    'proven' AS proof
FROM range(8760) AS hours (hour)
"""
LOG = """
INSERT INTO incidents.change_log BY NAME
SELECT
    row_number() OVER (ORDER BY updated_at, id) AS entry,
    'incidents' AS source,
    id,
    date_trunc('hour', updated_at) AS seen_before,
    seen_before + INTERVAL 1 HOUR AS sync_begun,
    sync_begun + INTERVAL 30 SECOND AS sync_ended,
    false AS deleted,
    false AS refilled,
    status, phase, severity, service, created_at, updated_at
FROM changes
"""
DATA = """
CREATE TABLE incidents.incident_data AS
SELECT
    id, title, status, phase, severity, service, team, 'https://incidents.example/' || id AS url,
    created_at, updated_at
FROM changes
QUALIFY row_number() OVER (PARTITION BY id ORDER BY updated_at DESC, phase) = 1
"""


def prepare(file: Path, incidents: int) -> None:
    """Writes the file."""
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # One thread, so that the same numbers go to the same incidents.
        connection.execute("SET threads = 1")
        connection.execute("SELECT setseed(0.5)").fetchall()
        sync_log.create(connection)
        change_log.create(connection)
        for sql in (LIVES.format(count=incidents), CHANGES, SYNCS, LOG, DATA):
            connection.execute(sql)
        ((entries,),) = connection.execute("SELECT count(*) FROM incidents.change_log").fetchall()
    all_incidents.refreshed(FileStore(file), [TABLE], [], WAIT_SECONDS)
    print(f"{incidents:,} incidents, {entries:,} changes")


def begin(file: Path, incidents: int) -> None:
    """What a process does before either."""
    sql_files()


def make_tables(file: Path, incidents: int) -> None:
    """Makes the tables.

    Raises:
        SystemExit: A check found something.
    """
    made = build(FileStore(file), [TABLE], Insight(), WAIT_SECONDS)
    if amiss := [f"{one.rule.name}: {one.problem}" for one in made.found if one.count]:
        sys.exit("; ".join(amiss))


def write_report(file: Path, incidents: int) -> None:
    """Writes the report of them, and makes its small pictures for Dagster."""
    figures = read(FileStore(file), WAIT_SECONDS)
    shown = pictures(figures)
    write(rendered(figures, shown), page_path(FileStore(file)))
    for picture in shown:
        if picture.small:
            picture.small.alone(picture.title)


STEPS = {"prepare": prepare, "begin": begin, "tables": make_tables, "report": write_report}


def measure(step: str, file: Path, incidents: int) -> tuple[float, float]:
    """Seconds of CPU and peak memory in MB of a process that does one step."""
    command = [sys.executable, "-m", "bench.insight", "--incidents", str(incidents)]
    process = subprocess.Popen([*command, "--step", step, "--file", file], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"The step {step} failed; see above.")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main(given: list[str]) -> None:
    """Measures, and prints the figures."""
    parser = argparse.ArgumentParser(prog="bench.insight", description=__doc__)
    parser.add_argument("--incidents", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--turns", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--step", choices=STEPS, help="this alone, on --file")
    parser.add_argument("--file", type=Path)
    options = parser.parse_args(given)
    if options.step:
        STEPS[options.step](options.file, options.incidents)
        return
    with TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "bench.duckdb"
        measure("prepare", file, options.incidents)
        steps = ("begin", "tables", "report")
        turns: dict[str, list[tuple[float, float]]] = {step: [] for step in steps}
        for _ in range(options.turns):
            for step, figures in turns.items():
                figures.append(measure(step, file, options.incidents))
        size = page_path(FileStore(file)).stat().st_size
    begun, made, written = (
        [statistics.median(column) for column in zip(*figures, strict=True)]
        for figures in turns.values()
    )
    print(f"a process that only begins: {begun[0]:.1f} s of CPU, {begun[1]:,.0f} MB at most")
    print(f"one that makes the tables: {made[0]:.1f} s of CPU, {made[1]:,.0f} MB at most")
    print(f"one that writes the report: {written[0]:.1f} s of CPU, {written[1]:,.0f} MB at most")
    print(f"tables and report: {made[0] + written[0] - 2 * begun[0]:.1f} s of CPU")
    print(f"the page: {size / 1000:,.0f} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
