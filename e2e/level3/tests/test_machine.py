"""The kubelet counts what it is shown."""

from pathlib import Path

import pytest

from level3 import machine
from level3.nodes import NodeSpec


@pytest.mark.parametrize("cpus", [1, 7, 192])
def test_every_processor_is_claimed_as_often_as_it_takes(tmp_path: Path, cpus: int) -> None:
    machine.write(tmp_path / "m", cpus=cpus, memory=3)
    links = list((tmp_path / "m" / "node").glob("node*/cpu*"))
    assert len(links) == cpus
    assert all(link.readlink().name == link.name for link in links)
    assert f"MemTotal: {3 << 20} kB\n" in (tmp_path / "m" / "meminfo").read_text()


def test_what_is_available_is_read_where_it_is_written(tmp_path: Path) -> None:
    machine.write(tmp_path / "m", cpus=1, memory=3)
    assert machine.available_gib(tmp_path / "m" / "meminfo") == 3
    assert machine.available_gib() > 0


def test_a_node_has_its_vendors_labels_and_gpus() -> None:
    spec = NodeSpec("gpu-a", gpus=("h100", 4), labels={"pool": "eu"})
    assert spec.all_labels()["nvidia.com/gpu.count"] == "4"
    assert spec.all_labels()["pool"] == "eu"
    assert spec.pretended()["nvidia.com/gpu"] == "4"
    assert "nvidia.com/gpu" not in NodeSpec("cpu-a").pretended()
