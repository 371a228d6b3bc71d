"""The plain manifests are the charts, and each overlay is the chart with the same values."""

import importlib.util
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from builders.charts import Object, helm, kubectl

ROOT = Path(__file__).parents[2]


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render_manifests", ROOT / "tools" / "render_manifests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = tool()


def built(folder: str) -> dict[tuple[str, str, str], Object]:
    """What `kubectl kustomize` makes of a folder, without the CRDs."""
    command = [str(kubectl()), "kustomize", str(ROOT / "manifests" / "kustomize" / folder)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return by_place(yaml.load_all(ran.stdout, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def by_place(objects: Iterable[Object]) -> dict[tuple[str, str, str], Object]:
    return {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in objects
        if each["kind"] != "CustomResourceDefinition"
    }


def test_the_chart_of_the_crds_has_them() -> None:
    """`python tools/render_manifests.py` copies them."""
    assert TOOL.differences(TOOL.crd_copies()) == []
    assert TOOL.strangers() == []


def test_the_manifests_are_rendered_from_the_charts() -> None:
    """`python tools/render_manifests.py` writes them."""
    assert TOOL.differences(TOOL.documents(helm())) == []


def test_base_is_the_plain_install() -> None:
    assert built("base") == by_place(TOOL.plain_install(helm()))


@pytest.mark.parametrize("overlay", TOOL.OVERLAYS)
def test_an_overlay_is_the_chart_with_the_same_values(overlay: str) -> None:
    found, wanted = built(f"overlays/{overlay}"), by_place(TOOL.plain_install(helm(), overlay))
    assert found.keys() == wanted.keys()
    for place, live in wanted.items():
        assert found[place] == live, place


def test_nothing_plain_claims_to_be_helms() -> None:
    for live in TOOL.plain_install(helm()):
        assert not {"helm.sh/chart", "app.kubernetes.io/managed-by"} & live["metadata"].get("labels", {}).keys()
        assert live["metadata"].get("labels") != {}


def test_the_namespace_enforces_restricted_pods() -> None:
    (namespace,) = (live for live in TOOL.plain_install(helm()) if live["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_difference_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TOOL, "ROOT", tmp_path)
    (tmp_path / "same").write_text("a\n")
    (tmp_path / "other").write_text("b\n")
    wanted = {tmp_path / "same": "a\n", tmp_path / "other": "a\n", tmp_path / "missing": "a\n"}
    assert TOOL.differences(wanted) == ["other: differs", "missing: differs"]
