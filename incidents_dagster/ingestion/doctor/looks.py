"""What the records of two pages show: fields and their types, times, statuses."""

from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import duckdb
import pyarrow as pa

from incidents_dagster.ingestion.doctor.findings import Diagnosis, Level
from incidents_dagster.ingestion.doctor.probe import Probe, Walk
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.http.dates import date_of
from incidents_dagster.ingestion.landing.bad_records import most_frequent
from incidents_dagster.ingestion.reading.field_settings import COLUMNS
from incidents_dagster.ingestion.reading.required_fields import RequiredFields
from incidents_dagster.ingestion.rows.batches import Batch, distinct, to_arrow
from incidents_dagster.ingestion.rows.filled import NAIVE, TIME, filled_columns
from incidents_dagster.ingestion.rows.paths import values_at
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.tables import DECLARED_FIELD, Table
from incidents_dagster.ingestion.warehouse.stored_table import StoredTable

CLOCKS_APART = timedelta(minutes=1)
AHEAD = timedelta(minutes=5)
SHOWN = 6  # statuses
IN_MOST_RECORDS = ("status", "created_at", "updated_at")


class Looks:
    """Looks at the first pages of the main resource.

    Args:
        probe: What asked for them.
        walk: The pages.
        settings: What the user configured.
        found: Receives the findings.

    Attributes:
        batch: The records as rows.
    """

    def __init__(self, probe: Probe, walk: Walk, settings: Settings, found: Diagnosis) -> None:
        self._api, self._name = probe.api, probe.name
        self._walk, self._settings, self._found = walk, settings, found
        self._table = Table.of(probe.api.declared, probe.name)
        self._filled = filled_columns(self._table.declared)
        known = dict(self._table.declared)
        key, typed = self._table.primary_key, self._table.typed
        self.batch: Batch = to_arrow(walk.records, known, key, typed)
        self._known = {**known, **self.batch.new_columns}

    def statuses(self) -> set[str]:
        """Those that have come, and those that `phases` names."""
        named = self._filled.get("phase")
        rows = self.batch.rows
        seen = rows["status"].to_pylist() if "status" in rows.column_names else []
        return {*(str(one) for one in seen if one), *(named.phases if named else ())}

    def at_records(self) -> None:
        """Whether there are any, whether they can be loaded, and how many ids they have."""
        count, pages = len(self._walk.records), self._walk.pages
        if not count:
            self._found.add(
                Level.WARN,
                "records",
                "The list is empty, so nothing shows that data_selector and fields are right.",
                "Check that the key may see incidents; if there are none now, try again later.",
            )
            return
        try:
            self._check_fields()
        except SettingsError as error:
            self._found.add(Level.FAIL, "fields", str(error))
            return
        if rejected := self.batch.rejected:
            reasons = "; ".join(most_frequent(one.reason for one in rejected))
            bad = len(rejected) / count > self._settings.quarantine_share
            self._found.add(
                Level.FAIL if bad else Level.WARN,
                "records",
                f"{len(rejected):,} of {count:,} records cannot be loaded: {reasons}.",
                f"Check fields, times and primary_key in {self._settings.where('resources')}.",
            )
        keys = self.batch.rows.select(self._table.primary_key)
        ids = len(distinct([keys])) if self._table.primary_key else len(keys)
        self._found.add(
            Level.OK,
            "records",
            f"{count:,} records on {pages.count} pages, {ids:,} different ids.",
        )

    def _check_fields(self) -> None:
        with duckdb.connect() as nowhere:
            stored = StoredTable(self._table, nowhere)
            incremental = self._api.incremental.get(self._name)
            fields = RequiredFields.of(self._name, incremental, stored)
            fields.add(self._walk.records, self.batch)
            fields.check(self._known)

    def at_columns(self) -> None:
        """How many records have a value for each of the project's columns."""
        rows = self.batch.rows
        if not len(rows):
            return
        for column in (name for name in COLUMNS if name in self._table.declared):
            values = rows[column] if column in rows.column_names else pa.nulls(len(rows))
            there = len(rows) - values.null_count
            paths = self._filled[column].paths if column in self._filled else []
            origin = f" from {', '.join(paths)}" if paths else ""
            kind = self._table.declared[column].get("data_type", "text")
            mistaken = column in IN_MOST_RECORDS and not there
            self._found.add(
                Level.WARN if mistaken else Level.OK if there else Level.NOTE,
                column,
                f"{there:,} of {len(rows):,} records have it, as {kind}{origin}.",
                f"Check fields.{column} in {self._settings.where('resources')}."
                if mistaken
                else "",
            )

    def at_times(self) -> None:
        """Whether the clocks agree, and whether times have a zone."""
        now = datetime.now(timezone.utc)
        if "Date" in self._walk.responses[0].headers:
            apart = date_of(self._walk.responses[0]) - now
            if abs(apart) > CLOCKS_APART:
                way = "ahead of" if apart > timedelta(0) else "behind"
                seconds = abs(apart).total_seconds()
                self._found.add(
                    Level.WARN,
                    "clock",
                    f"The API's clock is {seconds:,.0f} s {way} this machine's.",
                    "Set the one that is wrong; a lag of that much covers it.",
                )
            else:
                self._found.add(Level.OK, "clock", "The API's clock agrees with this machine's.")
        for column in ("created_at", "updated_at"):
            raw = [value for record in self._walk.records for value in self._raw(column, record)]
            filled = self._filled.get(column)
            naive = any(isinstance(value, str) and NAIVE.fullmatch(value) for value in raw)
            if naive and not (filled and filled.zone):
                self._found.add(
                    Level.WARN,
                    column,
                    "Its times have no zone, so they are taken for UTC.",
                    f"If they are not, set times.zone in {self._settings.where('resources')}.",
                )
            newest = self._newest(column)
            if newest and newest > now + AHEAD:
                self._found.add(
                    Level.WARN,
                    column,
                    f"The newest one is still to come: {newest:%Y-%m-%d %H:%M} UTC.",
                    f"Check times.zone in {self._settings.where('resources')} and the API's clock.",
                )

    def _raw(self, column: str, record: Any) -> list[Any]:
        if column not in self._table.declared or not isinstance(record, dict):
            return []
        if filled := self._filled.get(column):
            return [value for path in filled.paths for value in values_at(path, record)]
        return [record.get(self._table.declared[column].get(DECLARED_FIELD, column))]

    def _newest(self, column: str) -> datetime | None:
        rows = self.batch.rows
        if column not in rows.column_names or self._table.declared[column].get("data_type") != TIME:
            return None
        values = [value for value in rows[column].to_pylist() if value is not None]
        return max(values, default=None)

    def at_statuses(self) -> None:
        """Which statuses have no phase."""
        rows = self.batch.rows
        if "phase" not in self._table.declared or not len(rows):
            return
        column = "status" if "status" in rows.column_names else "phase"
        pairs = zip(rows[column].to_pylist(), rows["phase"].to_pylist(), strict=True)
        counts: Counter[Any] = Counter()
        unmapped: Counter[Any] = Counter()
        for status, phase in pairs:
            (counts if phase else unmapped)[status] += 1
        if unmapped:
            told = ", ".join(f"{s!r} ({n:,})" for s, n in unmapped.most_common(SHOWN))
            self._found.add(
                Level.WARN,
                "phase",
                f"These statuses have none: {told}.",
                f"Add them to phases in {self._settings.where('resources')}.",
            )
        else:
            told = ", ".join(f"{s} ({n:,})" for s, n in counts.most_common(SHOWN))
            self._found.add(Level.OK, "phase", f"Every status has one: {told}.")
