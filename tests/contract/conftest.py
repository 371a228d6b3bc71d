"""The two targets of the contract: the in-memory API server, and a real one where `make testbed` was run."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from contract.target import Target
from contract.widgets import WIDGET_CRD

from penstock.cluster.client import Client
from penstock.cluster.fake import FakeAPIServer
from penstock.cluster.resources import CUSTOM_RESOURCE_DEFINITIONS
from testbed import binaries
from testbed.control_plane import ControlPlane

__all__ = ["cluster", "real_plane", "real_plane_with_widgets"]

_WIDGETS = "/apis/contract.penstock.dev/v1/widgets"


@pytest.fixture(scope="session")
def real_plane() -> Iterator[ControlPlane]:
    """etcd and a kube-apiserver, for all tests together."""
    if binaries.find() is None:
        pytest.skip("no kube-apiserver, etcd and kubectl here: run `make testbed`")
    with ControlPlane.start() as plane:
        yield plane


@pytest.fixture(scope="session")
def real_plane_with_widgets(real_plane: ControlPlane) -> ControlPlane:
    """The same, and it serves Widgets."""
    real_plane.kubectl("create", "-f", "-", stdin=json.dumps(WIDGET_CRD))
    real_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/widgets.contract.penstock.dev")

    def served() -> bool:
        # Established comes a moment before the endpoints are served.
        return "widgets" in real_plane.kubectl("get", "--raw", "/apis/contract.penstock.dev/v1")

    real_plane.until(served, "the Widgets")
    return real_plane


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.real)])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Target]:
    """Each target in turn, with a fresh namespace."""
    async with AsyncExitStack() as stack:
        memory: FakeAPIServer | None = None
        if request.param == "memory":
            memory = await stack.enter_async_context(FakeAPIServer())
            kubeconfig = memory.kubeconfig(tmp_path / "kubeconfig")
        else:
            plane: ControlPlane = request.getfixturevalue("real_plane_with_widgets")
            kubeconfig = plane.kubeconfig
        client = await stack.enter_async_context(await Client.connect(kubeconfig=str(kubeconfig)))
        if memory is not None:
            code, _ = await client.raw("POST", CUSTOM_RESOURCE_DEFINITIONS.path(), body=WIDGET_CRD)
            assert code == 201
        namespace = f"contract-{uuid.uuid4().hex[:10]}"
        await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        yield Target(client, namespace, memory)
