"""What rest_api refuses is refused in one message that names the setting and the file."""

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
        (_resource(columns={"a": {"datatype": "text"}}), ["columns", "a", "datatype"]),
        (
            _resource(endpoint={"path": "/x", "paginator": {"type": "cursr"}}),
            ["resources[0].endpoint.paginator", "cursr", "'cursor'"],
        ),
        (_resource(endpoint={"path": "{resources.y.id}"}), ["`x`", "`y`"]),
        (_resource(endpoint={"path": "{resource.y.id}"}), ["`x`", "resource.y.id"]),
        ({"resources": ["x", "x"]}, ["`x`", "already"]),
        (_resource(columns={"a": "text"}), ["columns", "a"]),
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
OAUTH = {"type": "oauth2_client_credentials", "client_id": "me", "client_secret": KEY}


@pytest.mark.parametrize(
    ("auth", "named"),
    [
        (5, "5"),
        (["bearer"], "bearer"),
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
    with pytest.raises(SettingsError, match=r"client\.auth|client: field `auth`") as refused:
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
