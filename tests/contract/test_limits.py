"""What the server in memory does not do it refuses, and says what; a case for each of `LIMITS` that is a request."""

import json
from pathlib import Path

import pytest

from contract.target import CRDS, Object, Reply, Target, config_map
from penstock.cluster.client import Client
from penstock.cluster.fake import LIMITS, FakeAPIServer

_CORE = "/api/v1/namespaces/default"
_STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}
_CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def _refused(reply: Reply, code: int, words: str) -> None:
    assert reply.status == code, reply.body
    assert words in reply.body["message"]


async def test_strategic_patches(memory_target: Target) -> None:
    await memory_target.ask("POST", f"{_CORE}/configmaps", config_map("a"))
    reply = await memory_target.ask("PATCH", f"{_CORE}/configmaps/a", {"data": {"k": "v"}}, _STRATEGIC)
    _refused(reply, 501, "a strategic merge patch")


async def test_lists_of_an_exact_version(memory_target: Target) -> None:
    query = {"resourceVersion": "1", "resourceVersionMatch": "Exact"}
    _refused(await memory_target.ask("GET", f"{_CORE}/configmaps", **query), 501, "lists of an exact version")


@pytest.mark.parametrize("subresource", ["binding", "eviction", "log", "exec", "proxy"])
async def test_other_subresources(memory_target: Target, subresource: str) -> None:
    _refused(await memory_target.ask("GET", f"{_CORE}/pods/a/{subresource}"), 501, f"the subresource {subresource}")


async def test_initial_events(memory_target: Target) -> None:
    query = {"watch": "true", "sendInitialEvents": "true"}
    _refused(await memory_target.ask("GET", f"{_CORE}/configmaps", **query), 422, "sendInitialEvents")


async def test_a_crd_of_two_served_versions(memory_target: Target) -> None:
    crd: Object = json.loads(
        json.dumps(CRDS[1]).replace("notes", "memos").replace("Note", "Memo").replace("note", "memo")
    )
    crd["spec"]["versions"].append({**crd["spec"]["versions"][0], "name": "v2", "storage": False})
    _refused(await memory_target.ask("POST", _CRD_PATH, crd), 501, "more than one served version")


async def test_a_crd_that_says_too_little(memory_target: Target) -> None:
    crd: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "x"},
    }
    reply = await memory_target.ask("POST", _CRD_PATH, crd | {"spec": {"group": "x.test"}})
    reply.refused(422, "Invalid")
    assert {"spec.scope", "spec.versions", "spec.names.kind"} <= reply.blamed()


async def test_a_token_that_is_not_the_one(tmp_path: Path) -> None:
    async with FakeAPIServer(token="secret") as server:
        path = server.kubeconfig(tmp_path / "kubeconfig")
        async with await Client.connect(kubeconfig=str(path)) as client:
            assert (await client.raw("GET", "/api"))[0] == 200
        path.write_text(path.read_text().replace("secret", "guessed"))
        async with await Client.connect(kubeconfig=str(path)) as client:
            assert (await client.raw("GET", "/api"))[0] == 401


def test_limits_are_told_on_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.cluster.fake import __main__ as program  # noqa: PLC0415 - parses the command line when it is run

    monkeypatch.setattr("sys.argv", ["fake", "--help"])
    with pytest.raises(SystemExit):
        program.main()
    told = " ".join(capsys.readouterr().out.split())
    assert all(" ".join(limit.split()[:4]) in told for limit in LIMITS)
