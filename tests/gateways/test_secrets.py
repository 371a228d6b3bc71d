"""The two Secrets: what is in them, what their version says, and that nothing of them is anywhere else."""

import base64
import itertools
import json
import re
from typing import Any

import pytest

from builders.gateway_requests import gateway, gateway_request
from penstock.api.kinds import KINDS_BY_NAME
from penstock.gateways.litellm import (
    credential_file,
    credentials_version,
    render_credentials,
    render_gateway,
    render_token,
)
from penstock_gateway.credentials import Credentials

KEYS = {"team.mistral": "sk-mistral", "team.anthropic": "sk-anthropic"}


def texts(secret: dict[str, Any]) -> dict[str, str]:
    return {name: base64.b64decode(value, validate=True).decode() for name, value in secret["data"].items()}


def test_credentials_are_files_and_their_version() -> None:
    secret = render_credentials(gateway(), KEYS)
    assert texts(secret) == {**KEYS, "version": credentials_version(gateway(), KEYS)}
    assert secret["type"] == "Opaque"
    assert "stringData" not in secret


def test_a_replica_reads_what_is_rendered(tmp_path: Any) -> None:
    for name, text in texts(render_credentials(gateway(), KEYS)).items():
        (tmp_path / name).write_text(text)
    credentials = Credentials(tmp_path)
    credentials.refresh()
    assert {name: credentials.of(name) for name in KEYS} == KEYS
    assert credentials.version == credentials_version(gateway(), KEYS)


def test_token_and_master_key() -> None:
    assert texts(render_token(gateway(), "a-token", "a-key")) == {"token": "a-token", "master-key": "a-key"}


CHANGES = {
    "nothing": {},
    "one": {"a.x": "k"},
    "another file": {"a.y": "k"},
    "another key": {"a.x": "l"},
    "one more": {"a.x": "k", "a.y": "k"},
    "exchanged": {"a.x": "1", "a.y": "2"},
    "exchanged back": {"a.x": "2", "a.y": "1"},
    "runs into its name": {"a.x": 'k"],["a.y","k'},
}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(CHANGES, 2)))
def test_version_changes_with_keys_and_files(one: str, other: str) -> None:
    assert credentials_version(gateway(), CHANGES[one]) != credentials_version(gateway(), CHANGES[other])


@pytest.mark.parametrize("keys", CHANGES.values(), ids=CHANGES)
def test_version_is_the_same_for_the_same(keys: dict[str, str]) -> None:
    """Whatever their order and whatever else the gateway says; and it is never empty."""
    backwards = dict(reversed(keys.items()))
    version = credentials_version(gateway(), keys)
    assert re.fullmatch(r"[0-9a-f]{16}", version)
    assert credentials_version(gateway(replicas=5), backwards) == version


def test_version_is_salted() -> None:
    """Two gateways with the same key do not show it."""
    other = gateway(uid="7e0f0b1e-12f1-4c39-8d6b-d0f2f8c3a002")
    assert credentials_version(gateway(), KEYS) != credentials_version(other, KEYS)


def test_secrets_are_in_secrets_only() -> None:
    """Rendering the gateway knows none of them; names and labels of the Secrets tell nothing of what is inside."""
    rendered = json.dumps(render_gateway(gateway_request()))
    metadata = [
        each["metadata"] for each in (render_credentials(gateway(), KEYS), render_token(gateway(), "tok-1", "mas-1"))
    ]
    for value in (*KEYS.values(), "tok-1", "mas-1"):
        encoded = base64.b64encode(value.encode()).decode()
        for text in (rendered, json.dumps(metadata), credentials_version(gateway(), KEYS)):
            assert value not in text
            assert encoded not in text
    assert credentials_version(gateway(), KEYS) not in rendered


def test_files_are_legal_keys_that_a_replica_reads() -> None:
    """The longest too; and none is taken for the version or for the kubelet's own."""
    longest = "p" * KINDS_BY_NAME["ModelProvider"].longest_name
    for namespace, name in (("team", "mistral"), ("n" * 63, longest), ("version", "version"), ("a", "b-c")):
        file = credential_file(namespace, name)
        assert re.fullmatch(r"[-._a-zA-Z0-9]+", file)
        assert len(file) <= 253
        assert file != "version"
        assert not file.startswith("..")


def test_files_are_unique() -> None:
    """`a-b/c` and `a/b-c` are two providers."""
    parts = ["a", "b", "a-b", "b-a", "version"]
    files = [credential_file(*place) for place in itertools.product(parts, repeat=2)]
    assert len(set(files)) == len(files)
