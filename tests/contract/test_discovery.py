"""What a server says of itself, and kubectl at work on it."""

import asyncio
import json
import shutil
from typing import Any

import pytest

from contract.target import WIDGETS, Space, Target, config_map, widget
from testbed.binaries import find

pytestmark = pytest.mark.timeout(120)


async def test_version(cluster: Target) -> None:
    body = (await cluster.ask("GET", "/version")).expect(200)
    assert body["major"] == "1"
    assert body["gitVersion"].startswith("v1.")


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/healthz"])
async def test_health(cluster: Target, path: str) -> None:
    assert await cluster.client.raw("GET", path) == (200, b"ok")


async def test_groups(cluster: Target) -> None:
    assert "v1" in (await cluster.ask("GET", "/api")).expect(200)["versions"]
    groups = (await cluster.ask("GET", "/apis")).expect(200)["groups"]
    named = {group["name"]: group["preferredVersion"]["groupVersion"] for group in groups}
    assert named["apps"] == "apps/v1"
    assert named["contract.test"] == "contract.test/v1"


async def test_a_group(cluster: Target) -> None:
    body = (await cluster.ask("GET", "/apis/apps")).expect(200)
    assert (body["kind"], body["name"]) == ("APIGroup", "apps")


async def test_resources_of_a_group(cluster: Target) -> None:
    body = (await cluster.ask("GET", "/apis/contract.test/v1")).expect(200)
    found = {entry["name"]: entry for entry in body["resources"]}
    assert set(found) == {"widgets", "widgets/status", "widgets/scale", "notes"}
    entry = found["widgets"]
    assert (entry["kind"], entry["singularName"], entry["namespaced"]) == ("Widget", "widget", True)
    assert (entry["shortNames"], entry["categories"]) == (["wd"], ["contract"])
    assert {"create", "delete", "get", "list", "patch", "update", "watch"} <= set(entry["verbs"])
    scale = found["widgets/scale"]
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")


async def test_an_absent_group(cluster: Target) -> None:
    status, _ = await cluster.client.raw("GET", "/apis/none.test/v1")
    assert status == 404


def _kubectl() -> str:
    programs = find()
    found = str(programs.kubectl) if programs else shutil.which("kubectl")
    if found is None:
        pytest.skip("left out: kubectl; `make testbed` gets it")
    return found


class _Kubectl:
    """kubectl against one of the servers, with a cache of its own."""

    def __init__(self, space: Space, cache: Any) -> None:
        self._arguments = [f"--kubeconfig={space.cluster.kubeconfig}", f"--cache-dir={cache}", "-n", space.name]
        self._program = _kubectl()

    async def __call__(self, *arguments: str, stdin: Any = None) -> str:
        process = await asyncio.create_subprocess_exec(
            self._program, *self._arguments, *arguments, stdin=-1, stdout=-1, stderr=-1
        )
        given = json.dumps(stdin).encode() if stdin is not None else b""
        out, err = await asyncio.wait_for(process.communicate(given), 60)
        assert process.returncode == 0, err.decode()
        return out.decode()


@pytest.fixture
def kubectl(space: Space, tmp_path: Any) -> _Kubectl:
    return _Kubectl(space, tmp_path / "kubectl")


async def test_kubectl_applies_and_gets(kubectl: _Kubectl) -> None:
    """As the demo invites to do."""
    out = await kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=widget("a"))
    assert "widget.contract.test/a serverside-applied" in out
    rows = (await kubectl("get", "wd")).splitlines()
    assert rows[0].split() == ["NAME", "COLOR", "READY", "AGE"]
    assert rows[1].split()[:2] == ["a", "Red"]
    assert "SIZE" in (await kubectl("get", "widgets", "-o", "wide")).splitlines()[0]
    assert (await kubectl("get", "contract", "-o", "name")).strip() == "widget.contract.test/a"
    assert json.loads(await kubectl("get", "widget", "a", "-o", "json"))["spec"]["color"] == "Red"
    assert "Red" in await kubectl("get", "widget", "a", "-o", "jsonpath={.spec.color}")


async def test_kubectl_get_of_built_in_kinds(kubectl: _Kubectl) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=config_map("a", k="v"))
    assert "a" in await kubectl("get", "cm", "a")
    assert "configmap/a" in await kubectl("get", "configmaps", "-o", "name")


async def test_kubectl_creates_scales_labels_patches(kubectl: _Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=widget("a"))
    await kubectl("scale", "widget", "a", "--replicas=4")
    await kubectl("label", "widget", "a", "app=x")
    await kubectl("annotate", "widget", "a", "example.com/note=y")
    await kubectl("patch", "widget", "a", "--type=merge", "-p", '{"spec":{"size":9}}')
    live = json.loads(await kubectl("get", "widget", "a", "-o", "json"))
    assert (live["spec"]["replicas"], live["spec"]["size"]) == (4, 9)
    assert live["metadata"]["labels"] == {"app": "x"}


async def test_kubectl_waits_and_deletes(kubectl: _Kubectl, space: Space) -> None:
    await kubectl("create", "-f", "-", stdin=widget("a"))
    waiting = asyncio.ensure_future(kubectl("wait", "--for=condition=Ready", "widget/a", "--timeout=30s"))
    body = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    (await space.patch(WIDGETS, "a", body, "status")).expect(200)
    assert "condition met" in await waiting
    assert 'widget.contract.test "a" deleted' in await kubectl("delete", "widget", "a", "--timeout=30s")
    assert await kubectl("get", "widgets", "-o", "name") == ""


async def test_kubectl_explains_and_describes(kubectl: _Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=widget("a"))
    assert "Color:" in await kubectl("describe", "widget", "a")
