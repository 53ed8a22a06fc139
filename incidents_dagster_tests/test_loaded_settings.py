"""A process that the code location starts has its settings, and nobody else has."""

import base64
import multiprocessing
import os
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from secrets import token_hex

import pytest

from fakes.configuration import written_out
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.settings_files import config_file
from incidents_dagster.loaded_settings import MOST_CHARACTERS, VARIABLE, loaded_settings

KEY = "k3y-of-the-test"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")  # as it was, afterwards


def _names_in_a_process() -> list[str]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_names).result(timeout=60)


def _names() -> list[str]:
    return _settings().resource_names


def _settings() -> Settings:
    found = loaded_settings()["incidents"]
    assert isinstance(found, Settings)
    return found


def test_a_process_has_the_settings_of_the_one_that_started_it(
    write_config: Callable[[str], None],
) -> None:
    assert _names() == ["incident_data"]
    write_config(written_out().replace("incident_data", "alerts"))
    assert _names_in_a_process() == ["incident_data"]
    assert _names() == ["alerts"]
    assert _names_in_a_process() == ["alerts"]


def test_a_file_that_is_not_toml_is_one_message_there_too() -> None:
    assert _names() == ["incident_data"]
    config_file().write_text(f'[sources.incidents\nkey = "{KEY}"\n')
    with pytest.raises(SettingsError, match="is not valid TOML, at line 1, column") as refused:
        _names_in_a_process()
    assert KEY not in str(refused.value)


def test_those_that_another_process_left_are_not_taken(
    write_config: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded_settings()
    left = os.environ[VARIABLE].partition(":")[2]
    monkeypatch.setenv(VARIABLE, f"1:{left}")
    write_config(written_out().replace("incident_data", "alerts"))
    assert _names_in_a_process() == ["alerts"]


def test_no_secret_is_left(
    write_config: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = f'headers = {{ "X-Key" = "{KEY}" }}, params = {{ token = "{KEY}", page = 1 }}'
    write_config(
        f'[sources.incidents]\nwebhook_url = "{KEY}"\nalerts.urls = ["json://{KEY}"]\n'
        "[sources.incidents.client]\n"
        f'auth = {{ token = "{KEY}" }}\nheaders = {{ "X-Key" = "{KEY}" }}\n'
        f'[[sources.incidents.resources]]\nname = "x"\n'
        f'endpoint = {{ path = "/x?token={KEY}", {secrets} }}\n'
        f'[sources.incidents.change_sensor]\nparams = {{ token = "{KEY}" }}\n'
        f'[sources.incidents.resource_defaults]\nendpoint = {{ auth = {{ token = "{KEY}" }} }}\n'
    )
    assert KEY in str(_settings().api)
    left = zlib.decompress(base64.b64decode(os.environ[VARIABLE].partition(":")[2])).decode()
    assert KEY not in left
    assert "page" in left


def test_settings_that_no_variable_can_hold_are_not_left(
    write_config: Callable[[str], None],
) -> None:
    much = token_hex(MOST_CHARACTERS)  # cannot be packed into less
    write_config(f'[[sources.incidents.resources]]\nname = "x"\ndescription = "{much}"')
    loaded_settings()
    assert os.environ[VARIABLE] == ""
