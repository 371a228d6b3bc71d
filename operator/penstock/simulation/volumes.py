"""Volumes of a pod that is a process: folders of this machine, written as the kubelet writes them.

Each holds a folder per version, `..data` points at the newest, and the names that the process sees are links through
it: one rename exchanges all of them. Knows Secrets and ConfigMaps by a look-up, no API server.
"""

import base64
import binascii
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from penstock.errors import PenstockError

__all__ = ["CannotStart", "LookUp", "NotThereYet", "Volumes", "content_of"]

Object = dict[str, Any]
LookUp = Callable[[str, str, str], Awaitable[Object | None]]
"""`look_up(kind, namespace, name)`: a Secret or a ConfigMap, None where there is none."""

_DATA = "..data"
_READ_ONLY = 0o400
_SOURCES = {"secret": ("Secret", "secretName"), "configMap": ("ConfigMap", "name")}


class NotThereYet(PenstockError):
    """Something that the pod refers to is missing: it waits for it, as in Kubernetes."""


class CannotStart(PenstockError):
    """The manifest asks for something that is not played here; waiting does not help."""


@dataclass(slots=True)
class Volumes:
    """The volumes of one pod under `folder`; `refresh` writes those whose content changed."""

    pod: Object
    folder: Path
    look_up: LookUp
    _written: dict[str, Mapping[str, bytes]] = field(default_factory=dict, repr=False)

    async def refresh(self) -> None:
        """Bring every folder up to date; NotThereYet names the first that cannot be, the others are written."""
        missing: list[NotThereYet] = []
        for volume in self.pod["spec"].get("volumes") or ():
            try:
                await self._refresh(volume)
            except NotThereYet as problem:
                missing.append(problem)
        if missing:
            raise missing[0]

    def mounts(self, container: Object) -> dict[str, Path]:
        """Where each mount path of the container is on this machine, longest path first."""
        found = {
            mount["mountPath"].rstrip("/"): self._place(mount["name"]) / mount.get("subPath", "")
            for mount in container.get("volumeMounts") or ()
        }
        return dict(sorted(found.items(), key=lambda each: -len(each[0])))

    def _place(self, name: str) -> Path:
        if name not in {volume["name"] for volume in self.pod["spec"].get("volumes") or ()}:
            message = f'volumeMounts: "{name}" is no volume of the pod; name it in spec.volumes'
            raise CannotStart(message)
        return self.folder / name

    async def _refresh(self, volume: Object) -> None:
        name = volume["name"]
        place = self.folder / name
        if "emptyDir" in volume:
            _make(place)
            return
        try:
            content = await self._content(volume)
        except NotThereYet as problem:
            # What runs keeps what it was given, whatever becomes of the object.
            if name in self._written:
                return
            message = f'MountVolume.SetUp failed for volume "{name}": {problem}'
            raise NotThereYet(message) from problem
        if self._written.get(name) != content:
            _exchange(place, content)
            self._written[name] = content

    async def _content(self, volume: Object) -> dict[str, bytes]:
        """File names and bytes."""
        if "projected" not in volume:
            return await self._source(volume, volume["name"])
        content: dict[str, bytes] = {}
        for source in volume["projected"].get("sources") or ():
            content |= await self._source(source, volume["name"])
        return content

    async def _source(self, source: Object, volume: str) -> dict[str, bytes]:
        for field_name, (kind, reference) in _SOURCES.items():
            if field_name in source:
                wanted = source[field_name]
                name = wanted.get(reference) or wanted["name"]
                live = await self.look_up(kind, self.pod["metadata"]["namespace"], name)
                return _picked(live, wanted, f'{kind.lower()} "{self.pod["metadata"]["namespace"]}/{name}"')
        said = ", ".join(sorted(set(source) - {"name"})) or "nothing"
        message = f"volumes[{volume}]: {said} is not played; use secret, configMap, projected of these, or emptyDir"
        raise CannotStart(message)


def content_of(live: Object) -> dict[str, bytes]:
    """The keys of a Secret or a ConfigMap with their bytes; CannotStart where a value is no base64."""
    if live.get("kind") == "ConfigMap":
        texts = {key: text.encode() for key, text in (live.get("data") or {}).items()}
        return texts | _decoded(live.get("binaryData") or {})
    return _decoded(live.get("data") or {})


def _decoded(data: Mapping[str, str]) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(text, validate=True) for key, text in data.items()}
    except binascii.Error as error:
        # The values stay unsaid: they are secrets.
        message = "data: a value is no base64"
        raise CannotStart(message) from error


def _picked(live: Object | None, wanted: Object, said: str) -> dict[str, bytes]:
    """All keys, or those that `items` names under the paths that it gives."""
    optional = bool(wanted.get("optional"))
    if live is None and not optional:
        message = f"{said} not found"
        raise NotThereYet(message)
    content = content_of(live) if live else {}
    items = wanted.get("items")
    if items is None:
        return {_checked(key): value for key, value in content.items()}
    absent = [item["key"] for item in items if item["key"] not in content]
    if absent and not optional:
        message = f"{said} has no key {absent[0]}"
        raise NotThereYet(message)
    return {_checked(item["path"]): content[item["key"]] for item in items if item["key"] in content}


def _checked(path: str) -> str:
    """As the API demands it: below the volume, and not in the way of the links."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith(("/", "..")) or ".." in parts:
        message = f"volumes: {path!r} is no path below a volume; take a relative one without `..`"
        raise CannotStart(message)
    return path


def _make(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True, mode=0o700)


def _exchange(place: Path, content: Mapping[str, bytes]) -> None:
    """Write a new version beside the old one, and point everything at it with one rename."""
    _make(place)
    link = place / _DATA
    before = link.resolve() if link.is_symlink() else None
    version = Path(tempfile.mkdtemp(prefix="..", dir=place))
    for path, data in content.items():
        _write(version / path, data)
    waiting = place / "..data_tmp"
    waiting.symlink_to(version.name)
    waiting.replace(link)
    _link(place, {PurePosixPath(path).parts[0] for path in content})
    if before is not None:
        shutil.rmtree(before)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)
    path.chmod(_READ_ONLY)


def _link(place: Path, names: Iterable[str]) -> None:
    """The names that the process sees; those that are gone point at nothing already."""
    there = {path.name for path in place.iterdir() if not path.name.startswith("..")}
    for name in set(names) - there:
        (place / name).symlink_to(Path(_DATA) / name)
    for name in there - set(names):
        (place / name).unlink()
