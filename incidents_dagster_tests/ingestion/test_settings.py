"""What [sources.incidents] may hold, in which order its places count, and what refusals say."""

import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import hypothesis
import pytest
import tomlkit
from hypothesis import strategies as st

from docs.settings_table import all_settings
from fakes.configuration import written_out
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.settings import PROJECT_ROOT, Settings, hours_of, load_settings
from incidents_dagster.ingestion.settings_files import config_file
from incidents_dagster.ingestion.warehouse.configured_store import database_path

PREFIX = "SOURCES__INCIDENTS__"
Configure = Callable[..., Settings]


def _refusal(configure: Configure, **section: Any) -> str:
    """The message that refuses a section, once it names the file and is a single line."""
    with pytest.raises(SettingsError) as refused:
        configure(**{"resources": ["x"], **section})
    message = str(refused.value)
    assert str(config_file()) in message
    assert "\n" not in message
    return message


def test_each_key_is_taken_from_environment_then_secrets_then_config(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def paginator(value: int, *keys: str) -> dict[str, Any]:
        return {"client": {"paginator": dict.fromkeys(keys, value)}}

    secrets = {"sources": {"incidents": paginator(2, "offset", "limit")}}
    (config_file().parent / "secrets.toml").write_text(tomlkit.dumps(secrets))
    monkeypatch.setenv(f"{PREFIX}CLIENT__PAGINATOR__LIMIT", "3")

    settings = configure(resources=["x"], **paginator(1, "page", "offset", "limit"))

    assert settings.api["client"]["paginator"] == {"page": 1, "offset": 2, "limit": 3}


def test_the_environment_creates_tables_that_no_file_has(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}FRESHNESS__FAIL_AFTER_MINUTES", "240")
    monkeypatch.setenv(f"{PREFIX}CHANGE_SENSOR__PARAMS__SORT", "-created_at")
    monkeypatch.setenv(f"{PREFIX}RESOURCES", '["alerts", {"name": "teams"}]')
    monkeypatch.setenv(f"{PREFIX}OWNERS", '["ann@example.com"]')
    monkeypatch.setenv(f"{PREFIX}SCHEDULES__SYNC_CRON", "*/5 * * * *")
    monkeypatch.setenv(f"{PREFIX}SCHEDULES__RECONCILE_CRON", "")
    monkeypatch.setenv(f"{PREFIX}WAIT_SECONDS", "0.5")

    settings = configure()

    assert settings.freshness.fail_after_minutes == 240
    assert settings.change_sensor.params == {"sort": "-created_at"}
    assert settings.resource_names == ["alerts", "teams"]
    assert settings.owners == ["ann@example.com"]
    assert (settings.schedules.sync_cron, settings.schedules.reconcile_cron) == ("*/5 * * * *", "")
    assert settings.wait_seconds == 0.5


def test_an_empty_text_in_the_environment_unsets_a_text(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}WEBHOOK_URL", "")
    settings = configure(resources=["x"], webhook_url="https://hooks.example.com")
    assert settings.webhook_url == ""


def test_the_environment_cannot_reach_into_a_list_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"{PREFIX}RESOURCES__0__NAME", "x")
    with pytest.raises(SettingsError, match=r"SOURCES__INCIDENTS__RESOURCES__0__NAME: .*JSON"):
        load_settings()


def test_what_is_not_configured_has_its_default(configure: Configure) -> None:
    settings = configure(resources=["x"])
    assert settings == Settings(api=settings.api)
    assert settings.api == {"client": {}, "resources": ["x"]}
    assert settings.base_url == ""


def test_the_shipped_config_mentions_every_setting_and_overrides_nothing() -> None:
    text = (PROJECT_ROOT / ".dlt" / "config.toml").read_text()
    own = {"sources": {"incidents": {"preset": "default"}}}
    assert tomlkit.parse(text.partition("[runtime]")[0]).unwrap() == own
    uncommented = re.sub(r"^#(?=\[|\w+ = )", "", text, flags=re.M)
    shown = tomlkit.parse(uncommented).unwrap()["sources"]["incidents"]
    for name, default, _ in all_settings():
        *tables, key = name.split(".")
        table = shown[tables[0]] if tables else shown
        if name in ("webhook_url", "alerts.urls"):  # secrets
            assert key not in table
        elif name != "preset":
            assert table[key] == default, f"config.toml has another {name} than its default"
    assert load_settings().resource_names == ["incident_data"]


