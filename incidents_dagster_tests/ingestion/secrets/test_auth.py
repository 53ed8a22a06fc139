"""Where secrets are found, what reaches the API for each kind of auth, and what texts show."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import dlt
import pytest
import tomlkit

from fakes.messages import Asked
from fakes.web import Web
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.reading.source import open_api
from incidents_dagster.ingestion.secrets.auth import SECRET_FIELDS, resolve_auth
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.settings_files import SourceSection

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
Fetch = Callable[[Settings, str], list[Any]]

# Keys that look like something else, or that an address has to encode.
ODD_KEYS = [
    "007",
    "1e5",
    "true",
    "null",
    "[1]",
    '{"a": 1}',
    "a b+c/%&=?#",
    "schlüssel~!",
    "l0ng-k3y-" * 50,
]


WriteSecret = Callable[[str, str, Any], None]


@pytest.fixture
def write_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteSecret:
    """Puts a secret into the environment or into the test's .dlt/secrets.toml."""

    def write(place: str, name: str, value: Any) -> None:
        if place == "environment":
            monkeypatch.setenv(name.upper(), value)
        else:
            (tmp_path / ".dlt" / place).write_text(tomlkit.dumps({name: value}))
            dlt.current.run_context().reload()

    return write


@pytest.fixture
def keyed(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> Web:
    """An empty incident API that takes any key."""
    web = listen(lambda _: {"data": []})
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__BASE_URL", web.base_url)
    return web


def _as_it_arrives(listen: Listen, configure: Configure, fetch: Fetch, auth: Any) -> Asked:
    web = listen(lambda _: [{"id": 1}])
    assert fetch(configure(client={"base_url": web.base_url, "auth": auth}, resources=["x"]), "x")
    return web.asked[-1]


@pytest.mark.parametrize(
    ("place", "key"),
    [*(("environment", key) for key in ODD_KEYS), ("secrets.toml", "007"), ("secrets.toml", "1 %")],
)
def test_the_api_key_arrives_as_it_was_written(
    keyed: Web, fetch: Fetch, write_secret: WriteSecret, key: str, place: str
) -> None:
    write_secret(place, "api_key", key)
    fetch(load_settings(), "incident_data")
    assert keyed.asked[0].query["api_key"] == key


def test_a_key_that_toml_takes_for_a_number_works(
    keyed: Web, fetch: Fetch, write_secret: WriteSecret
) -> None:
    write_secret("secrets.toml", "api_key", 123456789)
    fetch(load_settings(), "incident_data")
    assert keyed.asked[0].query["api_key"] == "123456789"


def test_a_key_of_digits_in_the_auth_table_of_the_environment_stays_text(
    keyed: Web, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__AUTH__API_KEY", "007")
    fetch(load_settings(), "incident_data")
    assert keyed.asked[0].query["api_key"] == "007"


def test_the_environment_goes_before_secrets_toml(
    api: DemoServer, fetch: Fetch, write_secret: WriteSecret
) -> None:
    write_secret("secrets.toml", "api_key", "wrong")
    assert len(fetch(load_settings(), "incident_data")) == 250


@pytest.mark.parametrize("empty", ["absent", "empty", "blank"])
def test_a_missing_key_is_one_message_that_says_where_to_put_it(
    api: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: str
) -> None:
    monkeypatch.delenv("API_KEY")
    if empty != "absent":
        monkeypatch.setenv("API_KEY", {"empty": "", "blank": " \t "}[empty])
    with pytest.raises(SettingsError) as refused, open_api(load_settings(), print):
        pass
    message = explain(refused.value)
    assert message.startswith("api_key is missing")
    assert "(API_KEY)" in message
    assert str(tmp_path / ".dlt" / "secrets.toml") in message
    assert "\n" not in message
    assert "Traceback" not in message
    assert not api.requests


@pytest.mark.parametrize(
    ("auth", "field"),
    [(kind, field) for kind, fields in SECRET_FIELDS.items() for field in fields],
)
def test_each_missing_secret_is_named(
    monkeypatch: pytest.MonkeyPatch, auth: str, field: str
) -> None:
    for name in SECRET_FIELDS[auth]:
        if name != field:
            monkeypatch.setenv(name.upper(), "given")
    with pytest.raises(SettingsError, match=rf"^{field} is missing: .*'{auth}'.*{field.upper()}"):
        resolve_auth({"type": auth}, SourceSection())


@pytest.mark.parametrize(
    "auth",
    [
        "bearer",
        {"type": "bearer"},
        {},
    ],
)
def test_a_bearer_token_from_the_environment_arrives(
    listen: Listen,
    configure: Configure,
    fetch: Fetch,
    monkeypatch: pytest.MonkeyPatch,
    auth: Any,
) -> None:
    monkeypatch.setenv("TOKEN", "t0ken")
    asked = _as_it_arrives(listen, configure, fetch, auth)
    assert asked.headers["authorization"] == "Bearer t0ken"


def test_a_token_in_the_auth_table_goes_before_the_environment(
    listen: Listen, configure: Configure, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "other")
    asked = _as_it_arrives(listen, configure, fetch, {"token": "t0ken"})
    assert asked.headers["authorization"] == "Bearer t0ken"


def test_http_basic_arrives(
    listen: Listen, configure: Configure, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "pass:word")
    asked = _as_it_arrives(listen, configure, fetch, {"type": "http_basic", "username": "me"})
    assert asked.headers["authorization"] == f"Basic {base64.b64encode(b'me:pass:word').decode()}"


def test_an_api_key_in_a_header_arrives_there_alone(
    listen: Listen, configure: Configure, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "GenieKey k3y")
    asked = _as_it_arrives(listen, configure, fetch, {"type": "api_key", "name": "X-Api-Key"})
    assert asked.headers["x-api-key"] == "GenieKey k3y"
    assert asked.query == {}


@pytest.mark.parametrize(
    "key", ["abcdefgh", "a b+c/%&=?#", "schlüssel~!", '{"a": 1}', "l0ng-k3y-" * 50]
)
def test_redact_takes_a_secret_out_in_every_spelling(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("API_KEY", key)
    # A secret that holds another one is taken out whole.
    monkeypatch.setenv("TOKEN", f"{key}-and-more")
    spellings = [
        key,
        quote(key, safe=""),
        quote_plus(key),
        quote(key, safe="").lower(),
        f"{key}-and-more",
    ]
    assert redact("|".join(["in 2026", *spellings])) == "in 2026|***|***|***|***|***"


def test_redact_knows_the_secrets_of_an_auth_table() -> None:
    resolve_auth({"type": "http_basic", "username": "me", "password": "pass word"}, SourceSection())
    assert redact("me:pass word, pass+word") == "me:***, ***"


def test_a_key_that_is_sent_as_the_user_is_a_secret() -> None:
    resolve_auth(
        {"type": "http_basic", "username": "k3y-as-the-us3r", "password": "x"}, SourceSection()
    )
    assert redact("the key k3y-as-the-us3r") == "the key ***"
    resolve_auth(
        {"type": "http_basic", "username": "svc-user-7up", "password": "pa55-w0rd"}, SourceSection()
    )
    assert redact("the user svc-user-7up") == "the user svc-user-7up"


def test_redact_leaves_other_texts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "in")
    assert redact("nothing to hide in here") == "nothing to hide in here"


@pytest.mark.parametrize("key", ["k3y-of-the-test\n", "  k3y-of-the-test \t"])
def test_white_space_around_a_key_is_not_part_of_it(
    keyed: Web, fetch: Fetch, write_secret: WriteSecret, key: str
) -> None:
    write_secret("secrets.toml", "api_key", key)
    fetch(load_settings(), "incident_data")
    assert keyed.asked[0].query["api_key"] == "k3y-of-the-test"


def test_a_key_with_a_newline_in_it_is_refused_and_not_shown(
    keyed: Web, write_secret: WriteSecret
) -> None:
    write_secret("secrets.toml", "api_key", "k3y-of-the-test\nX-Other: header")
    with (
        pytest.raises(SettingsError, match=r"^api_key ") as refused,
        open_api(load_settings(), print),
    ):
        pass
    assert "k3y" not in str(refused.value)
    assert not keyed.asked


UNSENDABLE: dict[str, dict[str, Any]] = {
    "bearer": {"auth": {"type": "bearer", "token": "k3y\u2013of-the-test"}},
    "header": {"auth": {"type": "api_key", "name": "X-Key", "api_key": "k3y\u043a\u043b"}},
    "client.headers": {"headers": {"X-Api-Key": "k3y\u201cof\u201d"}},
}


@pytest.mark.parametrize("where", UNSENDABLE)
def test_a_key_that_no_header_can_hold_is_one_message(
    listen: Listen, configure: Configure, where: str
) -> None:
    web = listen(lambda _: [])
    settings = configure(client={"base_url": web.base_url, **UNSENDABLE[where]}, resources=["x"])
    with (
        pytest.raises(SettingsError, match=r"position 4 that no header can hold") as refused,
        open_api(settings, print),
    ):
        pass
    assert "k3y" not in str(refused.value)
    assert not web.asked


@pytest.mark.parametrize(
    ("client", "named"),
    [
        ({"headers": {"Authorization": "Bearer "}}, "headers.Authorization"),
        ({"headers": {"X-Api-Key": " "}}, "headers.X-Api-Key"),
        ({}, "params.api_key"),
    ],
)
def test_a_blank_key_is_one_message(
    configure: Configure, client: dict[str, Any], named: str
) -> None:
    endpoint = {"path": "/x", "params": {"api_key": ""}}
    settings = configure(
        client={"base_url": "http://localhost", **client},
        resources=[{"name": "x", "endpoint": endpoint}],
    )
    with pytest.raises(SettingsError, match=f"^{named} is blank"), open_api(settings, print):
        pass
