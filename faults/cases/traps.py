"""Known traps of the libraries and of incident APIs, each made to happen to a sync of ours.

One small direct case each; the other sections try the same things at random and in number.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from starlette.responses import RedirectResponse, Response

from fakes.incident_pages import IncidentPages, Page
from fakes.incidents import KEY, incident
from fakes.pages import Pages
from faults.judging.outcome import judged, versions_of
from faults.running.project import ROOT, Project
from faults.running.syncs import CASE_SECONDS, shipped
from incidents_dagster.demo_api.server import DemoServer

ROWS = 250
COMMAND = [sys.executable, "-m", "incidents_dagster"]
SYNC = (
    "from incidents_dagster.ingestion.sync import run_sync\n"
    "from incidents_dagster.ingestion.settings import load_settings\n"
    "run_sync(load_settings({source!r}), lambda _: None)\n"
)


class Bench:
    """What a case works with.

    Attributes:
        api: The demo API; it serves `rows`.
        faults: Its switches.
        project: The project, with no database yet.
        rows: The source; a case may change the list.
        waits: Seconds of each wait between retries, which are not slept.
        verdict, said: Of the last sync.
    """

    def __init__(self, api: DemoServer, project: Project, rows: list[Any]) -> None:
        self.api, self.faults, self.project, self.rows = api, api.faults, project, rows
        self.waits: list[float] = []
        self.verdict, self.said = "right", ""

    def loaded(self) -> None:
        """A first good sync; then forty incidents change."""
        assert self.project.sync() is None
        self.rows[10:50] = [incident(n, 2) for n in range(11, 51)]

    def table(self) -> dict[str, tuple[Any, ...]]:
        """id → status and updated_at."""
        return self.project.versions("status", "updated_at")

    def sync(self, must: str = "", **options: Any) -> str:
        """One sync; what is wrong with what came of it, or nothing.

        Args:
            must: `right` or `red`, where the other one would be wrong.
            options: Of the sync.
        """
        before = self.table()
        message = self.project.sync(**options)
        self.said = message or ""
        found = judged("", message, before, self.table(), versions_of(self.rows))
        self.verdict = found.verdict
        if KEY in self.said:
            return "the key is in the message"
        if found.verdict == "wrong":
            return found.note
        return f"{found.verdict}: {found.note}" if must not in ("", found.verdict) else ""

    def execute(self, *statements: str) -> None:
        """Runs SQL on the database."""
        self.project.execute(*statements)

    @property
    def code(self) -> str:
        """A sync of the source, for `python -c`."""
        return SYNC.format(source=self.project.source)

    def patched(self, value: str, *setting: str) -> Any:
        """Has the environment set a setting of the source, as a context manager."""
        return patch.dict(os.environ, {self.project.variable(*setting): value})

    def told(self, change: Callable[[dict[str, Any]], Any], page: int = 0) -> None:
        """The API tells a page, or all, as `change` makes it."""

        def tell(body: dict[str, Any]) -> Any:
            at = int(self.api.requests[-1].query.get("offset", 0))
            return change(body) if page in (0, round(at / 100) + 1) else body

        self.faults.reshape = tell


Case = Callable[[Bench], str | None]  # what is wrong, or nothing


def put(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    """Answers with `fields` on top."""
    return lambda body: {**body, **fields}


def tells(change: Callable[[dict[str, Any]], Any], page: int = 0) -> Case:
    """A sync while the API tells a page, or all, otherwise."""

    def case(bench: Bench) -> str:
        bench.loaded()
        bench.rows[:] = [incident(n, 2) for n in range(1, ROWS + 1)]
        bench.told(change, page)
        return bench.sync()

    return case


def has(*records: Any, kept: int | None = 0) -> Case:
    """A sync of odd records among the good, so many of them kept aside; None for either."""

    def case(bench: Bench) -> str:
        assert bench.project.sync() is None
        bench.rows[:] = [incident(n, 2) for n in range(1, ROWS + 1)]
        good = versions_of(bench.rows)
        with _served([*bench.rows, *records], bench.project):
            message = bench.project.sync()
        table = bench.table()
        aside = len(bench.project.query("SELECT 1 FROM {schema}.quarantine"))
        if message:
            return message
        if any(table.get(name) != version for name, version in good.items()):
            return "good rows lost"
        loaded = len(table) - len(good)
        if kept not in (None, aside) or loaded + aside != len(records):
            return f"{aside} kept aside, {loaded} loaded, of {len(records)}"
        return bench.sync("right", reconcile=True)  # the API without them

    return case


@contextmanager
def _served(rows: list[Any], project: Project) -> Iterator[Pages]:
    """The same source from the server that sends what JSON cannot have."""
    name = project.variable("client", "base_url")
    before = os.environ[name]
    with IncidentPages() as api:
        api.rows = rows
        os.environ[name] = api.base_url
        try:
            yield api
        finally:
            os.environ[name] = before


def nothing_new(bench: Bench) -> str:
    bench.loaded()
    return bench.sync("right") or bench.sync("right") or bench.sync("right")


def nothing_new_with_dagster(bench: Bench) -> str:
    for _ in range(2):
        done = subprocess.run(
            [*COMMAND, *bench.project.command],
            check=False,
            cwd=ROOT,
            env=_own_dagster(bench),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            return (done.stdout + done.stderr)[-300:]
    return "" if bench.table() == versions_of(bench.rows) else "not equal to the source"


def _own_dagster(bench: Bench) -> dict[str, str]:
    home = bench.project.folder / "dagster"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return {**os.environ, "DAGSTER_HOME": str(home)}


def two_at_once(bench: Bench) -> str:
    bench.loaded()
    both = [
        subprocess.Popen(
            [sys.executable, "-c", bench.code], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=CASE_SECONDS)[1] for process in both]
    if all(process.returncode for process in both):
        return f"both failed: {said[0][-200:]}"
    return bench.sync("right")


def package_of_a_killed_run(bench: Bench) -> str:
    bench.loaded()
    killed = "import dlt, os\ndlt.Pipeline.load = lambda *_, **__: os._exit(9)\n" + bench.code
    process = subprocess.run([sys.executable, "-c", killed], cwd=ROOT, check=False)
    if process.returncode != 9:
        return "the sync was not killed"
    bench.rows[10:50] = [incident(n, 3) for n in range(11, 51)]
    return bench.sync("right")


def rows_left_in_staging(bench: Bench) -> str:
    bench.loaded()
    bench.execute(
        "CREATE SCHEMA IF NOT EXISTS _dlt_{schema}_staging",
        "DROP TABLE IF EXISTS _dlt_{schema}_staging.incident_data",
        "CREATE TABLE _dlt_{schema}_staging.incident_data AS FROM {schema}.incident_data",
        "UPDATE _dlt_{schema}_staging.incident_data SET status = 'of another pipeline'",
    )
    return bench.sync("right")


def error_in_the_merge(bench: Bench) -> str:
    bench.loaded()
    _refuse(bench, "'version 2'")
    wrong = bench.sync("red")
    _refuse(bench, "'none'")
    return wrong


def _refuse(bench: Bench, status: str) -> None:
    """Makes the table anew with a constraint that ends a load after its DELETE."""
    bench.execute(
        "CREATE TABLE {schema}.anew AS FROM {schema}.incident_data",
        "DROP TABLE {schema}.incident_data",
    )
    columns = bench.project.query("DESCRIBE {schema}.anew")
    listed = ", ".join(f'"{c[0]}" {c[1]}' for c in columns)
    bench.execute(
        f"CREATE TABLE {{schema}}.incident_data ({listed}, CHECK (status <> {status}))",
        "INSERT INTO {schema}.incident_data FROM {schema}.anew",
        "DROP TABLE {schema}.anew",
    )


def disposition(name: str) -> Case:
    """A sync that breaks off on its second page, where the table is replaced or appended to."""

    def case(bench: Bench) -> str:
        section = shipped()
        section["resource_defaults"]["write_disposition"] = name
        del section["resources"][0]["endpoint"]["incremental"]
        bench.project.configure(section)
        assert bench.project.sync() is None
        before = bench.project.query("SELECT count(*) FROM {schema}.incident_data")
        bench.told(put(data=None), page=2)
        message = bench.project.sync()
        after = bench.project.query("SELECT count(*) FROM {schema}.incident_data")
        bench.execute("DELETE FROM {schema}.incident_data")
        bench.verdict, bench.said = "red", message or ""
        return "" if message and before == after else f"{before} rows, then {after}: {message}"

    return case


def second_resource_fails(bench: Bench) -> str:
    bench.loaded()
    section = shipped()
    section["resources"].append({**section["resources"][0], "name": "more_incidents"})
    bench.project.configure(section)
    seen: list[int] = []

    def tell(body: dict[str, Any]) -> Any:
        seen.append(len(body["data"]))
        return body if body["total"] < ROWS else {"error": "no"}

    bench.faults.reshape = tell
    return bench.sync("red")


def reader(seconds: float) -> Case:
    """A sync that waits two seconds at most, while another process reads the file."""

    def case(bench: Bench) -> str:
        bench.loaded()
        code = (
            "import duckdb, time\n"
            f"con = duckdb.connect({str(bench.project.database)!r}, read_only=True)\n"
            f"print(1, flush=True)\ntime.sleep({seconds})\n"
        )
        holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        try:
            assert holder.stdout
            holder.stdout.readline()
            with bench.patched("2", "wait_seconds"):
                if seconds < 2:
                    return bench.sync("right")
                return _red_naming(bench, str(holder.pid))
        finally:
            holder.kill()
            holder.communicate()

    return case


def _red_naming(bench: Bench, what: str) -> str:
    before = bench.project.database.read_bytes()
    message = bench.project.sync()
    bench.verdict, bench.said = "red", message or ""
    if not message or what not in message:
        return f"no message that names {what}: {message}"
    return "" if bench.project.database.read_bytes() == before else "the file has changed"


def no_rows_at_first(bench: Bench) -> str:
    rows, bench.rows[:] = [*bench.rows], []
    wrong = bench.sync("right")
    columns = {row[0] for row in bench.project.query("SHOW {schema}.incident_data")}
    bench.rows[:] = [{**row, "status": None} for row in rows]
    wrong = wrong or bench.sync("right")
    return wrong or ("" if {"id", "status", "updated_at"} <= columns else f"columns: {columns}")


def table_dropped_by_hand(bench: Bench) -> str:
    bench.loaded()
    bench.execute("DROP TABLE {schema}.incident_data")
    return bench.sync("right")


def no_total_path(page: dict[str, Any]) -> Case:
    """A sync with the paginator's default, from an API whose total is not there."""

    def case(bench: Bench) -> str:
        section = shipped()
        del section["client"]["paginator"]["total_path"]
        bench.project.configure(section)
        bench.told(lambda body: {"data": body["data"], **page})
        wrong = bench.sync()
        return wrong or ("rows in the message" if "Incident 1" in bench.said else "")

    return case


