"""What is open, at an API that filters by creation alone: by its status, or one by one."""

from collections.abc import Callable
from typing import Any

from fakes.incident_pages import Page
from fakes.incidents import moment
from fakes.messages import Reply
from faults.cases.ordinary.case import Case, hours, told
from faults.cases.ordinary.windows import shows
from faults.judging.fields import Row
from faults.running.stories import Story, WrongError

LAG = 10  # hours; so many of the newest records are in the window
PHASES = {"open": "open", "taken": "acknowledged", "closed": "closed"}
BY_LIST: dict[str, Any] = {"params": [{"status": "open"}, {"status": "taken"}]}
SINGLY: dict[str, Any] = {"path": "/v1/incidents/{id}", "data_selector": "incident"}
BOTH: dict[str, Any] = {**BY_LIST, **SINGLY}


def keeps(row: Any, query: dict[str, str]) -> bool:
    """A filter by creation, and one by status."""
    since = query.get("created_since")
    created = since is None or moment(row["created_at"]) >= moment(since.replace(" ", "+"))
    return created and query.get("status") in (None, row["status"])


class Open:
    """What the table has to have: what a sync has seen, by README's words.

    Args:
        story: Its API has incidents, of which some are open, in the window and before it.
        asks: `still_open`.
    """

    def __init__(self, story: Story, asks: Row) -> None:
        self.story, self.asks = story, asks
        self.statuses: dict[str, int] = {}  # of single reads, in place of the right answer
        self.unseen: dict[str, Row] = {}  # id → what the table still has of it
        self.gone: list[Row] = []  # rows that are deleted, and not marked yet
        for number, row in enumerate(story.api.rows):
            del row["updated_at"]
            row["status"] = ("open", "closed", "taken")[number % 3]
        story.api.keeps, story.api.single = keeps, self.one
        story.wants = lambda rows: [
            self._seen(row) for row in [*(self.unseen.get(r["id"], r) for r in rows), *self.gone]
        ]
        story.configure(
            columns__updated_at=None,
            columns__created_at={"data_type": "timestamp", "dedup_sort": "desc"},
            resource__fields={"status": "status", "created_at": "created_at"},
            resource__phases=PHASES,
            resource__still_open=asks,
            endpoint__incremental={
                "cursor_path": "created_at",
                "start_param": "created_since",
                "lag": LAG * 3600,
            },
        )
        story.sync()

    def _seen(self, row: Row) -> Row:
        return {**row, "phase": PHASES.get(row["status"])}

    def one(self, name: str) -> Any:
        """The answer for a single incident."""
        if status := self.statuses.get(name):
            return Reply({"error": "no"}, status)
        found = [row for row in self.story.api.rows if row["id"] == name]
        return {"incident": found[0]} if found else Reply({"error": "no"}, 404)

    def change(self, *places: int, seen: bool = True, **fields: Any) -> None:
        """Incidents change; `seen` by the next sync, or by the next full read alone."""
        for place in places:
            row = self.story.api.rows[place]
            if not seen:
                self.unseen.setdefault(row["id"], row)
            self.story.api.rows[place] = {**row, **fields}

    def delete(self, place: int) -> None:
        """An incident is deleted; the table shows that after the next full read."""
        self.gone.append(self.story.api.rows.pop(place))

    def singles(self) -> int:
        """How many were read one by one, and forgets them."""
        found = sum(asked.path.startswith("/v1/incidents/") for asked in self.story.api.asked)
        self.story.api.asked.clear()
        return found

    def reconcile(self) -> None:
        """A full read: nothing is unseen any more."""
        self.unseen, self.gone = {}, []
        self.story.sync(mode="reconcile")


def life(asks: Row) -> Callable[[Story], None]:
    """Changes of what is open, of what is closed, in the window and before it."""

    def story(story: Story) -> None:
        one = Open(story, asks)
        listed, singly = "params" in asks, "path" in asks
        one.change(0, status="closed", seen=singly)  # long open
        one.change(2, status="open", title="again")
        one.change(3, title="still open")
        one.change(1, status="open", title="opened again", seen=listed)
        one.change(4, title="closed for long", seen=False)
        one.change(30, 33, status="closed", title="in the window")
        story.api.rows.append({**story.api.rows[3], "id": "INC-0050", "created_at": hours(60)})
        story.sync()
        story.sync()
        one.change(1, 3, status="closed", seen=singly)
        story.sync()
        one.reconcile()
        story.sync()

    return story


def turns(story: Story) -> None:
    """More is open than one sync may request: it takes some syncs, and none is asked twice."""
    one = Open(story, {**SINGLY, "most_requests": 5})
    places = [n for n in range(24) if n % 3 != 1]
    one.change(*places, status="closed", seen=False)
    one.singles()
    for done in range(5, len(places) + 5, 5):
        for place in places[done - 5 : done]:
            one.unseen.pop(story.api.rows[place]["id"])
        story.sync(says=f"{len(places) - done} more wait" if done < len(places) else "")
        if (asked := one.singles()) != min(5, len(places) - done + 5):
            raise WrongError(f"{asked} were read one by one")
    story.sync()
    one.reconcile()


