"""Container images without a registry and an engine: docker-archive files, written by the standard library."""

import hashlib
import io
import json
import re
import struct
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.releases import go_platform

PAUSE = "registry.k8s.io/pause:testbed"
PYTHON = "testbed/python:host"

# `pause` for ever, and for arm64, which has no such call, `ppoll` of nothing: the whole of what holds a pod's network.
_MACHINE_CODE = {
    "amd64": (62, bytes.fromhex("b822000000 0f05 ebf7")),
    "arm64": (
        183,
        struct.pack("<7I", 0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003, 0xD2800928, 0xD4000001, 0x17FFFFFA),
    ),
}
_ADDRESS = 0x400000
_HEADERS = 64 + 56
_NOT_NEEDED = {"site-packages", "dist-packages", "__pycache__", "test", "idlelib", "tkinter", "ensurepip", "turtledemo"}


@dataclass(frozen=True, slots=True)
class Image:
    """What goes into an image: files of this machine by their place in it, files by content, links."""

    entrypoint: Sequence[str]
    copies: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "65532"

    def save(self, archive: Path, name: str) -> None:
        """Write it as `docker save` does, with one layer."""
        layer = self._layer()
        config = json.dumps(self._config(layer)).encode()
        manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
        with tarfile.open(archive, "w") as tar:
            _add(tar, "layer.tar", layer)
            _add(tar, "config.json", config)
            _add(tar, "manifest.json", json.dumps(manifest).encode())

    def _config(self, layer: bytes) -> dict[str, Any]:
        return {
            "architecture": go_platform().partition("/")[2],
            "os": "linux",
            "config": {
                "User": self.user,
                "Entrypoint": list(self.entrypoint),
                "Env": [f"{name}={value}" for name, value in self.environment.items()],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created_by": "the test bed"}],
        }

    def _layer(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", dereference=True) as tar:
            for place, path in sorted(self.copies.items()):
                tar.add(path, place.lstrip("/"), recursive=False)
            for place, content in self.files.items():
                _add(tar, place.lstrip("/"), content, mode=0o755)
            for place, target in self.links.items():
                link = tarfile.TarInfo(place.lstrip("/"))
                link.type, link.linkname = tarfile.SYMTYPE, target
                tar.addfile(link)
            tar.addfile(_writable("tmp"))
        return buffer.getvalue()


def pause() -> Image:
    """The container that holds a pod's namespaces: an ELF file of a few dozen bytes that sleeps."""
    return Image(entrypoint=("/pause",), files={"/pause": _elf(*_MACHINE_CODE[go_platform().partition("/")[2]])})


def python() -> Image:
    """This very interpreter with its standard library, and nothing else: enough to serve, to ask and to look up."""
    interpreter = Path(sys.executable).resolve()
    sources = {str(path): path for path in _standard_library()}
    libraries = {str(path): path for path in _shared_libraries([interpreter, *_extensions(sources.values())])}
    folders = sorted({str(path.parent) for path in libraries.values()})
    return Image(
        entrypoint=(str(interpreter),),
        copies={str(interpreter): interpreter} | sources | libraries,
        files={"/etc/passwd": b"root:x:0:0::/:\nnonroot:x:65532:65532::/tmp:\n"},
        links={"/bin/python": str(interpreter)} if str(interpreter) != "/bin/python" else {},
        environment={
            "PATH": f"{interpreter.parent}:/bin",
            "LD_LIBRARY_PATH": ":".join(folders),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": "/tmp",  # noqa: S108 (the one place that any user may write to)
        },
    )


def names_in(archive: Path) -> list[str]:
    """Read which names an image archive gives itself, as docker or as BuildKit writes it."""
    with tarfile.open(archive) as tar:
        if "manifest.json" in tar.getnames():
            return [name for each in _read(tar, "manifest.json") for name in each["RepoTags"] or ()]
        described = (each.get("annotations", {}) for each in _read(tar, "index.json")["manifests"])
        return [notes["io.containerd.image.name"] for notes in described if "io.containerd.image.name" in notes]


def full_name(name: str) -> str:
    """Complete a name as the kubelet does before it looks for it: `vllm/vllm-openai:v1` is Docker Hub's."""
    first, slash, _ = name.partition("/")
    tagged = name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"
    if not slash:
        return f"docker.io/library/{tagged}"
    return tagged if first == "localhost" or re.search(r"[.:]", first) else f"docker.io/{tagged}"


def _read(tar: tarfile.TarFile, name: str) -> Any:
    try:
        member = tar.extractfile(name)
    except KeyError:
        member = None
    if member is None:
        message = f"{tar.name!s} is not an image archive: no {name}. Save one by docker save or BuildKit's type=docker"
        raise TestbedError(message)
    return json.load(member)


def _add(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _writable(name: str) -> tarfile.TarInfo:
    folder = tarfile.TarInfo(name)
    folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
    return folder


def _elf(machine: int, code: bytes) -> bytes:
    """Wrap code as an executable with one loaded segment (System V ABI, 64 bits, little endian)."""
    size = _HEADERS + len(code)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _ADDRESS + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, 0x1000)
    return identity + header + segment + code


def _standard_library() -> Iterator[Path]:
    for folder in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        for path in Path(folder).rglob("*"):
            needed = _NOT_NEEDED.isdisjoint(path.relative_to(folder).parts) and path.suffix != ".a"
            if path.is_file() and needed:
                yield path


def _extensions(paths: Iterable[Path]) -> Iterator[Path]:
    return (path for path in paths if path.suffix == ".so")


def _shared_libraries(programs: Sequence[Path]) -> Iterator[Path]:
    """What the dynamic linker would load for them, the linker itself among it."""
    listed = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=True).stdout
    for found in re.finditer(r"^\s+(?:\S+ => )?(/\S+) \(0x", listed, re.MULTILINE):
        yield Path(found.group(1))
