"""The two servers of the contract suite: the one in memory, always, and a real one where its binaries are."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from contract.target import CRDS, NOTES, WIDGETS, Space, Target
from penstock.cluster.client import Client
from penstock.cluster.fake import FakeAPIServer
from testbed.binaries import find
from testbed.control_plane import ControlPlane


@pytest.fixture(scope="session")
def real_plane() -> Iterator[ControlPlane]:
    """A real etcd and kube-apiserver for the whole run."""
    if find() is None:
        pytest.skip("left out: the contract on a real kube-apiserver; `make testbed` gets it")
    with ControlPlane.start() as plane:
        yield plane


@pytest.fixture(scope="session")
def real_with_kinds(real_plane: ControlPlane) -> ControlPlane:
    """The same with the suite's own kinds served."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(CRDS)})
    real_plane.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=text)
    resources = [f"crd/{crd['metadata']['name']}" for crd in CRDS]
    real_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *resources)
    # Established comes a moment before the endpoints are served.
    wanted = {kind.plural for kind in (WIDGETS, NOTES)}
    real_plane.until(lambda: wanted <= _served(real_plane), "the suite's kinds")
    return real_plane


def _served(plane: ControlPlane) -> set[str]:
    answer = json.loads(plane.kubectl("get", "--raw", f"/apis/{WIDGETS.api_version}"))
    return {entry["name"] for entry in answer["resources"]}


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def real_target(real_with_kinds: ControlPlane) -> AsyncIterator[Target]:
    """One client for the whole run: a TLS connection takes longer than most cases."""
    async with await Client.connect(kubeconfig=str(real_with_kinds.kubeconfig)) as client:
        yield Target("real", client, real_with_kinds.kubeconfig, None)


@pytest_asyncio.fixture(loop_scope="session")
async def memory_target(tmp_path: Path) -> AsyncIterator[Target]:
    """A fresh server in memory, in which bookmarks come soon."""
    async with FakeAPIServer() as server:
        for crd in CRDS:
            server.put(crd)
        server.set_bookmarks(0.1)
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        async with await Client.connect(kubeconfig=str(kubeconfig)) as client:
            yield Target("memory", client, kubeconfig, server)


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.real)])
def cluster(request: pytest.FixtureRequest) -> Target:
    """Either server."""
    target: Target = request.getfixturevalue(f"{request.param}_target")
    return target


@pytest_asyncio.fixture(loop_scope="session")
async def space(cluster: Target) -> Space:
    """A namespace of the test's own on either server."""
    name = f"case-{uuid.uuid4().hex[:10]}"
    manifest: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    (await cluster.ask("POST", "/api/v1/namespaces", manifest)).expect(201)
    return Space(cluster, name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All cases share one event loop, and with it the client of the real server."""
    here = f"{Path(__file__).parent}/"
    for item in items:
        if str(item.path).startswith(here) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