def answers(status: int, must: str, says: str) -> Callable[[Story], None]:
    """A single read is refused; others are well, and so is this one later."""

    def story(story: Story) -> None:
        one = Open(story, BOTH)
        one.statuses["INC-0001"] = status
        one.change(0, status="closed", seen=must == "red")
        one.change(2, status="closed")
        story.sync(must, says)
        one.statuses.clear()
        one.unseen.clear()
        story.sync()
        one.reconcile()

    return story


def deleted(story: Story) -> None:
    """Incidents are deleted while they are open, one in the window, and the newest."""
    one = Open(story, BOTH)
    one.delete(30)
    one.delete(0)
    one.change(1, status="closed")
    story.sync(says="gone, or hidden")
    story.sync()
    one.reconcile()
    one.gone, story.api.rows = [], story.api.rows[:-1]
    story.sync()  # everything is read, as the newest row is not there


def merged(story: Story) -> None:
    """An incident is merged into another, which is what its own path answers with."""
    one = Open(story, BOTH)
    right = story.api.single
    one.delete(0)
    into = {**story.api.rows[0], "title": "both"}
    story.api.single = lambda name: {"incident": into} if name == "INC-0001" else right(name)
    one.change(0, title="both", seen=True)
    story.sync()
    story.sync()
    one.reconcile()


def left_out(story: Story) -> None:
    """What is open and before the window becomes what `drop_where` leaves out."""
    one = Open(story, BOTH)
    story.configure(resource__drop_where={"status": "merged"})
    story.sync()
    wants = story.wants
    story.wants = lambda rows: wants([row for row in rows if row["status"] != "merged"])
    one.change(0, 32, status="merged")
    story.sync()
    one.singles()
    story.sync()
    if one.singles():
        raise WrongError("it is asked for again and again")
    one.reconcile()


def lists(tell: Any, must: str, says: str = "") -> Callable[[Story], None]:
    """The list of what is open is told otherwise: the table is right, or the sync says why not."""

    def story(story: Story) -> None:
        one = Open(story, BOTH)
        one.change(0, 6, status="closed")
        one.change(3, title="changed")
        plain = story.api.tell
        story.api.tell = lambda page: (tell if "status" in page.query else plain)(page)
        story.sync(must, says)
        story.api.tell = plain
        story.sync()
        one.reconcile()

    return story


def ignored(story: Story) -> None:
    """The filter by status is ignored: the list of what is open is that of all."""
    one = Open(story, BOTH)
    story.api.keeps = lambda row, query: keeps(
        row, {n: v for n, v in query.items() if n != "status"}
    )
    one.change(0, 30, status="closed")
    one.change(4, title="of all")
    story.sync()
    one.reconcile()


def more_than_listed(story: Story) -> None:
    """More is open than the API shows of a list, and `windows` says so."""
    one = Open(story, BOTH)
    story.api.keeps = lambda row, query: (
        keeps(row, query)
        and (
            moment(row["created_at"]) <= moment(query["until"].replace(" ", "+"))
            if "until" in query
            else True
        )
    )
    story.configure(resource__windows={"most": 20}, endpoint__incremental__end_param="until")
    one.change(*(n for n in range(35) if n % 3 != 1), status="open")
    story.api.tell = shows("refused")
    story.sync()
    one.change(0, 3, status="closed")
    one.change(6, title="changed")
    story.sync(says="more is open than the API lists")
    one.reconcile()


def repeats(body: Row, page: Page) -> None:
    """The first record of the list arrives twice."""
    body["data"] = [*body["data"][:1], *body["data"]]


CASES = [
    *(
        Case(f"what is open {name}: {style}", life(asks), style)
        for name, asks, style in (
            ("by lists", BY_LIST, "cursor"),
            ("one by one", SINGLY, "offset"),
            ("by both", BOTH, "cursor"),
        )
    ),
    Case("more is open than most_requests", turns),
    *(
        Case(f"a single read is refused: {status}", answers(status, must, says), "cursor")
        for status, must, says in (
            (404, "proven", "gone, or hidden"),
            (410, "proven", "gone, or hidden"),
            (403, "proven", "gone, or hidden"),
            (500, "red", "500"),
        )
    ),
    Case("deleted while open", deleted, "cursor"),
    Case("merged into another", merged, "cursor"),
    Case("left out while open", left_out, "cursor"),
    Case(
        "the list of what is open repeats one", lists(told(repeats), "unproven", "twice"), "cursor"
    ),
    Case("the list of what is open is cut off", lists(shows(most=3), "proven"), "cursor"),
    Case(
        "the list of what is open is cut off, with a total",
        lists(shows(most=3), "red", "reports"),
        "cursor",
        True,
    ),
    Case("the filter by status is ignored", ignored, "cursor"),
    Case("more is open than the API shows", more_than_listed, "cursor"),
]
