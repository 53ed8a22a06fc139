"""Serves a model on loopback: its answers, its clock, and what goes out in their place."""

import threading
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from fakes.incidents import PATH
from fakes.messages import Asked, Fault, Reply
from fakes.model import MOST_REQUESTS, SECOND, Model
from fakes.web import Web

Instead = Callable[[int, dict[str, Any]], Reply | Fault | None]


class ModelServer(Web):
    """The server, as a context manager.

    Attributes:
        model: Answers the requests, one at a time.
        instead: Gets the number of each request in the sync, and the answer, which it may change;
            returns a `Reply` or a `Fault` to put one in its place.
        delay: Seconds that each answer takes.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.model = Model(0)
        self.instead: Instead = lambda *_: None
        self.delay = 0.0
        self._one_by_one = threading.Lock()

    def _answer(self, asked: Asked) -> Reply | Fault:
        with self._one_by_one:
            model = self.model
            answer = model.answer(asked.query, self.base_url + PATH)
            date = formatdate(model.clock // SECOND, usegmt=True)
            given = self.instead(model.requests, answer)
            if given is None and model.requests > MOST_REQUESTS:
                given = Reply(status=410)
            if given is None:
                model.serve(answer)
        if self.delay:
            self._stopped.wait(self.delay)
        if isinstance(given, Fault):
            return given
        reply = given or Reply(answer)
        return reply.under(Date=date, Content_Type="application/json")  # even of what is no JSON
