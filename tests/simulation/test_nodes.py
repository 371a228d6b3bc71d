"""Simulated nodes are recognised as what they are, by the same labels as real ones."""

import pytest

from penstock.catalogue.accelerators import by_name, detect
from penstock.simulation.nodes import NODE_KINDS, gpu_nodes, plain_nodes, sample_fleet


@pytest.mark.parametrize("kind", NODE_KINDS)
def test_labels_name_the_accelerator(kind: str) -> None:
    (node,) = gpu_nodes(kind, 1)
    wanted = by_name(NODE_KINDS[kind].accelerator)
    detection = detect(node["metadata"]["labels"])
    assert (detection.accelerator, detection.problem, detection.partitioned) == (wanted, "", False)
    assert node["status"]["allocatable"][wanted.resource] == "8"
    assert node["spec"]["taints"][0]["key"] == wanted.resource


@pytest.mark.parametrize(
    ("kind", "label", "value"),
    [
        pytest.param("h100", "pool", "h100-eu", id="h100-eu"),
        pytest.param("b200", "cloud.google.com/gke-accelerator", "nvidia-b200", id="b200-us"),
        pytest.param("mi300x", "amd.com/gpu.device-id", "74a1", id="mi300x-eu"),
        pytest.param("a100", "pool", "a100-spot", id="a100-spot"),
    ],
)
def test_the_samples_pools_select_them(kind: str, label: str, value: str) -> None:
    (node,) = gpu_nodes(kind, 1)
    assert node["metadata"]["labels"][label] == value


def test_names_and_addresses_are_unlike() -> None:
    nodes = sample_fleet({"h100": 3, "b200": 2})
    names = {node["metadata"]["name"] for node in nodes}
    addresses = {node["status"]["addresses"][1]["address"] for node in nodes}
    assert len(names) == len(addresses) == 5


def test_plain_nodes_take_any_pod_and_have_no_gpu() -> None:
    first, second = plain_nodes(2)
    assert (first["metadata"]["name"], second["metadata"]["name"]) == ("plain-0", "plain-1")
    assert "taints" not in first["spec"]
    assert not any("gpu" in resource for resource in first["status"]["allocatable"])
    assert detect(first["metadata"]["labels"]).accelerator is None
