"""What is measured: the cases, who takes part in each, and roughly how long that takes."""

from dataclasses import dataclass

AHEAD = 4  # pages fetched ahead where a case does not say: the project's default
AHEADS = (1, 4, 8, 16)
SECONDS_PER_PAGE = {"ours": 0.006, "plain": 0.06, "limit": 0.0013, "singer": 0.016}
SECONDS_PER_START = {"ours": 3.0, "plain": 3.0, "limit": 0.5, "singer": 2.0, "checks": 2.0}


@dataclass(frozen=True)
class Entrant:
    """A peer in a case.

    Attributes:
        peer: Its module in `bench.peers`.
        label: What the report calls it; `ours`, `plain`, `limit` and `singer` are compared.
        ahead: Requests in flight, where it can have several; 0 leaves the peer its default.
        mode: See `bench.peers.protocol.Task`.
    """

    peer: str
    label: str
    ahead: int = AHEAD
    mode: str = "-"

    @property
    def side(self) -> str:
        """Whom it is on: `ours K=8` is ours."""
        return self.label.split(" ")[0]


OURS, PLAIN = Entrant("ours", "ours", 0), Entrant("plain", "plain")
LIMIT, SINGER = Entrant("limit", "limit"), Entrant("singer", "singer")


@dataclass(frozen=True)
class Case:
    """One question, asked of several entrants in turn.

    Attributes:
        name: For `--cases`.
        title: For the report.
        total: Incidents at the API.
        entrants: Who takes part, in the order of the first round.
        latency_ms: Of each request.
        continued: The table holds all incidents before; the peers ask for what changed since.
        changed: How many have changed then.
        million: Only with `--million`.
    """

    name: str
    title: str
    total: int
    entrants: tuple[Entrant, ...]
    latency_ms: int = 0
    continued: bool = False
    changed: int = 0
    million: bool = False

    @property
    def served(self) -> bool:
        """Whether there is an API in it."""
        return not self.name.startswith("checks")

    def seconds(self, entrant: Entrant) -> float:
        """Roughly how long one run of `entrant` takes."""
        pages = 1 if self.continued or not self.served else self.total / 100
        alone = entrant.peer in ("plain", "singer")
        waits = pages * self.latency_ms / 1000 / (1 if alone else entrant.ahead or AHEAD)
        start = SECONDS_PER_START[entrant.peer]
        return start + waits + pages * SECONDS_PER_PAGE.get(entrant.peer, 0)


FULL = (OURS, PLAIN, LIMIT, SINGER)
WITH_K = [Entrant(peer, f"{peer} K={k}", k) for k in AHEADS for peer in ("ours", "limit")]
DAGSTER = (Entrant("ours", "ours", 0, "dagster"), PLAIN, LIMIT)
CHECKS = (Entrant("checks", "ours"), Entrant("checks", "limit", mode="bare"))

CASES = (
    Case("full-10k", "Full load of 10,000", 10_000, FULL),
    Case("full-100k", "Full load of 100,000", 100_000, FULL),
    Case("full-1m", "Full load of 1,000,000", 1_000_000, FULL, million=True),
    Case("latency", "100,000 at 50 ms a request", 100_000, (PLAIN, *WITH_K), 50),
    Case("no-change", "No change at 1,000,000", 1_000_000, FULL[:3], continued=True),
    Case("changed-100", "100 changed of 1,000,000", 1_000_000, FULL[:3], 0, True, 100),
    Case("dagster-100", "100 incidents through Dagster", 100, DAGSTER),
    Case("checks-1m", "Two checks on 1,000,000", 1_000_000, CHECKS),
    Case("checks-10m", "Two checks on 10,000,000", 10_000_000, CHECKS, million=True),
)