def test_a_configuration_of_the_first_release_means_the_same(
    write_config: Callable[[str], None],
) -> None:
    shipped = load_settings()
    write_config(written_out())
    assert load_settings() == shipped.model_copy(update={"preset": ""})


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ("[source.incidents.client]", "source.incidents in a table of "),
        ("  [ sources . incident ]", "sources.incident in a table of "),
        ("[[Sources.Incidents.resources]]", "Sources.Incidents in a table of "),
    ],
)
def test_a_misspelt_section_is_not_ignored(
    monkeypatch: pytest.MonkeyPatch, table: str, named: str
) -> None:
    config = config_file()
    text = config.read_text()
    config.write_text(f"{text}\n{table}\n")
    with pytest.raises(SettingsError, match=r"did you mean sources\.incidents") as raised:
        load_settings()
    assert str(raised.value).startswith(named)
    config.write_text(f"{text}\n[sources.data_writer]\n[runtime]\n")
    monkeypatch.setenv("SOURCES__INCIDENTS_DB__CREDENTIALS", "of another dlt source")
    assert load_settings().resource_names
    monkeypatch.setenv("SOURCE__INCIDENTS__CLIENT__BASE_URL", "https://api.example.com")
    with pytest.raises(SettingsError, match=r"source\.incidents in the environment is not read"):
        load_settings()


