"""All records of a resource, and the proof that these are all.

Reads again where rows moved while pages were read, a bounded number of times. What one reading
shows is gathered in `walks`.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from incidents_dagster.ingestion.errors import IncompleteError
from incidents_dagster.ingestion.evidence import Evidence, Proof, moved
from incidents_dagster.ingestion.incremental import Moment
from incidents_dagster.ingestion.source import OpenApi

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

    def everything(self, since: Any, proof: Proof) -> Iterator[Any]:
        """Every record, some of them more than once, a newer version after an older one.

        Args:
            since: Asks for what changed at or after this cursor value; None for everything.
            proof: Gets what tells that it is all.

        Raises:
            Exception: An answer is not what it has to be, or the records are too few or too many.
        """
        earlier: Evidence | None = None
        for _ in range(MOST_READINGS):
            evidence = Evidence()
            proof.readings += yield from self._reading(since, proof, evidence)
            several_pages = evidence.pages > evidence.walks
            incremental = self.name in self.api.incremental
            # Without a time there is no asking for what changed meanwhile.
            evidence.positional |= incremental and not self._unit
            if not (several_pages and evidence.positional):
                break
            if earlier and evidence.fingerprint == earlier.fingerprint:
                break
            if earlier:
                self.api.report(f"{self.name}: records moved while pages were read; once more.")
            earlier = evidence
        else:
            evidence.unproven["records move while pages are read, and pages cannot overlap"] = None
        proof.rows, proof.expected = evidence.rows, evidence.expected
        proof.walks = evidence.walks
        proof.how = ", ".join(evidence.hows)
        if not evidence.walks:  # as endpoint.response_actions may have it
            evidence.unproven["the API gave no answer with records"] = None
        proof.unproven = list(evidence.unproven)
        if incremental and self._unit:
            yield from self._catching_up(proof, evidence)

    @property
    def _unit(self) -> int:
        """Seconds in the cursor's unit; 0 where it is no time."""
        if self.name not in self.api.incremental:
            return 0
        column = self.known.get(self.api.incremental[self.name].column, {})
        return UNITS.get(str(column.get("data_type")), 0)

    def _reading(self, since: Any, proof: Proof, evidence: Evidence) -> Generator[Any, None, int]:
        """One reading; another in its place where rows moved so that it could not be finished.

        Returns:
            How often it began.
        """
        for attempt in range(1, MOST_READINGS + 1):
            try:
                for record in self.api.records(self.name, since, evidence=evidence):
                    proof.began = proof.began or evidence.began
                    yield record
            except Exception as error:
                if not (why := moved(error)):
                    raise
                if attempt == MOST_READINGS:
                    raise IncompleteError(
                        f"{self.name} could not be read completely: {why}. Tried {MOST_READINGS} "
                        "times, nothing was loaded. Check the paginator in .dlt/config.toml, or "
                        "sync at a quieter time."
                    ) from None
                self.api.report(f"{self.name}: {why}; reading from the beginning.")
            else:
                break
            finally:
                proof.pages += evidence.pages
            evidence.restart()
        if not evidence.complete:
            raise IncompleteError(
                f"{self.name}: the API's pages broke off before their end, nothing was loaded."
            )
        return attempt

    def _catching_up(self, proof: Proof, evidence: Evidence) -> Iterator[Any]:
        """What changed while pages were read, where the next sync's lag does not reach so far."""
        lag = self.api.incremental[self.name].lag * self._unit
        for _ in range(MOST_CATCHING_UP):
            # Half, for clocks that differ. A single page shows one moment.
            if evidence.pages <= evidence.walks or evidence.seconds <= lag / 2:
                return
            assert evidence.began
            since = Moment.of(evidence.began - timedelta(seconds=lag))
            self.api.report(f"{self.name}: asking for what changed since {since}, meanwhile.")
            evidence = Evidence()
            yield from self._reading(since if self._unit == 1 else since.date(), proof, evidence)
