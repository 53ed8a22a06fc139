"""Who is told: a source's `webhook_url` and `alerts.urls`, else those of the first source.

They are read by themselves, so that they are known whatever else is wrong with the settings.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.secrets.redaction import SECRETS, remember
from incidents_dagster.ingestion.secrets.spellings import is_unmistakable
from incidents_dagster.ingestion.settings import Alerts, refusal
from incidents_dagster.ingestion.settings_files import Place, SourceSection
from incidents_dagster.ingestion.tables import FIRST

SECRET_PATH = 16  # a shorter path of a webhook, such as /incidents, may be an ordinary word
WEBHOOK, APPRISE = "webhook", "apprise"


@dataclass(frozen=True)
class Receiver:
    """Somebody who is told.

    Attributes:
        name: The setting that has it, for messages; its address is a secret.
        by: `webhook` or `apprise`.
        url: Its address.
    """

    name: str
    by: str
    url: str = field(repr=False)


@dataclass(frozen=True)
class Known:
    """What is configured about alerts.

    Attributes:
        alerts: Source → its settings; the defaults, where they are wrong.
        wrong: Source → what is wrong with them.
        own: Source → its own receivers.
    """

    alerts: Mapping[str, Alerts]
    wrong: Mapping[str, str]
    own: Mapping[str, tuple[Receiver, ...]]

    @classmethod
    def of(cls, sources: Iterable[str]) -> "Known":
        """What is configured for these sources now. Their secrets are redacted from now on."""
        alerts: dict[str, Alerts] = {}
        wrong: dict[str, str] = {}
        own: dict[str, tuple[Receiver, ...]] = {}
        for source in sources:
            alerts[source], own[source] = Alerts(), ()
            try:
                alerts[source], own[source] = _configured(SourceSection(source))
            except SettingsError as error:
                wrong[source] = str(error)
        return cls(alerts, wrong, own)

    def receivers(self, source: str) -> tuple[Receiver, ...] | None:
        """Who is told about a source; None if the settings do not say now."""
        for name in (source, FIRST):
            if name in self.wrong:
                return None
            if found := self.own.get(name, ()):
                return found
        return ()

    @property
    def ui_url(self) -> str:
        """Where the UI is; empty if unknown."""
        return self.alerts[FIRST].ui_url if FIRST in self.alerts else ""


def _configured(section: SourceSection) -> tuple[Alerts, tuple[Receiver, ...]]:
    own = section.own()
    remember(*section.secrets(SECRETS))
    try:
        alerts = Alerts.model_validate(own.get("alerts") or {})
    except ValidationError as refused:
        place = Place("alerts", section)
        raise SettingsError(refusal(refused, Alerts, place)) from None
    webhook, found = own.get("webhook_url") or "", []
    if not isinstance(webhook, str):
        raise SettingsError(f"webhook_url in {section.where('webhook_url')} must be text.")
    place_of = f"of [{section.name}]"
    if webhook:
        path = urlsplit(webhook).path
        remember(webhook, path if len(path) >= SECRET_PATH else "", in_records=False)
        found.append(Receiver(f"webhook_url {place_of}", WEBHOOK, webhook))
    for number, url in enumerate(alerts.urls):
        remember(url, *secrets_of(url), in_records=False)
        found.append(Receiver(f"alerts.urls[{number}] {place_of}", APPRISE, url))
    return alerts, tuple(found)


def secrets_of(url: str) -> list[str]:
    """The parts of one of Apprise's URLs that are secrets by themselves: `slack://TOKEN/TOKEN`.

    They may be anywhere: the user, the host, the path or the query. An ordinary word, such as a
    channel, is none, but a password always is.
    """
    _, _, rest = url.partition("://")
    found = re.match(r"[^/?#@]*?:([^/?#@]+)@", rest)
    parts = [part for part in re.split(r"[/?&=:@#,]+", rest) if _is_secret(part)]
    given = [*(found.groups() if found else ()), *parts]
    return list(dict.fromkeys([*given, *map(unquote, given)]))


def _is_secret(part: str) -> bool:
    return any(map(is_unmistakable, re.split("[.%]", part)))