@pytest.mark.parametrize(
    ("section", "unknown", "advice"),
    [
        ({"resorces": []}, "resorces", "did you mean 'resources'?"),
        ({"freshness": {"warn_after": 5}}, "warn_after", "did you mean 'warn_after_minutes'?"),
        ({"change_sensor": {"interval": 5}}, "interval", "did you mean 'interval_seconds'?"),
        ({"webhook": "https://x"}, "webhook", "did you mean 'webhook_url'?"),
        ({"completeness": {"total": "n"}}, "total", "did you mean 'total_path'?"),
        ({"delete_share": 0.1}, "delete_share", "did you mean 'deleted_share'?"),
        ({"zzz": 1}, "zzz", "known settings are client, "),
        ({"api": {}}, "api", "known settings are client, "),
        ({"schedules": {"sync": "@daily"}}, "sync", "did you mean 'sync_cron'?"),
        ({"waits_seconds": 5}, "waits_seconds", "did you mean 'wait_seconds'?"),
    ],
)
def test_an_unknown_setting_is_refused_with_a_guess(
    configure: Configure, section: dict[str, Any], unknown: str, advice: str
) -> None:
    message = _refusal(configure, **section)
    assert message.startswith(f"Unknown setting {unknown!r} in ")
    assert advice in message


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"resources": []}, "resources"),
        ({"resources": "x"}, "resources"),
        ({"resources": [5]}, "resources[0]"),
        ({"resources": ["x", {"endpoint": "/x"}]}, "resources[1]"),
        ({"resources": [{"name": 5}]}, "resources[0]"),
        ({"resources": [{"name": "Incident Data"}]}, "resources[0].name"),
        ({"resources": ["incident-data"]}, "resources[0].name"),
        ({"client": "https://api.example.com"}, "client"),
        ({"resource_defaults": 5}, "resource_defaults"),
        ({"freshness": 5}, "freshness"),
        ({"freshness": {"fail_after_minutes": "soon"}}, "freshness.fail_after_minutes"),
        ({"freshness": {"fail_after_minutes": True}}, "freshness.fail_after_minutes"),
        ({"freshness": {"warn_after_minutes": -5}}, "freshness.warn_after_minutes"),
        ({"change_sensor": {"interval_seconds": 0}}, "change_sensor.interval_seconds"),
        ({"change_sensor": {"params": "sort"}}, "change_sensor.params"),
        ({"change_sensor": []}, "change_sensor"),
        ({"fetch_ahead": 0}, "fetch_ahead"),
        ({"fetch_ahead": 2.5}, "fetch_ahead"),
        ({"fetch_ahead": True}, "fetch_ahead"),
        ({"requests_per_minute": -1}, "requests_per_minute"),
        ({"requests_per_minute": "many"}, "requests_per_minute"),
        ({"max_minutes": 0}, "max_minutes"),
        ({"allow_plain_http": 1}, "allow_plain_http in"),
        ({"allow_plain_http": "no"}, "must be true or false, not 'no'"),
        ({"completeness": "total"}, "completeness"),
        ({"completeness": {"total_path": 5}}, "completeness.total_path"),
        ({"completeness": {"total_path": False}}, "must be text, not False"),
        ({"completeness": {"more_path": ["more"]}}, "completeness.more_path"),
        ({"completeness": {"overlap_pages": "false"}}, "completeness.overlap_pages"),
        ({"quarantine_share": -0.1}, "quarantine_share"),
        ({"quarantine_share": 1.5}, "must be less than or equal to 1, not 1.5"),
        ({"quarantine_share": float("nan")}, "quarantine_share"),
        ({"quarantine_share": True}, "quarantine_share"),
        ({"deleted_share": "half"}, "deleted_share"),
        ({"freshness": {"newest_within_hours": 0.5}}, "greater than or equal to 1, not 0.5"),
        ({"webhook_url": 5}, "webhook_url"),
        ({"alerts": {"urls": ["slack"]}}, "alerts.urls in"),
        ({"alerts": {"ui_url": "127.0.0.1"}}, "an http(s) address, or empty, not '127.0.0.1'"),
        ({"alerts": {"unproven_minutes": -1}}, "alerts.unproven_minutes"),
        ({"alerts": {"open_hours": {"sev1": "4"}}}, "alerts.open_hours.sev1 in"),
        ({"alerts": {"open_hours": {"sev1": 0}}}, "greater than 0, not 0"),
        ({"wait_seconds": -1}, "wait_seconds in"),
        ({"wait_seconds": "a minute"}, "must be a number, not 'a minute'"),
        ({"schedules": "0 * * * *"}, "schedules in"),
        ({"schedules": {"sync_cron": 5}}, "schedules.sync_cron"),
        ({"schedules": {"timezone": "Berlin"}}, "schedules.timezone"),
        ({"schedules": {"timezone": "Europe"}}, "such as \"Europe/Berlin\", not 'Europe'"),
        ({"schedules": {"timezone": ""}}, "schedules.timezone"),
        ({"schedules": {"timezone": "../UTC"}}, "schedules.timezone"),
        ({"owners": "team:on-call"}, "owners in"),
        ({"owners": ["on-call"]}, 'such as ["ann@example.com", "team:on-call"], not \'on-call\''),
        ({"owners": ["team:"]}, "owners in"),
        ({"owners": [5]}, "owners in"),
        ({"group": "on call"}, "group in"),
        ({"group": ""}, "must be a name of letters, digits and underscores, not ''"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(
    configure: Configure, section: dict[str, Any], key: str
) -> None:
    assert key in _refusal(configure, **section)


@hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(
    setting=st.sampled_from(
        [(n, default) for n, default, _ in all_settings() if n not in ("preset", "also")]
    ),
    value=st.one_of(
        st.booleans(),
        st.integers(-2, 2**40),
        st.floats(),
        st.text(st.characters(max_codepoint=126, min_codepoint=32)),
        st.lists(st.sampled_from(["team:on-call", "ann@example.com", "somebody", 5])),
        st.dictionaries(st.sampled_from(["sort", "q"]), st.integers()),
    ),
)
def test_a_value_is_taken_as_it_is_or_refused_by_name(
    configure: Configure, setting: tuple[str, Any], value: Any
) -> None:
    name, default = setting
    *tables, key = name.split(".")
    section = {tables[0]: {key: value}} if tables else {key: value}
    try:
        taken = configure(resources=["x"], **section)
    except SettingsError:
        message = _refusal(configure, **section)
        assert key in message
        assert " must be " in message
        assert "pydantic" not in message
    else:
        for part in name.split("."):
            taken = getattr(taken, part)
        assert taken == value
        assert isinstance(taken, type(default))
        assert isinstance(value, bool) == isinstance(default, bool)


@pytest.mark.parametrize("wrong", [["https://hooks.example.com/s3cr3t"], {"s3cr3t": 1}])
def test_a_secret_is_in_no_message(configure: Configure, wrong: Any) -> None:
    with pytest.raises(SettingsError, match=r"webhook_url in .* must be text, not a") as refused:
        configure(resources=["x"], webhook_url=wrong)
    assert "s3cr3t" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("OWNERS", '["s3cr3t', "not text: as JSON, it is not valid (line 1, column 2)"),
        ("CLIENT", '{"auth": {"token": "s3cr3t"}', "must be a table, as in rest_api"),
        ("CLIENT", "s3cr3t", "must be a table, as in rest_api, not text"),
        ("RESOURCES", "s3cr3t", "must be a list, as in rest_api, not text"),
        ("CLIENT__BASE_URL", "https://x:s3cr3t", "is not an address"),
        ("CLIENT__BASE_URL", '["https://s3cr3t"]', "is not an http(s) address"),
        ("COMPLETENESS", '{"total_path": "s3cr3t"', "must be a table, not text: "),
        ("CHANGE_SENSOR__PARAMS", "s3cr3t", "must be a table, not text"),
        ("FETCH_AHEAD", '["s3cr3t"]', "must be a whole number, not a list"),
        ("FETCH_AHEAD", "4 s3cr3t " * 9, "must be a whole number, not text"),
        ("FETCH_AHEAD", "four", "must be a whole number, not 'four'"),
        ("ALERTS__URLS", "slack://s3cr3t", "not text"),
        (
            "ALERTS__URLS",
            '["s3cr3t"]',
            "must be Apprise's URLs, such as slack://TOKEN/TOKEN/TOKEN, not text",
        ),
        ("ALERTS__URLS", '["s3cr3t://x", 5]', "must be text, not this value"),
    ],
)
def test_what_is_malformed_in_the_environment_is_named_without_its_content(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    configure(resources=["x"])
    monkeypatch.setenv(PREFIX + variable, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    message, setting = str(refused.value), variable.lower().replace("__", ".")
    assert message.startswith(f"{setting} in the environment variable {PREFIX}{variable} ")
    assert told in message
    assert "s3cr3t" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "text", ['[sources]\nincidents = "s3cr3t"', '[[sources.incidents]]\na = "s3cr3t"']
)
def test_a_section_that_is_no_table_is_refused_with_its_file(tmp_path: Path, text: str) -> None:
    secrets = tmp_path / ".dlt" / "secrets.toml"
    secrets.write_text(text)
    dlt.current.run_context().reload()
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value) == f"[sources.incidents] of {secrets} must be a table."


