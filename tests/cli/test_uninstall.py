"""`penstock uninstall`: what goes first, what waits for the operator, and that nothing is left."""

import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from builders.day_two import chat, gateway, h100_pool, installed, invoke, lease, route, workload
from penstock.cli.uninstall import uninstall
from penstock.cluster.fake import FakeAPIServer

Object = dict[str, Any]
_KINDS = {"ModelDeployment", "Route", "InferenceGateway", "InferencePool"}


class Surroundings:
    """Who acts beside the command: an operator that drains, and Helm."""

    def __init__(self, server: FakeAPIServer) -> None:
        self.server, self.gone, self.operator = server, list[str](), True
        self.end = server.subscribe(self._heard)

    def _heard(self, type_: str, live: Object, _before: Object | None) -> None:
        if type_ == "DELETED" and live["kind"] in _KINDS:
            self.gone.append(live["kind"])
        metadata = live["metadata"]
        if (
            self.operator
            and metadata.get("deletionTimestamp")
            and live["kind"] == "ModelDeployment"
            and type_ != "DELETED"
        ):
            self.server.update("modeldeployments", metadata["namespace"], metadata["name"], freed)


def drained(live: Object) -> Object:
    return {**live, "metadata": {**live["metadata"], "finalizers": ["penstock.dev/drain"]}}


def freed(live: Object) -> Object:
    return {**live, "metadata": {**live["metadata"], "finalizers": []}}


