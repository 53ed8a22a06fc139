"""`make bench-insight`: what the tables of `insight` and the report cost for 100,000 incidents.

Writes a year of incidents with five changes each, as hourly syncs would have seen them, into a file
of its own. Then makes tables and page in a process of its own, and prints CPU and memory.
"""

import multiprocessing
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from incidents_dagster.ingestion.settings import Insight
from incidents_dagster.ingestion.tables import Table
from incidents_dagster.ingestion.warehouse import change_log, sync_log
from incidents_dagster.insight.build import build
from incidents_dagster.report.figures import read
from incidents_dagster.report.page import page_path, rendered, write
from incidents_dagster.report.pictures.all_pictures import pictures

INCIDENTS = 100_000
WAIT_SECONDS = 5.0
BEGIN, END = "TIMESTAMPTZ '2025-11-30 00:00:00+00'", "TIMESTAMPTZ '2026-11-29 23:00:00+00'"
# Incidents; then what became of each, and when; then what hourly syncs saw of that.
HISTORY = f"""
CREATE TEMP TABLE opened AS
SELECT
    i,
    'INC-' || i AS id,
    {BEGIN} + to_seconds((i * 31536000.0 / {INCIDENTS})::BIGINT) AS created_at,
    exp(random() * 9)::BIGINT AS waited,
    exp(3 + random() * 10)::BIGINT * 3 AS worked,
    'sev' || (1 + (random() * 4)::INT) AS severity,
    'service ' || (random() * 20)::INT AS service,
    'team ' || (random() * 8)::INT AS team,
    random() < 0.1 AS reopens
FROM range({INCIDENTS}) AS numbers (i);

CREATE TEMP TABLE changes AS
SELECT id, created_at, severity, service, created_at + to_seconds(later) AS moved, status, phase
FROM (
    SELECT *, 0 AS later, 'New' AS status, 'open' AS phase FROM opened
    UNION ALL SELECT *, waited, 'Seen', 'acknowledged' FROM opened
    UNION ALL SELECT *, waited + worked // 2, 'Working', 'acknowledged' FROM opened
    UNION ALL SELECT *, waited + worked, 'Resolved', 'closed' FROM opened
    UNION ALL SELECT
        *,
        2 * (waited + worked),
        CASE WHEN reopens THEN 'Working' ELSE 'Closed' END,
        CASE WHEN reopens THEN 'acknowledged' ELSE 'closed' END
    FROM opened
)
WHERE moved < {END};

INSERT INTO incidents.syncs
SELECT 'incidents', {BEGIN} + to_hours(h::INT), {BEGIN} + to_hours(h::INT), 'proven'
FROM range(8760) AS hours (h);

INSERT INTO incidents.change_log BY NAME
SELECT
    row_number() OVER (ORDER BY moved, id) AS entry,
    'incidents' AS source,
    id,
    date_trunc('hour', moved) AS seen_before,
    date_trunc('hour', moved) + INTERVAL 1 HOUR AS sync_begun,
    date_trunc('hour', moved) + INTERVAL 1 HOUR AS sync_ended,
    false AS deleted,
    false AS refilled,
    status,
    phase,
    severity,
    service,
    created_at,
    moved AS updated_at
FROM changes;

CREATE TABLE incidents.incident_data AS
SELECT
    id,
    'Title ' || (i % 500) AS title,
    arg_max(status, moved) AS status,
    arg_max(phase, moved) AS phase,
    any_value(opened.severity) AS severity,
    any_value(opened.service) AS service,
    any_value(team) AS team,
    any_value(opened.created_at) AS created_at,
    max(moved) AS updated_at
FROM opened
JOIN changes USING (id)
GROUP BY id, i;

CREATE VIEW incidents.incidents AS
SELECT
    'incidents' AS source,
    * EXCLUDE (created_at, updated_at),
    'https://example.com/' || id AS url,
    created_at,
    NULL::TIMESTAMPTZ AS acknowledged_at,
    NULL::TIMESTAMPTZ AS resolved_at,
    updated_at,
    NULL::TIMESTAMPTZ AS deleted_at,
    'incidents.incident_data' AS source_table
FROM incidents.incident_data
"""


def main() -> None:
    """Prints the figures."""
    with TemporaryDirectory() as folder:
        database = Path(folder) / "bench.duckdb"
        processes = multiprocessing.get_context("spawn")
        for step in (_write, _measure):
            process = processes.Process(target=step, args=(database,))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(process.exitcode)


def _write(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'; SELECT setseed(0.5)")
        sync_log.create(connection)
        change_log.create(connection)
        connection.execute(HISTORY)
        counted = connection.execute("SELECT count(*) FROM incidents.change_log").fetchall()
        print(f"{INCIDENTS:,} incidents, {counted[0][0]:,} changes")


def _measure(database: Path) -> None:
    begun = time.process_time()
    build(database, [Table("incident_data", ["id"], {})], Insight(), WAIT_SECONDS)
    tables, peak = time.process_time() - begun, _megabytes()
    figures = read(database, WAIT_SECONDS)
    shown = pictures(figures)
    write(rendered(figures, shown), page_path(database))
    small = sum(len(one.small.alone(one.title)) for one in shown if one.small)
    together = time.process_time() - begun
    size = page_path(database).stat().st_size
    print(f"tables    {tables:5.1f} s CPU, {peak:,} MB at most")
    print(f"report    {together - tables:5.1f} s CPU, {_megabytes():,} MB at most")
    print(f"page      {size // 1000:,} KB; pictures in Dagster {small // 1000:,} KB")


def _megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
