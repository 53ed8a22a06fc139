"""What an API's text does not do to the terminal."""

import logging
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from incidents_dagster.run import terminal
from incidents_dagster.sql import answer


def test_make_sql_shows_no_control_characters(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE t AS SELECT chr(155) || '31mred' || chr(8238) AS a")
    answer("FROM t")
    shown = capsys.readouterr().out
    assert "red" in shown
    assert not [c for c in "\x1b\x9b\u202e" if c in shown]


def test_a_runs_log_shows_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    logger: logging.Logger = terminal.logger_fn(dg.build_init_logger_context())
    logger.info("job - run - step - x: \x1b]0;title\x07the API says \x1b[31mno")
    assert capsys.readouterr().err == "x: the API says no\n"
