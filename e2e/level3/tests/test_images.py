"""Image archives are what container runtimes read."""

import hashlib
import io
import json
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from level3 import images
from testbed.errors import TestbedError


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("vllm/vllm-openai:v0.33.0", "docker.io/vllm/vllm-openai:v0.33.0"),
        ("ghcr.io/penstock-dev/gateway:0.1.0", "ghcr.io/penstock-dev/gateway:0.1.0"),
        ("localhost/x", "localhost/x:latest"),
        ("registry:5000/x", "registry:5000/x:latest"),
    ],
)
def test_names_are_completed_as_the_kubelet_does(name: str, want: str) -> None:
    assert images.full_name(name) == want


def test_an_archive_holds_what_its_manifest_names(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    image = images.Image(entrypoint=("/run",), files={"/run": b"#!"}, environment={"A": "1"}, user="7")
    image.save(archive, "a/b:1")
    assert images.names_in(archive) == ["a/b:1"]
    with tarfile.open(archive) as tar:
        layer, config = (tar.extractfile(name) for name in ("layer.tar", "config.json"))
        assert layer is not None
        assert config is not None
        content, described = layer.read(), json.load(config)
    assert described["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(content).hexdigest()}"]
    assert described["config"] == {"User": "7", "Entrypoint": ["/run"], "Env": ["A=1"]}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert {entry.name: oct(entry.mode) for entry in tar} == {"run": "0o755", "tmp": "0o1777"}


def test_what_is_no_image_archive_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(__file__, "test.py")
    with pytest.raises(TestbedError, match=r"x\.tar .*not an image archive"):
        images.names_in(archive)


def test_the_pause_program_sleeps_until_it_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(images.pause().files["/pause"])
    program.chmod(0o755)
    with subprocess.Popen([str(program)]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.kill()
    assert process.returncode == -signal.SIGKILL
