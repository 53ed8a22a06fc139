"""Sends alerts to one receiver, in a process of its own: `python -m incidents_dagster.alerts.send`.

So a receiver that hangs can be ended, Apprise is imported only where something is to be told, and
no log has an address: what libraries log here goes nowhere. Standard input has the address and the
messages as JSON; on standard output, each message has a line: `DONE`, or why it did not arrive.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

DONE = "delivered"
SECONDS = 10.0  # for one message
STATUS = re.compile(r"error=(\d{3})\b")

Message = Mapping[str, str]
Send = Callable[[Message], str]


def main() -> None:
    """Sends all messages, in their order, up to the first that does not arrive."""
    job = json.load(sys.stdin)
    send = {"webhook": by_webhook, "apprise": by_apprise}[job["by"]](job["url"])
    for message in job["messages"]:
        outcome = send(message)
        print(outcome, flush=True)
        if outcome != DONE:
            return


def by_webhook(url: str) -> Send:
    """Posts `{"text": …}`."""
    import requests  # noqa: PLC0415

    def send(message: Message) -> str:
        try:
            response = requests.post(
                url, json={"text": message["text"]}, timeout=SECONDS, allow_redirects=False
            )
        except requests.RequestException as error:
            return type(error).__name__  # its text has the address
        return DONE if response.ok and not response.is_redirect else f"HTTP {response.status_code}"

    return send


def by_apprise(url: str) -> Send:
    """Has Apprise send it."""
    import apprise  # noqa: PLC0415

    said = _Statuses()
    logging.getLogger("apprise").addHandler(said)
    asset = apprise.AppriseAsset(
        app_id="incidents-dagster",
        async_mode=False,
        # As everywhere here: a secret is not sent along.
        http_redirects=False,
        service_timeout=SECONDS,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    receiver = apprise.Apprise(asset=asset)
    known = receiver.add(url)
    kinds: dict[str, Any] = {
        "error": apprise.NotifyType.FAILURE,
        "warning": apprise.NotifyType.WARNING,
        "well": apprise.NotifyType.SUCCESS,
    }

    def send(message: Message) -> str:
        if not known:
            return "Apprise knows no such URL, see https://github.com/caronc/apprise/wiki"
        arrived = receiver.notify(
            body=message["body"],
            title=message["title"],
            notify_type=kinds[message["level"]],
            body_format=apprise.NotifyFormat.TEXT,
        )
        return DONE if arrived else f"HTTP {said.last}" if said.last else "no answer, or a refusal"

    return send


class _Statuses(logging.Handler):
    """Keeps the status of an answer from what Apprise logs; all else may have the address."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        if found := STATUS.search(record.getMessage()):
            self.last = found[1]


if __name__ == "__main__":
    main()
