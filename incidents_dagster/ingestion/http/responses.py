"""A response of the API: how large it may be, and how its body is parsed.

`reading.envelope` checks whether it makes sense.
"""

import codecs
import json
import sys
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import orjson
import requests

from incidents_dagster.ingestion.errors import IngestionError

DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
LONG_NUMBER = b"0" * 19  # the fewest digits beyond 64 bits, which orjson may turn into a float
MB = 2**20
# Some APIs return 201 for a search by POST, and 206 for a page.
WITH_RECORDS = (200, 201, 203, 206)


class NoRecordsError(IngestionError):
    """The status says that the response has no records."""


class ApiResponse(requests.Response):
    """Parses its body once, however often dlt asks, and with orjson if that is exact.

    Attributes:
        max_mb: How large the body may be, unpacked.
        redacted: Whether a secret was taken out of its body.
    """

    max_mb: int = 100
    redacted = False
    _parsed: tuple[bytes, Any] | None = None

    def iter_content(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """As in requests, up to `max_mb`; `content` is read this way, too.

        Raises:
            IngestionError: The body is larger.
        """
        size = 0
        for part in super().iter_content(*args, **kwargs):
            size += len(part)
            if size > self.max_mb * MB:
                self.close()
                raise IngestionError(
                    f"{self._address} sent a response of more than {self.max_mb} MB: ask for "
                    "smaller pages, or set max_page_mb in .dlt/config.toml if the memory allows "
                    "it."
                )
            yield part

    def json(self, **kwargs: Any) -> Any:
        """What requests would return or raise; without arguments, the same object each time.

        Raises:
            NoRecordsError: The status says that the response has no records.
        """
        if self.status_code not in WITH_RECORDS:
            name = next((s.phrase for s in HTTPStatus if s == self.status_code), "unknown")
            raise NoRecordsError(
                f"{self._address} returned {self.status_code} ({name}), which carries no records: "
                "check client.base_url and endpoint.path."
            )
        if kwargs:
            return super().json(**kwargs)
        body = self.content
        if self._parsed is None or self._parsed[0] is not body:
            self._parsed = body, self._parse(body)
        return self._parsed[1]

    @property
    def _address(self) -> str:
        return str(self.url).split("?", maxsplit=1)[0]

    def _parse(self, body: bytes) -> Any:
        charset = self._charset(body)
        utf8 = charset == "utf-8"  # orjson checks that it is
        if utf8 and LONG_NUMBER not in body.translate(DIGITS):
            try:
                return orjson.loads(body)
            except orjson.JSONDecodeError:
                pass
        self.encoding = charset
        try:
            body.decode(charset)  # requests would replace invalid bytes
            return super().json()
        except requests.JSONDecodeError:
            raise
        except UnicodeDecodeError:
            what = f"bytes that are not {charset}: JSON is UTF-8 unless Content-Type says otherwise"
        except RecursionError:
            what = "JSON that is nested too deeply"
        except ValueError:
            what = f"a number of more than {sys.get_int_max_str_digits():,} digits"
        raise IngestionError(f"{self._address} sent {what}. Nothing was loaded.")

    def _charset(self, body: bytes) -> str:
        """The declared charset, else the detected UTF; never requests' guesses for text/…"""
        declared = "charset" in self.headers.get("Content-Type", "") and self.encoding
        if declared and not body.startswith(codecs.BOM_UTF8):
            try:
                name = codecs.lookup(declared).name
                if name == "utf-8":
                    return name
                body.decode(name)
            except (UnicodeDecodeError, LookupError):
                pass  # some servers declare another charset than they send
            else:
                return name
        return json.detect_encoding(body)
