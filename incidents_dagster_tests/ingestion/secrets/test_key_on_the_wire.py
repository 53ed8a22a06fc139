"""The key goes to the API's own origin and stays out of responses, errors and logs."""

import logging
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import requests
from dlt.extract.exceptions import ResourceExtractionError
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import AuthConfigBase

from fakes.messages import Asked, Reply
from fakes.misbehaviour import HANG_UP
from fakes.web import Web
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.http.transport import open_session
from incidents_dagster.ingestion.reading import pages_ahead, paginators
from incidents_dagster.ingestion.reading.source import open_api
from incidents_dagster.ingestion.secrets.auth import resolve_auth
from incidents_dagster.ingestion.secrets.key_on_the_wire import KeyOnTheWire
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.settings_files import SourceSection

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]

KEY = "k3y-of-the-test"
AUTHS = {
    "query": {"type": "api_key", "name": "token", "location": "query", "api_key": KEY},
    "header": {"type": "api_key", "name": "X-Api-Key", "api_key": KEY},
    "bearer": {"type": "bearer", "token": KEY},
}
FAULTS = {
    "401": Reply({"error": f"{KEY} is wrong"}, 401),
    "500": Reply(status=500),
    "redirect": Reply(status=302, headers={"Location": f"http://127.0.0.1:9/?token={KEY}"}),
    "hang up": HANG_UP,
    "half an answer": Reply(b"[", headers={"Content-Length": "99"}),
    "not JSON": Reply(b"<html>"),
    "refused": None,
    "TLS": None,
    "proxy": None,
}


@pytest.fixture
def failure(
    listen: Listen,
    nobody: str,
    configure: Configure,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str, str], BaseException]:
    """What a fault of `FAULTS` raises, the key being sent by one of `AUTHS`."""

    def fail(fault: str, auth: str) -> BaseException:
        address = listen(lambda _: FAULTS[fault]).base_url
        if fault == "refused":
            address = nobody
        if fault == "TLS":
            address = address.replace("http:", "https:")
        if fault == "proxy":
            for name in ("NO_PROXY", "no_proxy"):
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv("http_proxy", nobody)
        client = {"base_url": address, "auth": AUTHS[auth], "paginator": "single_page"}
        settings = configure(client=client, resources=["x"])
        with (
            pytest.raises(ResourceExtractionError) as failed,
            open_api(settings, print) as opened,
        ):
            list(opened.records("x"))
        return failed.value

    return fail


def _chain(error: BaseException | None, hidden: bool) -> list[BaseException]:
    """The error and its causes; `hidden` ones too, that `from None` leaves out of tracebacks."""
    found: list[BaseException] = []
    while error is not None:
        found.append(error)
        implicit = error.__context__ if hidden or not error.__suppress_context__ else None
        error = error.__cause__ or implicit
    return found


def _texts(error: BaseException) -> list[str]:
    texts = [str(error), repr(error), repr(error.args)]
    response, request = getattr(error, "response", None), getattr(error, "request", None)
    if response is not None:
        texts += [response.url, repr(response.headers) if response.status_code != 302 else ""]
        request = response.request
    if request is not None:
        texts += [str(request.url), repr(request.headers)]
    return texts


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.sample(10)
def test_no_error_shows_the_key(
    failure: Callable[[str, str], BaseException], fault: str, auth: str
) -> None:
    error = failure(fault, auth)
    for cause in _chain(error, hidden=False):
        assert not [text for text in _texts(cause) if KEY in text]
    assert KEY not in "".join(traceback.format_exception(error))
    assert KEY not in explain(error)


@pytest.mark.parametrize("fault", ["refused", "hang up"])
def test_not_even_a_hidden_error_holds_the_key(
    failure: Callable[[str, str], BaseException], fault: str
) -> None:
    for cause in _chain(failure(fault, "query"), hidden=True):
        assert not [text for text in _texts(cause) if KEY in text]


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize("fault", [name for name in FAULTS if FAULTS[name]])
def test_no_error_of_a_page_fetched_ahead_shows_the_key(
    listen: Listen,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    auth: str,
) -> None:
    monkeypatch.setattr(pages_ahead, "WORTH_SECONDS", 0.0)
    page = {"data": [{"id": 1}], "total": 9}
    web = listen(lambda asked: page if asked.query["offset"] == "0" else FAULTS[fault])
    session, _ = open_session(4)
    client = RESTClient(
        web.base_url,
        session=session,
        auth=KeyOnTheWire(resolve_auth(AUTHS[auth], SourceSection()), web.base_url),
        paginator=paginators.paginator({"type": "offset", "limit": 1, "total_path": ""}, session),
        data_selector="data",
    )
    with session, pytest.raises(requests.RequestException) as failed:
        list(client.paginate("/x"))
    assert len(web.asked) >= 2
    assert all(KEY in repr(asked) for asked in web.asked)
    for cause in _chain(failed.value, hidden=False):
        assert not [text for text in _texts(cause) if KEY in text]
    assert KEY not in "".join(traceback.format_exception(failed.value))
    assert KEY not in explain(failed.value)


def test_a_token_that_expired_is_renewed_once_for_all_threads(listen: Listen) -> None:
    together = threading.Barrier(3)
    renewed: list[int] = []

    class Renewing(AuthConfigBase):
        """Takes its time to get a token, as OAuth2 does, and has none yet."""

        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            if not renewed:
                threading.Event().wait(0.05)
                renewed.append(1)
            return request

    web = listen(lambda _: together.wait(30))
    session, _ = open_session(3)
    signed = KeyOnTheWire(Renewing(), web.base_url)
    threads = [
        threading.Thread(target=session.get, args=(web.base_url,), kwargs={"auth": signed})
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(web.asked), renewed) == (3, [1])