def without_selector(bench: Bench) -> str:
    section = shipped()
    del section["resources"][0]["endpoint"]["data_selector"]
    bench.project.configure(section)
    bench.told(lambda body: {"errors": [{"id": "E-1", "message": "timeout"}]})
    return bench.sync()


def without_paginator(bench: Bench) -> str:
    section = shipped()
    del section["client"]["paginator"]
    bench.project.configure(section)
    return bench.sync()


def constant(style: str) -> Case:
    """A cursor or a link that never moves."""

    def tell(page: Page) -> Any:
        if page.body.get("next"):
            page.body["next"] = page.body["next"].replace("c200", "c100")
        return page.body

    def case(bench: Bench) -> str:
        bench.project.configure(shipped(style))
        with _served(bench.rows, bench.project) as api:
            api.style, api.tell = style, tell
            wrong = bench.sync()
            asked = len(api.served)
        return wrong or (f"{asked} requests" if asked > 50 else "")

    return case


def redirect_without_its_query(bench: Bench) -> str:
    bench.loaded()
    bench.faults.answers.extend(
        [RedirectResponse(f"{bench.api.base_url}/v1/incidents", 302) for _ in range(3)]
    )
    before = bench.faults.request_count
    wrong = bench.sync("red")
    asked = bench.faults.request_count - before
    bench.faults.answers.clear()
    return wrong or ("" if asked == 1 else f"{asked} requests")


