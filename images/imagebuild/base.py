"""A base image where no registry can be reached: Debian with Python, by debootstrap, as an OCI layout.

The Dockerfiles name the official Python image; this one has the interpreter elsewhere and is pinned by its digest only
for as long as the cache holds it, because Debian's archive moves on.
"""

import gzip
import hashlib
import json
import platform
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import BuildFailedError, MissingToolError
from imagebuild.mounts import unmount_below

__all__ = ["Base", "ensure_base", "find_base"]

Progress = Callable[[str], None]

SUITE = "bookworm"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
_EMPTY = ("dev", "proc", "sys", "run", "tmp", "var/cache/apt", "var/lib/apt/lists", "var/log")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_FAST = 1


@dataclass(frozen=True, slots=True)
class Base:
    """An OCI layout with one image."""

    layout: Path
    digest: str

    @property
    def reference(self) -> str:
        """As BuildKit takes it for a named context: a tag would be looked up at a registry."""
        return f"base@{self.digest}"


def ensure_base(cache: Path, progress: Progress, *, refresh: bool = False) -> Base:
    """The one in the cache, or a new one: 80 s and 80 MB over the network."""
    layout, found = _place(cache), find_base(cache)
    if found and not refresh:
        return found
    if shutil.which("debootstrap") is None:
        message = "debootstrap is missing; install it (Debian and Ubuntu have it), or build with --docker"
        raise MissingToolError(message)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="base-", dir=cache) as folder:
        fresh = _make(Path(folder), progress)
        if layout.exists():
            shutil.rmtree(layout)
        fresh.rename(layout)
    return _read(layout)


def find_base(cache: Path) -> Base | None:
    """The one in the cache."""
    return _read(_place(cache)) if _place(cache).exists() else None


def _place(cache: Path) -> Path:
    return cache / f"base-{SUITE}-{_key()}"


def _key() -> str:
    said = json.dumps([SUITE, PACKAGES, _EMPTY, platform.machine()])
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def _read(layout: Path) -> Base:
    (manifest,) = json.loads((layout / "index.json").read_text())["manifests"]
    return Base(layout, manifest["digest"])


def _make(folder: Path, progress: Progress) -> Path:
    root, log = folder / "root", folder / "debootstrap.log"
    progress(f"base: debootstrap {SUITE} with {', '.join(PACKAGES)}, about a minute and a half")
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root)]
    try:
        with log.open("wb") as output:
            ended = subprocess.run(command, stdout=output, stderr=output, check=False).returncode
    finally:
        # It mounts /proc there; what is mounted must not be removed with the folder.
        unmount_below(folder)
    if ended:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        message = f"debootstrap ended with status {ended}:\n{tail}"
        raise BuildFailedError(message)
    return _layout(root, folder / "layout")


def _layout(root: Path, layout: Path) -> Path:
    """One layer, its configuration, its manifest, and an index that names it."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    plain, layer = _layer(root, blobs)
    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [plain]},
    }
    media = "application/vnd.oci.image"
    described = _blob(blobs, json.dumps(config).encode(), f"{media}.config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{media}.manifest.v1+json",
        "config": described,
        "layers": [layer | {"mediaType": f"{media}.layer.v1.tar+gzip"}],
    }
    entry = _blob(blobs, json.dumps(manifest).encode(), f"{media}.manifest.v1+json")
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return layout


def _layer(root: Path, blobs: Path) -> tuple[str, dict[str, object]]:
    """The digest of the plain tar, and the descriptor of the compressed one, which is put among the blobs."""
    made = blobs.parent / "layer.tar"
    with tarfile.open(made, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(root, arcname=".", filter=_kept)
    plain = _digest(made)
    packed = blobs.parent / "layer.tar.gz"
    with made.open("rb") as source, gzip.GzipFile(packed, "wb", _FAST, mtime=0) as target:
        shutil.copyfileobj(source, target, 2**20)
    made.unlink()
    digest = _digest(packed)
    size = packed.stat().st_size
    packed.rename(blobs / digest.partition(":")[2])
    return plain, {"digest": digest, "size": size}


def _kept(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    path = info.name.removeprefix("./")
    return None if any(path.startswith(f"{folder}/") for folder in _EMPTY) else info


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _blob(blobs: Path, content: bytes, media_type: str) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
