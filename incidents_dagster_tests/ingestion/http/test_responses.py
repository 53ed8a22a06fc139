"""How a response's body is parsed, in whatever characters it came, and how large it may be."""

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import requests

from fakes.messages import Fault
from fakes.misbehaviour import changed, endless, status
from fakes.web import Web
from incidents_dagster.ingestion.errors import IngestionError
from incidents_dagster.ingestion.http.transport import open_session

TITLE = "Déjà vu — ☃ 障害"
BOM = b"\xef\xbb\xbf"


def _get(fault: Fault | None, body: Any = None, **options: Any) -> Any:
    session, _ = open_session(**options)
    with Web(lambda _: body, lambda *_: fault) as server, session:
        return session.get(f"{server.base_url}/x?api_key=s3cr3t")


@pytest.mark.parametrize("content_type", ["", "text/plain", "text/json", "application/json"])
@pytest.mark.parametrize("mark", [b"", BOM])
@pytest.mark.parametrize("charset", ["", "utf-8"])
def test_json_is_utf_8(content_type: str, mark: bytes, charset: str) -> None:
    header = f"Content-Type: {content_type}{f'; charset={charset}' if charset else ''}"
    fault = changed("x", lambda _: mark + f'{{"title": "{TITLE}"}}'.encode(), header)
    assert _get(fault).json() == {"title": TITLE}


@pytest.mark.parametrize("charset", ["utf-16", "utf-8-sig", "gb18030"])
def test_another_charset_is_believed_where_it_is_declared(charset: str) -> None:
    header = f"Content-Type: text/json; charset={charset}"
    body = f'{{"title": "{TITLE}"}}'.encode(charset)
    assert _get(changed("x", lambda _: body, header)).json() == {"title": TITLE}


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-32", "utf-32-le"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/json"])
def test_other_utfs_are_seen(charset: str, content_type: str) -> None:
    body = f'{{"title": "{TITLE}"}}'.encode(charset)
    fault = changed("x", lambda _: body, f"Content-Type: {content_type}")
    assert _get(fault).json() == {"title": TITLE}


# body, Content-Type → what the message has
NO_TEXT: dict[str, tuple[bytes, str, str]] = {
    "latin-1": ('["ä"]'.encode("latin-1"), "application/json", "bytes that are not utf-8"),
    "latin-1 as text": ('["ä"]'.encode("latin-1"), "text/plain", "bytes that are not utf-8"),
    "other than declared": (b'["\xff"]', "text/json; charset=utf-8", "that are not utf-8"),
    "nothing of what is declared": (b'["\xff"]', "text/json; charset=ascii", "are not utf-8"),
    "too deep": (b"[" * 100_000 + b"]" * 100_000, "text/json", "nested too deeply"),
    "too many digits": (b"[" + b"9" * 5_000 + b"]", "text/json", "more than 4,300 digits"),
}


@pytest.mark.parametrize("what", NO_TEXT)
def test_a_body_that_cannot_be_read_exactly_is_an_error(what: str) -> None:
    body, content_type, told = NO_TEXT[what]
    answer = _get(changed("x", lambda _: body, f"Content-Type: {content_type}"))
    with pytest.raises(IngestionError, match=told) as failure:
        answer.json()
    assert "/x sent " in str(failure.value)
    assert "s3cr3t" not in str(failure.value)


@pytest.mark.parametrize("charset", ["us-ascii", "utf8mb4", "binary", "utf-8, text/json"])
def test_utf_8_is_read_whatever_is_declared(charset: str) -> None:
    body = f'{{"title": "{TITLE}"}}'.encode()
    fault = changed("x", lambda _: body, f"Content-Type: text/json; charset={charset}")
    assert _get(fault).json() == {"title": TITLE}


@pytest.mark.parametrize("code", [202, 204, 205, 300, 304])
def test_a_status_without_records_has_none(code: int) -> None:
    body = b"" if code in (204, 304) else b'{"data": []}'
    answer = _get(status(code, body=body))
    with pytest.raises(IngestionError, match=rf"/x returned {code} \(.*no records"):
        answer.json()


def test_a_body_without_an_end_ends_at_its_most() -> None:
    fault = endless("x", b"HTTP/1.1 200 OK\r\n\r\n", b" " * 2**16)
    with pytest.raises(IngestionError, match=r"/x sent a response of more than 1 MB: "):
        _get(fault, max_page_mb=1)
    assert _get(None, "x" * (2**20 - 2), max_page_mb=1).json() == "x" * (2**20 - 2)


def _sent(body: bytes, content_type: str = "application/json") -> Any:
    return _get(changed("x", lambda _: body, f"Content-Type: {content_type}"))


def _outcome(parse: Callable[[], Any]) -> str:
    try:
        return repr(parse())
    except Exception as error:
        return f"{type(error)} {error}"


BODIES = {
    "an object": b'{"data": [{"id": 1, "x": 1.5, "n": null}], "total": 1}',
    "beyond 64 bits": b'{"id": 12345678901234567890123, "x": -98765432109876543210}',
    "at the border": b"[9223372036854775807, 18446744073709551615, 18446744073709551616]",
    "digits in a text": b'["1234567890123456789012345"]',
    "digits of a float": b"[0.1000000000000000055511151231257827, 1e400]",
    "NaN": b"[NaN, Infinity]",
    "half a surrogate": b'["\\ud800"]',
    "the same name twice": b'{"a": 1, "a": 2}',
    "umlauts": '["\u00e4\u00f6\u20ac"]'.encode(),
    "nothing": b"",
    "spaces": b"  ",
    "HTML": b"<html>log in</html>",
    "cut off": b'{"data": [',
    "two values": b"1 2",
}


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain; charset=utf-8", "application/x-data"]
)
@pytest.mark.parametrize("body", BODIES)
def test_a_body_is_read_as_requests_reads_it(body: str, content_type: str) -> None:
    response = _sent(BODIES[body], content_type)
    as_usual = requests.Response.json
    assert _outcome(response.json) == _outcome(lambda: as_usual(response))


def test_integers_stay_exact_whatever_their_length() -> None:
    numbers = [sign * (10**digits + 7) for digits in range(15, 40) for sign in (1, -1)]
    answered = _sent(json.dumps(numbers).encode()).json()
    assert answered == numbers
    assert {type(number) for number in answered} == {int}


def test_what_is_no_json_is_requests_own_error() -> None:
    with pytest.raises(requests.JSONDecodeError):
        _sent(b"<html>").json()


def test_a_body_is_parsed_once_and_by_orjson(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    def loads(body: bytes) -> Any:
        parsed.append(body)
        return real(body)

    real = orjson.loads
    monkeypatch.setattr("orjson.loads", loads)
    response = _sent(b'{"data": [1]}')
    assert not parsed, "it is parsed on the walk's thread, when it is needed"
    assert response.json() is response.json()
    assert parsed == [b'{"data": [1]}']
    # A hook of response_actions may put another body in its place; arguments are requests'.
    response._content = b"[2]"
    assert response.json() == [2]
    assert response.json(parse_int=str) == ["2"]
    assert response.json() == [2]
