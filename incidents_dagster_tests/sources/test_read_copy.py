"""The copy for readers of a project with several sources, as the command line makes it."""

import duckdb
import pytest

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.warehouse.duckdb_file import read_copy_path
from incidents_dagster.read_copy import CHECK
from incidents_dagster_tests.ingestion.other_process import OtherProcess
from incidents_dagster_tests.sources.conftest import Sources

COUNT = "SELECT count(DISTINCT source) * 1000 + count(*) FROM incidents.incidents"


@pytest.mark.thorough
def test_several_syncs_at_once_make_one_copy_and_a_switch_removes_it(sources: Sources) -> None:
    sources.plain("incidents", 20, "k3y-1")
    sources.plain("tickets", 30, "k3y-2")
    copy = read_copy_path(sources.database)
    first = sources.command("sync")
    assert first.returncode == 0, first.stderr
    assert CHECK not in first.stdout
    with OtherProcess(copy) as reader:
        reader.take()
        assert reader.ask(COUNT) == "2050"
        sources.section["incidents"]["read_copy"] = False
        sources.write()
        second = sources.command("sync")
        assert second.returncode == 0, second.stderr
        assert f"{copy} is removed, as read_copy is false." in second.stderr
        assert not copy.exists()
        assert reader.ask(COUNT) == "2050"
    with duckdb.connect(str(sources.database), read_only=True) as connection:
        assert connection.execute(COUNT).fetchall() == [(2050,)]


def test_only_the_first_source_has_the_switch(sources: Sources) -> None:
    sources.plain("incidents", 1, "k3y-1")
    sources.plain("tickets", 1, "k3y-2")
    sources.section["tickets"]["read_copy"] = False
    sources.write()
    with pytest.raises(SettingsError, match=r"read_copy in .*: only \[sources.incidents\] has it"):
        load_settings("tickets")
