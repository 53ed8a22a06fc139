"""OAuth2 client credentials: one token, retried like everything else, the secret shown nowhere."""

from collections.abc import Callable
from typing import Any

import pytest
from dlt.extract.exceptions import ResourceExtractionError

from fakes.messages import Asked, Reply
from fakes.misbehaviour import HANG_UP
from fakes.web import Web
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.reading.source import open_api
from incidents_dagster.ingestion.secrets.auth import redact
from incidents_dagster.ingestion.settings import Settings

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]

SECRET = "s3cret-of-the-test"
TOKEN = {"access_token": "t0ken", "expires_in": 3600}
ROWS = [{"id": 1}]


@pytest.fixture
def connect(
    listen: Listen, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Web], tuple[Settings, Web]]:
    """An API of one row and an empty page, whose tokens come from the server given."""

    def settings(tokens: Web) -> tuple[Settings, Web]:
        monkeypatch.setenv("CLIENT_ID", "me")
        monkeypatch.setenv("CLIENT_SECRET", SECRET)
        web = listen(lambda asked: ROWS if asked.query["offset"] == "0" else [])
        auth = {"type": "oauth2_client_credentials", "access_token_url": f"{tokens.base_url}/token"}
        paginator = {"type": "offset", "limit": 1, "total_path": ""}
        client = {"base_url": web.base_url, "auth": auth, "paginator": paginator}
        return configure(client=client, resources=["x"]), web

    return settings


Connect = Callable[[Web], tuple[Settings, Web]]


def test_one_token_serves_all_requests(
    listen: Listen, connect: Connect, fetch: Callable[[Settings, str], list[Any]]
) -> None:
    tokens = listen(lambda _: TOKEN)
    settings, web = connect(tokens)
    assert fetch(settings, "x") == ROWS
    assert [(asked.method, asked.path, asked.body) for asked in tokens.asked] == [
        ("POST", "/token", f"client_id=me&client_secret={SECRET}&grant_type=client_credentials")
    ]
    assert [asked.headers["authorization"] for asked in web.asked] == ["Bearer t0ken"] * 2


FAULTS = {
    "/token answered 401 ": (1, Reply({"error": SECRET}, 401)),
    "/token answered 400 ": (1, Reply({"error": SECRET}, 400)),
    "/token answered 500 ": (4, Reply({"error": SECRET}, 500)),
    "/token closed the connection": (4, HANG_UP),
    "not JSON": (1, Reply(SECRET.encode())),
    "redirects to": (1, Reply(status=307, headers={"Location": "http://127.0.0.1:9/token"})),
}


@pytest.mark.parametrize("told", FAULTS)
def test_a_token_that_is_not_given_is_one_message(
    listen: Listen, connect: Connect, waits: list[float], told: str
) -> None:
    tries, fault = FAULTS[told]
    tokens = listen(lambda _: fault)
    settings, web = connect(tokens)
    with pytest.raises(ResourceExtractionError) as failed, open_api(settings, print) as opened:
        list(opened.records("x"))
    message = explain(failed.value)
    assert told in message
    assert SECRET not in message
    assert "\n" not in message
    assert (len(tokens.asked), waits) == (tries, [2, 4, 8][: tries - 1])
    assert not web.asked


def test_a_passing_fault_of_the_token_server_is_retried(
    listen: Listen,
    connect: Connect,
    waits: list[float],
    fetch: Callable[[Settings, str], list[Any]],
) -> None:
    tokens = listen(lambda _: TOKEN if len(tokens.asked) > 1 else Reply(status=503))
    settings, _ = connect(tokens)
    assert fetch(settings, "x") == ROWS
    assert waits == [2]


def test_the_token_does_not_go_to_another_origin(listen: Listen, connect: Connect) -> None:
    other = listen(lambda _: [])
    settings, web = connect(listen(lambda _: TOKEN))
    paginator = {"type": "header_link"}
    settings.api["client"]["paginator"] = paginator
    web.answer = lambda _: Reply(ROWS, headers={"Link": f"<{other.base_url}/x>; rel=next"})
    with (
        open_api(settings, print) as opened,
        pytest.raises(ResourceExtractionError, match=f"leads to {other.base_url}"),
    ):
        list(opened.records("x"))
    assert "authorization" in web.asked[0].headers
    assert not other.asked


def test_a_token_is_as_secret_as_what_brought_it(
    listen: Listen, connect: Connect, fetch: Callable[[Settings, str], list[Any]]
) -> None:
    settings, web = connect(listen(lambda _: {"access_token": "t0ken-of-the-test"}))
    web.answer = lambda asked: [{"id": 1, "sent": asked.headers["authorization"]}]
    settings.api["client"]["paginator"] = "single_page"
    assert fetch(settings, "x") == [{"id": 1, "sent": "Bearer ***"}]
    assert redact("with t0ken-of-the-test") == "with ***"
    assert fetch(settings, "x"), "the same token once more, not the three stars"
    assert web.asked[1].headers["authorization"] == "Bearer t0ken-of-the-test"


@pytest.mark.parametrize("answer", [{}, [], {"access_token": None}, {"error": "no"}])
def test_an_answer_without_a_token_says_so(listen: Listen, connect: Connect, answer: Any) -> None:
    settings, web = connect(listen(lambda _: answer))
    with pytest.raises(ResourceExtractionError) as failed, open_api(settings, print) as opened:
        list(opened.records("x"))
    assert "/token answered without an access_token" in explain(failed.value)
    assert not web.asked
