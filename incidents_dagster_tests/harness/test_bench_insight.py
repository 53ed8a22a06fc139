"""`make bench-insight`, on few incidents. Not its figures."""

import re
from pathlib import Path

import duckdb
import pytest

from bench.insight import main, make_tables, prepare

pytestmark = pytest.mark.thorough


def test_the_file_has_five_changes_of_an_incident_and_makes_all_tables(database: Path) -> None:
    prepare(database, 1000)
    make_tables(database, 1000)
    with duckdb.connect(str(database), read_only=True) as connection:
        ((seen, entries),) = connection.execute(
            "SELECT count(DISTINCT id), count(*) FROM incidents.change_log"
        ).fetchall()
        assert 990 < seen <= 1000
        assert 4.9 < entries / seen <= 5
        ((counted, reopened),) = connection.execute(
            "SELECT count(*), count(*) FILTER (reopened > 0) FROM insight.incident_lifecycle"
        ).fetchall()
        assert counted == seen
        assert 50 < reopened < 150


def test_it_prints_what_tables_and_report_cost(capfd: pytest.CaptureFixture[str]) -> None:
    main(["--incidents", "100", "--turns", "1"])
    said = re.sub(r"\d[\d.,]*\b", "0", capfd.readouterr().out)
    assert said == (
        "0 incidents, 0 changes\n"
        "a process that only begins: 0 s of CPU, 0 MB at most\n"
        "one that makes the tables: 0 s of CPU, 0 MB at most\n"
        "one that writes the report: 0 s of CPU, 0 MB at most\n"
        "tables and report: 0 s of CPU\n"
        "the page: 0 KB\n"
    )
