"""Where secrets go: headers and parameters with the key's own restraint, and plain http."""

import base64
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.source import open_api
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import Settings

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Fetch = Callable[[Settings, str], list[Any]]

KEY = "k3y-of-the-test"
AWAY = "http://api.example.invalid"


def _client(web: Web, **more: Any) -> dict[str, Any]:
    return {"base_url": web.base_url, "paginator": "single_page", **more}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Token token={KEY}"),
        ("Authorization", f"Basic {base64.b64encode(f'me:{KEY}'.encode()).decode()}"),
        ("DD-API-KEY", KEY),
        ("Cookie", f"theme=dark; session={KEY}"),
        ("X-Odd", f"Bearer {KEY}"),
    ],
)
def test_a_secret_header_arrives_and_shows_nowhere(
    listen: Listen, configure: Configure, caplog: pytest.LogCaptureFixture, name: str, value: str
) -> None:
    web = listen(lambda asked: [{"id": 1, "sent": asked.headers.get(name.lower()), "key": KEY}])
    client = _client(web, headers={name: value, "X-Version": "2"})
    resource = {"name": "x", "endpoint": {"path": "/x", "headers": {"X-Own": "own"}}}
    caplog.set_level(logging.DEBUG)
    with open_api(configure(client=client, resources=[resource]), print) as api:
        (record,) = list(api.records("x"))
    (asked,) = web.asked
    assert (asked.headers[name.lower()], asked.headers["x-version"]) == (value, "2")
    assert asked.headers["x-own"] == "own"
    assert record["key"] == "***"
    assert KEY not in repr(record)
    assert value not in repr(record)
    assert KEY not in redact(f"{value} {KEY}")
    assert KEY not in caplog.text


@pytest.mark.parametrize("of_the_sensor", [False, True])
def test_a_secret_parameter_arrives_and_shows_nowhere(
    listen: Listen, configure: Configure, caplog: pytest.LogCaptureFixture, of_the_sensor: bool
) -> None:
    web = listen(lambda asked: [{"id": 1, "url": f"/x?app_key={asked.query['app_key']}&a=1"}])
    params = {"app_key": KEY, "sort_key": "id"}
    defaults = {} if of_the_sensor else {"endpoint": {"params": params}}
    settings = configure(client=_client(web), resource_defaults=defaults, resources=["x"])
    caplog.set_level(logging.DEBUG)
    with open_api(settings, print, params=params if of_the_sensor else None) as api:
        assert list(api.records("x")) == [{"id": 1, "url": "/x?app_key=***&a=1"}]
    assert web.asked[0].query == {"app_key": KEY, "sort_key": "id"}
    assert KEY not in caplog.text


def test_an_endpoint_elsewhere_is_sent_its_own_secrets_alone(
    listen: Listen, configure: Configure, fetch: Fetch
) -> None:
    web, other = listen(lambda _: [{"id": 1}]), listen(lambda _: [{"id": 2}])
    resources = [
        {"name": "here", "endpoint": {"path": "/here", "params": {"a": "1"}}},
        {
            "name": "there",
            "endpoint": {
                "path": f"{other.base_url}/there",
                "headers": {"X-Api-Key": "its-own-key"},
                "params": {"a": "1"},
            },
        },
    ]
    settings = configure(
        client=_client(web, headers={"Authorization": f"Token {KEY}"}),
        resource_defaults={"endpoint": {"params": {"token": KEY}, "headers": {"X-Key": KEY}}},
        resources=resources,
    )
    assert fetch(settings, "here") == [{"id": 1}]
    assert fetch(settings, "there") == [{"id": 2}]
    (here,), (there,) = web.asked, other.asked
    assert (here.query, here.headers["x-key"]) == ({"a": "1", "token": KEY}, KEY)
    assert (there.query, there.headers["x-api-key"]) == ({"a": "1"}, "its-own-key")
    assert KEY not in repr(there)


def test_placeholders_stay_with_rest_api(
    listen: Listen, configure: Configure, fetch: Fetch
) -> None:
    web = listen(lambda asked: [{"id": asked.headers.get("x-team", "7")}])
    resources = [
        {"name": "teams", "endpoint": "/teams"},
        {
            "name": "x",
            "endpoint": {
                "path": "/x",
                "headers": {"X-Team": "{resources.teams.id}", "X-Key": KEY},
            },
        },
    ]
    assert fetch(configure(client=_client(web), resources=resources), "x") == [{"id": "7"}]
    assert web.asked[-1].headers["x-key"] == KEY


@pytest.mark.parametrize("key", ["k3y{of}the{test", "k3y{of}the-test", "k3y}of-the{0}", "k3y{{x"])
def test_braces_of_a_secret_are_no_placeholders(
    listen: Listen, configure: Configure, fetch: Fetch, key: str
) -> None:
    web = listen(lambda asked: [{"id": 1}])
    endpoint = {
        **{"path": "/x", "method": "POST", "headers": {"X-Api-Key": key}},
        **{"params": {"app_key": key}, "json": {"of": {"token": key}}},
    }
    client = _client(web, headers={"Authorization": f"Token {key}"})
    fetch(configure(client=client, resources=[{"name": "x", "endpoint": endpoint}]), "x")
    (asked,) = web.asked
    # rest_api reads two braces as one, except in the client's headers.
    sent = key.replace("{{", "{")
    assert asked.headers["authorization"] == f"Token {key}"
    assert asked.headers["x-api-key"] == sent
    assert asked.query["app_key"] == sent
    assert json.loads(asked.body) == {"of": {"token": sent}}
    assert redact(f"{key} {sent}") == "*** ***"