def moves(change: Callable[[list[Any]], None]) -> Case:
    """Rows come or go once, after the first page of a first sync."""

    def case(bench: Bench) -> str:
        left = [change]

        def tell(body: dict[str, Any]) -> Any:
            if left:
                left.pop()(bench.rows)
            return body

        bench.faults.reshape = tell
        there = versions_of(bench.rows).keys()
        message = bench.project.sync()
        # What came meanwhile is the next sync's, and a reconcile marks what went meanwhile.
        missing = (there & versions_of(bench.rows).keys()) - bench.table().keys()
        if message is None and missing:
            return f"green, without {sorted(missing)}"
        if (message := bench.project.sync()) is not None:
            return message
        missing = versions_of(bench.rows).keys() - bench.table().keys()
        wrong = bench.sync("right", reconcile=True)
        return f"the next one is green, without {sorted(missing)}" if missing else wrong

    return case


def newest_wins(bench: Bench) -> str:
    bench.loaded()
    older = [incident(n, 1, status="older") for n in range(11, 51)]
    bench.rows[:] = [*older[:20], *bench.rows, *older[20:]]
    wrong = bench.sync("right")
    bench.rows[:] = [row for row in bench.rows if row["status"] != "older"]
    return wrong


def older_later(bench: Bench) -> str:
    bench.loaded()
    wrong = bench.sync("right")
    newer = [*bench.rows]
    bench.rows[10:50] = [incident(n) for n in range(11, 51)]
    wrong = wrong or bench.sync("right", full_refresh=True)
    bench.rows[:] = newer
    return wrong or bench.sync("right")


