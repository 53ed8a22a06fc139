"""Presets as data: how a user's settings lie over one, what it may say, and the two commands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import pytest
import tomlkit
from click.testing import CliRunner
from pydantic import ValidationError

from incidents_dagster.cli import main
from incidents_dagster.ingestion import presets
from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.presets import About, Preset, with_own
from incidents_dagster.ingestion.reading.source import declared_source
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.settings_files import SourceSection, config_file

WriteConfig = Callable[[str], None]
EVERY = [presets.DEFAULT, *presets.names()]
PRESET = Preset(
    "x",
    About(title="X", docs="https://x.example.com"),
    {
        "requests_per_minute": 60,
        "client": {
            "base_url": "https://x.example.com",
            "auth": {"type": "api_key", "name": "X-Key", "location": "header"},
            "paginator": {"type": "offset", "limit": 100},
        },
        "resources": [
            {"name": "incident_data", "endpoint": {"path": "/i", "params": {"a": 1, "b": 2}}},
            {"name": "teams", "endpoint": {"path": "/teams"}},
            {"name": "users", "endpoint": {"path": "/users"}},
        ],
    },
)


@pytest.mark.parametrize(
    ("own", "path", "value"),
    [
        ({}, ["requests_per_minute"], 60),
        ({"requests_per_minute": 5}, ["requests_per_minute"], 5),
        ({"max_minutes": 5}, ["max_minutes"], 5),
        ({"client": {"base_url": "u"}}, ["client", "base_url"], "u"),
        ({"client": {"base_url": "u"}}, ["client", "auth", "name"], "X-Key"),
        ({"client": {"auth": {"name": "Y"}}}, ["client", "auth", "location"], "header"),
        ({"client": {"auth": {"type": "bearer"}}}, ["client", "auth"], {"type": "bearer"}),
        (
            {"client": {"auth": {"type": "api_key", "name": "Y"}}},
            ["client", "auth"],
            {"type": "api_key", "name": "Y", "location": "header"},
        ),
        ({"client": {"paginator": "single_page"}}, ["client", "paginator"], "single_page"),
        ({"client": {"paginator": False}}, ["client"], "no paginator"),
    ],
)
def test_a_user_s_settings_lie_over_a_preset_key_by_key(
    own: dict[str, Any], path: list[str], value: Any
) -> None:
    found: Any = with_own(PRESET, own)
    for name in path:
        found = found[name]
    if value == "no paginator":
        assert found.keys() == {"base_url", "auth"}
    else:
        assert found == value


@pytest.mark.parametrize(
    ("own", "names"),
    [
        (None, ["incident_data"]),
        ([], ["incident_data"]),
        (["teams"], ["incident_data", "teams"]),
        (["incident_data", "users"], ["incident_data", "users"]),
        ([{"name": "mine", "endpoint": "/mine"}], ["incident_data", "mine"]),
        (["mine", {"name": "mine"}], ["incident_data", "mine", "mine"]),  # for rest_api to refuse
        ([{"name": ["mine"]}], ["incident_data", ["mine"]]),
    ],
)
def test_the_first_resource_is_read_and_others_if_they_are_named(
    own: list[Any] | None, names: list[str]
) -> None:
    section = with_own(PRESET, {} if own is None else {"resources": own})
    found = [r["name"] if isinstance(r, dict) else r for r in section["resources"]]
    assert found == names


def test_a_resource_of_the_same_name_lies_over_the_preset_s() -> None:
    own = {"name": "incident_data", "endpoint": {"params": {"b": 3, "c": 4}}}
    (resource,) = with_own(PRESET, {"resources": [own]})["resources"]
    assert resource["endpoint"] == {"path": "/i", "params": {"a": 1, "b": 3, "c": 4}}


def test_a_resource_takes_the_place_of_the_default_preset_s(write_config: WriteConfig) -> None:
    write_config('[sources.incidents]\npreset = "default"\nresources = ["alerts"]\n')
    assert load_settings().api["resources"] == ["alerts"]


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        ('"pagerdut"', "preset 'pagerdut' in "),
        ('"pagerdut"', "did you mean 'pagerduty'?"),
        ('"zzz"', "known are default, "),
        ("5", "must be a preset's name."),
    ],
)
def test_an_unknown_preset_is_told(write_config: WriteConfig, preset: str, told: str) -> None:
    write_config(f"[sources.incidents]\npreset = {preset}\n")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert told in str(refused.value)
    assert str(config_file()) in str(refused.value)


def test_a_message_says_what_comes_from_the_preset(write_config: WriteConfig) -> None:
    write_config('[sources.incidents]\npreset = "pagerduty"\nmax_minutes = 5\n')
    where = SourceSection().where
    assert where("client.base_url").endswith("config.toml, by its preset 'pagerduty'")
    assert where("max_minutes").endswith("config.toml")


@pytest.mark.parametrize("name", EVERY)
def test_a_preset_is_valid_and_says_what_users_need(name: str, write_config: WriteConfig) -> None:
    preset = presets.load(name, "")
    assert not {*preset.section} - {*Settings.model_fields, *preset.section.keys() & API}
    own = {**preset.about.settings, **{k: "x" for k in preset.about.secrets if "." in k}}
    own = {"client.base_url": "https://api.example.com", **own}
    section: Any = {"preset": name}
    for setting, example in own.items():
        holder = section
        *tables, key = setting.split(".")
        for part in tables:
            holder = holder.setdefault(part, {})
        holder[key] = example + ("/x" if example.startswith("http") else "x")
    write_config(tomlkit.dumps({"sources": {"incidents": section}}))
    source = declared_source(load_settings())
    assert list(source.resources) == ["incident_data"]
    assert preset.about.docs.startswith("https://")


API = {"client", "resource_defaults", "resources"}


@pytest.mark.parametrize("name", presets.names())
def test_a_vendor_s_preset_says_where_its_facts_are_from(name: str) -> None:
    about = presets.load(name, "").about
    assert about.facts
    assert about.permission or not about.secrets
    assert about.verify.startswith("/")


def test_an_unknown_key_about_a_preset_is_refused() -> None:
    with pytest.raises(ValidationError, match="rate_limit"):
        About.model_validate({"title": "X", "docs": "https://x", "rate_limit": 5})


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def test_presets_lists_every_vendor() -> None:
    code, output = run("presets")
    assert code == 0
    for name in presets.names():
        assert f"{name} " in output


def test_init_names_the_preset_and_keeps_everything_else(tmp_path: Path) -> None:
    file = config_file()
    before = file.read_text()
    code, output = run("init", "pagerduty")
    assert code == 0
    assert file.read_text() == before.replace('preset = "default"', 'preset = "pagerduty"')
    assert "PagerDuty" in output
    assert "the environment variable API_KEY" in output
    assert str(file.with_name("secrets.toml")) in output
    dlt.current.run_context().reload()
    assert load_settings().base_url == "https://api.pagerduty.com"


def test_what_the_user_has_to_set_is_written_as_an_example_that_has_to_be_changed() -> None:
    code, output = run("init", "jira")
    assert code == 0
    assert 'Change:  client.base_url in that file; "https://SITE.atlassian.net" is' in output
    assert "Change:  client.auth.username in that file" in output
    dlt.current.run_context().reload()
    with pytest.raises(SettingsError, match=r"client\.base_url is still the example: the preset"):
        load_settings()
    run("init", "jira")  # again: nothing more
    text = config_file().read_text()
    assert text.count("SITE.atlassian.net") == 1
    config_file().write_text(text.replace("SITE", "mine").replace("YOU@EXAMPLE.COM", "ann"))
    dlt.current.run_context().reload()
    assert load_settings().base_url == "https://mine.atlassian.net"


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        ("jira", "client.base_url is missing: the preset 'jira' needs your own in "),
        ("datadog", "client.headers.DD-APPLICATION-KEY is missing: the preset 'datadog' needs it"),
    ],
)
def test_what_the_user_has_not_set_is_told(
    write_config: WriteConfig, preset: str, told: str
) -> None:
    write_config(f'[sources.incidents]\npreset = "{preset}"\n')
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert told in str(refused.value)


def test_init_makes_a_config_where_there_is_none() -> None:
    config_file().unlink()
    assert run("init", "pagerduty")[0] == 0
    assert tomlkit.parse(config_file().read_text()).unwrap() == {
        "sources": {"incidents": {"preset": "pagerduty"}}
    }


@pytest.mark.parametrize(
    ("config", "preset", "told"),
    [
        ("", "pagerdut", "did you mean 'pagerduty'?"),
        ('[sources.incidents]\npreset = "other"\n', "pagerduty", "preset 'other' already"),
        ('[sources.incidents]\nresources = ["x"]\n', "pagerduty", "an API of its own"),
        ("[sources.incidents]\nclient = {}\n", "servicenow", "client of "),
    ],
)
def test_init_changes_nothing_where_it_cannot(
    write_config: WriteConfig, config: str, preset: str, told: str
) -> None:
    write_config(config)
    code, output = run("init", preset)
    assert code == 1
    assert told in output
    assert config_file().read_text() == config
