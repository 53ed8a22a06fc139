"""The benchmark itself: its server, its peers on few incidents, its report. Not its figures."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from bench.cases import CASES, Case, Entrant
from bench.measure import Bench, BenchError, Server
from bench.peers.singer import installed
from bench.report import TARGETS, write
from bench.server import CHANGED_STATUS
from fakes.incidents import KEY

pytestmark = pytest.mark.thorough

PEERS = ("ours", "plain", "limit", "singer")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def test_the_server_answers_pages_and_counts_them(server: Server) -> None:
    server.ask("/control?total=250")
    pages = [server.ask(f"/v1/incidents?api_key={KEY}&limit=100&offset={n}") for n in (0, 200, 300)]
    assert [len(page["data"]) for page in pages] == [100, 50, 0]
    assert {page["total"] for page in pages} == {250}
    first = pages[0]["data"][0]
    assert len(first) == 11
    assert first["id"] == "inc-0000000"
    assert [row["id"] for row in pages[1]["data"]] == [f"inc-{n:07}" for n in range(200, 250)]
    stats = server.ask("/stats")
    assert (stats["requests"], stats["in_flight"]) == (3, 1)


def test_the_server_wants_its_key(server: Server) -> None:
    with pytest.raises(HTTPError, match="401") as raised:
        urlopen(f"{server.base_url}/v1/incidents?api_key=wrong")
    raised.value.close()


def test_the_server_tells_what_changed_since(server: Server) -> None:
    server.ask("/control?total=1000&changed=10")
    asked = f"/v1/incidents?api_key={KEY}&updated_since="
    page = server.ask(asked + "2026-06-01T00:00:00Z")
    assert page["total"] == 10  # number 0, the newest before, is among the changed
    assert {row["status"] for row in page["data"]} == {CHANGED_STATUS}
    assert [row["number"] for row in page["data"]] == list(range(0, 1000, 100))
    assert server.ask(asked + "2026-05-31T23:58:00%2B00:00")["total"] == 12
    assert server.ask(asked + "1970-01-01T00:00:00Z")["total"] == 1000


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_loads_and_is_verified(peer: str, server: Server, tmp_path: Path) -> None:
    if peer == "singer" and not installed():
        pytest.skip("Singer is not installed")
    entrant = Entrant(peer, peer, 0 if peer == "ours" else 4)
    figures = Bench(tmp_path, server).measure(Case("few", "", 300, ()), entrant)
    assert figures["requests"] >= 3
    assert figures["cpu"] > 0


@pytest.mark.parametrize("peer", PEERS[:3])
def test_a_peer_goes_on_from_its_table(peer: str, server: Server, tmp_path: Path) -> None:
    entrant = Entrant(peer, peer, 0 if peer == "ours" else 4)
    case = Case("some", "", 2000, (), continued=True, changed=50)
    figures = Bench(tmp_path, server).measure(case, entrant)
    assert figures["requests"] < 20


def test_a_table_that_lacks_rows_is_a_failure(server: Server, tmp_path: Path) -> None:
    bench = Bench(tmp_path, server)
    bench.measure(Case("few", "", 300, ()), Entrant("limit", "limit"))
    with pytest.raises(BenchError, match="the table is not right"):
        bench.off_the_clock("verify", tmp_path / "run", 301, 0)


def test_the_report_tells_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    figures = {"cpu": 1.0, "wall": 2.0, "rss": 100.0, "requests": 1000, "in_flight": 4}
    result = {
        "title": "Full load of 100,000",
        "when": "2026-01-01 00:00 UTC",
        "machine": {"CPU": "one, 2 cores"},
        "command": "make bench",
        "pages": 1000,
        "runs": {"ours": [figures], "plain": [figures | {"cpu": 20.0}], "limit": [figures]},
        "absent": {"singer": "not installed"},
        "server_pages_per_s": [5000.0],
    }
    results = tmp_path / "benchmarks.json"
    results.write_text(json.dumps({"full-100k": result}))
    with suppress(ImportError):  # matplotlib is not among the development packages
        write(results, tmp_path)
    text = (tmp_path / "benchmarks.md").read_text()
    assert "| ours | 1.00 | 2.00 | 100 | 1,000 | 4 | 0.05 | 1.00 | 1 |" in text
    assert "singer: not installed." in text
    assert "CPU ÷ plain | ≤ 0.1 | 0.050 | met |" in text
    assert text.count("| not measured |") == len(TARGETS) + 1 - 3
    assert {target.case for target in TARGETS} <= {case.name for case in CASES}
