"""All records of a resource, and the proof that these are all.

Reads again where rows moved while pages were read, a bounded number of times. What one reading
shows is gathered in `checked_paginator`.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from incidents_dagster.ingestion.errors import IncompleteError
from incidents_dagster.ingestion.reading.incremental import Moment
from incidents_dagster.ingestion.reading.proof import Evidence, Proof, moved
from incidents_dagster.ingestion.reading.source import OpenApi
from incidents_dagster.ingestion.rows.batches import chunks

MOST_READINGS = 3
MOST_CATCHING_UP = 5
UNITS = {"timestamp": 1, "date": 86_400}  # seconds in a cursor's lag of 1


@dataclass
class Reader:
    """Reads a resource.

    Attributes:
        api: The open API.
        name: The resource.
        known: The table's columns with dlt's hints; may grow while records are read.
    """

    api: OpenApi
    name: str
    known: Mapping[str, Any]

    def everything(self, since: Any, proof: Proof) -> Iterator[list[Any] | None]:
        """Every record, some of them more than once, a newer version after an older one.

        Args:
            since: Asks for what changed at or after this cursor value; None for everything.
            proof: Gets what tells that it is all.

        Yields:
            Up to `BATCH_ROWS` records; None where what follows takes the place of all before.

        Raises:
            Exception: An answer is not what it has to be, or the records are too few or too many.
        """
        earlier: Evidence | None = None
        for _ in range(MOST_READINGS):
            if earlier:
                yield None
            evidence = Evidence()
            proof.readings += yield from self._reading(since, proof, evidence)
            incremental = self.name in self.api.incremental
            # Without a time there is no asking for what changed meanwhile.
            evidence.positional |= incremental and not self._unit
            if not evidence.may_have_moved:
                break
            if earlier and evidence.fingerprints == earlier.fingerprints:
                break
            if earlier:
                self.api.report(f"{self.name}: records moved while pages were read; once more.")
            earlier = evidence
        else:
            evidence.unproven["records move while pages are read, and pages cannot overlap"] = None
        proof.rows, proof.walks = evidence.rows, evidence.walks
        proof.expected, proof.at_least = evidence.expected, evidence.at_least
        childless = any(parent.walks and not parent.rows for parent in evidence.parents)
        proof.how = ", ".join(evidence.hows) or ("no parent has any" if childless else "")
        if not evidence.walks and not childless:  # as endpoint.response_actions may have it
            evidence.unproven["the API gave no answer with records"] = None
        for parent in evidence.parents:
            evidence.unproven.update(parent.unproven)
        proof.unproven = list(evidence.unproven)
        if incremental and self._unit:
            yield from self._catching_up(proof, evidence)

    def meanwhile(self, proof: Proof) -> Iterator[list[Any]]:
        """What changed while pages were read, where the API can be asked for that."""
        if self._unit and proof.began and proof.pages > proof.walks:
            yield from self._since(proof.began, proof, Evidence())

    @property
    def _unit(self) -> int:
        """Seconds in the cursor's unit; 0 where it is no time."""
        if self.name not in self.api.incremental:
            return 0
        column = self.known.get(self.api.incremental[self.name].column, {})
        return UNITS.get(str(column.get("data_type")), 0)

    def _reading(
        self, since: Any, proof: Proof, evidence: Evidence
    ) -> Generator[list[Any] | None, None, int]:
        """One reading; another in its place where rows moved so that it could not be finished.

        Returns:
            How often it began.
        """
        for attempt in range(1, MOST_READINGS + 1):
            try:
                for records in chunks(self.api.records(self.name, since, evidence=evidence)):
                    proof.began = proof.began or evidence.began
                    yield records
            except Exception as error:
                if not (why := moved(error)):
                    raise
                if attempt == MOST_READINGS:
                    raise IncompleteError(
                        f"{self.name} could not be read completely: {why}. Tried {MOST_READINGS} "
                        "times, nothing was loaded. Check the paginator and [completeness] in "
                        ".dlt/config.toml, or sync at a quieter time."
                    ) from None
                self.api.report(f"{self.name}: {why}; reading from the beginning.")
            else:
                break
            finally:
                proof.pages += evidence.pages
            evidence.restart()
            yield None
        if not evidence.complete:
            raise IncompleteError(
                f"{self.name}: the API's pages broke off before their end, nothing was loaded."
            )
        return attempt

    def _catching_up(self, proof: Proof, evidence: Evidence) -> Iterator[list[Any]]:
        """What changed while pages were read, where the next sync's lag does not reach so far."""
        lag = self.api.incremental[self.name].lag * self._unit
        for _ in range(MOST_CATCHING_UP):
            # Half, for clocks that differ. A single page shows one moment.
            if evidence.pages <= evidence.walks or evidence.seconds <= lag / 2:
                return
            assert evidence.began
            began, evidence = evidence.began, Evidence()
            yield from self._since(began, proof, evidence)
        proof.unproven.append("it takes longer to read what changed meanwhile than the lag is long")

    def _since(self, began: datetime, proof: Proof, evidence: Evidence) -> Iterator[list[Any]]:
        lag = self.api.incremental[self.name].lag * self._unit
        since = Moment.of(began - timedelta(seconds=lag))
        self.api.report(f"{self.name}: asking for what changed since {since}, meanwhile.")
        reading = self._reading(since if self._unit == 1 else since.date(), proof, evidence)
        yield from (records for records in reading if records is not None)
