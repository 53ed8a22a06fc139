"""Counts a sync's pages and rows as they arrive, and reports progress every few seconds."""

import time
from collections.abc import Callable
from typing import Any

REPORT_SECONDS = 5.0


class Progress:
    """The progress of one resource; a metrics step of its dlt resource.

    Attributes:
        pages: Pages received, including an empty last one.
        rows: Records received.
    """

    def __init__(self, name: str, report: Callable[[str], None]) -> None:
        self.pages = 0
        self.rows = 0
        self._name = name
        self._report = report
        self._started = self._reported = time.monotonic()

    def __call__(self, page: Any, meta: Any, metrics: dict[str, Any]) -> None:
        self.pages += 1
        self.rows += len(page) if isinstance(page, list) else 1
        metrics.update(pages=self.pages, rows=self.rows)
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            rate = self.rows / (now - self._started)
            self._report(
                f"{self._name}: {self.pages:,} pages, {self.rows:,} rows, {rate:,.0f} rows/s"
                + self._share(page)
            )

    def _share(self, page: Any) -> str:
        total = getattr(getattr(page, "paginator", None), "total", None)
        return f", {self.rows / total:.0%} of {total:,}" if total and self.rows <= total else ""
