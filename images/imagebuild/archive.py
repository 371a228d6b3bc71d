"""Reads image archives (`docker save`, BuildKit's `type=docker`): configuration, layers, and what a container sees."""

import gzip
import json
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from imagebuild.errors import ArchiveError

__all__ = ["Archive", "Entry", "Layer"]

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_WHITEOUT = ".wh."
_SCALE = 6
"""The level of compression that Docker uses when it pushes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a layer; `content` is empty for all but regular files, and where it was not asked for."""

    path: str
    info: tarfile.TarInfo
    content: bytes = b""

    @property
    def writable_by_others(self) -> bool:
        """Whether a user who owns nothing may write to it; links have no rights of their own."""
        return not self.info.issym() and bool(self.info.mode & 0o022)


@dataclass(frozen=True)
class Layer:
    """One layer, as it is stored; it is unpacked in memory, once."""

    name: str
    data: bytes

    @property
    def compressed_bytes(self) -> int:
        """What a registry would hold of it."""
        return len(self.data) if self.data.startswith((_GZIP, _ZSTD)) else len(gzip.compress(self.data, _SCALE))

    def entries(self, *, contents: bool = False) -> Iterator[Entry]:
        """Every file of it; with `contents` what is in them too."""
        for info in self._infos:
            read = contents and info.isreg()
            content = self._plain[info.offset_data : info.offset_data + info.size] if read else b""
            yield Entry(str(PurePosixPath("/", info.name)), info, content)

    def extract(self, folder: Path) -> None:
        """Unpack it over what is there, owners included; a layer with whiteouts is refused, as ours have none."""
        hidden = [info.name for info in self._infos if PurePosixPath(info.name).name.startswith(_WHITEOUT)]
        if hidden:
            message = f"{self.name}: whiteouts are not played ({hidden[0]})"
            raise ArchiveError(message)
        with tarfile.open(fileobj=BytesIO(self._plain), mode="r:") as layer:
            layer.extractall(folder, filter="fully_trusted", numeric_owner=True)  # noqa: S202 - what we built ourselves

    @cached_property
    def _infos(self) -> tuple[tarfile.TarInfo, ...]:
        with tarfile.open(fileobj=BytesIO(self._plain), mode="r:") as layer:
            return tuple(layer)

    @cached_property
    def _plain(self) -> bytes:
        if self.data.startswith(_GZIP):
            return zlib.decompress(self.data, wbits=zlib.MAX_WBITS | 16)
        if self.data.startswith(_ZSTD):
            command = ["zstd", "--decompress", "--stdout"]
            return subprocess.run(command, input=self.data, capture_output=True, check=True).stdout
        return self.data


@dataclass(frozen=True, slots=True)
class Archive:
    """One image: its names, its configuration, its layers from the lowest up."""

    names: tuple[str, ...]
    config: dict[str, Any]
    layers: tuple[Layer, ...]

    @classmethod
    def read(cls, path: Path) -> "Archive":
        """ArchiveError where it is none, or holds more than one image."""
        try:
            with tarfile.open(path) as tar:
                return cls._of(tar)
        except (tarfile.TarError, KeyError, ValueError, OSError) as error:
            message = f"{path}: no archive of one image: {error}"
            raise ArchiveError(message) from error

    @classmethod
    def _of(cls, tar: tarfile.TarFile) -> "Archive":
        (manifest,) = json.loads(_content(tar, "manifest.json"))
        layers = tuple(Layer(name, _content(tar, name)) for name in manifest["Layers"])
        config = json.loads(_content(tar, manifest["Config"]))
        return cls(tuple(manifest.get("RepoTags") or ()), config, layers)

    @property
    def compressed_bytes(self) -> int:
        """What a registry would hold of all layers."""
        return sum(layer.compressed_bytes for layer in self.layers)

    def entries(self, *, contents: bool = False) -> Iterator[Entry]:
        """Of every layer: what a higher one hides is in the image all the same."""
        for layer in self.layers:
            yield from layer.entries(contents=contents)

    def content(self, path: str) -> bytes:
        """What is in a regular file, in the highest layer that has it; ArchiveError where none has."""
        for layer in reversed(self.layers):
            for entry in layer.entries(contents=True):
                if entry.path == path and entry.info.isreg():
                    return entry.content
        message = f"{self.names}: {path} is in no layer"
        raise ArchiveError(message)


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        message = f"{name} is no file"
        raise ArchiveError(message)
    return file.read()
