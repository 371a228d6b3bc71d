"""Pretend nodes carry what real ones do."""

import pytest

from testbed.gpu_nodes import GPUS, cpu_nodes, gpu_nodes


def test_an_nvidia_node_has_the_labels_of_feature_discovery() -> None:
    (node,) = gpu_nodes("h100", 1)
    labels = node["metadata"]["labels"]
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
    assert (labels["nvidia.com/gpu.compute.major"], labels["nvidia.com/gpu.compute.minor"]) == ("9", "0")
    assert labels["nvidia.com/gpu.count"] == node["status"]["allocatable"]["nvidia.com/gpu"] == "8"


def test_an_amd_node_has_the_labels_of_the_node_labeller() -> None:
    (node,) = gpu_nodes("mi300x", 1)
    assert node["metadata"]["labels"]["amd.com/gpu.device-id"] == "74a1"
    assert node["status"]["capacity"]["amd.com/gpu"] == "8"


@pytest.mark.parametrize("kind", GPUS)
def test_labels_are_valid(kind: str) -> None:
    for node in gpu_nodes(kind, 2):
        assert all(isinstance(value, str) and len(value) <= 63 for value in node["metadata"]["labels"].values())


def test_labels_and_size_are_the_callers() -> None:
    (node,) = gpu_nodes(
        "gb200", 1, prefix="rack", per_node=2, labels={"pool": "a"}, taints=[{"key": "k", "effect": "NoSchedule"}]
    )
    assert node["metadata"]["name"] == "rack-0"
    assert node["metadata"]["labels"]["pool"] == "a"
    assert node["metadata"]["labels"]["kubernetes.io/arch"] == "arm64"
    assert node["status"]["capacity"]["nvidia.com/gpu"] == "2"
    assert node["spec"]["taints"] == [{"key": "k", "effect": "NoSchedule"}]


def test_addresses_are_stable_and_differ() -> None:
    first, again = ([node["status"]["addresses"][1]["address"] for node in gpu_nodes("l4", 50)] for _ in range(2))
    assert first == again
    assert len(set(first)) == 50


def test_a_node_without_gpus_has_none() -> None:
    (node,) = cpu_nodes(1)
    assert not [name for name in node["status"]["capacity"] if name.endswith("/gpu")]
