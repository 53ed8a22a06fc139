"""Sources come and go: one is added, taken out, renamed; and the view follows."""

import dagster as dg
import duckdb
import pytest

from incidents_dagster.incidents_view import CHECK, asset_over
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster_tests.sources.conftest import Sources


def over_all(sources: Sources, *names: str, wrong: tuple[str, ...] = ()) -> tuple[bool, list[str]]:
    """Materializes the view; whether its check passed, and what the run's log says."""
    asset = asset_over([sources.source(name) for name in names], wrong)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], instance=instance, raise_on_error=False)
        assert result.success, result.get_step_failure_events()
        (check,) = result.get_asset_check_evaluations()
        assert check.check_name == CHECK
        return check.passed, [log.user_message for log in instance.all_logs(result.run_id)]


def rows(sources: Sources) -> dict[str, int]:
    sql = "SELECT source, count(*) FROM incidents.incidents WHERE deleted_at IS NULL GROUP BY ALL"
    return dict(sources.query(sql))


def test_a_source_is_added_and_taken_out_again(sources: Sources) -> None:
    sources.plain("incidents", 5, "k3y-1")
    sources.sync("incidents")
    assert over_all(sources, "incidents")[0]
    assert rows(sources) == {"incidents": 5}

    sources.plain("tickets", 3, "k3y-2")
    passed, _ = over_all(sources, "incidents", "tickets")
    assert passed
    assert rows(sources) == {"incidents": 5}  # it has no table yet
    sources.sync("tickets")
    assert over_all(sources, "incidents", "tickets")[0]
    assert rows(sources) == {"incidents": 5, "tickets": 3}

    passed, said = over_all(sources, "incidents")
    assert passed
    (told,) = [line for line in said if "no longer has" in line]
    assert "the 3 rows of tickets, which is not configured any more" in told
    assert "the tables in its schema tickets stay" in told
    assert "call it tickets again" in told
    assert rows(sources) == {"incidents": 5}
    assert sources.query("SELECT count(*) FROM tickets.incident_data") == [(3,)]
    assert not [line for line in over_all(sources, "incidents")[1] if "no longer" in line]


def test_a_renamed_source_is_a_new_one_and_its_old_name_brings_the_old_schema_back(
    sources: Sources,
) -> None:
    sources.plain("incidents", 2, "k3y-1")
    api = sources.plain("tickets", 3, "k3y-2")
    sources.sync("tickets")
    sources.rename("tickets", "jira")
    api.web.asked.clear()
    sources.sync("jira")
    assert "updated_since" not in api.web.asked[0].query
    assert sources.query("SELECT count(*) FROM jira.incident_data") == [(3,)]

    sources.rename("jira", "tickets")
    api.web.asked.clear()
    sources.sync("tickets")
    assert "updated_since" in api.web.asked[0].query


def test_the_view_follows_new_columns_and_deletions(sources: Sources) -> None:
    first = sources.plain("incidents", 4, "k3y-1")
    sources.sync("incidents")
    assert over_all(sources, "incidents")[0]
    assert sources.query("SELECT DISTINCT severity FROM incidents.incidents") == [(None,)]
    for row in first.rows:
        row["severity"] = "high"
    del first.rows[0]
    sources.sync("incidents", Mode.RECONCILE)
    assert over_all(sources, "incidents")[0]
    counts = "severity, count(*), count(deleted_at) FROM incidents.incidents GROUP BY ALL"
    assert sources.query(f"SELECT {counts} ORDER BY 1") == [("high", 3, 0), (None, 1, 1)]


def test_while_the_settings_of_a_source_are_wrong_its_rows_stay(sources: Sources) -> None:
    sources.plain("incidents", 2, "k3y-1")
    sources.plain("tickets", 3, "k3y-2")
    for name in ("incidents", "tickets"):
        sources.sync(name)
    over_all(sources, "incidents", "tickets")
    passed, said = over_all(sources, "incidents", wrong=("tickets",))
    assert passed
    assert not [line for line in said if "no longer" in line]
    assert rows(sources) == {"incidents": 2, "tickets": 3}


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_what_somebody_else_has_under_the_name_of_the_view_stays(
    sources: Sources, kind: str
) -> None:
    sources.plain("incidents", 2, "k3y-1")
    sources.sync("incidents")
    with duckdb.connect(str(sources.database)) as connection:
        connection.execute(f"CREATE {kind} incidents.incidents AS SELECT 42 AS mine")
    asset = asset_over([sources.source("incidents")], [])
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], instance=instance, raise_on_error=False)
        assert not result.success
        (failure,) = result.get_step_failure_events()
        told = str(failure.step_failure_data.user_failure_data.description)
    assert f"is that of a {kind.lower()} which this project has not made" in told
    assert sources.query("FROM incidents.incidents") == [(42,)]


def test_the_check_sees_a_row_that_is_twice_in_its_table(sources: Sources) -> None:
    sources.plain("incidents", 2, "k3y-1")
    sources.sync("incidents")
    assert over_all(sources, "incidents")[0]
    with duckdb.connect(str(sources.database)) as connection:
        connection.execute(
            "INSERT INTO incidents.incident_data FROM incidents.incident_data LIMIT 1"
        )
    assert not over_all(sources, "incidents")[0]
