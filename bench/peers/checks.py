"""The asset checks of ids on a table, with mode `bare` their SQL alone."""

import os

import duckdb

from bench.peers.protocol import Task, beyond_imports

BARE = (
    "SELECT count(*) FROM (SELECT id FROM {0} GROUP BY id HAVING count(*) > 1)",
    "SELECT count(*) FROM {0} WHERE id IS NULL",
)
RULES = ("ids_are_unique", "ids_are_not_null")

task = Task.given()
if task.mode == "bare":
    with beyond_imports(), duckdb.connect(task.database, read_only=True) as connection:
        for sql in BARE:
            answer = connection.execute(sql.format("incidents.incident_data")).fetchone()
            assert answer == (0,), answer
else:
    os.environ["INCIDENTS_DUCKDB_PATH"] = task.database
    import dagster as dg

    from incidents_dagster import checks
    from incidents_dagster.ingestion.warehouse.configured_store import configured_store
    from incidents_dagster.source_checks import Subject
    from incidents_dagster.sources import SOURCES

    instance = dg.DagsterInstance.ephemeral()
    with instance, beyond_imports(), duckdb.connect(task.database, read_only=True) as connection:
        source, name = SOURCES["incidents"], "incident_data"
        columns = checks.looked_at(source.tables[name])
        subject = Subject(source, name, connection, configured_store(), instance, columns)
        results = [checks.evaluate(rule, subject) for rule in checks.RULES if rule.name in RULES]
        assert [r.passed for r in results] == [True] * len(RULES), results
