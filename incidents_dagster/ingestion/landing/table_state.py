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
        source: What the rows were read from; None if that is not on record.
        began: When, by the API's clock, the last proven read began that had anything to load.
        paths: The paths that the configuration names and a response has had; see `Pages.seen`.
        missing: Hashes of the rows that the last full read lacked and that wait for a second look.
        look_again: Whether the next sync is to read everything for that.
        window: The time column by which the API shows only the newest records; empty if it shows
            all.
    """

    whole: bool = False
    source: SourceId | None = None
    began: datetime | None = None
    paths: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    look_again: bool = False
    window: str = ""

    @classmethod
    def read(cls, stored: MutableMapping[str, Any]) -> "TableState":
        """From dlt's own dict of the resource."""
        known = {f.name: stored[f.name] for f in fields(cls) if stored.get(f.name)}
        state = cls(**known)
        state.paths, state.missing = {*state.paths}, {*state.missing}
        state.source = SourceId(**known["source"]) if state.source else None
        state.began = datetime.fromisoformat(known["began"]) if state.began else None
        return state

    def save(self, stored: MutableMapping[str, Any]) -> None:
        """Into dlt's own dict of the resource."""
        values = asdict(self)
        values |= {"paths": sorted(self.paths), "missing": sorted(self.missing)}
        values["began"] = self.began.isoformat() if self.began else None
        for name, value in values.items():
            if value or stored.get(name):
                stored[name] = value

    def other_than(self, source: SourceId) -> str:
        """In which way the table's rows are from another source; empty if they are not."""
        if self.source is None or self.source == source:
            return ""
        if self.source.address != source.address:
            return f"the table has the rows of {self.source.address}"
        return "the table has rows that were read with other settings"

    def why_everything(self, source: SourceId) -> str:
        """Why a sync of `source` has to read everything; empty if it need not."""
        if not self.whole:
            return "the table is not proven complete"
        if self.source is None or self.began is None:
            return "the table was written by an earlier release"
        if self.look_again:
            return f"{len(self.missing):,} rows were missing from the API"
        return self.other_than(source)
