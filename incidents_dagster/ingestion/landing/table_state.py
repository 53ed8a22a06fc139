"""What dlt's state remembers about a resource's table, from one sync to the next.

It is saved with the rows, in the same load. A change of it alone makes a load, too, so it only
changes when there is something to remember.
"""

from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from incidents_dagster.ingestion.reading.source_id import SourceId


@dataclass
class TableState:
    """The state of one resource.

    Attributes:
        whole: Whether the table was proven complete, and no sync has missed records since.
        source: What the rows were read from; None if that is not on record, or not one source.
        last: What the last sync read from, as a hash; all below belongs to that.
        began: When, by the API's clock, the last proven read began that had anything to load.
        pages: Which paths that the configuration names a response has had; see `Pages.known`.
        missing: Hashes of the rows that the last full read lacked and that wait for a second look.
        waiting: How many rows wait for a second look.
        look_again: Whether the next sync is to read everything for that.
        left: Hashes of the rows that were the oldest ones when they were marked as deleted.
        window: The time column by which the API shows only the newest records; empty if it shows
            all.
        backfill: How far the first read has come, if it is read in windows: `to` which moment, when
            it `began`, whether all so far is `proven`, and the `SourceId.whole` of its `source`.
        asked_singly: Primary key, as text, of an open row that incremental syncs do not bring →
            when it was last read by itself.
        missed: What the last full read found that incremental syncs should have brought: how many
            rows, which kind of `Miss`, and the primary key of one.
    """

    whole: bool = False
    source: SourceId | None = None
    last: str = ""
    began: datetime | None = None
    pages: dict[str, int] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    waiting: int = 0
    look_again: bool = False
    left: set[str] = field(default_factory=set)
    window: str = ""
    backfill: dict[str, Any] = field(default_factory=dict)
    asked_singly: dict[str, str] = field(default_factory=dict)
    missed: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, stored: MutableMapping[str, Any]) -> "TableState":
        """From dlt's own dict of the resource."""
        known = {f.name: stored[f.name] for f in fields(cls) if stored.get(f.name)}
        state = cls(**known)
        state.missing, state.left = {*state.missing}, {*state.left}
        state.source = SourceId(**known["source"]) if state.source else None
        state.began = datetime.fromisoformat(known["began"]) if state.began else None
        return state

    def save(self, stored: MutableMapping[str, Any]) -> None:
        """Into dlt's own dict of the resource."""
        values = asdict(self)
        values |= {"missing": sorted(self.missing), "left": sorted(self.left)}
        values["began"] = self.began.isoformat() if self.began else None
        for name, value in values.items():
            if value or stored.get(name):
                stored[name] = value

    def turn_to(self, source: SourceId) -> None:
        """Forgets what was found out about another source."""
        if self.last != source.hash + source.paging:
            self.last = source.hash + source.paging
            self.pages, self.window, self.missed, self.asked_singly = {}, "", {}, {}
            self.backfill = {}
            self.missing, self.left, self.waiting, self.look_again = set(), set(), 0, False

    def other_than(self, source: SourceId) -> str:
        """Why the table's rows may be from another source; empty if they are not."""
        if self.source is None:
            return "it is not on record what the table's rows were read from"
        if self.source.hash == source.hash:
            return ""
        if self.source.address != source.address:
            return f"the table has the rows of {self.source.address}"
        return "the table has rows that were read with other settings"

    def fills_otherwise(self, source: SourceId) -> bool:
        """Whether the table's columns were filled from other paths than those of `source`."""
        return self.source is not None and self.source.filled != source.filled

    def why_incomplete(self, source: SourceId) -> str:
        """Why the table may not have all of `source`; empty if it has."""
        if not self.whole:
            return "the table is not proven complete"
        if other := self.other_than(source):
            return other
        if self.source and self.source.paging != source.paging:
            return "pages are found in another way than before"
        if self.fills_otherwise(source):
            return "columns are filled from other paths than before"
        return "" if self.began else "no sync is on record"

    def why_everything(self, source: SourceId) -> str:
        """Why a sync of `source` has to read everything; empty if it need not."""
        waiting = f"{self.waiting:,} rows were missing from the API"
        return self.why_incomplete(source) or (waiting if self.look_again else "")
