"""What decides whether an image is built anew, how pip's settings reach a build, and how archives are read."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from imagebuild import base as bases
from imagebuild import builders, pip_settings, request
from imagebuild.archive import Archive
from imagebuild.errors import ArchiveError, MissingToolError
from imagebuild.request import ROOT, Request
from imagebuild.shelf import SBOM, Shelf

_ENTRY = "/opt/penstock/bin/penstock"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working copy with one image, without git."""
    for path, text in {
        "images/operator/Dockerfile": "FROM scratch\n",
        "images/operator/Dockerfile.dockerignore": "*\n!operator\n!requirements/runtime.txt\n",
        "operator/penstock/__init__.py": "",
        "requirements/runtime.txt": "kopf==1 \\\n",
        "docs/images.md": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setattr(request, "ROOT", tmp_path)
    return tmp_path


def key(*, revision: str = "r", base: str = "sha256:b") -> str:
    return Request("operator", "penstock:1", "1", revision).key(builder="buildkit", base=base, compression="gzip")


@pytest.mark.parametrize(
    "path", ["operator/penstock/__init__.py", "requirements/runtime.txt", "images/operator/Dockerfile"]
)
def test_what_goes_in_changes_the_key(checkout: Path, path: str) -> None:
    before = key()
    (checkout / path).write_text("changed")
    assert key() != before


@pytest.mark.parametrize("path", ["docs/images.md", "operator/penstock/__pycache__/a.pyc", "operator/penstock/b.pyc"])
def test_what_stays_out_does_not_change_the_key(checkout: Path, path: str) -> None:
    before = key()
    (checkout / path).parent.mkdir(exist_ok=True)
    (checkout / path).write_text("changed")
    assert key() == before


def test_labels_and_the_base_are_part_of_the_key(checkout: Path) -> None:
    assert checkout.exists()
    assert len({key(), key(revision="other"), key(base="sha256:other")}) == 3


class Played:
    """A builder that writes an archive of one file and counts."""

    kind: ClassVar[str] = "played"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def build(self, request: Request, secrets: Mapping[str, Path], target: Path, compression: str) -> None:
        assert secrets["pip"].stat().st_mode & 0o077 == 0
        assert compression == "gzip"
        self.asked.append(request.name)
        write_archive(target, {SBOM: b"{}"})


def write_archive(target: Path, files: Mapping[str, bytes]) -> None:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name, content in files.items():
            add(tar, name.lstrip("/"), content)
    manifest = [{"Config": "config.json", "RepoTags": ["penstock:1"], "Layers": ["layer.tar"]}]
    with tarfile.open(target, "w") as tar:
        for name, content in {"manifest.json": json.dumps(manifest).encode(), "config.json": b'{"config": {}}'}.items():
            add(tar, name, content)
        add(tar, "layer.tar", layer.getvalue())


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def test_an_image_is_built_once_and_only_the_latest_are_kept(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pip_settings, "_listed", dict)
    shelf, builder = Shelf(tmp_path / "cache", "played", "", "gzip"), Played()
    built = []
    for number in range(5):
        (checkout / "requirements" / "runtime.txt").write_text(str(number))
        wanted = Request("operator", f"penstock:{number}", "1", "r")
        assert shelf.find(wanted) is None
        built.append(shelf.fill(wanted, lambda: builder))
        found = shelf.find(wanted)
        assert found is not None
        assert found.cached
    assert len(builder.asked) == 5
    assert sum(Path(each.tar).exists() for each in built) == 3
    assert Path(built[-1].tar).exists()
    assert Path(built[-1].sbom).read_bytes() == b"{}"


def test_an_archive_is_read_back(tmp_path: Path) -> None:
    write_archive(tmp_path / "image.tar", {_ENTRY: b"#!"})
    archive = Archive.read(tmp_path / "image.tar")
    assert archive.names == ("penstock:1",)
    assert [each.path for each in archive.entries()] == [_ENTRY]
    assert archive.content(_ENTRY) == b"#!"
    assert 0 < archive.compressed_bytes < 1000
    with pytest.raises(ArchiveError, match="is in no layer"):
        archive.content("/etc/shadow")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_text("no tar")
    with pytest.raises(ArchiveError, match=r"image\.tar"):
        Archive.read(tmp_path / "image.tar")


def test_a_layer_that_hides_files_is_not_unpacked(tmp_path: Path) -> None:
    write_archive(tmp_path / "image.tar", {"/etc/.wh.passwd": b""})
    with pytest.raises(ArchiveError, match="whiteouts"):
        Archive.read(tmp_path / "image.tar").layers[0].extract(tmp_path)


def test_pips_index_and_bundle_reach_a_build_as_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.touch()
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:pass@index.example/simple")
    monkeypatch.setenv("PIP_CERT", str(bundle))
    monkeypatch.setenv("PIP_FIND_LINKS", "/somewhere")
    files = pip_settings.secret_files(tmp_path)
    text = files["pip"].read_text()
    assert "index-url = https://user:pass@index.example/simple" in text
    assert "cert = /run/secrets/ca" in text
    assert "somewhere" not in text
    assert files["ca"] == bundle
    assert files["pip"].stat().st_mode & 0o077 == 0


def test_without_settings_pips_defaults_count() -> None:
    assert pip_settings.pip_configuration({}, with_bundle=False) == "[global]\n"


def test_without_root_or_docker_it_says_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MissingToolError, match="sudo on Linux, or build with --docker"):
        builders.require_buildkit()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match="install Docker"):
        builders.docker(print)


def test_without_debootstrap_it_says_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match="debootstrap is missing"):
        bases.ensure_base(tmp_path, print)


def test_an_image_that_does_not_exist_is_refused_by_its_name() -> None:
    command = [sys.executable, str(ROOT / "images" / "build.py"), "router"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "router is no image; choose from operator, gateway, engine" in done.stderr
