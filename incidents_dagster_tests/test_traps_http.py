"""Traps on the wire: what requests, dlt's HTTP client and its rest_api source do as shipped.

Every test in test_traps*.py shows a library misbehave without the workaround that its docstring
names. A red one means that an upgrade removed the trap; its message says what can go.
"""

import traceback
from pathlib import Path
from typing import Any

import pytest
import requests
from dlt.common.configuration.exceptions import ConfigurationWrongTypeException
from dlt.sources.helpers.requests import Client, Session
from dlt.sources.helpers.rest_client.auth import AuthConfigBase
from dlt.sources.rest_api.config_setup import create_auth
from starlette.responses import RedirectResponse, Response

from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import causes
from incidents_dagster.ingestion.http.transport import open_session
from incidents_dagster.ingestion.secrets.auth import resolve_auth
from incidents_dagster.ingestion.secrets.key_on_the_wire import KeyOnTheWire
from incidents_dagster.ingestion.settings_files import SourceSection
from incidents_dagster_tests.upstream import (
    OFFSET,
    error_of,
    query_auth,
    read,
    source_of,
)

pytestmark = pytest.mark.thorough

KEY = "s3cr3t"


def ours(api: DemoServer, auth: AuthConfigBase) -> dict[str, Any]:
    """The client settings that put this project's transport in."""
    return {"auth": KeyOnTheWire(auth, api.base_url), "session": open_session()[0]}


def shipped_session() -> Session:
    return Client(raise_for_status=False).session


