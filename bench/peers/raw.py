"""Not a peer: how fast the server is, asked over one connection by a client that parses nothing."""

import os
import socket
import time
from urllib.parse import urlsplit

from bench.peers.protocol import Task, beyond_imports

PAGE, TOTAL = 100, 100_000

task = Task.given()
url = urlsplit(task.base_url)
target = f"/v1/incidents?api_key={os.environ['API_KEY']}&limit={PAGE}"
buffer = memoryview(bytearray(1 << 20))
with socket.create_connection((url.hostname or "", url.port or 80)) as connection:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with beyond_imports() as told:
        started = time.perf_counter()
        for offset in range(0, TOTAL, PAGE):
            request = f"GET {target}&offset={offset} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n"
            connection.sendall(request.encode())
            size = connection.recv_into(buffer)
            head, _, body = bytes(buffer[:size]).partition(b"\r\n\r\n")
            missing = int(head.rpartition(b" ")[2]) - len(body)
            while missing > 0:
                missing -= connection.recv_into(buffer)
        told["pages_per_s"] = TOTAL / PAGE / (time.perf_counter() - started)
