"""The settings that the definitions are made of: those with which the code location was loaded.

Dagster gives each run a process, which loads the definitions again. There they must be those of the
code location, whatever is configured by then: else a run that selects an asset or a check that is
no longer configured fails with an error of Dagster's own, and is retried. So the code location
leaves its settings, without secrets, in the environment of the processes that it starts.
"""

import base64
import json
import multiprocessing
import os
import zlib
from contextlib import suppress
from typing import Any

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.secrets.names import is_credential
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import Settings, load_sources
from incidents_dagster.ingestion.settings_files import source_names

VARIABLE = "INCIDENTS_LOADED_SETTINGS"
# Linux starts no process with a longer variable; such a run gets today's settings.
MOST_CHARACTERS = 100_000
# What definitions do not depend on, and what may hold a secret.
LEFT_OUT = ("auth", "headers", "json", "data")


def loaded_settings() -> dict[str, Settings | SettingsError]:
    """Those of the code location that started this process; else the configured ones, loaded now.

    Returns:
        Source → its settings, or what is wrong with them.

    Raises:
        SettingsError: A file is not TOML, or the names of the sources are wrong.
    """
    parent = multiprocessing.parent_process()
    left_by, _, left = os.environ.get(VARIABLE, "").partition(":")
    if parent and left_by == str(parent.pid):
        source_names()  # a file that is no TOML ends the run here, before dlt shows a part of it
        with suppress(ValueError, zlib.error):
            return _unpacked(left)
    found = load_sources()
    if len(packed := _packed(found)) <= MOST_CHARACTERS:
        os.environ[VARIABLE] = f"{os.getpid()}:{packed}"
    return found


def _packed(found: dict[str, Settings | SettingsError]) -> str:
    """As text of a length that also fits for many sources, which are much alike."""
    plain = {
        name: _without_secrets(one) if isinstance(one, Settings) else redact(str(one))
        for name, one in found.items()
    }
    text = json.dumps(plain, default=str)
    return base64.b64encode(zlib.compress(text.encode())).decode()


def _unpacked(text: str) -> dict[str, Settings | SettingsError]:
    plain = json.loads(zlib.decompress(base64.b64decode(text)))
    return {
        name: SettingsError(one) if isinstance(one, str) else Settings.model_validate(one)
        for name, one in plain.items()
    }


def _without_secrets(settings: Settings) -> dict[str, Any]:
    given = settings.model_dump(exclude={"webhook_url": True, "alerts": {"urls"}})
    given["api"]["client"] = {"base_url": settings.base_url}
    del given["change_sensor"]["params"]
    resources = given["api"]["resources"]
    for holder in [given["api"].get("resource_defaults", {}), *resources]:
        endpoint = holder.get("endpoint") if isinstance(holder, dict) else None
        if isinstance(endpoint, dict):
            kept = {name: value for name, value in endpoint.items() if name not in LEFT_OUT}
            params = kept.get("params")
            params = params if isinstance(params, dict) else {}
            if isinstance(path := kept.get("path"), str):
                kept["path"] = path.partition("?")[0]
            kept["params"] = {n: v for n, v in params.items() if not is_credential(n.lower())}
            holder["endpoint"] = kept
    return given
