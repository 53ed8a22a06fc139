"""What explain() makes of an error: one line to act on, without a key or an answer's body."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dlt.extract.exceptions import ResourceExtractionError
from dlt.pipeline.exceptions import PipelineStepFailed

from fakes.messages import Asked, Reply
from fakes.misbehaviour import HANG_UP
from fakes.web import Web
from incidents_dagster.ingestion.errors import (
    DatabaseBusyError,
    IngestionError,
    NoDatabaseError,
    SettingsError,
)
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.sync import run_sync

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Fetch = Callable[[Settings, str], list[Any]]

KEY = "k3y-of-the-test"
IN_BODY = "word-of-the-answer"
RECORD = {"id": "a", "title": IN_BODY}
OFFSET = {"type": "offset", "limit": 10}


def _raised(*errors: BaseException, hidden: bool = False) -> BaseException:
    """The last of `errors`, raised while the one before was handled, and so on."""
    previous, *rest = errors
    for error in rest:
        try:
            try:
                raise previous
            except BaseException:
                if hidden:
                    raise error from None
                raise error  # noqa: B904
        except BaseException as caught:
            previous = caught
    return previous


@pytest.mark.parametrize(
    "kind", [IngestionError, SettingsError, DatabaseBusyError, NoDatabaseError]
)
def test_our_own_errors_are_told_in_their_own_words(kind: type[IngestionError]) -> None:
    own = kind("Set client.base_url.")
    assert explain(own) == "Set client.base_url."
    assert explain(_raised(own, ValueError("wrapped"), RuntimeError("twice"))) == str(own)


def test_our_own_errors_go_before_what_they_came_from() -> None:
    assert explain(_raised(OSError("disk"), SettingsError("Set it."))) == "Set it."


def test_what_was_hidden_on_purpose_is_not_looked_at() -> None:
    error = _raised(SettingsError(KEY), RuntimeError("seen"), hidden=True)
    assert explain(error) == "RuntimeError: seen"


def test_an_unknown_error_is_its_innermost_type_and_first_line() -> None:
    innermost = ZeroDivisionError(f"{'x' * 400}\nsecond line")
    assert explain(_raised(innermost, RuntimeError("outer"))) == f"ZeroDivisionError: {'x' * 300}"
    assert explain(KeyboardInterrupt()) == "KeyboardInterrupt: "


def test_no_message_has_terminal_escapes() -> None:
    assert explain(SettingsError("no \x1b[31mred\x1b[0m field")) == "no red field"


def test_a_constraint_of_the_table_is_one_line() -> None:
    error = duckdb.ConstraintException("Constraint Error: CHECK failed\nmore")
    told = explain(_raised(error, RuntimeError("wrapped")))
    assert told.startswith(
        "The table rejected a row, so nothing was loaded: Constraint Error: CHECK"
    )
    assert "more" not in told


def test_a_circle_of_causes_comes_to_an_end() -> None:
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    assert explain(first) == "RuntimeError: second"


ANSWERS: dict[str, tuple[Any, Any, str]] = {
    "401": (None, Reply({"record": IN_BODY}, 401), "check the secret"),
    "429": (None, Reply([{"message": {"id": IN_BODY}}], 429), "sync less often"),
    "500": (None, Reply({"error": IN_BODY}, 500), "the API is failing"),
    "unknown status": (None, Reply({"data": [RECORD]}, 418), "returned 418 "),
    "status without a name": (None, Reply(f"<p>{IN_BODY}".encode(), 499), "returned 499"),
    "hang up": (None, HANG_UP, "closed the connection without responding"),
    "half an answer": (
        None,
        Reply(IN_BODY.encode(), headers={"Content-Length": "999"}),
        "mid-response",
    ),
    "HTML": (None, Reply(f"<html>{IN_BODY}</html>".encode()), "not JSON"),
    "empty": (None, Reply(b""), "not JSON"),
    "broken JSON": (None, Reply(f'[{{"id": "{IN_BODY}"'.encode()), "not JSON"),
    "broken gzip": (
        None,
        Reply(IN_BODY.encode(), headers={"Content-Encoding": "gzip"}),
        "cannot be decoded",
    ),
    "no total": (OFFSET, {"data": [RECORD]}, "total_path"),
    "null total": (OFFSET, {"data": [RECORD], "total": None}, "total_path"),
    "total of text": (OFFSET, {"data": [RECORD], "total": IN_BODY}, "total"),
    "no has_more": (
        {**OFFSET, "total_path": "", "has_more_path": "more"},
        {"data": [RECORD]},
        "has_more_path",
    ),
    "has_more of text": (
        {**OFFSET, "total_path": "", "has_more_path": "more"},
        {"data": [RECORD], "more": IN_BODY},
        "more",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.sample(6)
def test_a_failed_sync_is_one_line_without_key_and_body(
    listen: Listen, configure: Configure, waits: list[float], name: str
) -> None:
    paginator, answer, told = ANSWERS[name]
    web = listen(lambda _: answer)
    auth = {"type": "api_key", "name": "token", "location": "query", "api_key": KEY}
    endpoint = {"path": "/x", "data_selector": "data", "paginator": paginator or "single_page"}
    settings = configure(
        client={"base_url": web.base_url, "auth": auth},
        resource_defaults={"primary_key": "id", "write_disposition": "merge"},
        resources=[{"name": "x", "endpoint": endpoint}],
    )
    with pytest.raises(PipelineStepFailed) as failed:
        run_sync(settings, lambda _: None)
    message = explain(failed.value)
    assert told in message
    assert "\n" not in message
    assert IN_BODY not in message
    assert KEY not in message
    assert len(message) < 400


SAID: dict[str, tuple[Any, str]] = {
    "message": ({"message": "No such filter: since"}, "No such filter: since"),
    "error in a table": ({"error": {"code": 7, "message": "No"}, "message": "x"}, "No"),
    "error beside its text": ({"error": "bad", "message": "Bad field"}, "bad"),
    "OAuth2": ({"error": {}, "error_description": "Token expired"}, "Token expired"),
    "problem": ({"type": "x", "title": "Bad", "detail": "No field y"}, "No field y"),
    "list": ({"errors": [{"detail": "One"}, {"detail": "Two"}]}, "One"),
    "nested": ({"errors": [{"error": {"message": "Deep"}}]}, "Deep"),
    "by parameter": (
        {"errors": {"limit": ["must be 50"], "since": ["is odd"]}},
        "limit: must be 50",
    ),
    "of parameters": ({"code": None, "limit": ["must be 50"], "rows": [1]}, "limit: must be 50"),
    "lines and escapes": ({"message": "a\n\x1b[31mb\r\nc\x07"}, "a b c"),
    "long": ({"message": "y" * 500}, "y" * 100 + "…"),
    "repeats the key": ({"message": f"{KEY} is wrong"}, "*** is wrong"),
}


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
@pytest.mark.sample(12)
def test_the_apis_own_message_is_quoted(
    listen: Listen, configure: Configure, fetch: Fetch, status: int, name: str
) -> None:
    body, said = SAID[name]
    web = listen(lambda _: Reply(body, status))
    auth = {"type": "bearer", "token": KEY}
    settings = configure(
        client={"base_url": web.base_url, "auth": auth, "paginator": "single_page"},
        resources=["x"],
    )
    with pytest.raises(ResourceExtractionError) as failed:
        fetch(settings, "x")
    message = explain(failed.value)
    assert message.endswith(f'. The API says: "{said}"')
    assert f"returned {status} " in message
    assert "\n" not in message


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_was_withheld_was_not_refused(
    listen: Listen, configure: Configure, fetch: Fetch, status: int
) -> None:
    web, other = listen(lambda _: []), listen(lambda _: Reply({}, status))
    auth = {"type": "bearer", "token": KEY}
    client = {"base_url": web.base_url, "auth": auth, "paginator": "single_page"}
    told = []
    own: dict[str, Any]
    for own in ({}, {"auth": auth}):
        endpoint = {"path": f"{other.base_url}/x", **own}
        settings = configure(client=client, resources=[{"name": "x", "endpoint": endpoint}])
        with pytest.raises(ResourceExtractionError) as failed:
            fetch(settings, "x")
        told.append(explain(failed.value))
    withheld = f"that of client.auth and the defaults is for another address, {web.base_url}"
    assert withheld in told[0]
    assert withheld not in told[1]


def test_a_file_that_is_no_database_is_named(
    listen: Listen, configure: Configure, database: Path
) -> None:
    web = listen(lambda _: [{"id": 1}])
    client = {"base_url": web.base_url, "paginator": "single_page"}
    database.write_text("something else entirely, long enough to have a header" * 100)
    with pytest.raises(PipelineStepFailed) as failed:
        run_sync(configure(client=client, resources=["x"]), lambda _: None)
    message = explain(failed.value)
    assert str(database) in message
    assert "not a DuckDB database" in message


def test_a_folder_that_cannot_be_made_is_named(
    configure: Configure, nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "warehouse.duckdb"
    monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", str(path))
    with pytest.raises(SettingsError, match=f"INCIDENTS_DUCKDB_PATH={path}: .*cannot be written"):
        run_sync(configure(client={"base_url": nobody}, resources=["x"]), lambda _: None)
