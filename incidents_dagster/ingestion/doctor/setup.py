"""What can be seen without a request: settings, where they come from, secrets, network, store."""

import os
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dlt

from incidents_dagster.ingestion.doctor.findings import Diagnosis, Level
from incidents_dagster.ingestion.errors import DatabaseBusyError, IngestionError
from incidents_dagster.ingestion.presets import DEFAULT
from incidents_dagster.ingestion.secrets.auth import SECRET_FIELDS
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.settings_files import SourceSection
from incidents_dagster.ingestion.warehouse.configured_store import configured_store

FREE_MB = 500  # less is little for a sync


def look_at_settings(settings: Settings, found: Diagnosis) -> None:
    """Where the settings come from."""
    section = settings.section
    about = section.about_preset()
    named = f"{about.title}, " if about and settings.preset != DEFAULT else ""
    api = settings.base_url or "the demo API, as no client.base_url is set"
    found.add(Level.OK, "settings", f"{named}{api}, from {section.where('client.base_url')}.")


def look_at_secrets(settings: Settings, found: Diagnosis) -> None:
    """Whether each secret is there, where it comes from, and its shape."""
    auth = settings.api["client"].get("auth")
    kind = auth.get("type", "bearer") if isinstance(auth, dict) else auth
    section = settings.section
    about = section.about_preset()
    for field in SECRET_FIELDS.get(str(kind), ()):
        given = auth.get(field) if isinstance(auth, dict) else None
        value, origin = (
            (given, section.where(f"client.auth.{field}")) if given else _secret(field, section)
        )
        wanted = about.secrets.get(field, "") if about and settings.preset != DEFAULT else ""
        wanted = f" The vendor's: {wanted.rstrip('.')}." if wanted else ""
        if not value:
            found.add(
                Level.FAIL,
                "secret",
                f"{field} is missing: it is neither in {section.places_of(field)}.",
                f"Set one of them.{wanted}",
            )
        else:
            found.add(
                Level.OK, "secret", f"{field} is there, {_shape(value)}, from {origin}.{wanted}"
            )


def look_at_network(settings: Settings, found: Diagnosis) -> bool:
    """Whether the API's name is known and its port listens; without that, requests are futile."""
    parts = urlsplit(settings.base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY")):
        found.add(
            Level.NOTE, "network", "A proxy is set in the environment; requests go through it."
        )
        return True
    try:
        socket.create_connection((str(parts.hostname), port), timeout=5).close()
    except socket.gaierror:
        seen, cure = f"{parts.hostname} is no known name.", "Check client.base_url, and your DNS."
    except OSError as error:
        seen = f"{parts.hostname} does not answer at port {port} ({error.strerror or error})."
        cure = "Check client.base_url, and your network."
    else:
        found.add(Level.OK, "network", f"{parts.hostname} answers at port {port}.")
        return True
    found.add(Level.FAIL, "network", seen, cure)
    return False


def look_at_store(source: str, found: Diagnosis) -> None:
    """The store: where it is, whether a sync is running, and how much room is left."""
    store = configured_store()
    try:
        room = store.room()
        with store.alone_on(source, seconds=0):
            pass
    except DatabaseBusyError as error:
        found.add(Level.WARN, "database", f"{store.name} is in use: {error}")
        return
    except IngestionError as error:
        found.add(Level.FAIL, "database", str(error))
        return
    there = "not there yet" if room.taken is None else f"{room.taken:,.1f} MB"
    level = Level.WARN if room.free is not None and room.free < FREE_MB else Level.OK
    free = "" if room.free is None else f"; {room.free / 1024:,.0f} GB are free"
    found.add(level, "database", f"{store.name}, {there}{free}.")


def _secret(field: str, section: SourceSection) -> tuple[str, str]:
    """A secret as `auth` finds it, and where."""
    value = section.secret(field)
    if field in section.own_secrets():
        return value, section.where(field)
    if os.environ.get(field.upper()):
        return value, f"the environment variable {field.upper()}"
    files = [Path(one) for one in dlt.secrets.writable_provider.locations]
    file = next((one for one in files if one.is_file()), Path("a secrets provider"))
    return value, f"the top of {file}"


def _shape(value: Any) -> str:
    """How long a secret is and of which characters, which does not give it away."""
    text = str(value).strip()
    kinds = {
        "digits": r"\d",
        "letters": "[A-Za-z]",
        "other characters": r"[^A-Za-z\d]",
    }
    there = [name for name, pattern in kinds.items() if re.search(pattern, text)]
    return f"{len(text)} characters: {' and '.join(there)}"
