"""A proxy's password in no message, whatever is wrong with the proxy."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from dlt.extract.exceptions import ResourceExtractionError

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.reading.source import open_api
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import Settings

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]

PASSWORD = "pr0xy:p%40ss"
WRONG = {
    "dead": "http://me:{password}@127.0.0.1:9",
    "refuses": "http://me:{password}@{host}",
    "no port": "http://me:{password}@127.0.0.1:port",
    "no host": "http://me:{password}@",
    "no scheme": "me:{password}@127.0.0.1:9",
    "a token": "http://{password}@127.0.0.1:9",
}


@pytest.fixture
def said(
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
    waits: list[float],
    caplog: pytest.LogCaptureFixture,
) -> Callable[[str, str], str]:
    """What a sync says, in its message and in logs, if `proxy` is the one for `scheme`."""

    def fetch(scheme: str, proxy: str) -> str:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(f"{scheme}_proxy", proxy)
        client = {"base_url": f"{scheme}://api.example.invalid", "paginator": "single_page"}
        caplog.set_level(logging.DEBUG)
        with (
            open_api(configure(client=client, resources=["x"]), print) as opened,
            pytest.raises(ResourceExtractionError) as failed,
        ):
            list(opened.records("x"))
        return explain(failed.value) + redact(f"{failed.value} {proxy}") + caplog.text

    return fetch


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.sample(6)
def test_no_message_shows_a_proxys_password(
    listen: Listen, said: Callable[[str, str], str], wrong: str, scheme: str
) -> None:
    host = listen(lambda _: Reply({}, 407)).base_url.partition("//")[2]
    told = said(scheme, WRONG[wrong].format(password=PASSWORD, host=host))
    assert not [part for part in ("pr0xy", "p%40ss", "p@ss") if part in told]
