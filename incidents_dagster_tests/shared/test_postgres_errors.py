"""What a PostgreSQL server says, as it has said it, becomes a message that says what to do."""

import duckdb
import pytest

from incidents_dagster.ingestion.warehouse.postgres_errors import ailment

pytest.importorskip("psycopg2", reason="the extra `shared` is not installed: make test-shared")

NAME = "postgresql://somewhere:5432/incidents"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param(
            "Failed to copy data: ERROR:  index row size 6016 exceeds btree version 4 maximum 2704 "
            'for index "incident_data_key"',
            "A primary key is longer than",
            id="a long key",
        ),
        pytest.param(
            "Failed to copy data: ERROR:  row is too big: size 8200, maximum size 8160",
            "A record has more fields than",
            id="a long row",
        ),
        pytest.param(
            'FATAL:  database "incidents" does not exist',
            f"{NAME} has no such database",
            id="no database",
        ),
        pytest.param(
            'Failed to execute query "BEGIN TRANSACTION READ ONLY;\n'
            'SELECT oid, nspname\nFROM pg_namespace": server closed the connection unexpectedly\n'
            "\tThis probably means the server terminated abnormally",
            f"{NAME} cannot be reached, or ended the connection (server closed the connection)",
            id="a kill while tables are listed",
        ),
    ],
)
def test_what_the_server_says_becomes_a_message(said: str, message: str) -> None:
    found = ailment(duckdb.Error(said), NAME)

    assert str(found).startswith(message)


def test_what_somebodys_incidents_say_is_not_what_the_server_says() -> None:
    said = (
        'Failed to copy data: ERROR:  null value in column "id" violates not-null constraint\n'
        "DETAIL:  Failing row contains (null, Connection refused by the gateway).\n"
    )

    assert ailment(duckdb.Error(said), NAME) is None


def test_what_says_nothing_of_the_server_stays_what_it_is() -> None:
    assert ailment(duckdb.Error('column "a" of relation "b" already exists'), NAME) is None
