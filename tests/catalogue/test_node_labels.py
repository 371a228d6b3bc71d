"""Telling a node's accelerator from its labels, honest and otherwise."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.catalogue.accelerators import ACCELERATORS, detect

PRODUCT, MEMORY = "nvidia.com/gpu.product", "nvidia.com/gpu.memory"
GKE, KARPENTER = "cloud.google.com/gke-accelerator", "karpenter.k8s.aws/instance-gpu-name"

KNOWN = {
    "H100 SXM by its HBM3": ({PRODUCT: "NVIDIA-H100-80GB-HBM3", MEMORY: "81559"}, "H100-SXM-80GB"),
    "H100 as documents wrongly spell it": ({PRODUCT: "NVIDIA-H100-SXM5-80GB"}, "H100-SXM-80GB"),
    "H100 card": ({PRODUCT: "NVIDIA-H100-PCIe", MEMORY: "81559"}, "H100-PCIe-80GB"),
    "H100 NVL": ({PRODUCT: "NVIDIA-H100-NVL", MEMORY: "95830"}, "H100-NVL-94GB"),
    "H200": ({PRODUCT: "NVIDIA-H200", MEMORY: "143771"}, "H200-SXM-141GB"),
    "B200": ({PRODUCT: "NVIDIA-B200", MEMORY: "183359"}, "B200-SXM-180GB"),
    "GB200 is not a B200": ({PRODUCT: "NVIDIA-GB200"}, "GB200-192GB"),
    "A100 of 80 GB": ({PRODUCT: "NVIDIA-A100-SXM4-80GB", MEMORY: "81920"}, "A100-SXM-80GB"),
    "A100 of 40 GB, old driver": ({PRODUCT: "A100-SXM4-40GB", MEMORY: "40960"}, "A100-SXM-40GB"),
    "A100 card": ({PRODUCT: "NVIDIA-A100-80GB-PCIe"}, "A100-PCIe-80GB"),
    "A100 card, older driver": ({PRODUCT: "NVIDIA-A100-PCIE-80GB"}, "A100-PCIe-80GB"),
    "L4 is not an L40S": ({PRODUCT: "NVIDIA-L4", MEMORY: "23034"}, "L4-24GB"),
    "L40S": ({PRODUCT: "NVIDIA-L40S", MEMORY: "46068"}, "L40S-48GB"),
    "A10G is not an A10": ({PRODUCT: "NVIDIA-A10G"}, "A10G-24GB"),
    "GH200 names its CPU's memory": ({PRODUCT: "NVIDIA-GH200-480GB", MEMORY: "97871"}, "GH200-96GB"),
    "workstation card": ({PRODUCT: "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition"}, "RTX-PRO-6000-96GB"),
    "H200 card": ({PRODUCT: "NVIDIA-H200-NVL", MEMORY: "143771"}, "H200-NVL-141GB"),
    "H20 is not an H200": ({PRODUCT: "NVIDIA-H20", MEMORY: "97871"}, "H20-SXM-96GB"),
    "gaming card": ({PRODUCT: "NVIDIA-GeForce-RTX-4090", MEMORY: "24564"}, "RTX-4090-24GB"),
    "MI350X": ({"amd.com/gpu.device-id": "75a0", "amd.com/gpu.vram": "288G"}, "MI350X"),
    "MI300X by device id": ({"amd.com/gpu.device-id": "74a1", "amd.com/gpu.vram": "192G"}, "MI300X"),
    "MI300X by the older labels": ({"beta.amd.com/gpu.device-id": "74a1"}, "MI300X"),
    "MI300X by a counted label": ({"beta.amd.com/gpu.device-id.74a1": "8"}, "MI300X"),
    "MI325X drops its X in the name": ({"amd.com/gpu.product-name": "AMD_Instinct_MI325_OAM"}, "MI325X"),
    "MI355X": ({"amd.com/gpu.device-id": "75A3", "amd.com/gpu.vram": "288G"}, "MI355X"),
    "device id wins over the name": (
        {"amd.com/gpu.device-id": "74a5", "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"},
        "MI325X",
    ),
    "GKE": ({GKE: "nvidia-h100-mega-80gb"}, "H100-SXM-80GB"),
    "Karpenter says the memory beside the name": (
        {KARPENTER: "a100", "karpenter.k8s.aws/instance-gpu-memory": "81920"},
        "A100-SXM-80GB",
    ),
    "CoreWeave": ({"gpu.nvidia.com/model": "H200"}, "H200-SXM-141GB"),
    "CoreWeave's older words": ({"gpu.nvidia.com/model": "A100_NVLINK_80GB"}, "A100-SXM-80GB"),
    "AKS tells by instance type": (
        {"node.kubernetes.io/instance-type": "Standard_ND96isr_H100_v5"},
        "H100-SXM-80GB",
    ),
    "cloud and driver agree": ({PRODUCT: "NVIDIA-B200", GKE: "nvidia-b200"}, "B200-SXM-180GB"),
}


@pytest.mark.parametrize(("labels", "want"), KNOWN.values(), ids=KNOWN.keys())
def test_known_nodes(labels: dict[str, str], want: str) -> None:
    detection = detect(labels)
    assert (detection.accelerator, detection.problem) == (ACCELERATORS[want], "")


PROBLEMS = {
    "product says H100, memory says 40 GiB": (
        {PRODUCT: "NVIDIA-H100-80GB-HBM3", MEMORY: "40960"},
        r"labels lie.*H100.*79 GiB.*40 GiB",
    ),
    "product says 80 GB, memory says 40": ({PRODUCT: "NVIDIA-A100-SXM4-80GB", MEMORY: "40960"}, "labels lie"),
    "driver and cloud disagree": ({PRODUCT: "NVIDIA-H100-80GB-HBM3", GKE: "nvidia-b200"}, "contradict each other"),
    "vram of another card": ({"amd.com/gpu.device-id": "74a1", "amd.com/gpu.vram": "256G"}, "labels lie"),
    "memory is no number": ({PRODUCT: "NVIDIA-H200", MEMORY: "lots"}, "not a size of memory"),
    "memory is absurd": ({PRODUCT: "NVIDIA-H200", MEMORY: "9" * 60}, "not a size of memory"),
    "size of an A100 unknown": ({KARPENTER: "a100"}, "A100-SXM-40GB, A100-SXM-80GB"),
    "a module of 64 GB": ({PRODUCT: "NVIDIA-A100-SXM-64GB", MEMORY: "65536"}, "no accelerator that is known"),
    "B200 as a card that is not made": ({PRODUCT: "NVIDIA-B200-PCIe"}, "no accelerator that is known"),
    "Gaudi": ({"habana.ai/hpu.product-name": "Gaudi3"}, "is Gaudi3: no engine"),
    "TPU v6e": ({"cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice"}, "is TPU v6e: no engine"),
    "a TPU of another generation": ({"cloud.google.com/gke-tpu-accelerator": "tpu7x"}, "is TPU: no engine"),
    "MI308X": ({"amd.com/gpu.device-id": "74a2"}, "no accelerator that is known"),
    "T4": ({PRODUCT: "Tesla-T4"}, "no accelerator that is known"),
}


@pytest.mark.parametrize(("labels", "want"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_labels_that_lie_or_do_not_tell_name_no_accelerator(labels: dict[str, str], want: str) -> None:
    detection = detect(labels)
    assert detection.accelerator is None
    assert not detection.partitioned
    assert re.search(want, detection.problem)


MIG_OFF, UNSHARED = "turn MIG off", "take the sharing out"
PARTITIONED = {
    "MIG, single strategy": (
        {PRODUCT: "NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", MEMORY: "40192"},
        r"3g\.40gb: 3 of 7 compute slices, 40 GB each",
        MIG_OFF,
    ),
    "MIG, mixed strategy": (
        {PRODUCT: "NVIDIA-A100-SXM4-80GB", "nvidia.com/mig-1g.10gb.count": "7"},
        r"1g\.10gb: 1 of 7 compute slices, 10 GB each",
        MIG_OFF,
    ),
    "MIG with a media extension": ({PRODUCT: "NVIDIA-H100-80GB-HBM3-MIG-1g.20gb.me"}, r"1g\.20gb: 1 of 7", MIG_OFF),
    "MIG without a profile": ({PRODUCT: "NVIDIA-H100-80GB-HBM3-MIG-INVALID"}, r"MIG \(invalid\)", MIG_OFF),
    "time slicing": ({PRODUCT: "NVIDIA-L40S-SHARED"}, "time slicing", UNSHARED),
    "renamed time slicing": ({PRODUCT: "NVIDIA-L40S", "nvidia.com/gpu.replicas": "4"}, "time slicing", UNSHARED),
    "MPS": ({PRODUCT: "NVIDIA-L40S", "nvidia.com/gpu.sharing-strategy": "mps"}, "MPS", UNSHARED),
    "CPX": (
        {"amd.com/gpu.device-id": "74a1", "amd.com/gpu.compute-memory-partition": "cpx_nps4"},
        "cpx_nps4",
        "set the compute partition SPX",
    ),
}


@pytest.mark.parametrize(("labels", "what", "cure"), PARTITIONED.values(), ids=PARTITIONED.keys())
def test_shared_and_cut_gpus_are_recognised_and_left_out(labels: dict[str, str], what: str, cure: str) -> None:
    detection = detect(labels)
    assert detection.partitioned
    assert detection.accelerator is None
    assert re.search(what, detection.problem)
    assert "whole GPUs" in detection.problem
    assert cure in detection.problem


def test_whole_gpus_are_not_taken_for_shared_ones() -> None:
    labels = {
        PRODUCT: "NVIDIA-A100-SXM4-80GB",
        "nvidia.com/gpu.replicas": "1",
        "nvidia.com/gpu.sharing-strategy": "none",
        "nvidia.com/mig.strategy": "mixed",
        "nvidia.com/mig-1g.10gb.count": "0",
    }
    assert detect(labels).accelerator is ACCELERATORS["A100-SXM-80GB"]


def test_a_node_without_gpu_labels_is_no_problem() -> None:
    detection = detect({"kubernetes.io/hostname": "worker-1", "node.kubernetes.io/instance-type": "m5.large"})
    assert (detection.accelerator, detection.problem, detection.partitioned) == (None, "", False)


@given(
    st.dictionaries(
        st.sampled_from([PRODUCT, MEMORY, GKE, KARPENTER, "amd.com/gpu.vram", "amd.com/gpu.device-id"]),
        st.text(max_size=63),
    )
)
def test_no_label_breaks_detection(labels: dict[str, str]) -> None:
    """Whatever a label holds, the answer is an accelerator, a problem, or nothing said."""
    detection = detect(labels)
    assert detection.accelerator is None or detection.problem == ""
