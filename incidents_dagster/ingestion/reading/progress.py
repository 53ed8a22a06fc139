"""Counts a sync's pages and rows as they arrive, and reports progress every few seconds."""

import time
from collections.abc import Callable
from typing import Any

from incidents_dagster.ingestion.secrets.redaction import GONE

REPORT_SECONDS = 5.0


class Progress:
    """The progress of one resource; a metrics step of its dlt resource.

    Attributes:
        pages: Pages received, including an empty last one.
        rows: Records received.
        redacted: Distinct records with *** instead of a secret.
    """

    def __init__(self, name: str, report: Callable[[str], None]) -> None:
        self.pages = 0
        self.rows = 0
        self._redacted: set[int] = set()
        self._name = name
        self._report = report
        self._started = self._reported = time.monotonic()

    @property
    def redacted(self) -> int:
        return len(self._redacted)

    def __call__(self, page: Any, meta: Any, metrics: dict[str, Any]) -> None:
        self.pages += 1
        self.rows += len(page) if isinstance(page, list) else 1
        metrics.update(pages=self.pages, rows=self.rows)
        if getattr(getattr(page, "response", None), "redacted", False):
            self._look_for_redacted(page)
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            rate = self.rows / (now - self._started)
            self._report(
                f"{self._name}: {self.pages:,} pages, {self.rows:,} rows, {rate:,.0f} rows/s"
                + self._share(page)
            )

    def _look_for_redacted(self, page: Any) -> None:
        told = bool(self._redacted)
        self._redacted |= {hash(text) for text in map(repr, page) if GONE in text}
        if self._redacted and not told:
            self._report(
                f"{self._name}: the API repeats a secret in its records, which show {GONE} instead."
            )

    def _share(self, page: Any) -> str:
        total = getattr(getattr(page, "paginator", None), "total", None)
        return f", {self.rows / total:.0%} of {total:,}" if total and self.rows <= total else ""