def leftovers() -> list[Object]:
    place = {"namespace": "penstock-system"}
    facts = {**place, "name": "penstock-model-abc", "labels": {"penstock.dev/role": "model-facts"}}
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {**place, "name": "penstock-ca"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {**place, "name": "penstock-server-tls"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {**place, "name": "a-provider-key"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": facts},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**place, "name": "penstock-learnt"}},
    ]


@pytest.fixture
async def server() -> AsyncIterator[FakeAPIServer]:
    async with FakeAPIServer() as made:
        fleet = (drained(chat()), drained(chat(name="second")), route(), gateway(), h100_pool())
        yield installed(made, *fleet, lease(now=datetime.now(UTC)), *leftovers())


def left(server: FakeAPIServer) -> dict[str, int]:
    kinds = ("modeldeployments", "routes", "inferencegateways", "inferencepools", "customresourcedefinitions", "leases")
    counts: dict[str, int] = {}
    for kind in (*kinds, "secrets", "configmaps"):
        try:
            counts[kind] = len(server.objects(kind))
        except KeyError:
            counts[kind] = 0
    return {kind: count for kind, count in counts.items() if count}


async def test_everything_goes_drained_and_in_order(server: FakeAPIServer, tmp_path: Path) -> None:
    around = Surroundings(server)
    result = await invoke(uninstall, server, tmp_path, "--yes")
    assert result.exit_code == 0, result.output
    assert around.gone == ["ModelDeployment"] * 2 + ["Route", "InferenceGateway", "InferencePool"]
    # What the user made stays.
    assert left(server) == {"secrets": 1}
    assert "nothing of Penstock is left" in result.output
    again = await invoke(uninstall, server, tmp_path, "--yes")
    assert again.exit_code == 0, again.output


async def test_it_says_what_goes_and_asks(server: FakeAPIServer, tmp_path: Path) -> None:
    before = left(server)
    result = await invoke(uninstall, server, tmp_path, stdin="n\n")
    assert result.exit_code == 1
    assert "2 ModelDeployment: assistants/chat, assistants/second" in result.output
    assert left(server) == before


async def test_a_dry_run_changes_nothing(server: FakeAPIServer, tmp_path: Path) -> None:
    before = server.version
    result = await invoke(uninstall, server, tmp_path, "--dry-run")
    assert result.exit_code == 0
    assert "8 CustomResourceDefinitions" in result.output
    assert server.version == before


async def test_without_an_operator_nothing_goes_unless_by_force(server: FakeAPIServer, tmp_path: Path) -> None:
    server.delete("leases", "penstock-system", "penstock-operator")
    around = Surroundings(server)
    around.operator = False
    before = left(server)
    refused = await invoke(uninstall, server, tmp_path, "--yes")
    assert refused.exit_code == 2
    assert "no operator leads in penstock-system" in refused.output
    assert "--force" in refused.output
    assert left(server) == before
    forced = await invoke(uninstall, server, tmp_path, "--yes", "--force")
    assert forced.exit_code == 0, forced.output
    assert "requests in flight fail" in forced.output
    assert left(server) == {"secrets": 1}


async def test_force_never_takes_a_deployment_from_an_operator_that_works(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    around = Surroundings(server)
    around.operator = False
    result = await invoke(uninstall, server, tmp_path, "--yes", "--force", "--timeout", "2")
    assert result.exit_code == 1
    assert "still assistants/chat (held by penstock.dev/drain)" in result.output
    live = server.get("modeldeployments", "assistants", "chat")
    assert live is not None
    assert live["metadata"]["finalizers"] == ["penstock.dev/drain"]


async def test_crds_can_be_kept(server: FakeAPIServer, tmp_path: Path) -> None:
    Surroundings(server)
    result = await invoke(uninstall, server, tmp_path, "--yes", "--keep-crds")
    assert result.exit_code == 0
    assert left(server) == {"customresourcedefinitions": 8, "secrets": 1}


async def test_while_the_chart_is_there_it_says_how_it_goes_and_keeps_the_rest(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    Surroundings(server)
    server.put(annotated(workload()))
    result = await invoke(uninstall, server, tmp_path, "--yes")
    assert result.exit_code == 1
    assert "helm uninstall inference -n penstock-system" in result.output
    assert server.get("leases", "penstock-system", "penstock-operator") is not None
    assert len(server.objects("customresourcedefinitions")) == 8


def annotated(live: Object) -> Object:
    found = {"meta.helm.sh/release-name": "inference", "meta.helm.sh/release-namespace": "penstock-system"}
    return {**live, "metadata": {**live["metadata"], "annotations": found}}


async def test_helm_is_called_for_the_release_that_is_there(
    server: FakeAPIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Surroundings(server)
    server.put(annotated(workload()))
    path = f"{server.url}/apis/apps/v1/namespaces/penstock-system/deployments/penstock-operator"
    helm = tmp_path / "bin" / "helm"
    helm.parent.mkdir()
    helm.write_text(
        "#!/usr/bin/env python3\nimport sys, urllib.request\n"
        f"open({str(tmp_path / 'said')!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        f"urllib.request.urlopen(urllib.request.Request({path!r}, method='DELETE')).read()\n"
    )
    helm.chmod(helm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{helm.parent}:{Path('/usr/bin')}")
    result = await invoke(uninstall, server, tmp_path, "--yes", "--helm")
    assert result.exit_code == 0, result.output
    said = (tmp_path / "said").read_text()
    assert said.startswith("uninstall inference --namespace penstock-system")
    assert f"--kubeconfig {tmp_path / 'config'}" in said
    assert left(server) == {"secrets": 1}


async def test_without_helm_it_says_so(server: FakeAPIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Surroundings(server)
    server.put(annotated(workload()))
    monkeypatch.setenv("PATH", str(tmp_path))
    result = await invoke(uninstall, server, tmp_path, "--yes", "--helm")
    assert result.exit_code == 2
    assert "no `helm` on the PATH" in result.output


async def test_what_may_not_be_listed_is_not_taken_for_gone(server: FakeAPIServer, tmp_path: Path) -> None:
    server.faults.fail(403, verbs="list", kinds="routes")
    result = await invoke(uninstall, server, tmp_path, "--yes")
    assert result.exit_code == 2
    assert "it cannot be seen what is there: you may not list routes" in result.output
    assert len(server.objects("modeldeployments")) == 2
