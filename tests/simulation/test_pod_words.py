"""The words of a container as its process gets them."""

from pathlib import Path
from typing import Any

import pytest

from builders.gateway_pods import Objects, gateway_pod, secret
from penstock.simulation.pod_words import Environment, expand, listening, relocated, runs_gateway
from penstock.simulation.volumes import CannotStart, NotThereYet

EXPANSIONS = {
    "known": ("--uid=$(UID)", "--uid=7"),
    "unknown stays": ("$(NOBODY)/x", "$(NOBODY)/x"),
    "escaped": ("$$(UID)", "$(UID)"),
    "twice": ("$(UID)$(UID)", "77"),
    "a dollar alone": ("5$ and $UID", "5$ and $UID"),
    "open": ("$(UID", "$(UID"),
}


@pytest.mark.parametrize(("text", "want"), EXPANSIONS.values(), ids=EXPANSIONS)
def test_references_are_expanded_as_kubernetes_does(text: str, want: str) -> None:
    assert expand(text, {"UID": "7"}) == want


RELOCATIONS = {
    "the mount": ("/var/lib", "/here/lib"),
    "below it": ("/var/lib/table.json", "/here/lib/table.json"),
    "the longer one": ("/var/lib/spool/a", "/here/spool/a"),
    "in a flag": ("--table-file=/var/lib/t", "--table-file=/here/lib/t"),
    "in a URL": ("sqlite:////var/lib/db", "sqlite:////here/lib/db"),
    "in a list": ("/var/lib:/var/lib/spool", "/here/lib:/here/spool"),
    "another folder": ("/var/library", "/var/library"),
    "below another folder": ("/opt/var/lib", "/opt/var/lib"),
    "a sibling": ("/var/lib-2", "/var/lib-2"),
}


@pytest.mark.parametrize(("text", "want"), RELOCATIONS.values(), ids=RELOCATIONS)
def test_mount_paths_become_folders(text: str, want: str) -> None:
    mounts = {"/var/lib": Path("/here/lib"), "/var/lib/spool": Path("/here/spool")}
    assert relocated(text, mounts) == want


def test_without_mounts_nothing_moves() -> None:
    assert relocated("/var/lib", {}) == "/var/lib"


LISTENING: dict[str, tuple[tuple[str, ...], dict[int, int], tuple[str, ...]]] = {
    "as it says": (("g", "--port", "80"), {}, ("--host", "127.1.1.1")),
    "moved": (("g", "--port", "80"), {80: 5001}, ("--host", "127.1.1.1", "--port", "5001")),
    "moved, the other form": (("g", "--port=80"), {80: 5001}, ("--host", "127.1.1.1", "--port", "5001")),
    "moved from the default": (("g",), {8001: 5001}, ("--host", "127.1.1.1", "--internal-port", "5001")),
    "the last one counts": (("g", "--port", "1", "--port=2"), {2: 3}, ("--host", "127.1.1.1", "--port", "3")),
}


@pytest.mark.parametrize(("words", "moved", "want"), LISTENING.values(), ids=LISTENING)
def test_it_listens_at_the_pods_address(words: tuple[str, ...], moved: dict[int, int], want: tuple[str, ...]) -> None:
    assert listening(words, lambda port: ("127.1.1.1", moved.get(port, port))) == [*words, *want]


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(CannotStart, match="--port 'http' is no port; give a number"):
        listening(("--port", "http"), lambda port: ("127.1.1.1", port))


def test_gateways_are_told_by_their_command() -> None:
    assert runs_gateway(gateway_pod())
    assert not runs_gateway(gateway_pod(command=["vllm", "serve"], args=["m"]))
    assert not runs_gateway({"spec": {"containers": [{"name": "image's own"}]}})


@pytest.fixture
def objects() -> Objects:
    """A Secret and a ConfigMap."""
    found = Objects()
    metadata = {"namespace": "team", "name": "settings"}
    found.add(secret("keys", master="sk-1"), {"kind": "ConfigMap", "metadata": metadata, "data": {"LEVEL": "info"}})
    return found


def key(kind: str, name: str, entry: str, **more: Any) -> dict[str, Any]:
    """A variable X from a key."""
    return {"name": "X", "valueFrom": {f"{kind}KeyRef": {"name": name, "key": entry, **more}}}


def of_field(path: str) -> dict[str, Any]:
    """A variable X from the downward API."""
    return {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}


VARIABLES = {
    "literal": ([{"name": "X", "value": "1"}], {"X": "1"}),
    "empty": ([{"name": "X"}], {"X": ""}),
    "of one before": ([{"name": "A", "value": "a"}, {"name": "X", "value": "$(A)b"}], {"A": "a", "X": "ab"}),
    "of one after": ([{"name": "X", "value": "$(A)"}, {"name": "A", "value": "a"}], {"X": "$(A)", "A": "a"}),
    "secret": ([key("secret", "keys", "master")], {"X": "sk-1"}),
    "config map": ([key("configMap", "settings", "LEVEL")], {"X": "info"}),
    "optional key": ([key("secret", "keys", "none", optional=True)], {}),
    "optional secret": ([key("secret", "nobody", "none", optional=True)], {}),
    "uid": ([of_field("metadata.uid")], {"X": "uid-0"}),
    "name": ([of_field("metadata.name")], {"X": "main-0"}),
    "namespace": ([of_field("metadata.namespace")], {"X": "team"}),
    "address": ([of_field("status.podIP")], {"X": "127.1.1.1"}),
    "label": ([of_field("metadata.labels['app']")], {"X": "main"}),
}


@pytest.mark.parametrize(("variables", "want"), VARIABLES.values(), ids=VARIABLES)
async def test_variables(variables: list[dict[str, Any]], want: dict[str, str], objects: Objects) -> None:
    assert await Environment(gateway_pod(), "127.1.1.1", objects.look_up).of({"env": variables}) == want


async def test_whole_objects_as_variables(objects: Objects) -> None:
    sources = [{"configMapRef": {"name": "settings"}, "prefix": "L_"}, {"secretRef": {"name": "no", "optional": True}}]
    environment = Environment(gateway_pod(), "127.1.1.1", objects.look_up)
    assert await environment.of({"envFrom": sources}) == {"L_LEVEL": "info"}


PROBLEMS = {
    "no secret": (key("secret", "nobody", "k"), NotThereYet, 'secret "team/nobody" not found'),
    "no key": (key("secret", "keys", "none"), NotThereYet, "couldn't find key none in Secret team/keys"),
    "field": (of_field("status.qosClass"), CannotStart, r"env\[X\].valueFrom.fieldRef.fieldPath: status.qosClass is"),
    "source": ({"name": "X", "valueFrom": {"resourceFieldRef": {}}}, CannotStart, "resourceFieldRef is not played"),
}


@pytest.mark.parametrize(("variable", "kind", "want"), PROBLEMS.values(), ids=PROBLEMS)
async def test_what_cannot_be_resolved_is_said(
    variable: dict[str, Any], kind: type[Exception], want: str, objects: Objects
) -> None:
    with pytest.raises(kind, match=want):
        await Environment(gateway_pod(), "127.1.1.1", objects.look_up).of({"env": [variable]})


async def test_values_are_in_no_representation(objects: Objects) -> None:
    environment = Environment(gateway_pod(), "127.1.1.1", objects.look_up)
    await environment.of({"env": [key("secret", "keys", "master")]})
    assert "sk-1" not in repr(environment)