def test_a_wrong_value_is_shown_without_a_secret(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "k3y-of-the-test")
    assert _refusal(configure, fetch_ahead="k3y-of-the-test").endswith("not '***'.")


def test_settings_show_no_secret(configure: Configure) -> None:
    client = {"auth": {"type": "bearer", "token": "s3cr3t"}}
    alerts = {"urls": ["slack://s3cr3t"]}
    settings = configure(
        resources=["x"], client=client, webhook_url="https://x/s3cr3t", alerts=alerts
    )
    assert settings.alerts.urls == alerts["urls"]
    assert settings.api["client"] == client
    assert "s3cr3t" not in f"{settings!r} {settings}"


def test_settings_cannot_be_changed(configure: Configure) -> None:
    settings = configure(resources=["x"])
    with pytest.raises(ValueError, match="frozen"):
        settings.group = "other"  # type: ignore[misc]


def test_a_null_in_the_environment_is_the_default(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        f"{PREFIX}FRESHNESS", '{"warn_after_minutes": null, "fail_after_minutes": 95}'
    )
    freshness = configure(resources=["x"]).freshness
    assert (freshness.warn_after_minutes, freshness.fail_after_minutes) == (90, 95)


@pytest.mark.parametrize(
    "address",
    [
        "api.example.com",
        "ftp://api.example.com",
        "https://",
        "/v1",
        5,
        "http://[::1",
        "http://127.0.0.1:99999",
        "https://user:password@api.example.com",
        "https://api.example.com?api_key=1",
    ],
)
def test_an_address_that_cannot_be_asked_is_refused(configure: Configure, address: Any) -> None:
    message = _refusal(configure, client={"base_url": address})
    assert "client.base_url" in message
    assert "password@" not in message


@pytest.mark.parametrize(
    ("warn", "fail"),
    [(90, 90), (180, 90), (0.5, 90), (90, float("nan")), (90, float("inf"))],
)
def test_freshness_out_of_bounds_is_refused(configure: Configure, warn: float, fail: float) -> None:
    freshness = {"warn_after_minutes": warn, "fail_after_minutes": fail}
    message = _refusal(configure, freshness=freshness)
    assert "freshness" in message
    assert "_after_minutes" in message