def upsert(bench: Bench) -> str:
    section = shipped()
    section["resource_defaults"]["write_disposition"] = {
        "disposition": "merge",
        "strategy": "upsert",
    }
    del section["resources"][0]["endpoint"]["incremental"]
    bench.project.configure(section)
    bench.rows.append(incident(ROWS, 2))
    return bench.sync("red")


def id_of_another_type_later(bench: Bench) -> str:
    bench.rows[:] = [incident(n, id=n) for n in range(1, ROWS + 1)]
    wrong = bench.sync("right")
    bench.rows[:] = [incident(n, 2, id=str(n)) for n in range(1, ROWS + 1)]
    return wrong or bench.sync("right")


def older_than_the_newest(bench: Bench) -> str:
    """A change that shows up later than its time says, within the lag."""
    bench.loaded()
    wrong = bench.sync("right")
    at = bench.rows[48]["updated_at"].replace(":00+", ":30+")  # half a minute before the newest
    bench.rows[48] = {**bench.rows[48], "status": "late", "updated_at": at}
    return wrong or bench.sync("right")


def future(bench: Bench) -> str:
    bench.rows[0] = incident(1, updated_at="2999-01-01T00:00:00+00:00")
    wrong = bench.sync()
    bench.rows[10:50] = [incident(n, 2) for n in range(11, 51)]
    wrong = wrong or bench.sync()
    bench.rows[0] = incident(1)
    bench.execute("DELETE FROM {schema}.incident_data WHERE id = 'INC-0001'")
    return wrong


def deleted_at_the_source(bench: Bench) -> str:
    bench.loaded()
    gone = bench.rows.pop(100)
    wrong = bench.sync("right", reconcile=True)
    bench.rows.insert(100, gone)
    return wrong or bench.sync("right", reconcile=True)


def deeply_nested(bench: Bench) -> str:
    deep: Any = [{"at": n} for n in range(3)]
    for level in range(30):
        deep = {f"level_{level}": deep, "list": [deep] if level < 5 else []}
    bench.rows[5] = incident(6, detail=deep)
    wrong = bench.sync("right")
    tables = bench.project.query(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = '{schema}' "
        "AND table_name LIKE 'incident_data\\_%' ESCAPE '\\'"
    )
    return wrong or (f"{len(tables)} child tables" if tables else "")


def answered(*statuses: int, waits: list[float], must: str) -> Case:
    """A sync whose first request is answered by these statuses, counted to the wait."""

    def case(bench: Bench) -> str:
        bench.loaded()
        bench.waits.clear()
        before = bench.faults.request_count
        bench.faults.answers.extend(Response(status_code=status) for status in statuses)
        wrong = bench.sync(must)
        asked = bench.faults.request_count - before
        left = len(bench.faults.answers)
        bench.faults.answers.clear()
        if bench.waits != waits or left or (must == "red" and asked != len(statuses)):
            wrong = wrong or f"{asked} requests and waits of {bench.waits}"
        return wrong

    return case


