"""Which names are a credential's, and which only look like it."""

import json

import pytest

from incidents_dagster.ingestion.secrets.names import (
    credentials_in,
    is_credential,
    parts_of_header,
)

CREDENTIALS = (
    "key token secret auth jwt sig signature api_key apiKey api-key API_KEY apikey secret_key "
    "secretKey user_token userToken session_token refresh_token refreshToken client_key user_key "
    "access_token authtoken session_id JSESSIONID id_token private_token personal_access_token "
    "webhook_secret routing_key license_key X-API-KEY X-Vault-Token X-Amz-Signature "
    "X-Amz-Credential X-Amz-Security-Token Ocp-Apim-Subscription-Key x-functions-key "
    "filter[api_key] API_KEY_2 passwd user_password passphrase oauth_signature client_secret"
)
OTHERS = (
    "sort_key key_id page_token pageToken next_token nextPageToken cursor sync_token "
    "continuationToken skipToken resumptionToken start_token project_key incident_key dedup_key "
    "public_key partition_key group_key client_id access_key_id token_type authors authenticated "
    "signed_at assigned keys max_tokens state monkey"
)


@pytest.mark.parametrize("name", CREDENTIALS.split())
def test_a_credential_is_known_by_its_name(name: str) -> None:
    assert is_credential(name)


@pytest.mark.parametrize("name", OTHERS.split())
def test_paging_and_other_keys_are_no_credentials(name: str) -> None:
    assert not is_credential(name)


def test_credentials_are_found_at_any_depth() -> None:
    body = {"a": [{"token": "x", "page_token": "p"}], "auth": ["y", {"pin": 1}], "jwt": None}
    found = [("token", "x"), ("auth", "y")]
    assert list(credentials_in(body)) == found
    assert list(credentials_in(json.dumps(body))) == found
    assert list(credentials_in("token=x&auth=y&sort_key=z")) == found


@pytest.mark.parametrize(
    ("name", "value", "certain"),
    [
        ("Authorization", "Bearer abc", {"Bearer abc", "abc"}),
        ("Authorization", 'Token token="abc", user=production', {"abc"}),
        ("X-Odd", "Token abc", {"Token abc", "abc"}),
        ("Authorization", "Bearer ab=cd", {"Bearer ab=cd", "ab=cd"}),
        ("X-Api-Key", "abc", {"abc"}),
        ("Cookie", "theme=dark; session=abc; region=eu-west-1", {"abc"}),
        ("X-Auth-Region", "eu-west-1", set()),
        ("Authorization", "Token {s3cret-77}", {"{s3cret-77}", "s3cret-77"}),
        ("X-User-Key", '{"key": "s3cret-77", "user": "ann"}', {"s3cret-77"}),
    ],
)
def test_a_header_is_told_from_its_words(name: str, value: str, certain: set[str]) -> None:
    found = {text for _, text, sure in parts_of_header(name, value) if sure}
    assert found - {value} == certain - {value}
    assert (value in found) == (name not in ("Cookie", "X-Auth-Region"))
