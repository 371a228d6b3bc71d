"""What a machine lacks is named with its cure."""

import os
import shutil
from pathlib import Path

import pytest

from level3 import prerequisites
from level3.cluster import Cluster
from level3.nodes import NodeSpec
from level3.prerequisites import NodesError, UnfitMachineError
from testbed.errors import TestbedError


def test_a_missing_command_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda command: None if command in ("ctr", "nft") else f"/bin/{command}")
    complaints = "\n".join(prerequisites.missing())
    assert "no ctr, nft" in complaints
    assert "apt-get install" in complaints
    assert "containerd" in complaints
    assert "nftables" in complaints


def test_without_root_it_is_refused_before_anything_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnfitMachineError, match="not root"):
        Cluster.start(tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("folder", ["/run/user/0/c", "/var/lib/c", "/home/" + 90 * "c"])
def test_a_folder_that_nodes_could_not_use_is_refused(folder: str) -> None:
    with pytest.raises(UnfitMachineError, match=folder[:20]):
        prerequisites.check_folder(Path(folder))


@pytest.mark.skipif(bool(prerequisites.missing()), reason="refused earlier here")
def test_a_folder_with_somebodys_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(TestbedError, match="no cluster's"):
        Cluster.start(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("nodes", "want"),
    [
        pytest.param((), "none", id="no node"),
        pytest.param((NodeSpec("a"), NodeSpec("a")), "must differ", id="the same name twice"),
        pytest.param((NodeSpec("../a"),), "no name of a node", id="a path"),
        pytest.param((NodeSpec("a", gpus=("h1000", 8)),), "h1000.*kinds are l4", id="an unknown kind"),
    ],
)
def test_impossible_nodes_are_refused(tmp_path: Path, nodes: tuple[NodeSpec, ...], want: str) -> None:
    with pytest.raises(NodesError, match=want):
        Cluster.start(tmp_path / "c", nodes)
