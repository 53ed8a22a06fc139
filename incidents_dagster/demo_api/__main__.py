"""The command `python -m incidents_dagster.demo_api`: the demo API on a port until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time

from incidents_dagster.demo_api.server import DemoServer

DEFAULT_KEY = "demo"


def main() -> None:
    """Serve the demo incidents and say where; a key that the user chose is not printed."""
    parser = argparse.ArgumentParser(
        prog="python -m incidents_dagster.demo_api",
        description="Serve the demo incidents on loopback until Ctrl-C.",
    )
    parser.add_argument("--port", type=int, default=8700, help="default 8700, 0 for any free one")
    parser.add_argument(
        "--api-key",
        default=os.environ.get("API_KEY") or DEFAULT_KEY,
        help=f"default: the environment variable API_KEY, else {DEFAULT_KEY}",
    )
    options = parser.parse_args()
    server = DemoServer(api_key=options.api_key, port=options.port)
    try:
        server.start()
    except (OSError, OverflowError) as error:
        sys.exit(f"Cannot listen on port {options.port}: {error}")
    shown_key = DEFAULT_KEY if options.api_key == DEFAULT_KEY else "YOUR_KEY"
    with contextlib.suppress(KeyboardInterrupt), server:
        print(
            f"Demo incidents at {server.base_url}, for example "
            f"curl '{server.base_url}/v1/incidents?api_key={shown_key}&limit=5'",
            flush=True,
        )
        while True:
            time.sleep(60)


if __name__ == "__main__":
    main()
