"""What rest_api refuses is refused in one message that names the setting and the file."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.source import declared_source, open_api
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.settings_files import config_file
from incidents_dagster.ingestion.tables import Table

Configure = Callable[..., Settings]


def _resource(**fields: Any) -> dict[str, Any]:
    return {"resources": [{"name": "x", **fields}]}


def _client(**fields: Any) -> dict[str, Any]:
    return {"client": {"base_url": "https://api.example.com", **fields}}


@pytest.mark.parametrize(
    ("section", "named"),
    [
        (_client(haeders={}), ["client", "haeders"]),
        (_client(headers="x"), ["client", "headers"]),
        (_client(paginator={"type": "ofset"}), ["client.paginator", "ofset", "'offset'"]),
        (_client(paginator="ofset"), ["client", "paginator", "ofset"]),
        (_client(paginator={"type": "offset", "limit": "many"}), ["client.paginator", "limit"]),
        (_client(paginator={"type": "offset"}), ["limit"]),
        (_client(paginator={"type": "cursor", "cursr": "x"}), ["client.paginator", "cursr"]),
        (_resource(primarykey="id"), ["resources[0]", "primarykey"]),
        (_resource(write_disposition="mrege"), ["resources[0]", "write_disposition", "mrege"]),
        (_resource(endpoint={"pth": "/x"}), ["resources[0].endpoint", "pth"]),
        (_resource(endpoint={"params": "a"}), ["resources[0].endpoint", "params"]),
        (_resource(endpoint={"data_selector": 5}), ["resources[0].endpoint", "data_selector"]),
        (_resource(endpoint={"data_selector": "$.[["}), ["data_selector '$.[['"]),
        (_client(paginator={"type": "offset", "limit": 0}), ["paginator", "limit=0"]),
        (_resource(columns={"a": {"data_type": "string"}}), ["columns", "a", "string", "'text'"]),
        (
            {"resources": [{"name": "x_data", "columns": {"a": {"data_type": "string"}}}]},
            ["columns", "a", "string", "'text'", "x_data"],
        ),
        (_resource(write_disposition="upsert"), ["write_disposition", "'upsert'", "a table"]),
        (_resource(columns={"a": {"datatype": "text"}}), ["columns", "a", "datatype"]),
        (
            _resource(endpoint={"path": "/x", "paginator": {"type": "cursr"}}),
            ["resources[0].endpoint.paginator", "cursr", "'cursor'"],
        ),
        (_resource(endpoint={"path": "{resources.y.id}"}), ["`x`", "`y`"]),
        (_resource(endpoint={"path": "{resource.y.id}"}), ["`x`", "resource.y.id"]),
        ({"resources": ["x", "x"]}, ["`x`", "already"]),
        (_resource(columns={"a": "text"}), ["columns", "a"]),
        (
            _resource(endpoint={"path": "/x", "json": {"query": "{ incidents { id } }"}}),
            ["endpoint.json", "{{ or }}", "[sources.incidents]"],
        ),
        (_resource(endpoint={"path": "/x", "params": {"a": ["{"]}}), ["endpoint.params", "{{"]),
        (_resource(endpoint=5), ["resources[0].endpoint"]),
        (_resource(endpoint=[]), ["resources[0].endpoint"]),
        ({"resource_defaults": {"endpoint": 5}}, ["resource_defaults.endpoint"]),
    ],
)
def test_what_rest_api_refuses_is_one_message_that_names_the_setting(
    configure: Configure, section: dict[str, Any], named: list[str]
) -> None:
    settings = configure(**{"resources": ["x"], **_client(), **section})
    with pytest.raises(SettingsError) as refused:
        declared_source(settings)
    message = str(refused.value)
    assert message.startswith(f"[sources.incidents] of {config_file()} ")
    assert not [part for part in named if part not in message]
    assert "\n" not in message


@pytest.mark.parametrize("setting", ["total_path", "more_path"])
def test_a_path_that_is_no_jsonpath_is_one_message(configure: Configure, setting: str) -> None:
    settings = configure(resources=["x"], completeness={setting: "]["}, **_client())
    with pytest.raises(SettingsError, match=rf"completeness\.{setting} '\]\[' is not a JSONPath"):
        declared_source(settings)


@pytest.mark.parametrize("strategy", ["upsert", "insert-only"])
def test_a_strategy_that_lets_rows_in_twice_is_one_message(
    configure: Configure, strategy: str
) -> None:
    disposition = {"disposition": "merge", "strategy": strategy}
    resource = {"name": "x", "primary_key": "id", "write_disposition": disposition}
    settings = configure(resources=[resource], **_client())
    with pytest.raises(SettingsError, match=f"x: the merge strategy '{strategy}' would store"):
        declared_source(settings)


def test_resources_that_share_a_table_are_one_message(configure: Configure) -> None:
    shared = [{"name": name, "table_name": "t"} for name in ("x", "y")]
    settings = configure(resources=shared, **_client())
    with pytest.raises(SettingsError, match=r"x and y share the table t.*its own table_name"):
        declared_source(settings)


def test_what_deletes_by_another_key_cannot_be_read_incrementally(configure: Configure) -> None:
    hints = {"primary_key": "id", "merge_key": "day", "write_disposition": "merge"}
    endpoint = {"path": "/x", "incremental": {"cursor_path": "at", "start_param": "since"}}
    settings = configure(resources=[{"name": "x", **hints, "endpoint": endpoint}], **_client())
    with pytest.raises(SettingsError, match=r"x has incremental.*without a merge_key"):
        declared_source(settings)
    settings = configure(resources=[{"name": "x", **hints}], **_client())
    assert not Table.of(declared_source(settings), "x").takes_changes_alone


KEY = "k3y-of-the-test"


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (_client(headers=KEY), "client.headers must be a table, not text"),
        (_client(headers={"X": [KEY]}), "client.headers[X] must be text, not a list"),
        (_client(auth=KEY), "client.auth must be one of 'bearer', 'api_key', "),
        (_client(auth={"type": KEY}), "client.auth.type must be one of 'bearer', 'api_key', "),
        (_client(auth={"type": [KEY]}), "client.auth.type must be one of "),
        (_client(auth=f'{{"token": "{KEY}"'), "client.auth must be one of "),
        (_client(paginator=KEY), "'page_number' or a table, not text"),
        (_client(paginator={"type": [KEY]}), "client.paginator.type must be one of 'json_link', "),
        (_client(paginator={"type": "offset", "limit": [KEY]}), "must be a whole number, not a "),
        (_client(paginator={"type": "cursor", "cursor_path": [KEY]}), "cursor_path must be text"),
        (_resource(endpoint={"params": KEY}), "resources[0].endpoint.params must be a table"),
        (_resource(endpoint={"json": [KEY]}), "resources[0].endpoint.json must be a table"),
        (_resource(endpoint={"path": {"a": KEY}}), "resources[0].endpoint.path must be text, not"),
        (_resource(endpoint={"incremental": KEY}), "endpoint.incremental must be a table, not te"),
        (_resource(columns=KEY), "resources[0].columns is not a table"),
        (_resource(columns=[KEY]), "resources[0].columns[0] is not a table"),
        (_resource(columns={"a": [KEY]}), "resources[0].columns.a is not a table"),
        (_resource(columns={"a": {"nullable": [KEY]}}), "columns.a.nullable of x must be true or"),
        (_resource(primary_key={"a": KEY}), "resources[0].primary_key must be text or a list"),
        (_resource(processing_steps=KEY), "resources[0].processing_steps must be a list, not text"),
    ],
)
@pytest.mark.sample(10)
def test_what_is_malformed_is_named_without_its_content(
    configure: Configure, section: dict[str, Any], told: str
) -> None:
    settings = configure(**{"resources": ["x"], **_client(), **section})
    with pytest.raises(SettingsError) as refused:
        declared_source(settings)
    message = str(refused.value)
    assert told in message
    assert KEY not in "".join(traceback.format_exception(refused.value))


def test_a_wrong_setting_of_rest_api_is_looked_for_where_it_is(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__INCIDENTS__CLIENT__HEADERS", '{"X-Key": ')
    settings = configure(resources=["x"], **_client())
    told = "^the environment variable SOURCES__INCIDENTS__CLIENT__HEADERS is not valid"
    with pytest.raises(SettingsError, match=told):
        declared_source(settings)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"state": {"name": {"data_type": "text"}}}, "columns.state.name is not a hint"),
        ({"state": {"data_type": "json", "id": {}}}, "columns.state.id is not a hint of a column"),
        ({"state": {"name": "status"}}, "columns.state.name is not a hint of a column"),
        ({"state": {"nulable": True}}, "columns.state.nulable is unknown: did you mean 'nullable'"),
        ({"state": {"required": True}}, "columns.state.required is unknown: known are "),
        ([{"name": "state", "datatype": "text"}], "columns[0].datatype is unknown: did you mean"),
        ([{"name": {"data_type": "text"}}], "columns[0].name is not a hint of a column"),
    ],
)
@pytest.mark.parametrize("holder", ["resources[0]", "resource_defaults"])
def test_unknown_keys_below_columns_are_refused(
    configure: Configure, columns: Any, told: str, holder: str
) -> None:
    given: dict[str, Any] = _resource(columns=columns)
    if holder == "resource_defaults":
        given = {"resources": ["x"], "resource_defaults": {"columns": columns}}
    with pytest.raises(SettingsError) as refused:
        declared_source(configure(**given, **_client()))
    assert f"{holder}.{told}" in str(refused.value)


@pytest.mark.parametrize(
    "columns",
    [
        [{"name": "state", "data_type": "text", "nullable": True}],
        {"state": {"name": "state", "data_type": "text", "x-own": {"a": 1}}},
    ],
)
def test_columns_that_dlt_knows_are_taken(configure: Configure, columns: Any) -> None:
    table = Table.of(declared_source(configure(**_resource(columns=columns), **_client())), "x")
    assert table.declared["state"]["data_type"] == "text"


@pytest.mark.parametrize("setting", ["next_url_path", "cursor_path"])
def test_a_path_of_the_paginator_that_is_no_jsonpath_is_one_message(
    configure: Configure, setting: str
) -> None:
    kind = "json_link" if setting == "next_url_path" else "cursor"
    client = _client(paginator={"type": kind, setting: "[["})
    with pytest.raises(SettingsError, match=rf"paginator\.{setting} '\[\[' is not a JSONPath"):
        declared_source(configure(resources=["x"], **client))


OAUTH = {"type": "oauth2_client_credentials", "client_id": "me", "client_secret": KEY}


@pytest.mark.parametrize(
    ("auth", "named"),
    [
        (5, "'bearer'"),
        (["bearer"], "not a list"),
        ("api_kye", "api_kye"),
        ({"type": 5, "api_key": KEY}, "type"),
        ({"type": "api_kye", "api_key": KEY}, "api_kye"),
        ({"type": "api_key", "api_key": KEY, "nam": "key"}, "nam"),
        ({"type": "api_key", "api_key": KEY, "location": "qurey"}, "qurey"),
        ({"type": "api_key", "api_key": KEY, "location": "cookie"}, "cookie"),
        ({"type": "bearer", "token": KEY, "name": "X-Key"}, "name"),
        ({"token": KEY, "nam": "X-Key"}, "nam"),
        ({"type": "http_basic", "password": KEY}, "username"),
        ({"type": "http_basic", "username": "me", "password": KEY, "usr": 1}, "usr"),
        (OAUTH, "access_token_url"),
        ({**OAUTH, "access_token_url": "https://x", "scope": "a"}, "scope"),
    ],
)
def test_an_auth_that_rest_api_does_not_know_is_one_message(
    configure: Configure, auth: Any, named: str
) -> None:
    settings = configure(resources=["x"], **_client(auth=auth))
    with pytest.raises(SettingsError, match=r"client\.auth") as refused:
        _declare_and_open(settings)
    message = str(refused.value)
    assert named in message
    assert "\n" not in message
    assert KEY not in message


def _declare_and_open(settings: Settings) -> None:
    declared_source(settings)
    with open_api(settings, print):
        pass


@pytest.mark.parametrize("auth", [5, {"type": "api_key", "api_key": KEY, "nam": "key"}])
def test_a_source_that_was_not_declared_before_checks_its_auth_too(
    configure: Configure, auth: Any
) -> None:
    settings = configure(resources=["x"], **_client(auth=auth))
    with pytest.raises(SettingsError), open_api(settings, print):
        pass