def everything_said(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def test_dlts_client_retries_every_server_error_and_its_waits_begin_at_one_second(
    api: DemoServer, waits: list[float]
) -> None:
    """dlt's client retries every status from 500 on, a 501 too, which no retry cures, the first
    time after a second. `retries.retrying` says which and when because of this."""
    api.faults.answers.extend(Response(status_code=501) for _ in range(9))
    shipped_session().get(f"{api.base_url}/v1/incidents")
    assert (len(api.requests), waits) == (5, [1, 2, 4, 8]), (
        "The retrying of hopeless server errors is mended upstream: use dlt's own retries instead "
        "of retries.retrying, if what they do now suits."
    )

    open_session()[0].get(f"{api.base_url}/v1/incidents")
    assert len(api.requests) == 6


def test_dlts_client_counts_the_first_request_among_its_retries(
    api: DemoServer, waits: list[float]
) -> None:
    """`request_max_attempts=3`, which dlt describes as a number of retries, makes two of them.
    `retries.retrying` adds one to `RETRIES` because of this."""
    api.faults.answers.extend(Response(status_code=503) for _ in range(9))
    client = Client(raise_for_status=False, request_max_attempts=3)
    client.session.get(f"{api.base_url}/v1/incidents")
    assert len(api.requests) == 3, (
        "The counting of retries is mended upstream: delete the `1 +` in retries.retrying."
    )


def test_retries_multiply_behind_a_redirect(api: DemoServer, waits: list[float]) -> None:
    """dlt's client follows a redirect from within an attempt, and retries its target within that
    one too: 5 x (1 + 5) requests. `transport.open_session` follows none because of this."""
    for _ in range(5):
        api.faults.answers.append(RedirectResponse(f"{api.base_url}/moved"))
        api.faults.answers.extend(Response(status_code=503) for _ in range(5))
    shipped_session().get(f"{api.base_url}/v1/incidents")
    assert len(api.requests) == 30, (
        "The retrying behind redirects is mended upstream: delete session.max_redirects in "
        "transport.open_session, if a redirect no longer takes a key along either."
    )


def test_a_redirect_takes_a_key_in_a_header_to_another_host(api: DemoServer) -> None:
    """requests drops only `Authorization` when a redirect leaves the host; a header of the API's
    own goes along. `transport.open_session` follows no redirect because of this."""
    with DemoServer(incidents=list) as elsewhere:
        redirect = RedirectResponse(f"{elsewhere.base_url}/v1/incidents")
        api.faults.answers.extend([redirect, redirect])
        address = f"{api.base_url}/v1/incidents"
        answer = shipped_session().get(address, headers={"X-Api-Key": KEY})
        assert len(elsewhere.requests) == 1
        assert answer.request.headers.get("X-Api-Key") == KEY, (
            "The key that follows a redirect is mended upstream: delete session.max_redirects in "
            "transport.open_session, if retries no longer multiply behind one either."
        )

        with pytest.raises(requests.TooManyRedirects):
            open_session()[0].get(address, headers={"X-Api-Key": KEY})
        assert len(elsewhere.requests) == 1


def test_a_next_link_takes_the_key_to_another_host(
    api: DemoServer, rows: list[dict[str, Any]]
) -> None:
    """rest_api signs every request alike, a next link to a foreign host too.
    `key_on_the_wire.KeyOnTheWire` refuses what leads elsewhere because of this."""
    paging = {"paginator": {"type": "json_link", "next_url_path": "next"}}
    foreign = {**rows[0], "id": "FOREIGN"}
    # It answers nobody who comes without the key.
    with DemoServer(incidents=lambda: [foreign], api_key=api.api_key) as elsewhere:
        api.faults.reshape = lambda body: {**body, "next": f"{elsewhere.base_url}/v1/incidents"}
        assert read(source_of(api, paging))[-1]["id"] == "FOREIGN", (
            "The key that follows a next link is mended upstream: delete the comparison of "
            "origins in key_on_the_wire.KeyOnTheWire."
        )

        guarded = source_of(api, {**paging, **ours(api, query_auth(api.api_key))})
        asked = len(elsewhere.requests)
        assert "is not contacted" in str(error_of(lambda: read(guarded), "The link was followed."))
        assert len(elsewhere.requests) == asked


def test_the_key_is_in_the_text_of_a_connection_error(waits: list[float]) -> None:
    """urllib3 puts the whole address into its error, the query with the key too.
    `transport.ApiAdapter` adds the key late and raises errors anew because of this."""
    mended = (
        "The key in connection errors is mended upstream: delete the except clause of "
        "transport.ApiAdapter.send and network_errors.describe."
    )
    with DemoServer(incidents=list) as gone:
        pass
    shipped = source_of(gone, {"auth": query_auth(KEY), "paginator": OFFSET})
    assert KEY in str(error_of(lambda: read(shipped), "A server that is gone answered.")), mended

    guarded = source_of(gone, {"paginator": OFFSET, **ours(gone, query_auth(KEY))})
    error = error_of(lambda: read(guarded), "A server that is gone answered.")
    assert KEY not in everything_said(error)


def test_the_key_is_in_the_text_of_a_refusal_unless_dlt_knows_the_parameters_name(
    api: DemoServer,
) -> None:
    """dlt masks a handful of parameter names in the text of an HTTP error; under any other name
    the key is shown. `transport.ApiAdapter` gives responses back without it because of this."""
    shipped = source_of(api, {"auth": query_auth(KEY, name="access_code"), "paginator": OFFSET})
    error = error_of(lambda: read(shipped), "The API took a wrong key.")
    assert KEY in str(error), (
        "The key in HTTP errors is mended upstream: transport.ApiAdapter.send need no longer put "
        "the request without the key back into the response."
    )
    # dlt raises before the body is read, and leaves the connection open.
    refused = next(cause for cause in causes(error) if isinstance(cause, requests.HTTPError))
    refused.response.close()

    client = {"paginator": OFFSET, **ours(api, query_auth(KEY, name="access_code"))}
    error = error_of(lambda: read(source_of(api, client)), "The API took a wrong key.")
    assert KEY not in everything_said(error)


def test_the_text_of_a_connection_error_holds_the_address() -> None:
    """For a webhook the path is the secret, and requests puts it into the text of its errors.
    `send.by_webhook` reports only the type of the error because of this."""
    with DemoServer(incidents=list) as gone:
        pass
    error = error_of(
        lambda: requests.post(f"{gone.base_url}/hooks/{KEY}", timeout=9), "It answered."
    )
    assert KEY in str(error), (
        "The address in connection errors is mended upstream: send.by_webhook may show their text."
    )


def test_requests_takes_a_password_from_netrc(
    api: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests signs an unsigned request with what ~/.netrc has for the host, asked by nobody.
    `transport.open_session` sets an auth that does nothing because of this."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password theirs\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    address = f"{api.base_url}/v1/incidents"
    assert "Authorization" in shipped_session().get(address).request.headers, (
        "The use of ~/.netrc is mended upstream: delete session.auth in transport.open_session."
    )

    assert "Authorization" not in open_session()[0].get(address).request.headers


def test_rest_api_looks_for_the_key_in_sections_called_credentials_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without its key in the settings, rest_api's auth is looked up as `CREDENTIALS__API_KEY` and
    longer names, never as `API_KEY`. `auth.resolve_auth` fills it in because of this."""
    monkeypatch.setenv("API_KEY", KEY)
    error = error_of(
        lambda: create_auth({"type": "api_key"}),
        "The look-up of the key is mended upstream: delete auth._secret and leave the "
        "secret fields to rest_api.",
    )
    assert "CREDENTIALS__API_KEY" in str(error)

    assert resolve_auth({"type": "api_key"}, SourceSection()).api_key == KEY


def test_rest_api_refuses_an_auth_of_our_own_that_was_not_resolved() -> None:
    """rest_api wants to look up the fields of every auth, and a class that is not one of dlt's
    configurations has none. `key_on_the_wire.KeyOnTheWire` resolves itself because of this."""

    class Unresolved(KeyOnTheWire):
        def resolve(self) -> None:
            pass

    error = error_of(
        lambda: create_auth(Unresolved(query_auth(KEY), "http://127.0.0.1")),
        "The refusal of foreign auths is mended upstream: delete self.resolve() in "
        "key_on_the_wire.KeyOnTheWire.",
    )
    assert isinstance(error, ConfigurationWrongTypeException)


def test_the_offset_paginator_refuses_an_api_without_a_total_and_shows_its_records(
    api: DemoServer, rows: list[dict[str, Any]]
) -> None:
    """`total_path` is "total" by default, and an answer without one raises with the whole page in
    the text. .dlt/config.toml sets `total_path = ""` because of this."""
    api.faults.reshape = lambda body: {"data": body["data"]}
    mended = "The need for a total is mended upstream: delete total_path in .dlt/config.toml."
    error = error_of(lambda: read(source_of(api, {"paginator": OFFSET})), mended)
    assert rows[0]["title"] in str(error), mended

    without_total = {**OFFSET, "total_path": ""}
    assert len(read(source_of(api, {"paginator": without_total}))) == len(rows)


def test_without_a_paginator_only_the_first_page_is_read(
    api: DemoServer, rows: list[dict[str, Any]]
) -> None:
    """rest_api guesses the paginator where none is named, does not recognise offset and limit,
    and takes the first page for everything. .dlt/config.toml names one because of this."""
    assert len(read(source_of(api, {}))) == 25 < len(rows), (
        "The guessing of the paginator is mended upstream: [sources.incidents.client.paginator] "
        "may go from .dlt/config.toml."
    )


def test_without_a_data_selector_an_error_is_taken_for_a_record(api: DemoServer) -> None:
    """rest_api guesses which list of an answer holds the records, and an `errors` list will do.
    .dlt/config.toml names `data_selector` because of this."""
    api.faults.reshape = lambda _: {"errors": [{"message": "Try again later."}]}
    guessing = source_of(api, {}, endpoint={"path": "/v1/incidents"})
    assert read(guessing) == [{"message": "Try again later."}], (
        "The guessing of records is mended upstream: delete data_selector in .dlt/config.toml."
    )

    assert read(source_of(api, {})) == []