def body(content: bytes, **headers: str) -> Case:
    """A sync whose first answer is no JSON."""

    def case(bench: Bench) -> str:
        bench.loaded()
        bench.faults.answers.append(Response(content, headers=headers))
        return bench.sync()

    return case


def redirects(bench: Bench) -> str:
    bench.loaded()
    before = bench.faults.request_count
    target = f"{bench.api.base_url}/v1/incidents?api_key={KEY}"
    bench.faults.answers.extend(RedirectResponse(target, 307) for _ in range(40))
    wrong = bench.sync("red")
    bench.faults.answers.clear()
    asked = bench.faults.request_count - before
    return wrong or ("" if asked == 1 else f"{asked} requests")


def ambient_login(bench: Bench) -> str:
    """A .netrc for the API's host, which must not be sent."""
    netrc = bench.project.folder / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login somebody password {KEY}\n")
    with _served(bench.rows, bench.project) as api, patch.dict(os.environ, NETRC=str(netrc)):
        wrong = bench.sync("right")
        sent = any("authorization" in page.heard for page, _ in api.served)
    return wrong or ("a password was sent" if sent else "")


def refused_connection(bench: Bench) -> str:
    bench.loaded()
    with bench.patched("http://127.0.0.1:9", "client", "base_url"):
        return bench.sync("red")


def response_actions(bench: Bench) -> str:
    bench.loaded()
    section = shipped()
    section["resources"][0]["endpoint"]["response_actions"] = [
        {"status_code": 404, "action": "ignore"}
    ]
    bench.project.configure(section)
    bench.faults.answers.append(Response(status_code=403))
    wrong = bench.sync("red")
    bench.faults.answers.clear()
    return wrong


def link_to_another_host(bench: Bench) -> str:
    section = shipped("link")
    section["client"]["auth"] = {"type": "bearer", "token": KEY}
    bench.project.configure(section)
    with IncidentPages() as other, _served(bench.rows, bench.project) as api:
        other.rows = bench.rows
        elsewhere = other.base_url.replace("127.0.0.1", "localhost") + "/v1/incidents?after=c100"
        api.style, api.tell = "link", lambda page: {**page.body, "next": elsewhere}
        wrong = bench.sync("red")
        heard = len(other.served)
    return wrong or (f"the other host was asked {heard} times" if heard else "")


def plain_http(bench: Bench) -> str:
    bench.loaded()
    with bench.patched("http://api.example.com", "client", "base_url"):
        return bench.sync("red")


