"""What leaves a cluster: no secret in any place, and words that only sound like one stay."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.operations.redaction import REDACTED, redact, redact_text

SECRET = "s3cr3tV4lue99"

TEXTS = {
    "bearer": f"Authorization: Bearer {SECRET}",
    "basic": f"authorization=Basic {SECRET}==",
    "ours": "the token pgw_s3cr3tV4lue99abc was refused",
    "openai": "key sk-proj-s3cr3tV4lue99abc is wrong",
    "anthropic": "sk-ant-api03-s3cr3tV4lue99",
    "hub": "hf_s3cr3tV4lue99abc",
    "aws": "AKIAs3cr3tV4lue99",
    "jwt": "eyJhbGciOiJub25l.eyJzM2NyM3RWNGx1ZTk5.s3cr3tV4lue99",
    "database": f"postgresql://penstock:{SECRET}@db/penstock",
    "database, an at sign in its password": f"postgresql://penstock:p@{SECRET}@db/penstock",
    "proxy": f"http://{SECRET}@proxy:3128",
    "signed": f"https://bucket/x?X-Amz-Signature={SECRET}&X-Amz-Date=1",
    "query": f"GET /v1/models?api_key={SECRET} 401",
    "json": f'{{"api_key": "{SECRET}", "model": "gpt"}}',
    "json, escaped": f'{{"password": "a\\"{SECRET}"}}',
    "python": f"{{'master_key': '{SECRET}'}}",
    "yaml": f"client_secret: {SECRET}",
    "argument": f"penstock operator --server-token {SECRET}",
    "header": f"X-Api-Key: {SECRET}",
    "cookie": f"Cookie: theme=dark; session={SECRET}",
    "key": f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    "key, cut off": f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    "key, its beginning cut off": f"{SECRET}\n-----END EC PRIVATE KEY-----\nstarted",
    "prompt": f'{{"prompt": "my salary is {SECRET}", "model": "chat"}}',
    "messages": f'body={{"messages": [{{"role": "user", "content": "{SECRET}"}}]}}',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_secret_stays_in_text(text: str) -> None:
    told = redact_text(text)
    assert SECRET not in told
    assert REDACTED in told


HARMLESS = (
    "leading, term 4",
    "the token of gateway ai-platform/main was rotated",
    "GET https://api.example.com/v1/models 200",
    "prompt tokens 4096, completion tokens 128",
    "Secret ai-platform/main-gateway-token is missing",
    "max_tokens=128 kv_tokens=40960",
    "image ghcr.io/penstock-dev/penstock:0.1.0@sha256:abcdef",
)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_sounds_like_a_secret_stays(text: str) -> None:
    assert redact_text(text) == text


OBJECTS: dict[str, dict[str, Any]] = {
    "a Secret": {"kind": "Secret", "data": {"key": SECRET}, "stringData": {"other": SECRET}},
    "environment": {"env": [{"name": "OPENAI_API_KEY", "value": SECRET}, {"name": "FOO", "value": SECRET}]},
    "arguments": {"args": ["serve", "--api-key", SECRET]},
    "one argument": {"command": [f"--api-key={SECRET}"]},
    "a shell's": {"command": ["sh", "-c", f"curl -H 'Authorization: Bearer {SECRET}' http://x"]},
    "what kubectl applied": {
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": SECRET}},
    },
    "managed fields": {"metadata": {"managedFields": [{"manager": SECRET}]}},
    "a field's name": {"spec": {"password": SECRET, "apiKey": SECRET, "nested": [{"clientSecret": SECRET}]}},
    "a URL": {"spec": {"url": f"https://user:{SECRET}@host/v1"}},
    "a configuration": {"kind": "ConfigMap", "data": {"config.yaml": f"a: 1\nmaster_key: {SECRET}\n"}},
    "a condition": {"status": {"conditions": [{"message": f"401: bad key sk-{SECRET}"}]}},
    "prompts": {"messages": [{"role": "user", "content": SECRET}]},
}


@pytest.mark.parametrize("live", OBJECTS.values(), ids=OBJECTS.keys())
def test_no_secret_stays_in_an_object(live: dict[str, Any]) -> None:
    assert SECRET not in str(redact(live))


def test_what_helps_stays() -> None:
    live = {
        "kind": "Deployment",
        "metadata": {"name": "main-gateway", "namespace": "ai-platform"},
        "spec": {
            "env": [
                {"name": "PENSTOCK_LOG_LEVEL", "value": "debug"},
                {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
            ],
            "completions": 1,
            "secretName": "main-gateway-token",
            "args": ["--gateway", "ai-platform/main", "--credentials-dir", "/etc/penstock/credentials"],
        },
    }
    assert redact(live) == live


@pytest.mark.property
@given(
    st.recursive(st.text() | st.integers() | st.none(), lambda each: st.lists(each) | st.dictionaries(st.text(), each))
)
def test_twice_is_as_once(value: Any) -> None:
    once = redact(value)
    assert redact(once) == once


@pytest.mark.parametrize(
    "piece", ["a-", "x.", "http://", "eyJ-", "token ", "&sig", "prompt ", "-----BEGIN ", "\\", "token" + " " * 99]
)
def test_a_hostile_log_is_read_in_a_moment(piece: str) -> None:
    """What an engine prints is redacted in the operator's event loop; a second look at every letter would stop it."""
    assert SECRET not in redact_text(piece * (200_000 // len(piece)) + f" password={SECRET}")


def test_a_long_credential_in_an_address_goes_too() -> None:
    assert SECRET not in redact_text(f"postgresql://penstock:{'x' * 2000}{SECRET}@db/penstock")
