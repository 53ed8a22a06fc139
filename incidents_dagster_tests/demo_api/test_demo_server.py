"""The demo server as a thread of a process, and as a command."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone

import pytest
import requests

from incidents_dagster.demo_api.server import DemoServer
from incidents_dagster.demo_api.stories import incidents_at

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
COMMAND = ["-m", "incidents_dagster", "demo-api", "--port"]


def _statuses(server: DemoServer, *keys: str) -> list[int]:
    url = f"{server.base_url}/v1/incidents"
    return [requests.get(url, params={"api_key": key}, timeout=30).status_code for key in keys]


def _demo_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "demo-api"]


def test_two_servers_show_the_incidents_of_the_moment() -> None:
    with DemoServer() as first, DemoServer() as second:
        assert first.api_key != second.api_key
        before = incidents_at(datetime.now(timezone.utc))
        totals = [
            requests.get(
                f"{server.base_url}/v1/incidents", params={"api_key": server.api_key}, timeout=30
            ).json()["total"]
            for server in (first, second)
        ]
        after = incidents_at(datetime.now(timezone.utc))
        assert len(before) <= totals[0] <= totals[1] <= len(after)


def test_the_server_listens_on_loopback_only() -> None:
    with DemoServer() as server, socket.socket() as client:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", server.base_url)
        client.settimeout(5)
        assert client.connect_ex(("127.0.0.2", server.port)) != 0


def test_stop_frees_the_port_and_ends_the_thread_with_a_connection_open() -> None:
    server = DemoServer(incidents=list, api_key="k")
    server.start()
    with requests.Session() as session:
        url = f"{server.base_url}/v1/incidents"
        assert session.get(url, params={"api_key": "k"}, timeout=30).ok
        with socket.create_connection(("127.0.0.1", server.port)):
            server.stop()
    assert not _demo_threads()
    with socket.create_server(("127.0.0.1", server.port)):
        pass


def test_stop_does_not_wait_for_requests_in_flight() -> None:
    with DemoServer() as server:
        server.faults.latency = 3600
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        for client in clients:
            client.sendall(b"GET /v1/incidents HTTP/1.1\r\nHost: localhost\r\n\r\n")
        deadline = time.monotonic() + 60
        while server.faults.in_flight < len(clients) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.faults.in_flight == len(clients)
    assert not _demo_threads()
    assert server.faults.in_flight == 0
    assert server.faults.most_in_flight == len(clients)
    for client in clients:
        client.close()


def test_requests_one_after_the_other_are_never_in_flight_together() -> None:
    with DemoServer() as server:
        assert _statuses(server, server.api_key, "wrong", server.api_key) == [200, 401, 200]
        assert server.faults.most_in_flight == 1


def test_starting_and_stopping_twice_is_harmless() -> None:
    server = DemoServer(api_key="k")
    server.stop()
    server.start()
    address = server.base_url
    server.start()
    assert server.base_url == address
    assert len(_demo_threads()) == 1
    server.stop()
    server.stop()
    with server:
        assert server.base_url == address
        assert _statuses(server, "k") == [200]


def test_stop_right_after_start_works() -> None:
    for _ in range(5):
        with DemoServer():
            pass
    assert not _demo_threads()


def test_a_taken_port_is_an_error() -> None:
    with DemoServer() as server, pytest.raises(OSError, match="in use"):
        DemoServer(port=server.port).start()


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> list[dict[str, object]]:
        raise RuntimeError("broken")

    with caplog.at_level(logging.INFO), DemoServer(incidents=broken, api_key="k") as server:
        assert _statuses(server, "k", "wrong") == [500, 401]
    assert not caplog.records


def test_the_server_ends_with_its_process() -> None:
    program = (
        "from incidents_dagster.demo_api.server import DemoServer\n"
        "import requests\n"
        "server = DemoServer(api_key='k')\n"
        "server.start()\n"
        "print(requests.get(server.base_url, timeout=30).status_code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("404\n", "")


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a POSIX signal")
@pytest.mark.parametrize(("given", "shown"), [("", "demo"), ("very-secret", "YOUR_KEY")])
def test_the_command_serves_until_ctrl_c(given: str, shown: str) -> None:
    # A test run in the background may ignore Ctrl-C, and its children would inherit that.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = subprocess.Popen(
        [sys.executable, "-W", "error", *COMMAND, "0"],
        env={**ENVIRONMENT, "API_KEY": given},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, previous)
    try:
        assert command.stdout
        line = command.stdout.readline()
        example = re.search(r"'(http://127.0.0.1:\d+/v1/incidents\?api_key=(\S+)&limit=5)'", line)
        assert example, line
        assert example[2] == shown
        url = example[1].replace("YOUR_KEY", given)
        assert requests.get(url, timeout=30).ok
        command.send_signal(signal.SIGINT)
        rest, errors = command.communicate(timeout=60)
    finally:
        command.kill()
    assert (command.returncode, rest, errors) == (0, "", "")
    assert not given or given not in line


@pytest.mark.parametrize("port", ["taken", "99999"])
def test_the_command_names_a_port_it_cannot_have(port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1]) if port == "taken" else port
        done = subprocess.run(
            [sys.executable, *COMMAND, number],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Cannot listen on port {number}: ")
    assert "Traceback" not in done.stderr