@pytest.mark.parametrize("auth", AUTHS)
def test_requests_carry_the_key_and_responses_do_not(listen: Listen, auth: str) -> None:
    web = listen(lambda _: {"id": 1})
    session, _ = open_session()
    signed = KeyOnTheWire(resolve_auth(AUTHS[auth], SourceSection()), web.base_url)
    response = session.get(f"{web.base_url}/x?a=1", auth=signed)
    assert KEY in repr(web.asked[0])
    assert web.asked[0].query["a"] == "1"
    assert response.url == response.request.url == f"{web.base_url}/x?a=1"
    assert KEY not in repr(response.request.headers)


@pytest.mark.parametrize("auth", AUTHS)
def test_a_next_link_to_another_origin_is_an_error_and_not_asked(
    listen: Listen, configure: Configure, auth: str
) -> None:
    other = listen(lambda _: {"data": [{"id": 3}]})
    pages = {
        "/x": {"data": [{"id": 1}], "next": "/second?page=2"},
        "/second": {"data": [{"id": 2}], "next": f"{other.base_url}/x?page=3&token={KEY}"},
    }
    web = listen(lambda asked: pages[asked.path])
    client = {
        "base_url": web.base_url,
        "auth": AUTHS[auth],
        "paginator": {"type": "json_link", "next_url_path": "next"},
    }
    endpoint = {"path": "/x", "data_selector": "data"}
    settings = configure(client=client, resources=[{"name": "x", "endpoint": endpoint}])
    with (
        open_api(settings, print) as opened,
        pytest.raises(ResourceExtractionError) as refused,
    ):
        list(opened.records("x"))
    message = explain(refused.value)
    assert f"leads to {other.base_url}, " in message
    assert web.base_url in message
    assert "page=3" not in message
    assert KEY not in "".join(traceback.format_exception(refused.value))
    assert [KEY in repr(asked) for asked in web.asked] == [True, True]
    assert not other.asked


@pytest.mark.parametrize("auth", AUTHS)
def test_a_link_with_the_key_in_it_works_and_is_not_kept(
    listen: Listen, configure: Configure, auth: str
) -> None:
    def page(asked: Asked) -> Any:
        number = int(asked.query.get("page", "1"))
        rows = [{"id": number, "self": f"{web.base_url}/x?a=%20&token={KEY}"}]
        return {"data": rows, "next": f"/x?token={KEY}&page={number + 1}" if number < 3 else None}

    web = listen(page)
    client = {
        "base_url": web.base_url,
        "auth": AUTHS[auth],
        "paginator": {"type": "json_link", "next_url_path": "next"},
    }
    endpoint = {"path": "/x", "data_selector": "data"}
    settings = configure(client=client, resources=[{"name": "x", "endpoint": endpoint}])
    with open_api(settings, print) as opened:
        records = list(opened.records("x"))
    assert [record["id"] for record in records] == [1, 2, 3]
    assert {record["self"] for record in records} == {f"{web.base_url}/x?a=%20&token=***"}
    assert all(KEY in repr(asked) for asked in web.asked)


def test_the_key_of_a_link_is_replaced_and_not_added(listen: Listen) -> None:
    web = listen(lambda _: [])
    session, _ = open_session()
    signed = KeyOnTheWire(resolve_auth(AUTHS["query"], SourceSection()), web.base_url)
    request = session.prepare_request(
        requests.Request("GET", f"{web.base_url}/x?token=***&a=%20b&token=old", auth=signed)
    )
    assert request.url == f"{web.base_url}/x?a=%20b"
    sent = vars(request)["sign"](request.copy())
    assert sent.url == f"{web.base_url}/x?a=%20b&token={KEY}"


def test_an_endpoint_of_another_origin_gets_its_own_key_and_no_other(
    listen: Listen, configure: Configure
) -> None:
    web, other = listen(lambda _: [{"id": 1}]), listen(lambda _: [{"id": 2}])
    resources = [
        {"name": "main", "endpoint": "/main"},
        {"name": "own", "endpoint": {"path": f"{other.base_url}/own", "auth": {"token": "other"}}},
        {"name": "none", "endpoint": f"{other.base_url}/none"},
    ]
    client = {"base_url": web.base_url, "auth": AUTHS["bearer"], "paginator": "single_page"}
    with open_api(configure(client=client, resources=resources), print) as opened:
        for name in opened.declared.resources:
            list(opened.records(name))
    assert [asked.headers["authorization"] for asked in web.asked] == [f"Bearer {KEY}"]
    sent = {asked.path: asked.headers.get("authorization") for asked in other.asked}
    assert sent == {"/own": "Bearer other", "/none": None}


@pytest.mark.parametrize("host", ["localhost", "LocalHost"])
def test_the_key_is_sent_however_the_host_is_spelled(
    listen: Listen, configure: Configure, host: str
) -> None:
    web = listen(lambda _: [{"id": 1}])
    address = web.base_url.replace("127.0.0.1", host)
    client = {"base_url": address, "auth": AUTHS["bearer"], "paginator": "single_page"}
    with open_api(configure(client=client, resources=["x"]), print) as opened:
        list(opened.records("x"))
    assert web.asked[0].headers.get("authorization") == f"Bearer {KEY}"


def test_no_log_shows_the_key(
    listen: Listen, configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    web = listen(lambda _: [{"id": 1}])
    client = {"base_url": web.base_url, "auth": AUTHS["query"], "paginator": "single_page"}
    caplog.set_level(logging.DEBUG)
    with open_api(configure(client=client, resources=["x"]), print) as opened:
        list(opened.records("x"))
    assert caplog.text
    assert KEY not in caplog.text
