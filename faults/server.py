"""A real API with faults in front of it, to try a configuration of your own against:

    python -m faults.server --forward https://your.api --port 8098 --faults 7
    SOURCES__INCIDENTS__CLIENT__BASE_URL=http://127.0.0.1:8098 make run

About a third of the requests then meet a fault that a sync recovers from by itself; the number is
the seed. Links to the next page that name your API's own host are not rewritten: they are refused
by the sync, as they lead to another host. What the faults are is in `fakes.misbehaviour`.
"""

import argparse
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import urllib3

from fakes.messages import Asked, Fault, Reply
from fakes.misbehaviour import RECOVERABLE
from fakes.web import Script, Web

SHARE = 1 / 3
MOST_IN_A_ROW = 2  # of faults that one address meets: a sync tries each request four times
# Of one connection alone, or wrong once a body has been read whole.
NOT_FORWARDED = ("connection", "keep-alive", "transfer-encoding", "content-length", "host")


def forward(base_url: str) -> Callable[[Asked], Reply]:
    """The answers of the API at `base_url`, as they are."""
    pool = urllib3.PoolManager(maxsize=16, retries=False)

    def ask(asked: Asked) -> Reply:
        headers = {n: v for n, v in asked.headers.items() if n not in NOT_FORWARDED}
        address = base_url.rstrip("/") + asked.target
        try:
            got = pool.request(
                *(asked.method, address, asked.body.encode() or None, None, headers),
                redirect=False,
                decode_content=False,
            )
        except urllib3.exceptions.HTTPError as error:  # its text has the address with the key
            return Reply({"error": f"cannot be reached: {type(error).__name__}"}, 502)
        kept = [(n, v) for n, v in got.headers.items() if n.lower() not in NOT_FORWARDED]
        return Reply(got.data, got.status, tuple(kept), got.reason or "")

    return ask


def seeded(seed: int) -> Script:
    """A recoverable fault for about a third of the requests, never too many in a row."""
    in_a_row: Counter[str] = Counter()

    def script(number: int, asked: Asked) -> Fault | None:
        chance = random.Random(f"{seed}/{number}")
        if chance.random() >= SHARE or in_a_row[asked.target] >= MOST_IN_A_ROW:
            in_a_row.pop(asked.target, None)
            return None
        in_a_row[asked.target] += 1
        return chance.choice(RECOVERABLE)

    return script


def told(script: Script, tell: Callable[[str], None]) -> Script:
    """`script`, which says of each request, without its query, what becomes of it."""

    def telling(number: int, asked: Asked) -> Fault | None:
        fault = script(number, asked)
        tell(f"{number} {asked.method} {asked.path} {fault.name if fault else 'right'}")
        return fault

    return telling


def main() -> None:
    """Serves until it is interrupted, and says of each request what became of it."""
    parser = argparse.ArgumentParser(prog="python -m faults.server")
    parser.add_argument("--forward", required=True, metavar="URL", help="your API's base_url")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--faults", type=int, default=0, metavar="SEED", help="default: 0")
    given = parser.parse_args()
    script = told(seeded(given.faults), lambda line: print(line, flush=True))
    with Web(forward(given.forward), script, port=given.port) as server:
        print(f"{server.base_url} stands in front of {given.forward}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
