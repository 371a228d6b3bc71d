"""A fleet from Git on a real control plane: after it serves, a diff is empty and a second apply writes nothing."""

import pytest

from conftest import ROOT, Cluster

pytestmark = pytest.mark.real

_FLEET = str(ROOT / "manifests" / "gitops" / "fleet")
_NAMES = {"ModelDeployment", "ModelProvider", "InferenceGateway", "Route", "Consumer"}


def _versions(cluster: Cluster) -> dict[str, str]:
    kinds = ",".join(f"{kind.lower()}s.penstock.dev" for kind in sorted(_NAMES))
    items = [each for place in ("assistants", "ai-platform") for each in cluster.items(kinds, place)]
    return {f"{each['kind']} {each['metadata']['name']}": each["metadata"]["resourceVersion"] for each in items}


def test_a_second_apply_shows_and_writes_nothing(cluster: Cluster) -> None:
    """By kubectl's own diff, which asks the API server what an apply would come to."""
    cluster.plane.kubectl("apply", "--server-side", "-k", _FLEET)
    cluster.until(lambda: cluster.condition("small-extractor", "Ready")[0] == "True", "the fleet's deployment is ready")
    cluster.until(lambda: cluster.condition("small-extractor", "Stalled") == ("", ""), "nothing of it is stalled")
    cluster.rest(5.0)
    before = _versions(cluster)
    # The cluster is the module's: another test's deployment may be beside the fleet's.
    assert {"ModelDeployment small-extractor", "Route assistant", "Consumer support-bot"} <= before.keys()
    assert {each.split()[0] for each in before} == _NAMES
    assert cluster.plane.kubectl("diff", "--server-side", "-k", _FLEET) == ""
    cluster.plane.kubectl("apply", "--server-side", "-k", _FLEET)
    assert _versions(cluster) == before


def test_a_refusal_ends_the_wait_of_tools(cluster: Cluster) -> None:
    """`kubectl wait` for Stalled, as kstatus looks for it; a corrected spec takes it away."""
    document = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "refused", "namespace": "assistants"},
        "spec": {"model": "Qwen/Qwen3-8B", "disaggregation": {"mode": "Required"}},
    }
    cluster.apply(document)
    cluster.until(lambda: cluster.condition("refused", "Stalled") == ("True", "NotSupported"), "it is stalled")
    cluster.apply(document | {"spec": {"model": "Qwen/Qwen3-8B"}})
    cluster.until(lambda: cluster.condition("refused", "Ready")[0] == "True", "it is ready")
    assert cluster.condition("refused", "Stalled") == ("", "")
