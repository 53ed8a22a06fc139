"""Who gets an alert, what becomes of one that cannot be delivered, and where no secret may be."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fakes.messages import Fault, Reply
from fakes.web import Web
from incidents_dagster.alerts import delivery
from incidents_dagster.alerts.receivers import Known, secrets_of
from incidents_dagster.alerts.sensor import sync_failure_sensor
from incidents_dagster.alerts.told import KEPT_HOURS, MOST_WAITING, Memory, Waiting
from incidents_dagster.ingestion.settings import PROJECT_ROOT
from incidents_dagster_tests.alerts.conftest import HOOK, TOKEN, Clock, Ears, Ticker, answer

HANGS = Fault("says nothing", lambda _: (), "hold")
URLS = "SOURCES__INCIDENTS__ALERTS__URLS"


def failing(text: str = "no reason") -> dg.Definitions:
    @dg.op
    def one() -> None:
        raise dg.Failure(text)

    @dg.job
    def nightly() -> None:
        one()

    return dg.Definitions(jobs=[nightly])


def test_a_dead_receiver_gets_it_later_and_stops_no_other(
    tick: Ticker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    definitions = failing(f"no reason for /{TOKEN}")
    with Web(answer) as web:
        dead = Ears(web)
    with Web(answer) as web:
        alive = Ears(web)
        monkeypatch.setenv("SOURCES__INCIDENTS__WEBHOOK_URL", dead.webhook)
        monkeypatch.setenv(URLS, json.dumps([alive.apprise, "nonsense://s3cr3t-token-2"]))
        run_id = tick.run(definitions, "nightly")
        capfd.readouterr()  # of the run
        caplog.clear()
        assert "1 alerts wait" in tick(definitions)
        path = f"/{TOKEN}"
        said = f"nightly failed: no reason for /***\nhttp://127.0.0.1:3000/runs/{run_id}"
        assert alive.heard(path) == [said]
        tick(definitions)
        assert alive.heard(path) == []
        output = "".join(capfd.readouterr()) + caplog.text
        assert "Delivery to webhook_url of [sources.incidents] failed: ConnectionError" in output
        assert "Delivery to alerts.urls[1] of [sources.incidents] failed: Apprise knows" in output

        tick.clock.later(20)
        monkeypatch.setenv(URLS, json.dumps([alive.apprise]))
        with Web(answer, port=dead.web.port) as again:
            assert "0 alerts wait" in tick(definitions)
            tick(definitions)
            (told,) = Ears(again).heard()
            assert told.startswith(f"nightly failed (run {run_id}): no reason")
        assert alive.heard(path) == []
    output += "".join(capfd.readouterr()) + caplog.text + str(tick.cursor)
    for secret in (HOOK, TOKEN, "p4ss", "s3cr3t-token-2"):
        assert secret not in output
    assert Memory.of(tick.cursor).retries == {}


def test_a_receiver_that_hangs_is_left(
    ears: Ears,
    tick: Ticker,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    ears.web.answer = lambda _: HANGS
    monkeypatch.setattr(delivery, "ENDS_AFTER", 1.0)
    definitions = failing()
    tick.run(definitions, "nightly")
    assert "1 alerts wait" in tick(definitions)
    assert "it took longer than 1 s" in "".join(capfd.readouterr())


@pytest.mark.parametrize("status", [403, 307])
def test_a_refusal_is_said_with_its_status_and_no_redirect_followed(
    ears: Ears, tick: Ticker, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    ears.web.answer = lambda _: Reply({"echo": HOOK}, status, {"Location": "/elsewhere"})
    definitions = failing()
    tick.run(definitions, "nightly")
    tick(definitions)
    said = "".join(capfd.readouterr())
    assert f"failed: HTTP {status}. Alerts that wait for it, and are sent again: 1." in said
    assert [asked.path for asked in ears.web.asked] == [HOOK]


def test_an_alert_has_no_secret_and_calls_nobody(
    ears: Ears, tick: Ticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "k3y/with+signs")
    definitions = failing(
        f"GET https://x/?api_key=k3y%2Fwith%2Bsigns k3y/with+signs {ears.webhook} "
        "\x1b[31m<!here> @channel\n<@U012>"
    )
    run_id = tick.run(definitions, "nightly")
    tick(definitions)
    (told,) = ears.heard()
    assert told.replace("\u200b", "").splitlines() == [
        f"nightly failed (run {run_id}): "
        "GET https://x/?api_key=*** *** *** <!here> @channel <@U012>",
        f"http://127.0.0.1:3000/runs/{run_id}",
    ]
    assert not [call for call in ("<!here>", "@channel", "<@U") if call in told]


def test_waiting_is_bounded() -> None:
    def message(at: float) -> Waiting:
        return Waiting("incidents", "error", "x", "y", "", at)

    now = 1e9
    memory = Memory(waiting=[message(now - number) for number in range(MOST_WAITING + 5)][::-1])
    assert [one.at for one in memory.give_up(now)] == [
        now - number for number in range(MOST_WAITING, MOST_WAITING + 5)
    ][::-1]
    assert len(memory.waiting) == MOST_WAITING
    assert memory.give_up(now + 10) == []
    assert len(memory.give_up(now + KEPT_HOURS * 3600 + 1)) == MOST_WAITING
    assert memory.waiting == []


@pytest.mark.parametrize("cursor", [None, "", "{", "[]", '{"version": 0}', '{"record_id": 5}'])
def test_the_cursor_of_an_earlier_release_is_none(cursor: str | None) -> None:
    assert Memory.of(cursor) == Memory()


def test_a_further_source_has_its_own_receivers_or_the_first_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def names(source: str) -> Any:
        found = Known.of(["incidents", "tickets", "wrong"]).receivers(source)
        return found if found is None else [one.name for one in found]

    assert names("tickets") == []
    monkeypatch.setenv("SOURCES__INCIDENTS__WEBHOOK_URL", "https://chat.example.com/x")
    monkeypatch.setenv("SOURCES__WRONG__ALERTS__URLS", '["no url"]')
    first = ["webhook_url of [sources.incidents]"]
    assert names("incidents") == names("tickets") == first
    assert names("wrong") is None
    monkeypatch.setenv("SOURCES__TICKETS__ALERTS__URLS", '["json://x/y"]')
    assert names("tickets") == ["alerts.urls[0] of [sources.tickets]"]
    assert names("incidents") == first


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlaz3Yh/#on-call", 3),
        ("tgram://123456789:AbCdEf-9hiJ8kLm/12345678", 1),
        ("mailto://me:short@example.com?to=team@example.com", 1),
        ("pagerduty://A1BRTD4JD@TIiajkdnlazkcevi/service", 2),
        ("sendgrid://SG.a1b2c3d4e5.f6g7h8:me@example.com", 2),
        ("jsons://hooks.example.com/incidents", 0),
        ("json://ann:p%40ss%2Fw0rd@host", 2),
    ],
)
def test_the_secret_parts_of_a_url(url: str, secrets: int) -> None:
    found = secrets_of(url)
    assert len(found) == secrets, found
    assert "example.com" not in found


@pytest.mark.thorough
def test_a_restart_tells_nothing_twice_and_nothing_less(
    ears: Ears, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    definitions = failing()
    job = definitions.resolve_job_def("nightly")
    with dg.DagsterInstance.get() as instance:
        job.execute_in_process(instance=instance, raise_on_error=False)
        tick = Ticker(instance, clock)
        tick(definitions)
        (tmp_path / "cursor").write_text(str(tick.cursor))
    assert len(ears.heard()) == 1
    restarted = """
import sys
import dagster as dg
from incidents_dagster.alerts.sensor import sync_failure_sensor

@dg.op
def one() -> None: ...

@dg.job
def nightly() -> None:
    one()

defs, cursor = dg.Definitions(jobs=[nightly]), open(sys.argv[1]).read()
with dg.DagsterInstance.get() as instance:
    for _ in range(2):
        context = dg.build_sensor_context(instance, cursor=cursor, definitions=defs)
        sync_failure_sensor(context)
        cursor = context.cursor
        print(len(cursor))
        nightly.execute_in_process(instance=instance)
    sync_failure_sensor(dg.build_sensor_context(instance, cursor=cursor, definitions=defs))
"""
    subprocess.run(
        [sys.executable, "-c", restarted, str(tmp_path / "cursor")], cwd=PROJECT_ROOT, check=True
    )
    (told,) = ears.heard()
    assert told.startswith("nightly succeeds again")


def test_the_sensor_is_on_from_the_start() -> None:
    assert sync_failure_sensor.default_status is dg.DefaultSensorStatus.RUNNING
