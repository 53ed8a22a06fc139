"""The incident API of the benchmark: incidents made beforehand, on loopback, in its own process.

Apart from the servers of `fakes`, which answer whatever a test computes: this one has to cost as
little as can be, in a process whose CPU is not a peer's, and knows nothing but its formula.

Incident number i is a formula, newest first: `status` and all else follow from i, and
`updated_at` lies i minutes before NEWEST. The last `changed` incidents of `/control` are newer
than that and have another status. `python -m bench.server` prints its port and serves until its
standard input closes, so it cannot outlive whoever started it.

    GET /v1/incidents?api_key=…&offset=…&limit=…&updated_since=…  {"data": […], "total": N}
    GET /control?total=…&latency_ms=…&changed=…                   renders, sets the counts to zero
    GET /stats                        {"requests": …, "in_flight": most at a time, "cpu": seconds}
"""

import asyncio
import json
import sys
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlsplit

from fakes.incidents import KEY

PAGE = 100
NEWEST = datetime(2026, 6, 1, tzinfo=timezone.utc)
STATUSES = ("triggered", "acknowledged", "resolved", "closed")
CHANGED_STATUS = "reopened"
# 11 fields: one object, one list, the rest scalars.
INCIDENT = (
    '{"id":"inc-%07d","number":%d,"title":"Latency of checkout-%d above its objective for 5 min",'
    '"status":"%s","severity":"sev%d","urgency":"%s","assignee":"person-%d@example.com",'
    '"service":{"id":"svc-%d","name":"checkout-%d","team":{"name":"team-%d"}},'
    '"tags":["region-%d","tier-%d"],"created_at":"%sZ","updated_at":"%sZ"}'
)


def rendered(number: int, changed_at: datetime | None = None) -> str:
    """Incident `number` as JSON; with `changed_at`, in its second version."""
    i, service = number, number % 50
    status = CHANGED_STATUS if changed_at else STATUSES[i % len(STATUSES)]
    updated = NEWEST - timedelta(minutes=i)
    created = (updated - timedelta(hours=i % 72)).isoformat()[:19]
    at = (changed_at or updated).isoformat()[:19]
    urgency = "low" if i % 2 else "high"
    places = (service, service, service % 9, i % 7, i % 3)
    return INCIDENT % (i, i, service, status, i % 4, urgency, i % 200, *places, created, at)


class Api:
    """What the server holds: the incidents, the switches, the counts."""

    def __init__(self) -> None:
        self.total = self.latency = self.requests = self.in_flight = self.most = 0
        self.cpu = 0.0
        self.changed: dict[int, datetime] = {}  # in the order of their updated_at, newest first
        self.incidents: list[str] = []

    def control(self, total: int, latency_ms: int = 0, changed: int = 0) -> None:
        """Sets the switches; the incidents are rendered here, not while a peer waits for them."""
        if (total, changed) != (self.total, len(self.changed)):
            step = total // changed if changed else 0
            self.changed = {
                n * step: NEWEST + timedelta(minutes=changed - n) for n in range(changed)
            }
            self.total = total
            self.incidents = [rendered(n, self.changed.get(n)) for n in range(total)]
        self.latency, self.requests, self.most = latency_ms, 0, 0
        self.cpu = time.process_time()

    def answer(self, offset: int, limit: int, since: datetime | None) -> bytes:
        """A page of the incidents, of those updated at or after `since` where that is given."""
        minutes = (NEWEST - since) // timedelta(minutes=1) if since else self.total
        if minutes >= self.total:
            rows, total = self.incidents[offset : offset + limit], self.total
        else:
            found = [n for n, at in self.changed.items() if since is None or at >= since]
            found += [n for n in range(minutes + 1) if n not in self.changed]
            rows = [self.incidents[n] for n in found[offset : offset + limit]]
            total = len(found)
        return http("200 OK", f'{{"data":[{",".join(rows)}],"total":{total}}}')

    def get(self, path: str, params: dict[str, str]) -> bytes:
        """The answer to a request for incidents."""
        if path != "/v1/incidents":
            return http("404 Not Found", '{"error":"no such path"}')
        if params.get("api_key") != KEY:
            return http("401 Unauthorized", '{"error":"api_key is wrong"}')
        since = None
        if "updated_since" in params:
            since = datetime.fromisoformat(params["updated_since"].replace("Z", "+00:00"))
            since = since if since.tzinfo else since.replace(tzinfo=timezone.utc)
        return self.answer(int(params.get("offset", 0)), int(params.get("limit", PAGE)), since)


def http(status: str, body: str) -> bytes:
    """A whole HTTP response."""
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    return f"{head}\r\n\r\n".encode() + data


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests have no body and come one after the other."""

    def __init__(self, api: Api) -> None:
        self.api, self.received = api, b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keeps the way back."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Takes a request; the answer leaves after the latency."""
        self.received += data
        if not self.received.endswith(b"\r\n\r\n"):
            return
        url = urlsplit(self.received.split(b" ", 2)[1].decode())
        params, self.received = dict(parse_qsl(url.query)), b""
        api = self.api
        if url.path == "/stats":
            cpu = time.process_time() - api.cpu
            body = {"requests": api.requests, "in_flight": api.most, "cpu": cpu}
            self.transport.write(http("200 OK", json.dumps(body)))
        elif url.path == "/control":
            api.control(**{name: int(value) for name, value in params.items()})
            self.transport.write(http("200 OK", "{}"))
        else:
            api.requests += 1
            api.in_flight += 1
            api.most = max(api.most, api.in_flight)
            # Even without a latency, after the requests that have arrived together with this one.
            asyncio.get_running_loop().call_later(api.latency / 1000, self.send, url.path, params)

    def send(self, path: str, params: dict[str, str]) -> None:
        """Answers."""
        self.api.in_flight -= 1
        self.transport.write(self.api.get(path, params))


async def serve() -> None:
    """Serves on a free port of loopback, told on standard output, until standard input closes."""
    loop, api, closed = asyncio.get_running_loop(), Api(), asyncio.Event()
    server = await loop.create_server(lambda: Connection(api), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop.add_reader(sys.stdin, closed.set)
    await closed.wait()


if __name__ == "__main__":
    asyncio.run(serve())
