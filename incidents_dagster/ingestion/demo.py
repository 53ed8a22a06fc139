"""Runs the demo API while no other API is configured."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

from incidents_dagster.ingestion.settings import Settings

AUTH = {"type": "api_key", "name": "api_key", "location": "query"}


@contextmanager
def configured_or_demo(settings: Settings) -> Iterator[Settings]:
    """Yields `settings` as they are, or with the address and key of a demo API that it runs."""
    if settings.base_url:
        yield settings
        return
    # Starlette and uvicorn take a third of a second, which users with an API need not spend.
    from incidents_dagster.demo_api.server import DemoServer  # noqa: PLC0415

    with DemoServer() as demo:
        api = deepcopy(settings.api)
        api["client"] |= {"base_url": demo.base_url, "auth": {**AUTH, "api_key": demo.api_key}}
        yield settings.model_copy(update={"api": api})
