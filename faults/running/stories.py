"""A project, an API, and the syncs of a story, each held against the source as a user sees it."""

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import dagster as dg

from fakes.incident_pages import IncidentPages
from fakes.incidents import KEY
from faults.judging.fields import Row, unequal
from faults.judging.outcome import clear
from faults.running.found import kept_changes
from faults.running.project import Project
from faults.running.runs import Run, load_definitions, run_checks, run_job
from faults.running.syncs import shipped
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.sync import run_sync

LIMIT = 10  # rows a page
WARNING = 30


class WrongError(Exception):
    """What a sync did that it must not; the message says what."""


class Story:
    """A project and its API; every sync is judged.

    Attributes:
        api: The API; the source is `api.rows`.
        project: The project.
        section: The source's section, as `configure` changes it.
        key: The fields of the primary key.
        wants: What the table has to have, made of the API's records; by default just these.
        came: How the last sync went, and `said` what it said of that.
    """

    def __init__(self, api: IncidentPages, project: Project, style: str) -> None:
        self.api, self.project = api, project
        self.section = shipped(style, LIMIT)
        # The incidents are of long ago.
        self.section["freshness"] = {"newest_within_hours": 10_000_000}
        # A status says which version of an incident it is; `phases` has cases of its own.
        del self.section["resources"][0]["phases"]
        self.key: tuple[str, ...] = ("id",)
        self.wants: Callable[[list[Row]], list[Row]] = list
        self.came, self.said, self.secrets = "", "", [KEY]
        self._defs: dg.Definitions | None = None
        self._instance: dg.DagsterInstance | None = None

    def configure(self, **settings: Any) -> None:
        """Changes settings; `endpoint__params` is the resource's own, None removes one."""
        resource = self.section["resources"][0]
        for path, value in settings.items():
            *parents, name = path.split("__")
            node = self.section
            if parents and parents[0] in ("endpoint", "columns"):
                node = resource
            elif parents and parents[0] == "resource":
                node, parents = resource, parents[1:]
            for parent in parents:
                node = node.setdefault(parent, {})
            if value is None:
                node.pop(name, None)
            else:
                node[name] = deepcopy(value)
        self.project.configure(self.section)

    def use(self, api: IncidentPages) -> None:
        """Asks another API from now on, which is the source then."""
        self.api = api
        self.project.use(api.base_url)

    def loaded(self, times: int = 1) -> None:
        """Good syncs, without checks; the story begins after them."""
        for _ in range(times):
            if message := self.project.sync():
                raise WrongError(f"a good sync is red: {message}")
        if wrong := self.unequal():
            raise WrongError(f"a good sync is not equal to the source: {wrong}")

    def unequal(self) -> str:
        """What in the table is not as in the source."""
        return unequal(self.wants(self.api.rows), self.table(), self.key)

    def table(self, where: str = "deleted_at IS NULL") -> list[Row]:
        """The table's rows, by default those that are not marked as deleted."""
        return self.project.rows(where)

    def execute(self, *statements: str) -> None:
        """Runs SQL on the database."""
        self.project.execute(*statements)

    def run(self, must: str = "proven", says: str = "", mode: str = "", reload: bool = True) -> Run:
        """One run of Dagster with its checks, judged.

        Args:
            must: What it may be, of `proven`, `accepted`, `unproven` and `red`; `proven` also has
                to equal the source, `loaded` is proven and need not.
            says: What it has to say, if it is not equal to the source, as a regular expression.
            mode: `full_refresh` or `reconcile`, in place of an ordinary sync.
            reload: Whether the code location is loaded anew.

        Raises:
            WrongError: It went otherwise.
        """
        before = self.table("true")
        try:
            if reload or self._defs is None:
                self._defs = load_definitions()
        except Exception as error:
            run = Run(redact(explain(error)))
        else:
            self._instance = self._instance or dg.DagsterInstance.ephemeral()
            job = f"{self.project.source}_{'reconcile' if mode == 'reconcile' else 'sync'}"
            config = {"full_refresh": True} if mode == "full_refresh" else {}
            run = run_job(self._defs, job, self._instance, self.project.source, **config)
        self._judge(run, must, before)
        self._heard(says, run.said)
        return run

    def checks(self) -> Run:
        """Evaluates the checks alone."""
        assert self._instance, "a run comes before"
        return run_checks(load_definitions(), self._instance, self.project.source)

    def quiet(self, run: Run, *true: str) -> None:
        """Nothing warns but what is `true`, as regular expressions.

        Raises:
            WrongError: Something else does.
        """
        lines = [text for level, text in run.log if level >= WARNING]
        lines += [f"{name}: {why}" for name, why in run.warned.items()]
        false = [line for line in lines if not any(re.search(t, line) for t in true)]
        if false:
            raise WrongError(f"a false alarm: {false[0][:300]}")

    def sync(self, must: str = "proven", says: str = "", mode: str = "incremental") -> None:
        """One sync without Dagster, judged as `run` does, but for the checks.

        `mode` is a name of `Mode`, which may be `adopt`.
        """
        before = self.table("true")
        said: list[str] = []
        wanted = getattr(Mode, mode.upper(), None)
        if wanted is None:
            raise WrongError(f"there is no mode {mode}")
        run = Run()
        try:
            with kept_changes() as kept:
                run_sync(self.project.settings(), said.append, wanted)
        except Exception as error:
            run.message = redact(explain(error))
        else:
            proof = kept[-1]["incident_data"].proof
            run.shown = {"proof": proof.status.value, "completeness": str(proof)}
        run.log = [(20, line) for line in said]
        self._judge(run, must, before)
        self._heard(says, run.said)

    def _judge(self, run: Run, must: str, before: list[Row]) -> None:
        self.came = run.came
        self.said = run.message or str(run.shown.get("completeness", ""))
        after = self.table("true")
        for secret in self.secrets:
            if secret in run.said:
                raise WrongError(f"it shows a secret: {run.said.replace(secret, 'SECRET')[:200]}")
        wanted = must.replace("loaded", "proven").split("|")
        counts = run.came in ("proven", "accepted") and "loaded" not in must
        wrong = self.unequal() if counts else ""
        if self.came not in wanted:
            also = f", and {wrong}" if wrong else ""
            raise WrongError(f"{self.came}, not {must}{also}: {self.said[:300]}")
        if wrong:
            raise WrongError(f"{self.came}, and {wrong}")
        if run.message is not None and _text(before) != _text(after):
            raise WrongError(f"red, and the table changed: {run.message}")
        if run.message is not None and not clear(run.message):
            raise WrongError(f"no clear message: {run.message[:300]}")
        if self.came == "unproven" and (taken := _alive(before) - _alive(after)) > 0:
            raise WrongError(f"unproven, and {taken} rows are marked as deleted")

    def _heard(self, says: str, said: str) -> None:
        if not re.search(says, said, re.IGNORECASE | re.DOTALL):
            raise WrongError(f"{self.came}, and nothing says {says!r}: {self.said[:300]}")

    def close(self) -> None:
        """Gives up the history."""
        if self._instance:
            self._instance.dispose()


def _alive(rows: list[Row]) -> int:
    return sum(row.get("deleted_at") is None for row in rows)


def _text(rows: list[Row]) -> list[str]:
    return sorted(str(sorted(row.items(), key=str)) for row in rows)
