"""Reads a resource window of time by window of time.

Each window is a list of its own, read and proven by `reader`. One with more records than the API
shows of a list is halved, down to the API's unit of time.
"""

from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pyarrow as pa

from incidents_dagster.ingestion.errors import CeilingError, IncompleteError, cause_of
from incidents_dagster.ingestion.reading.incremental import Incremental
from incidents_dagster.ingestion.reading.reader import Land, Reader, Reading
from incidents_dagster.ingestion.reading.start import Start
from incidents_dagster.ingestion.reading.windows import Window, Windows, begin_of
from incidents_dagster.ingestion.rows.batches import distinct


class WindowReader:
    """Reads a resource window by window, as `Reader` does at once.

    Args:
        reader: Reads each window.
        windows: How long they may be.
        incremental: Where the first one begins if everything is read, and how far to look back.
        keep: Called after each window: what follows does not replace what it brought.
    """

    def __init__(
        self, reader: Reader, windows: Windows, incremental: Incremental, keep: Callable[[], None]
    ) -> None:
        self._reader, self._windows, self._keep = reader, windows, keep
        self._incremental = incremental
        self._begin, self._lag = begin_of(incremental), timedelta(seconds=incremental.lag)
        self._versions: list[pa.Table] = []

    def read(self, start: Start | None, land: Land) -> Generator[pa.Table, None, Reading]:
        """As `Reader.read`.

        Raises:
            IncompleteError: So many records are of one moment that the API does not show them all,
                or may not.
        """
        self._versions = []
        begin = start.value if start and isinstance(start.value, datetime) else self._begin
        reading: Reading | None = None
        windows = self._windows.plan(begin)
        while windows:
            one = yield from self.next(windows, start, land)
            reading = one if reading is None else together(reading, one)
        assert reading
        if reading.proof.since is None:
            since = self._incremental.since(begin, "timestamp")
            reading = replace(reading, proof=replace(reading.proof, since=since))
        return reading

    def next(
        self, windows: list[Window], start: Start | None, land: Land
    ) -> Generator[pa.Table, None, Reading]:
        """Reads the first of the `windows` and removes it; halves it if it has too many records."""
        unit, most = self._windows.shortest, self._windows.most
        while True:
            window = windows[0]
            try:
                reading = yield from self._reader.read(start, land, window.asked(unit), most)
            except Exception as error:
                ceiling = cause_of(error, CeilingError)
                if not ceiling:
                    raise
                if halves := window.halves(datetime.now(timezone.utc), unit):
                    windows[:1] = halves
                elif ceiling.certain:
                    raise self._too_many(window) from None
                else:
                    most = 0  # the API shows them all, perhaps with nothing to spare
                yield from land(None)
                continue
            if most < self._windows.most == reading.proof.rows and reading.proof.expected is None:
                raise self._too_many(window, certain=False)
            del windows[0]
            self._keep()
            self._versions.append(self._reader.versions())
            if windows or len(self._versions) > 1:
                self.report(f"{window}: {reading.rows:,} records; {len(windows):,} windows to go.")
            return reading

    def _too_many(self, window: Window, certain: bool = True) -> IncompleteError:
        most = f"{self._windows.most:,}"
        many = f"more than {most}" if certain else f"{most} or more"
        shown = "more than the API shows of a list" if certain else "no total says how many"
        return IncompleteError(
            f"There are {many} records around {window.begin:%Y-%m-%d %H:%M:%S}: {shown}, and "
            f"one {self._windows.unit} is the shortest time that can be asked for. Nothing was "
            "loaded. If there are not so many, the API may ignore incremental.start_param or "
            "end_param."
        )

    def versions(self) -> pa.Table:
        """As `Reader.versions`, of all windows."""
        return distinct(self._versions)

    def meanwhile(self, reading: Reading, land: Land) -> Generator[pa.Table, None, Reading]:
        """As `Reader.meanwhile`, window by window."""
        if reading.proof.pages <= 1 or not reading.proof.began:
            return reading
        windows = self._windows.plan(reading.proof.began - self._lag)
        while windows:
            reading = together(reading, (yield from self.next(windows, None, land)))
        return reading

    def report(self, line: str) -> None:
        """Logs a line about the resource."""
        self._reader.report(line)


def together(one: Reading, other: Reading) -> Reading:
    """Two readings of windows as one: proven if both are."""
    keys = distinct([one.keys, other.keys])
    first, second = one.proof, other.proof
    expected = None
    if first.expected is not None and second.expected is not None:
        expected = first.expected + second.expected
    proof = replace(
        first,
        readings=max(first.readings, second.readings),
        pages=first.pages + second.pages,
        rows=first.rows + second.rows,
        expected=expected,
        how=", ".join(dict.fromkeys([*first.how.split(", "), *second.how.split(", ")])),
        doubts=tuple(dict.fromkeys([*first.doubts, *second.doubts])),
        began=min(filter(None, [first.began, second.began]), default=None),
        distinct=None if first.distinct is None else len(keys),
        quarantined=first.quarantined + second.quarantined,
        why_again=first.why_again or second.why_again,
        left_out=first.left_out + second.left_out,
        ended=max(filter(None, [first.ended, second.ended]), default=None),
    )
    times = {**one.times}
    for column, (oldest, newest) in other.times.items():
        old, new = times.get(column, (oldest, newest))
        times[column] = (min(old, oldest), max(new, newest))
    return replace(
        one,
        proof=proof,
        keys=keys,
        rows=one.rows + other.rows,
        has_newest=one.has_newest or other.has_newest,
        unanswered=one.unanswered or other.unanswered,
        not_asked=one.not_asked + other.not_asked,
        times=times,
        left_out=one.left_out_with(other),
    )