def snapshot(bench: Bench) -> str:
    """What Dagster stores of the definitions, and what either library would phone home."""
    code = (
        "from dagster._core.remote_representation.external_data import RepositorySnap\n"
        "from dagster._serdes import serialize_value\n"
        "from incidents_dagster.definitions import defs\n"
        "print(serialize_value(RepositorySnap.from_def(defs.get_repository_def())))\n"
        "import dlt; print('phones home', dlt.config['runtime.dlthub_telemetry'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return done.stderr[-300:]
    telemetry = "telemetry:\n  enabled: false" in (ROOT / "dagster.yaml").read_text()
    if not telemetry or "phones home False" not in done.stdout:
        return "telemetry is on"
    return "the key is in it" if KEY in done.stdout + done.stderr else bench.sync("right")


def _one_out(rows: list[Any]) -> None:
    del rows[0]


def _one_in(rows: list[Any]) -> None:
    rows.insert(0, incident(0, 3, created_at="2026-09-01T00:00:00+00:00"))


def _one_out_one_in(rows: list[Any]) -> None:
    _one_out(rows)
    rows.append(incident(ROWS + 1, 3))


NESTED: Any = json.loads("[" * 900 + "]" * 900)
CASES: dict[str, Case] = {
    "a sync that loads nothing": nothing_new,
    "a sync that loads nothing, with Dagster": nothing_new_with_dagster,
    "two syncs in two processes on one file": two_at_once,
    "a load package that a killed sync left": package_of_a_killed_run,
    "rows that another pipeline left in the staging schema": rows_left_in_staging,
    "an error between the DELETE and the INSERT of a merge": error_in_the_merge,
    "replace, and the API breaks off": disposition("replace"),
    "append, and the API breaks off": disposition("append"),
    "two resources, and the second one fails": second_resource_fails,
    "a reader that closes the file in time": reader(0.5),
    "a reader that keeps the file": reader(30),
    "no rows in the first sync, then a column of nulls": no_rows_at_first,
    "the table dropped by hand": table_dropped_by_hand,
    "the paginator's default total_path, total missing": no_total_path({}),
    "the paginator's default total_path, total null": no_total_path({"total": None}),
    "data missing": tells(lambda body: {"total": body["total"]}),
    "data missing on page 2": tells(lambda body: {"total": body["total"]}, 2),
    "data null": tells(put(data=None)),
    "data null on page 2": tells(put(data=None), 2),
    "the body null": tells(lambda _: None),
    "the body a list": tells(lambda body: body["data"]),
    "an error with status 200": tells(lambda _: {"error": {"message": "no"}}),
    "an error with status 200 on page 2": tells(lambda _: {"error": {"message": "no"}}, 2),
    "pages shorter than the limit": tells(lambda body: {**body, "data": body["data"][:50]}),
    "an empty page in the middle": tells(put(data=[]), 2),
    "a total that shrinks": tells(put(total=150), 2),
    "a total of the page's size": tells(lambda body: {**body, "total": len(body["data"])}),
    "no data_selector, and a list of errors": without_selector,
    "no paginator": without_paginator,
    "offsets ignored": tells(
        lambda _: {"data": [incident(n, 2) for n in range(1, 101)], "total": ROWS}
    ),
    "a single object as data": tells(put(data=incident(1, 2))),
    "a cursor that never moves": constant("cursor"),
    "a next link that never moves": constant("link"),
    "a redirect that loses the query": redirect_without_its_query,
    "a row deleted between two pages": moves(_one_out),
    "a row inserted between two pages": moves(_one_in),
    "a row deleted and another inserted between two pages": moves(_one_out_one_in),
    "an id twice, the older version first or last": newest_wins,
    "an older version in a later full read, and then the newer one": older_later,
    "an id twice, with upsert": upsert,
    "a record without an id": has({"status": "open"}, kept=1),
    "a record with a null id": has(incident(251, id=None), kept=1),
    "ids as numbers, later as text": id_of_another_type_later,
    "ids 7 and 007": has(incident(251, id=7), incident(252, id="007")),
    "a malformed timestamp": has(incident(251, updated_at="yesterday"), kept=1),
    "an empty timestamp": has(incident(251, updated_at=""), kept=None),
    "a timestamp in milliseconds": has(incident(251, updated_at=1793874600000), kept=1),
    "a title that is a number": has(incident(251, title=5)),
    "a title that is an object": has(incident(251, title={"text": "no"})),
    "an integer of 2^63": has(incident(251, detail=2**63)),
    "half a surrogate pair": has(incident(251, title="\ud800")),
    "900 levels of nesting": has(incident(251, detail=NESTED)),
    "a NUL in a text": has(incident(251, title="a\x00b")),
    "fields _dlt_id and _dlt_load_id": has(incident(251, _dlt_id="a", _dlt_load_id="b")),
    "a null cursor": has(incident(251, updated_at=None)),
    "a change that the API shows late": older_than_the_newest,
    "a record of the year 2999": future,
    "a record deleted at the source": deleted_at_the_source,
    "a deeply nested record": deeply_nested,
    "503 three times, then an answer": answered(503, 503, 503, waits=[2, 4, 8], must="right"),
    "503 four times": answered(503, 503, 503, 503, waits=[2, 4, 8], must="red"),
    "501": answered(501, waits=[], must="red"),
    "408": answered(408, waits=[], must="red"),
    "420": answered(420, waits=[], must="red"),
    "a body that is not JSON": body(b"<html>", **{"content-type": "text/html"}),
    "a body that is no gzip": body(b"not gzip", **{"content-encoding": "gzip"}),
    "redirects that carry the key": redirects,
    "a .netrc for the API's host": ambient_login,
    "a connection that is refused": refused_connection,
    "response_actions, and 403": response_actions,
    "a next link to another host": link_to_another_host,
    "plain http to another host": plain_http,
    "what Dagster stores of the definitions": snapshot,
}
