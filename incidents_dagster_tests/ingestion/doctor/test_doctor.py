"""The doctor tells mistakes apart, each with its cure in the line, from five requests at most."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from fakes.messages import Asked, Reply
from fakes.web import Web
from incidents_dagster.cli import main
from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.ingestion.doctor.examine import examine
from incidents_dagster.ingestion.doctor.findings import Diagnosis, Level
from incidents_dagster.ingestion.settings import PROJECT_ROOT, Settings

Listen = Callable[[Callable[[Asked], Any]], Web]
Configure = Callable[..., Settings]
KEY = "d0ct0r-key-0123456789"
ISO = "%Y-%m-%dT%H:%M:%SZ"


class Api:
    """Pages of ten by cursor, filtered by the time of change, and a total.

    Attributes:
        spelled: How it writes times.
        by: The field that its filter compares; empty: it ignores the filter.
    """

    def __init__(self, listen: Listen, configure: Configure) -> None:
        begin = datetime(2026, 5, 1, tzinfo=timezone.utc)
        self.rows = [
            {
                "id": f"i{n}",
                "status": "closed" if n % 2 else "open",
                "created_at": begin + timedelta(hours=n),
                "updated_at": begin + timedelta(hours=n, days=2 if n % 3 else 0),
            }
            for n in range(35)
        ]
        self.web, self._configure = listen(self._answer), configure
        self.spelled, self.by, self.status = ISO, "updated_at", 200

    def _answer(self, asked: Asked) -> Any:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return Reply({"error": "invalid token"}, 401)
        if self.status != 200:
            return Reply({"error": "no"}, self.status)
        if asked.path != "/v1/incidents":
            return Reply({"error": "no such thing"}, 404)
        since, at = asked.query.get("since"), int(asked.query.get("after", "c0")[1:])
        rows = self.rows
        if since and self.by:
            rows = [row for row in rows if row[self.by].strftime(ISO) >= since]
        page = [
            {n: v.strftime(self.spelled) if isinstance(v, datetime) else v for n, v in row.items()}
            for row in rows[at : at + 10]
        ]
        following = f"c{at + 10}" if at + 10 < len(rows) else None
        return {"data": page, "meta": {"next": following, "total": len(rows)}}

    def configure(self, **more: Any) -> None:
        section: dict[str, Any] = {
            "client": {
                "base_url": self.web.base_url,
                "auth": {"type": "bearer"},
                "paginator": {
                    "type": "cursor",
                    "cursor_path": "meta.next",
                    "cursor_param": "after",
                },
            },
            "resources": [
                {
                    "name": "incident_data",
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": "/v1/incidents",
                        "data_selector": "data",
                        "incremental": {"cursor_path": "updated_at", "start_param": "since"},
                    },
                    "fields": {n: n for n in ("id", "status", "created_at", "updated_at")},
                    "phases": {"open": "open", "closed": "closed"},
                }
            ],
            "completeness": {"total_path": "meta.total"},
        }
        for path, value in more.items():
            holder: Any = section
            *tables, name = path.split("__")
            for table in tables:
                holder = section["resources"][0] if table == "resource" else holder[table]
            holder[name] = value
        self._configure(**section)

    def examined(self, **more: Any) -> Diagnosis:
        self.configure(**more)
        self.web.asked.clear()
        diagnosis = examine()
        assert len(self.web.asked) <= 5
        assert KEY not in json.dumps(diagnosis.as_json())
        return diagnosis


@pytest.fixture
def api(listen: Listen, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("TOKEN", KEY)
    return Api(listen, configure)


def bad(diagnosis: Diagnosis) -> list[str]:
    return [str(one) for one in diagnosis.findings if one.level in (Level.FAIL, Level.WARN)]


def test_nothing_is_wrong(api: Api) -> None:
    diagnosis = api.examined()
    assert bad(diagnosis) == []
    lines = [*diagnosis.lines()]
    assert lines[-1] == "A sync of this source can be proven: yes"
    told = "\n".join(lines)
    assert "token is there, 21 characters: digits and letters and other characters, from" in told
    assert "the environment variable TOKEN" in told
    assert "35 records, 4 requests, less than a minute." in told
    assert "Asked from a change on, the API sends the record that changed." in told


PROVABLE = "A sync of this source can be proven: yes"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"client__base_url": "http://no-such-host.invalid"}, "plain http and not on this machine"),
        ({"client__base_url": "https://no-such-host.invalid"}, "is no known name. Check client.b"),
        ({"resource__endpoint__path": "/v2/incidents"}, "returned 404 Not Found: there is nothing"),
        ({"resource__endpoint__data_selector": "items"}, 'the only list is at "data"'),
        ({"resource__primary_key": "uuid"}, "primary_key is 'uuid', and no record has that field"),
        ({"resource__fields__id": "key"}, "fields.id is 'key', and no record has that field"),
        ({"resource__fields__status": "state"}, "fields.status is 'state', and no record has"),
        ({"client__paginator__cursor_path": "meta.nxt"}, "but there is meta.next, so more pages"),
        ({"client__paginator": "single_page"}, "there is meta.next"),
        ({"completeness__total_path": "meta.count"}, "No response has completeness.total_path"),
        ({"client__auth__type": "digest"}, "client.auth"),
        ({"resource__endpoint": 5}, "resources[0].endpoint"),
    ],
)
def test_a_mistake_that_ends_syncs_is_told_with_its_cure(
    api: Api, settings: dict[str, Any], told: str
) -> None:
    diagnosis = api.examined(**settings)
    assert told in diagnosis.why_unproven + "".join(bad(diagnosis))
    assert [*diagnosis.lines()][-1].startswith("A sync of this source can be proven: no, because ")
    for line in bad(diagnosis):
        assert re.search(r"\b([Cc]heck|[Ss]et|[Aa]dd|must be)\b", line)


def test_nobody_listens(api: Api, nobody: str) -> None:
    diagnosis = api.examined(client__base_url=nobody)
    assert "does not answer at port" in diagnosis.why_unproven


def test_a_missing_secret(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN")
    diagnosis = api.examined()
    assert "token is missing: it is neither in the environment (TOKEN)" in diagnosis.why_unproven
    assert api.web.asked == []


def test_a_wrong_key_and_one_without_permission(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.status = 403
    assert "403 Forbidden: the key lacks permission" in api.examined().why_unproven
    monkeypatch.setenv("TOKEN", "another-key-0123456789")
    assert "401 Unauthorized: the key was refused" in api.examined().why_unproven


def test_times_in_another_format(api: Api) -> None:
    api.spelled = "%d.%m.%Y %H:%M"
    diagnosis = api.examined()
    assert "created_at should be timestamp (20, such as '01.05.2026 00:00')" in str(bad(diagnosis))
    assert "Check fields, times and primary_key" in str(bad(diagnosis))
    assert diagnosis.why_unproven


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"by": ""}, "The API ignores since: asked for what changes after"),
        ({"spelled": "%Y-%m-%dT%H:%M:%S"}, "Its times have no zone, so they are taken for UTC."),
        ({"rows": []}, "The list is empty, so nothing shows that data_selector and fields"),
    ],
)
def test_what_may_be_wrong_is_told_and_a_sync_can_be_proven(
    api: Api, change: dict[str, Any], told: str
) -> None:
    vars(api).update(change)
    diagnosis = api.examined()
    assert told in "".join(bad(diagnosis))
    assert [*diagnosis.lines()][-1] == PROVABLE


def test_a_time_of_change_that_no_record_has_is_told_although_no_sync_needs_it(api: Api) -> None:
    endpoint = {"path": "/v1/incidents", "data_selector": "data"}
    diagnosis = api.examined(resource__fields__updated_at="changed", resource__endpoint=endpoint)
    (told,) = bad(diagnosis)
    assert "0 of 20 records have it, as timestamp from changed. Check fields.updated_at in" in told


def test_a_filter_by_creation_is_told(api: Api) -> None:
    api.by = "created_at"
    assert "it filters by another field, such as the creation" in api.examined().why_unproven


def test_a_status_without_a_phase_is_told(api: Api) -> None:
    for row in api.rows[:7]:
        row["status"] = "snoozed"
    assert "These statuses have none: 'snoozed' (7). Add them to phases" in str(bad(api.examined()))


def test_a_clock_that_is_off_is_told(api: Api) -> None:
    hour = timedelta(hours=1)
    api.web.date = lambda: format_datetime(datetime.now(timezone.utc) + hour, usegmt=True)
    assert "s ahead of this machine's. Set the one that is wrong" in str(bad(api.examined()))


def test_a_page_that_the_api_caps_is_told(api: Api) -> None:
    diagnosis = api.examined(resource__endpoint__params={"limit": 100})
    told = [str(one) for one in diagnosis.findings]
    assert any("sends 10 records a page, not the 100 asked for" in line for line in told)


def test_a_full_read_that_takes_too_long_is_told(api: Api) -> None:
    diagnosis = api.examined(requests_per_minute=600, max_minutes=60)
    assert bad(diagnosis) == []
    api.rows *= 2_000
    slow = api.examined(requests_per_minute=60)
    assert "7,000 requests, about 117 minutes." in str([str(one) for one in slow.findings])
    assert "It takes longer than max_minutes = 60. Raise that" in slow.why_unproven + str(bad(slow))


def test_a_file_that_is_in_use_is_told(api: Api, database: Path) -> None:
    from incidents_dagster.ingestion.warehouse.duckdb_file import alone_on  # noqa: PLC0415

    with alone_on(database, "incidents", seconds=0):
        assert "is in use" in str(bad(api.examined()))


def test_the_command_prints_lines_or_json_and_its_status_says_whether_it_can_be_proven(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.configure()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    lines = subprocess.run(
        [sys.executable, "-m", "incidents_dagster", "doctor"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (lines.returncode, lines.stdout.splitlines()[-1]) == (0, PROVABLE)
    told = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    assert told["provable"] is True
    last = {one["about"]: one["seen"] for one in told["findings"][-2:]}
    assert last["schedule"] == "Dagster is not running; `make dev` would sync at '0 * * * *'."
    assert last["freshness"] == "No proven sync is on record yet."
    assert {one["level"] for one in told["findings"]} <= {level.value for level in Level}
    api.status = 403
    refused = CliRunner().invoke(main, ["doctor"])
    assert refused.exit_code == 1
    assert KEY not in refused.output


def test_a_record_has_the_shape_of_the_responses_and_no_content(api: Api, tmp_path: Path) -> None:
    for row in api.rows:
        row |= {"title": "Ann's laptop is lost", "labels": ["secret project"], "count": 3}
    api.configure()
    file = tmp_path / "sample.json"
    result = CliRunner().invoke(main, ["doctor", "--record", str(file)])
    assert result.exit_code == 0, result.output
    text = file.read_text()
    first, second = json.loads(text)
    assert (first["path"], first["status"], first["query"]) == ("/v1/incidents", 200, {})
    assert second["query"] == {"after": "c10"}
    record, _, more = first["body"]["data"]
    assert (record["status"], record["created_at"]) == ("open", "2026-05-01T00:00:00Z")
    assert (record["title"], record["count"]) == ("(text of 20 characters)", 3)
    assert more == "(8 more)"
    assert first["body"]["meta"]["total"] == 35
    for word in ("laptop", "project", "i0", KEY):
        assert word not in text


def test_your_own_api_in_ten_minutes(
    write_config: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (PROJECT_ROOT / "docs" / "own_api.md").read_text()
    (config,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    shown = json.loads(next(line for line in page.splitlines() if line.startswith('{"data"')))
    with DemoServer() as demo:
        monkeypatch.setenv("API_KEY", demo.api_key)
        config = config.replace("http://127.0.0.1:8700", demo.base_url)
        write_config(config)
        first = examine()
        assert first.why_unproven
        for line in (str(first.findings[-2]), [*first.lines()][-1]):
            assert line in page
        write_config(config.replace('"items"', '"data"'))
        second = examine()
        assert bad(second) == []
        assert [*second.lines()][-1] == PROVABLE
        answer = requests.get(
            f"{demo.base_url}/v1/incidents", {"api_key": demo.api_key, "limit": 1}, timeout=10
        ).json()
    assert (answer.keys(), answer["data"][0].keys()) == (shown.keys(), shown["data"][0].keys())
