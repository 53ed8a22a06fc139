"""Random histories of an API that changes before and between the pages of a sync."""

from dataclasses import dataclass
from random import Random
from typing import Any

from fakes.incidents import PATH
from fakes.model import CHANGES, OFFSETS, OTHERS, SORTS, Change
from faults.running.syncs import shipped

# What the sync in question is asked for; the first one has no table yet.
OPTIONS: dict[str, dict[str, bool]] = {
    "incremental": {},
    "first": {},
    "full_refresh": {"full_refresh": True},
    "reconcile": {"reconcile": True},
}
MODES = ("incremental", "incremental", *OPTIONS)  # half of them incremental
SIZES = (30, 47, 64, 81, 98, 115, 130)


@dataclass(frozen=True)
class History:
    """What happens around one sync.

    Attributes:
        paginator: One of `PAGINATORS`.
        sort: The API's sort order.
        limit: Rows a page.
        rows: At the source, to begin with.
        mode: `first`: the sync is the first one, else the table has these rows already.
            `full_refresh` and `reconcile` are the sync's options.
        whole_seconds: Times have no fraction of a second.
        ahead: IncidentPages are fetched ahead, for which the server has to be slow.
        reconciled: A reconcile follows at the end.
        changes: By their requests.
    """

    paginator: str = "offset"
    sort: str = "created_at"
    limit: int = 10
    rows: int = 30
    mode: str = "incremental"
    whole_seconds: bool = True
    ahead: bool = False
    reconciled: bool = True
    changes: tuple[Change, ...] = ()

    def section(self) -> dict[str, Any]:
        """`[sources.incidents]` as the project ships it, but for paginator and sort order."""
        section = shipped(self.paginator, self.limit)
        endpoint = section["resources"][0]["endpoint"]
        endpoint["path"] = PATH
        endpoint["params"] = {"sort": self.sort}
        if self.paginator not in OFFSETS:
            endpoint["params"]["limit"] = self.limit
        section["deleted_share"] = 1.0  # what few rows there are may all go
        section["fetch_ahead"] = 4 if self.ahead else 1
        return section


def random_history(seed: int) -> History:
    """The history of a seed; seeds that follow each other go through paginators and orders."""
    random = Random(seed)
    half = seed // 2
    paginator = OTHERS[half % len(OTHERS)] if seed % 2 else OFFSETS[half % len(OFFSETS)]
    limit = random.choice((10, random.randint(3, 25)))
    rows, mode = random.choice(SIZES), random.choice(MODES)
    before = random.randint(1, 4) if mode == "incremental" else random.randint(0, 2)
    pages = rows // limit + 3
    requests = [0] * before + [random.randint(1, pages) for _ in range(random.randint(0, 6))]
    changes = [
        Change(
            request,
            random.choice((0, 0, 1, 7.25, 45, 90, 600)),
            # Before an incremental sync much has to change, or it is of one page.
            "update many"
            if not request and mode == "incremental"
            else random.choice(list(CHANGES)),
            random.randrange(10**6),
        )
        for request in requests
    ]
    return History(
        paginator,
        SORTS[seed % len(SORTS)],
        limit,
        rows,
        mode,
        whole_seconds=random.random() < 0.5,
        ahead=paginator == "offset" and random.random() < 0.1,
        reconciled=random.random() < 0.3,
        changes=tuple(changes),
    )
