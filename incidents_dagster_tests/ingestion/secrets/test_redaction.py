"""Secret values in every spelling, what is left alone, and what logs show."""

import base64
import json
import logging
from urllib.parse import quote, quote_plus

import pytest
import requests

from incidents_dagster.ingestion.secrets import redaction
from incidents_dagster.ingestion.secrets.redaction import redact, redact_body, remember

KEY = 'k3y+of/the "test"&ü'
PLAIN = "Zm9vYmFyLTEyMzQ1"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests made known is not searched for."""
    monkeypatch.setattr(redaction, "_values", {})
    monkeypatch.setattr(redaction, "_names", set())
    redaction._is_secrets_name.cache_clear()
    monkeypatch.setattr(redaction, "_known", None)


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SPELLINGS = {
    "plain": KEY,
    "percent": quote(KEY, safe=""),
    "percent, lower case": quote(KEY, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    "form": quote_plus(KEY),
    "percent, with slashes": quote(KEY),
    "percent, twice": quote(quote(KEY, safe=""), safe=""),
    "JSON": json.dumps(KEY)[1:-1],
    "JSON, UTF-8": json.dumps(KEY, ensure_ascii=False)[1:-1],
    "JSON, slashes escaped": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "JSON, as Go has it": json.dumps(KEY)[1:-1].replace("&", "\\u0026").replace("+", "\\u002B"),
    "JSON within JSON": json.dumps(json.dumps(KEY)[1:-1])[1:-1],
    "repr": repr(KEY)[1:-1],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_value_is_taken_out_in_every_spelling(spelling: str) -> None:
    remember(KEY)
    text = f"before {SPELLINGS[spelling]} after"
    assert redact(text) == "before *** after"
    if '"' not in text.replace('\\"', ""):  # a bare one belongs to the JSON itself
        assert redact_body(text.encode()).decode() == "before *** after"


@pytest.mark.parametrize("around", ["", "me:", "me@x:", "abc", "~~~~~~"])
@pytest.mark.parametrize("value", [KEY, PLAIN, "??>>~~~k3y"])
def test_base64_of_a_value_is_taken_out_wherever_it_stands(value: str, around: str) -> None:
    remember(value)
    coded = _coded(around + value)
    for text in (coded, coded.rstrip("="), base64.urlsafe_b64encode((around + value).encode())):
        shown = text if isinstance(text, str) else text.decode()
        for spelled in (shown, quote(shown, safe="")):
            found = redact(f"Basic {spelled} x")
            assert found.endswith("*** x")
            # Of what stands before the value, at most the character that they share.
            assert len(found) <= len("Basic *** x") + len(_coded(around)) + 4


@pytest.mark.parametrize(
    ("value", "text", "shown"),
    [
        ("in", "nothing to hide in here", "nothing to hide in here"),
        ("in", "?key=in&limit=7, key: in", "?key=***&limit=7, key: ***"),
        ("7", "tried 7 times, 'key': '7'", "tried 7 times, 'key': '***'"),
        ("open", "status is open, token%3Dopen", "status is open, token%3D***"),
        ("k3y-1", "the k3y-1 of k3y-12", "the *** of k3y-12"),
        ("1234", "id 1234, key=1234", "id 1234, key=***"),
        ("12345678", "id 12345678, key=12345678", "id ***, key=***"),
    ],
)
def test_a_short_value_is_taken_out_where_it_stands_as_one(
    value: str, text: str, shown: str
) -> None:
    remember(value)
    assert redact(text) == shown


@pytest.mark.parametrize("value", ["7", "in", "true", "12345678", "null", "[1]", '{"a": 1}', '"'])
def test_a_body_stays_json_whatever_the_key_is(value: str) -> None:
    remember(value)
    body = {"id": 12345678, "in": [1], "open": True, "none": None, "x": {"a": 1}, "n": 7}
    assert json.loads(redact_body(json.dumps(body).encode())) == body
    link = {"next": f"/x?page=2&key={quote(value, safe='')}"}
    assert json.loads(redact_body(json.dumps(link).encode())) == {"next": "/x?page=2&key=***"}


# Nobody can tell them from what incidents say.
ORDINARY = ["7", "1234", "12345678", "open", "P1", "sev1", "production", "on-call team", "INCIDENT"]


@pytest.mark.parametrize("value", ORDINARY)
def test_an_ordinary_key_changes_no_record(value: str) -> None:
    remember(value, sent_as="zugang")
    record = {
        "id": value,
        "status": value,
        "title": f"{value}: the {value} is down",
        "link": f"/x?status={quote(value)}&page_token={quote(value)}",
        value: [value],
    }
    body = json.dumps(record).encode()
    assert redact_body(body) is body


@pytest.mark.parametrize("value", ORDINARY)
def test_nor_is_an_ordinary_key_leaked(value: str) -> None:
    remember(value, sent_as="zugang")
    link = f"/x?zugang={quote(value)}&b=1&apiKey={quote(value)}"
    record = {"a": {"api_key": value, "Zugang": value}, "auth": f"Bearer {value}", "l": link}
    record["coded"] = quote(link, safe="")
    shown = {"a": {"api_key": "***", "Zugang": "***"}, "auth": "Bearer ***"}
    shown |= {"l": "/x?zugang=***&b=1&apiKey=***"}
    shown["coded"] = quote(str(shown["l"]), safe="").replace("%2A", "*")
    assert json.loads(redact_body(json.dumps(record).encode())) == shown
    nested = json.dumps({"echo": json.dumps(record)}).encode()
    assert json.loads(json.loads(redact_body(nested))["echo"]) == shown
    if value.isdigit():
        number = f'{{"token": {value}, "n": {value}}}'.encode()
        assert json.loads(redact_body(number)) == {"token": "***", "n": int(value)}


def test_records_lose_whole_secrets_alone() -> None:
    remember("s3cr3t-9", PLAIN)
    remember("eu-west-1", "dark", in_records=False)
    record = {"a": "s3cr3t-9", "b": "s3cr3t-99", "c": f"x{PLAIN}x", "d": "eu-west-1", "e": "dark"}
    shown = {**record, "a": "***", "c": "x***x"}
    assert json.loads(redact_body(json.dumps(record).encode())) == shown
    assert redact("eu-west-1, 'dark'") == "***, '***'"


def test_what_is_whole_once_stays_whole() -> None:
    remember(PLAIN)
    remember(PLAIN, in_records=False)
    assert redact_body(PLAIN.encode()) == b"***"


def test_a_body_without_a_value_is_the_same_object() -> None:
    remember(KEY, "in", "7")
    body = b'{"data": [{"id": 1}]}'
    assert redact_body(body) is body


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_wide_characters_hide_nothing(encoding: str) -> None:
    remember(PLAIN)
    body = json.dumps({"self": PLAIN}).encode(encoding)
    cleaned = redact_body(body)
    assert json.loads(cleaned) == {"self": "***"}
    other = json.dumps({"self": "x"}).encode(encoding)
    assert redact_body(other) is other


def test_a_response_is_cleaned_whole() -> None:
    remember(PLAIN)
    response = requests.Response()
    response._content = json.dumps({"self": PLAIN}).encode()
    response.headers["Link"] = f"</x?key={PLAIN}>; rel=next"
    response.reason = f"No {PLAIN}"
    redaction.clean(response)
    assert response.json() == {"self": "***"}
    assert response.headers["link"] == "</x?key=***>; rel=next"
    assert response.reason == "No ***"


def test_an_ordinary_key_costs_no_link_its_page() -> None:
    remember("2", sent_as="key")
    response = requests.Response()
    response._content = b"[]"
    response.headers["Link"] = '<https://api.example.com/x?page=2&key=2>; rel="next"'
    redaction.clean(response)
    assert response.headers["link"] == '<https://api.example.com/x?page=2&key=***>; rel="next"'


def test_the_oldest_of_many_values_are_forgotten() -> None:
    """An access token an hour, for months, may not make every page slower."""
    for number in range(redaction.MOST_VALUES):
        remember(f"token-{number:04}")
        remember(PLAIN)  # in use all the time
    remember("token-last")
    assert redact(f"token-0000 token-last {PLAIN}") == "token-0000 *** ***"


@pytest.mark.parametrize("logger", redaction.LOGGERS)
def test_logs_show_no_value(logger: str, caplog: pytest.LogCaptureFixture) -> None:
    remember(KEY)
    redaction.watch_logs()
    log = logging.getLogger(logger)
    handlers, level = log.handlers, log.level
    log.handlers, log.level = [caplog.handler], logging.DEBUG
    try:
        log.debug("Making GET request with params=%s and %d", {"k": KEY}, 7)
        log.debug(f"headers={ {'Authorization': KEY} }")
    finally:
        log.handlers, log.level = handlers, level
    assert "and 7" in caplog.text
    assert "headers={'Authorization': '***'}" in caplog.text
    assert "of/the" not in caplog.text