def test_the_narrowest_freshness_is_taken(configure: Configure) -> None:
    freshness = {"warn_after_minutes": 1, "fail_after_minutes": 1.5, "newest_within_hours": 1}
    taken = configure(resources=["x"], freshness=freshness).freshness
    assert taken.model_dump() == freshness


def test_a_share_may_be_nothing_and_all(configure: Configure) -> None:
    settings = configure(resources=["x"], quarantine_share=0, deleted_share=1)
    assert (settings.quarantine_share, settings.deleted_share) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [("config.toml", "[sources.incidents\n", 1), ("secrets.toml", "s3cr3t = 1\ns3cr3t = 2\n", 2)],
)
def test_a_file_that_is_not_toml_is_one_message_with_its_path_and_no_content(
    tmp_path: Path, name: str, text: str, line: int
) -> None:
    broken = tmp_path / ".dlt" / name
    broken.write_text(text)
    # In a process of its own, because dlt reads the files once, when it is first used.
    program = (
        "from incidents_dagster.ingestion.settings import load_settings\n"
        "from incidents_dagster.ingestion.errors import SettingsError\n"
        "try: load_settings()\n"
        "except SettingsError as error: print(error)\n"
        "from incidents_dagster.ingestion.warehouse.configured_store import database_path\n"
        "assert database_path().name == 'warehouse.duckdb'  # the demo's only if that is certain\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    del environment["INCIDENTS_DUCKDB_PATH"]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert f"{broken} is not valid TOML, at line {line}, column " in done.stdout
    assert "s3cr3t" not in done.stdout
    assert "Traceback" not in done.stderr


def test_without_a_config_file_the_message_says_what_is_needed() -> None:
    config_file().unlink()
    dlt.current.run_context().reload()
    with pytest.raises(
        SettingsError, match=r"No resources .*\[\[sources\.incidents\.resources\]\]"
    ):
        load_settings()


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("elsewhere/incidents2.duckdb", PROJECT_ROOT / "elsewhere" / "incidents2.duckdb"),
        ("/srv/warehouse.duckdb", Path("/srv/warehouse.duckdb")),
        ("~/warehouse.duckdb", Path.home() / "warehouse.duckdb"),
    ],
)
def test_the_database_path_counts_from_the_project_root(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str, path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", given)
    assert database_path() == path


BASE_URL = "SOURCES__INCIDENTS__CLIENT__BASE_URL"


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "demo.duckdb"),
        ({"INCIDENTS_DUCKDB_PATH": ""}, "demo.duckdb"),
        ({BASE_URL: ""}, "demo.duckdb"),
        ({BASE_URL: "https://api.example.com"}, "warehouse.duckdb"),
        ({BASE_URL: "not an address"}, "warehouse.duckdb"),
        ({BASE_URL: "https://x", "SOURCES__INCIDENTS__OWNERS": "nobody"}, "warehouse.duckdb"),
        ({"SOURCES__INCIDENTS__OWNERS": "nobody"}, "demo.duckdb"),
        ({"SOURCES__INCIDENTS__CLIENT": "no table"}, "warehouse.duckdb"),
        ({"SOURCES__INCIDENTS__RESOURCES__X": "1"}, "warehouse.duckdb"),
    ],
)
def test_the_demo_has_a_file_of_its_own(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], name: str
) -> None:
    monkeypatch.delenv("INCIDENTS_DUCKDB_PATH")
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert database_path() == PROJECT_ROOT / "data" / name


@pytest.mark.parametrize(
    "given", ["incidents.duckdb", "_dlt_incidents_staging.db", "/srv/Incidents.db", "~/incidents"]
)
def test_a_database_cannot_be_called_like_its_schema(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("INCIDENTS_DUCKDB_PATH", given)
    with pytest.raises(SettingsError, match=f"INCIDENTS_DUCKDB_PATH={given}.*another name"):
        database_path()


@pytest.mark.parametrize(
    ("text", "hours"),
    [("8-10", [8, 9]), ("22-1", [22, 23, 0]), ("0-24", [*range(24)]), ("8-8", [])],
)
def test_hours_of_a_day(text: str, hours: list[int]) -> None:
    assert hours_of(text) == hours