@pytest.mark.parametrize("part", ["json", "data"])
def test_a_token_in_a_body_arrives_and_shows_nowhere(
    listen: Listen, configure: Configure, fetch: Fetch, part: str
) -> None:
    key = f"{KEY}-{part}"  # of its own: what is known is known to the process
    web = listen(lambda asked: [{"id": 1, "echo": key}])
    body = {"token": key} if part == "data" else {"params": [{"sessionToken": key}]}
    endpoint = {"path": "/x", "method": "POST", part: body}
    settings = configure(client=_client(web), resources=[{"name": "x", "endpoint": endpoint}])
    assert fetch(settings, "x") == [{"id": 1, "echo": "***"}]
    assert key in web.asked[0].body
    assert redact(key) == "***"


def test_words_of_headers_and_cookies_stay_in_records(
    listen: Listen, configure: Configure, fetch: Fetch
) -> None:
    said = {"id": "eu-west-17", "theme": "light-mode4", "team": "platform-77", "a": "me@ex7.com"}
    web = listen(lambda _: [said])
    headers = {
        "Cookie": f"theme=light-mode4; session={KEY}; zone=eu-west-17",
        "X-Auth-Team": "platform-77",
        "X-Auth-Email": "me@ex7.com",
        "Authorization": f"Token token={KEY}, zone=eu-west-17",
    }
    settings = configure(client=_client(web, headers=headers), resources=["x"])
    assert fetch(settings, "x") == [said]


def test_a_long_cookie_does_not_push_the_key_out(configure: Configure) -> None:
    cookie = "; ".join(f"c{n}=plain" for n in range(100))
    client = {"base_url": "http://localhost", "headers": {"Cookie": cookie}}
    client["auth"] = {"type": "bearer", "token": "k3y-beside-cookies"}
    with open_api(configure(client=client, resources=["x"]), print):
        assert redact("k3y-beside-cookies") == "***"


BEARER = {"type": "bearer", "token": KEY}
OAUTH2 = {
    "type": "oauth2_client_credentials",
    "access_token_url": f"{AWAY}/token",
    "client_id": "me",
    "client_secret": KEY,
}
PLAIN_HTTP: dict[str, dict[str, Any]] = {
    "auth": {"client": {"base_url": AWAY, "auth": BEARER}, "resources": ["x"]},
    "header": {"client": {"base_url": AWAY, "headers": {"X-Api-Key": KEY}}, "resources": ["x"]},
    "endpoint": {
        "client": {"base_url": "https://api.example.invalid"},
        "resources": [{"name": "x", "endpoint": {"path": f"{AWAY}/x", "auth": BEARER}}],
    },
    "parameter": {
        "client": {"base_url": AWAY},
        "resource_defaults": {"endpoint": {"params": {"userToken": KEY}}},
        "resources": ["x"],
    },
    "body": {
        "client": {"base_url": AWAY},
        "resources": [
            {
                "name": "x",
                "endpoint": {"path": "/x", "method": "POST", "json": {"a": [{"jwt": KEY}]}},
            }
        ],
    },
    "path": {
        "client": {"base_url": AWAY},
        "resources": [{"name": "x", "endpoint": f"/x?api_key={KEY}"}],
    },
    "token": {"client": {"base_url": "http://localhost", "auth": OAUTH2}, "resources": ["x"]},
}


@pytest.mark.parametrize("where", PLAIN_HTTP)
def test_the_key_does_not_go_over_plain_http(configure: Configure, where: str) -> None:
    with (
        pytest.raises(SettingsError, match="allow_plain_http = true") as refused,
        open_api(configure(**PLAIN_HTTP[where]), print),
    ):
        pass
    assert AWAY in str(refused.value)
    assert KEY not in str(refused.value)
    with open_api(configure(**PLAIN_HTTP[where], allow_plain_http=True), print):
        pass


@pytest.mark.parametrize(
    ("address", "auth"),
    [
        (AWAY, {}),
        (AWAY.replace("http", "https"), {"auth": BEARER}),
        ("http://localhost:9", {"auth": BEARER}),
        ("http://api.localhost:9", {"auth": BEARER}),
        ("http://127.8.0.1:9", {"auth": BEARER}),
        ("http://[::1]:9", {"auth": BEARER}),
    ],
)
def test_what_nobody_can_overhear_is_allowed(
    configure: Configure, address: str, auth: dict[str, Any]
) -> None:
    with open_api(configure(client={"base_url": address, **auth}, resources=["x"]), print):
        pass


def test_allow_plain_http_is_a_yes_or_no(configure: Configure) -> None:
    with pytest.raises(SettingsError, match=r"allow_plain_http .* true or false"):
        configure(client={}, resources=["x"], allow_plain_http="yes")


def test_a_password_in_an_endpoints_address_is_refused(configure: Configure) -> None:
    path = f"https://me:{KEY}@api.example.invalid/x"
    settings = configure(
        client={"base_url": "http://localhost"}, resources=[{"name": "x", "endpoint": path}]
    )
    with pytest.raises(SettingsError, match=r"client\.auth") as refused, open_api(settings, print):
        pass
    assert KEY not in str(refused.value)
